package cachetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"gateagent/cache"
	"gateagent/cache/block"
)

// task is what a build child is to do, in the file that it is given.
type task struct {
	Crowd Crowd
	Dir   string
}

// Build builds a version of the crowd in a process of its own.
func Build(ctx context.Context, c Crowd, dir string) (cost BuildCost, err error) {
	data, err := json.Marshal(task{c, dir})
	if err != nil {
		return cost, err
	}
	path := filepath.Join(dir, "task.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return cost, err
	}
	cmd := child(ctx, "build", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return cost, err
	}
	return cost, json.Unmarshal(out, &cost)
}

func buildChild(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(data, &t); err != nil {
		return err
	}
	cost, err := build(t.Crowd, t.Dir)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(cost)
}

// WithoutMaps runs the check of what happens when the kernel refuses to map
// files, in a process of its own.
func WithoutMaps(ctx context.Context, dir string) error {
	out, err := child(ctx, "nomap", dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// withoutMaps puts a small version in force, takes the address space away and
// tries a large one: that is an error, the small one goes on answering, and
// with address space again the large one comes into force.
func withoutMaps(dir string) error {
	s, err := cache.OpenSets(SetsOptions(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	people := People(1000, 1)
	small := Version{rows: rowsOf(Key(1), people)}
	if err := block.Sort(small.rows); err != nil {
		return err
	}
	for i := range small.rows {
		small.rows[i].Word = 1
	}
	if err := small.describe(SetName, 1, SetKeyID, block.Width); err != nil {
		return err
	}
	if err := small.Load(s); err != nil {
		return err
	}
	crowd := Crowd{Size: 3_000_000, Seed: 1, Width: block.Width} // 24 MB, mapped as 32
	large, err := crowd.Describe(2)
	if err != nil {
		return err
	}
	stage := func() error {
		w, err := s.Stage(large)
		if err != nil {
			return err
		}
		if err := crowd.Each(large.Blocks, w.Block); err != nil {
			return errors.Join(err, w.Abort())
		}
		return w.Commit()
	}
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &was); err != nil {
		return err
	}
	size, err := ProcField("status", "VmSize")
	if err != nil {
		return err
	}
	low := was
	low.Cur = uint64(size)<<10 + 16<<20
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &low); err != nil {
		return err
	}
	err = stage()
	if rerr := syscall.Setrlimit(syscall.RLIMIT_AS, &was); rerr != nil {
		return rerr
	}
	if !errors.Is(err, syscall.ENOMEM) {
		return errors.Join(errors.New("without address space the error is not ENOMEM"), err)
	}
	answers := func(version uint64) error {
		f, st, err := s.Facts(people[3].Number, "")
		if err != nil || st.Sets[0].Version != version || f.Found != (version == 1) {
			return fmt.Errorf("got %+v, %+v, %w", f, st, err)
		}
		return nil
	}
	if err := answers(1); err != nil {
		return err
	}
	if err := stage(); err != nil {
		return fmt.Errorf("with address space again: %w", err)
	}
	return errors.Join(answers(2), s.Close())
}
