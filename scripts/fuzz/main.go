// Command fuzz runs the fuzz targets of the project for a while, several side by
// side, and says what each did and found. `make fuzz` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.DurationVar(&o.each, "time", 20*time.Second, "time for each target; a stage of the reader of codes has a quarter")
	flag.StringVar(&o.match, "run", "", "only targets whose package and name match this expression")
	flag.StringVar(&o.skip, "skip", "", "not those that match this one")
	flag.IntVar(&o.jobs, "jobs", 2*runtime.NumCPU(), "targets side by side")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

type options struct {
	each        time.Duration
	match, skip string
	jobs        int
}

// grace is what a target may take beyond its time: for the seeds at the start and
// for ending. What takes longer hangs.
const grace = 3 * time.Minute

func run(ctx context.Context, o options) error {
	targets, err := find(o.match, o.skip)
	if err != nil {
		return err
	}
	if len(targets) == 0 {
		return fmt.Errorf("no target matches")
	}
	dir, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kept, err := keptInputs(ctx)
	if err != nil {
		return err
	}
	// The longest first, or the last one would have the machine for itself.
	slices.SortStableFunc(targets, func(a, b target) int { return int(b.time(o.each) - a.time(o.each)) })
	var (
		start    = time.Now()
		wg       sync.WaitGroup
		mu       sync.Mutex // guards failed, execs and the output
		failed   []string
		execs    uint64
		programs = map[string]func() (string, error){} // of a package; only read once the work begins
		work     = make(chan target)
	)
	for _, t := range targets {
		if programs[t.pkg] == nil {
			programs[t.pkg] = sync.OnceValues(func() (string, error) { return build(ctx, t.pkg, dir) })
		}
	}
	for range max(o.jobs, 1) {
		wg.Go(func() {
			for t := range work {
				r := t.fuzz(ctx, programs[t.pkg], filepath.Join(kept, t.pkg), t.time(o.each))
				mu.Lock()
				fmt.Println(r.line(t))
				if execs += r.execs; r.failed {
					failed = append(failed, t.String())
					fmt.Printf("%s\n", r.out)
				}
				mu.Unlock()
			}
		})
	}
	for _, t := range targets {
		if ctx.Err() == nil {
			work <- t
		}
	}
	close(work)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	stages := 0
	for _, t := range targets {
		if t.stage() {
			stages++
		}
	}
	fmt.Printf("%d parsers for %v each, %d stages for %v each, %d side by side: %d executions in %.0f s\n",
		len(targets)-stages, o.each, stages, o.each/stageShare, o.jobs, execs, time.Since(start).Seconds())
	if len(failed) > 0 {
		return fmt.Errorf("%d of %d targets failed: %v; each crash is a new file under testdata/fuzz: keep it as a seed, with a name that says what it is", len(failed), len(targets), failed)
	}
	fmt.Printf("%d targets, nothing found\n", len(targets))
	return nil
}

// keptInputs is where the go command keeps the inputs that found something new.
func keptInputs(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOCACHE").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "fuzz"), nil
}
