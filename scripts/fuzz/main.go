// Command fuzz runs the fuzz targets of the project for a while, as many at once
// as there are cores, and says what each found. `make fuzz` runs it.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"
)

func main() {
	each := flag.Duration("time", 20*time.Second, "time for each target")
	match := flag.String("run", "", "only targets whose package and name match this expression")
	skip := flag.String("skip", "", "not those that match this one")
	jobs := flag.Int("jobs", runtime.NumCPU(), "targets at once")
	flag.Parse()
	if err := run(*each, *match, *skip, *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type target struct{ pkg, name string }

func run(each time.Duration, match, skip string, jobs int) error {
	targets, err := find(match, skip)
	if err != nil {
		return err
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // guards the output and failed
		failed []string
	)
	work := make(chan target)
	for range max(jobs, 1) {
		wg.Go(func() {
			for t := range work {
				start := time.Now()
				cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+t.name+"$", "-fuzztime", each.String(), "-fuzzminimizetime", "2s", "-parallel", "1", t.pkg)
				out, err := cmd.CombinedOutput()
				mu.Lock()
				verdict := "nothing found"
				if err != nil {
					verdict = "FAILED"
					failed = append(failed, t.pkg+"."+t.name)
				}
				fmt.Printf("%-60s %6.1fs  %s\n", t.pkg+" "+t.name, time.Since(start).Seconds(), verdict)
				if err != nil {
					fmt.Printf("%s\n", out)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range targets {
		work <- t
	}
	close(work)
	wg.Wait()
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %s; each crash is a new file under testdata/fuzz: keep it as a seed", len(failed), len(targets), strings.Join(failed, ", "))
	}
	fmt.Printf("%d targets, nothing found\n", len(targets))
	return nil
}

var declaration = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// find reads the targets from the sources: asking each test binary would have
// all of them built.
func find(match, skip string) ([]target, error) {
	want, err := regexp.Compile(match)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	not, err := regexp.Compile(skip)
	if err != nil {
		return nil, fmt.Errorf("-skip: %w", err)
	}
	const format = `{{.ImportPath}}	{{.Dir}}{{range .TestGoFiles}}	{{.}}{{end}}{{range .XTestGoFiles}}	{{.}}{{end}}`
	out, err := exec.Command("go", "list", "-f", format, "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var targets []target
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		for _, file := range fields[2:] {
			text, err := os.ReadFile(filepath.Join(fields[1], file))
			if err != nil {
				return nil, err
			}
			for _, m := range declaration.FindAllStringSubmatch(string(text), -1) {
				t := target{fields[0], m[1]}
				if name := t.pkg + "." + t.name; want.MatchString(name) && (skip == "" || !not.MatchString(name)) {
					targets = append(targets, t)
				}
			}
		}
	}
	return targets, nil
}
