package cache_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/cache"
	"gateagent/cache/cachetest"
)

var passUntil = cachetest.PassUntil

func openSpent(t *testing.T, o cache.SpentOptions) *cache.Spent {
	t.Helper()
	s, err := cache.OpenSpent(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func spend(t *testing.T, s *cache.Spent, n uint64, until time.Time) bool {
	t.Helper()
	fresh, err := s.Spend(cachetest.PassID(n), until)
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestSpentOnce(t *testing.T) {
	o := cachetest.SpentOptions(filepath.Join(t.TempDir(), "passes"))
	s := openSpent(t, o)
	if s.Known(cachetest.PassID(1)) || !spend(t, s, 1, passUntil) || spend(t, s, 1, passUntil) || !s.Known(cachetest.PassID(1)) {
		t.Error("a pass is spent once")
	}
	var fresh atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if ok, err := s.Spend(cachetest.PassID(2), passUntil); err != nil {
				t.Error(err)
			} else if ok {
				fresh.Add(1)
			}
		})
	}
	if all.Wait(); fresh.Load() != 1 {
		t.Errorf("%d of 8 were let in", fresh.Load())
	}
	if _, err := cache.OpenSpent(o, quiet); !errors.Is(err, cache.ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Spend(cachetest.PassID(3), passUntil); !errors.Is(err, cache.ErrClosed) || !s.Known(cachetest.PassID(1)) {
		t.Errorf("closed: %v", err)
	}
	again := openSpent(t, o)
	if st := again.Status(); st.Passes != 2 || !st.Lost.IsZero() || st.Fault != nil || spend(t, again, 2, passUntil) || !spend(t, again, 3, passUntil) {
		t.Errorf("after a restart: %+v", st)
	}
	if n := testing.AllocsPerRun(100, func() { again.Known(cachetest.PassID(1)) }); n > 0 {
		t.Errorf("Known: %v allocations", n)
	}
}

// TestSpentExpires: what has expired is dropped a day later, by a clock that
// can be believed.
func TestSpentExpires(t *testing.T) {
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	var now time.Time
	o := cachetest.SpentOptions(t.TempDir())
	o.Now = func() time.Time { return now }
	s := openSpent(t, o)
	spend(t, s, 1, start)
	now = start.Add(23 * time.Hour)
	spend(t, s, 2, start.AddDate(1, 0, 0))
	if !s.Known(cachetest.PassID(1)) {
		t.Error("dropped within the day")
	}
	now = time.Time{}
	spend(t, s, 3, start.AddDate(1, 0, 0))
	if !s.Known(cachetest.PassID(1)) {
		t.Error("dropped without knowing the time")
	}
	now = start.Add(25 * time.Hour)
	spend(t, s, 4, start.AddDate(1, 0, 0))
	if s.Known(cachetest.PassID(1)) || !s.Known(cachetest.PassID(2)) {
		t.Error("the wrong ones were dropped")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st := openSpent(t, o).Status(); st.Passes != 3 {
		t.Errorf("%+v", st)
	}
}

func TestSpentIsBounded(t *testing.T) {
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	now := start
	o := cachetest.SpentOptions(t.TempDir())
	o.MaxPasses, o.Now = 3, func() time.Time { return now }
	s := openSpent(t, o)
	for n := range uint64(3) {
		spend(t, s, n, start)
	}
	if fresh, err := s.Spend(cachetest.PassID(9), passUntil); fresh || !errors.Is(err, cache.ErrFull) {
		t.Errorf("%t, %v", fresh, err)
	}
	if spend(t, s, 1, start) {
		t.Error("spent twice when full")
	}
	now = start.Add(25 * time.Hour)
	if !spend(t, s, 9, passUntil) || s.Status().Passes != 1 {
		t.Errorf("after they expired: %+v", s.Status())
	}
}

// TestSpentDamaged: a damaged file is set aside, and what follows says that
// something is not known any more.
func TestSpentDamaged(t *testing.T) {
	for name, spoil := range map[string]func(t *testing.T, path string){
		"cut off":   func(t *testing.T, path string) { must(t, os.Truncate(path, 5000)) },
		"empty":     func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"no longer": func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"zeros": func(t *testing.T, path string) {
			must(t, os.WriteFile(path, make([]byte, 1<<15), 0o600))
		},
		"its pages": func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			must(t, err)
			for i := 2 * 4096; i < len(b); i++ {
				b[i] = 0xff
			}
			must(t, os.WriteFile(path, b, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			o := cachetest.SpentOptions(dir)
			s := openSpent(t, o)
			spend(t, s, 1, passUntil)
			must(t, s.Close())
			must(t, os.WriteFile(filepath.Join(dir, "open"), nil, 0o600)) // it crashed
			spoil(t, filepath.Join(dir, "spent.db"))
			again := openSpent(t, o)
			if st := again.Status(); st.Fault != nil || st.Passes != 0 || time.Since(st.Lost) > time.Minute {
				t.Fatalf("%+v", st)
			}
			if !spend(t, again, 2, passUntil) {
				t.Error("nothing can be spent")
			}
			must(t, again.Close())
			if st := openSpent(t, o).Status(); st.Passes != 1 || st.Lost.IsZero() {
				t.Errorf("it is forgotten that something was lost: %+v", st)
			}
			aside, err := os.ReadDir(filepath.Join(dir, "quarantine"))
			if want := map[bool]int{true: 0, false: 1}[name == "no longer"]; err != nil || len(aside) != want {
				t.Errorf("in quarantine: %v, %v", aside, err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestSpentNotChecked: a check that cannot be run says nothing about the file;
// nothing is spent until it can.
func TestSpentNotChecked(t *testing.T) {
	dir := t.TempDir()
	o := cachetest.SpentOptions(dir)
	s := openSpent(t, o)
	spend(t, s, 1, passUntil)
	must(t, s.Close())
	must(t, os.WriteFile(filepath.Join(dir, "open"), nil, 0o600))
	check := o.Check
	ready := false
	o.Check = func(ctx context.Context, path string) error {
		if !ready {
			return cache.ErrNotChecked
		}
		return check(ctx, path)
	}
	again := openSpent(t, o)
	if st := again.Status(); !errors.Is(st.Fault, cache.ErrNotChecked) {
		t.Fatalf("%+v", st)
	}
	if fresh, err := again.Spend(cachetest.PassID(1), passUntil); fresh || err == nil {
		t.Errorf("%t, %v", fresh, err)
	}
	ready = true
	if spend(t, again, 1, passUntil) || !spend(t, again, 2, passUntil) || again.Status().Fault != nil || !again.Status().Lost.IsZero() {
		t.Errorf("%+v", again.Status())
	}
}

// TestSpentSurvivesKills: no pass that was said to be spent is ever good again.
func TestSpentSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	s := &cachetest.Survivor{Dir: t.TempDir(), Done: map[uint64]uint64{}}
	for i := range 12 {
		if err := s.Kill("spend", time.Duration(10+i*7)*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		s.CheckSpent(t)
	}
	t.Logf("%d kills, %d passes", s.Kills, len(s.Done))
	if len(s.Done) == 0 {
		t.Error("nothing was spent")
	}
}
