// Command fuzz runs every fuzz target of the project for a while, one after the
// other, and says what each found. `make fuzz` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	each := flag.Duration("time", 20*time.Second, "time for each target")
	match := flag.String("run", "", "only targets whose package or name contains this")
	flag.Parse()
	if err := run(*each, *match); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type target struct{ pkg, name string }

func run(each time.Duration, match string) error {
	targets, err := find()
	if err != nil {
		return err
	}
	var failed []string
	n := 0
	for _, t := range targets {
		if !strings.Contains(t.pkg+"."+t.name, match) {
			continue
		}
		n++
		start := time.Now()
		cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), t.pkg)
		out, err := cmd.CombinedOutput()
		verdict := "nothing found"
		if err != nil {
			verdict = "FAILED"
			failed = append(failed, t.pkg+"."+t.name)
		}
		fmt.Printf("%-60s %6.1fs  %s\n", t.pkg+" "+t.name, time.Since(start).Seconds(), verdict)
		if err != nil {
			fmt.Printf("%s\n", out)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %s; each crash is a new file under testdata/fuzz: keep it as a seed", len(failed), n, strings.Join(failed, ", "))
	}
	fmt.Printf("%d targets, nothing found\n", n)
	return nil
}

// find asks each package with tests for its fuzz targets.
func find() ([]target, error) {
	out, err := exec.Command("go", "list", "-f", "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	for pkg := range strings.FieldsSeq(string(out)) {
		names, err := exec.Command("go", "test", "-list", "^Fuzz", pkg).Output()
		if err != nil {
			return nil, fmt.Errorf("list fuzz targets of %s: %w", pkg, err)
		}
		for line := range strings.Lines(string(names)) {
			if name := strings.TrimSpace(line); strings.HasPrefix(name, "Fuzz") {
				targets = append(targets, target{pkg, name})
			}
		}
	}
	return targets, nil
}
