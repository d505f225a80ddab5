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

// TestSpentWhateverTheClockSays: a clock that is believed and wrong for a while
// does not make a pass good again, however many others are spent meanwhile.
func TestSpentWhateverTheClockSays(t *testing.T) {
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	for name, wrong := range map[string]time.Duration{"two days": 48 * time.Hour, "a year": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := start
			o := cachetest.SpentOptions(t.TempDir())
			o.Now = func() time.Time { return now }
			s := openSpent(t, o)
			spend(t, s, 1, start.Add(4*time.Hour))
			now = start.Add(wrong)
			for n := range uint64(50) {
				spend(t, s, 10+n, now.Add(time.Hour))
			}
			now = start.Add(time.Minute)
			if spend(t, s, 1, start.Add(4*time.Hour)) {
				t.Error("it is good again")
			}
			must(t, s.Close())
			if again := openSpent(t, o); again.Status().Passes != 51 || spend(t, again, 1, start.Add(4*time.Hour)) {
				t.Errorf("it is good after a restart: %+v", again.Status())
			}
		})
	}
}

// TestSpentIsBounded: a full file drops what expired first, more than a day ago
// by a clock that can be believed.
func TestSpentIsBounded(t *testing.T) {
	start := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	now := start
	o := cachetest.SpentOptions(t.TempDir())
	o.MaxPasses, o.Now = 16, func() time.Time { return now }
	s := openSpent(t, o)
	for n := range uint64(16) {
		spend(t, s, n, start.Add(time.Duration(n)*time.Minute))
	}
	refused := func(why string) {
		t.Helper()
		if fresh, err := s.Spend(cachetest.PassID(99), passUntil); fresh || !errors.Is(err, cache.ErrFull) {
			t.Errorf("%s: %t, %v", why, fresh, err)
		}
	}
	refused("full")
	if spend(t, s, 1, start) {
		t.Error("spent twice when full")
	}
	now = start.Add(23 * time.Hour)
	refused("expired within the day")
	now = time.Time{}
	refused("without knowing the time")
	now = start.Add(25 * time.Hour)
	if !spend(t, s, 20, passUntil) || s.Status().Passes != 15 || s.Known(cachetest.PassID(0)) || s.Known(cachetest.PassID(1)) || !s.Known(cachetest.PassID(2)) {
		t.Errorf("after they expired: %+v", s.Status())
	}
	if !spend(t, s, 21, passUntil) || s.Status().Passes != 16 { // there is room
		t.Errorf("%+v", s.Status())
	}
	must(t, s.Close())
	if again := openSpent(t, o); again.Status().Passes != 16 || again.Known(cachetest.PassID(0)) || !again.Known(cachetest.PassID(2)) {
		t.Errorf("after a restart: %+v", again.Status())
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
