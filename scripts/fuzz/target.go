package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type target struct{ pkg, dir, name string }

func (t target) String() string { return t.pkg + "." + t.name }

// parsersOfCodes are the targets in the packages of the reader of codes that
// read what comes from outside. The others there are stages within the reader,
// which are given what the stage before them might at worst.
var parsersOfCodes = map[string][]string{
	"gateagent/driver/qr":           {"FuzzRead"},
	"gateagent/driver/qr/symbology": {"FuzzGrid", "FuzzBits"},
}

// stage says whether it reads nothing that comes from outside.
func (t target) stage() bool {
	parsers, ok := parsersOfCodes[t.pkg]
	return ok && !slices.Contains(parsers, t.name)
}

// stageShare is how many times as long as a stage a parser is fuzzed.
const stageShare = 4

// time is how long it is fuzzed.
func (t target) time(each time.Duration) time.Duration {
	if t.stage() {
		return each / stageShare
	}
	return each
}

// build makes the instrumented test program of a package, once for all of its
// targets: linking takes longer than many of them need to say something.
func build(ctx context.Context, pkg, dir string) (string, error) {
	program := filepath.Join(dir, strings.ReplaceAll(pkg, "/", "_")+".test")
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-fuzz", "^Fuzz", "-o", program, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
}

// result is what a run of a target gave.
type result struct {
	execs, found uint64 // executions; inputs that reached something new
	took         time.Duration
	failed       bool
	late         bool // it ended with the complaint that time was over
	out          []byte
}

func (r result) line(t target) string {
	verdict := "nothing found"
	switch {
	case r.failed:
		verdict = "FAILED"
	case r.late:
		verdict = "nothing found (interrupted at the end of its time)"
	}
	kind := "parser"
	if t.stage() {
		kind = "stage"
	}
	return fmt.Sprintf("%-48s %-6s %6.1f s %10d executions %4d new  %s", strings.TrimPrefix(t.String(), "gateagent/"), kind, r.took.Seconds(), r.execs, r.found, verdict)
}

// fuzz runs the target with one worker. What the worker kept of earlier runs is
// under kept.
func (t target) fuzz(ctx context.Context, program func() (string, error), kept string, d time.Duration) result {
	path, err := program()
	if err != nil {
		return result{failed: true, out: []byte(err.Error())}
	}
	ctx, cancel := context.WithTimeout(ctx, d+grace)
	defer cancel()
	before := t.crashes()
	start := time.Now()
	// Inputs are not made small: with 2 s for each that reached something new, a
	// target that finds many did nothing else, 50 executions a second instead of
	// 9,000.
	cmd := exec.CommandContext(ctx, path, "-test.run=^$", "-test.fuzz=^"+t.name+"$", "-test.fuzztime="+d.String(),
		"-test.fuzzminimizetime=0", "-test.parallel=1", "-test.fuzzcachedir="+kept)
	cmd.Dir = t.dir
	// The worker is a child of the program: both end together.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	r := result{took: time.Since(start), out: out}
	r.execs, r.found = figures(out)
	switch {
	case err == nil && bytes.Contains(out, []byte("no fuzz tests to fuzz")):
		r.failed = true
	case stands(out):
		// The fuzzing of the go command tells of an input that takes ten seconds, and
		// keeps it. If the time is over before, it says that the target passed.
		r.failed = true
		r.out = append(out, "it hangs: at one input for more than 6 s, which is not kept\n"...)
	case err == nil:
	case onlyLate(out) && t.crashes() == before && ctx.Err() == nil:
		r.late = true
	default:
		r.failed = true
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			r.out = fmt.Appendf(out, "it hung: not ended %v after its time\n", grace)
		}
	}
	return r
}

// stands tells whether the last lines of progress, three seconds apart, tell of
// no execution any more.
func stands(out []byte) bool {
	all := progress.FindAllSubmatch(out, -1)
	const lines = 4
	if len(all) < lines {
		return false
	}
	last := all[len(all)-lines:]
	for _, m := range last {
		if !bytes.Equal(m[1], last[0][1]) {
			return false
		}
	}
	return true
}

// crashes counts the seeds of a target; a crash adds one.
func (t target) crashes() int {
	files, _ := os.ReadDir(filepath.Join(t.dir, "testdata", "fuzz", t.name))
	return len(files)
}

// onlyLate tells whether a run ended with nothing but the complaint that its time
// was over. The fuzzing of the go command does so now and then on a busy machine,
// when the time ends while it talks to its worker (golang.org/issue/75804). A
// crash, a hang of the worker and an input that was written are none of it.
func onlyLate(out []byte) bool {
	if !lateEnd.Match(out) {
		return false
	}
	for _, real := range []string{"Failing input", "panic", "hung or terminated", "unexpected", "_test.go:", "fatal error", "failure while testing seed"} {
		if bytes.Contains(out, []byte(real)) {
			return false
		}
	}
	return true
}

var (
	lateEnd  = regexp.MustCompile(`(?m)^--- FAIL: Fuzz\w+ \([0-9.]+s\)\n\s+context deadline exceeded$`)
	progress = regexp.MustCompile(`execs: (\d+) \(\d+/sec\)(?:, new interesting: (\d+))?`)
)

// figures reads the last line of progress.
func figures(out []byte) (execs, found uint64) {
	all := progress.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return 0, 0
	}
	last := all[len(all)-1]
	execs, _ = strconv.ParseUint(string(last[1]), 10, 64)
	found, _ = strconv.ParseUint(string(last[2]), 10, 64)
	return execs, found
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
				t := target{pkg: fields[0], dir: fields[1], name: m[1]}
				if name := t.String(); want.MatchString(name) && (skip == "" || !not.MatchString(name)) {
					targets = append(targets, t)
				}
			}
		}
	}
	return targets, nil
}
