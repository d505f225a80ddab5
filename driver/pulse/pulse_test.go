package pulse

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
)

// line is an output that can refuse and can hang.
type line struct {
	active atomic.Bool
	sets   atomic.Int64
	refuse atomic.Pointer[error]
	// hang, when set, blocks the calls that make the line active until closed.
	hang atomic.Pointer[chan struct{}]
}

func (l *line) Set(active bool) error {
	l.sets.Add(1)
	if h := l.hang.Load(); h != nil && active {
		<-*h
	}
	if e := l.refuse.Load(); e != nil {
		return *e
	}
	l.active.Store(active)
	return nil
}

var quiet = slog.New(slog.DiscardHandler)

func newRelay(t *testing.T, out Output, length time.Duration) *Relay {
	t.Helper()
	r, err := New(out, length, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestPulseTimes(t *testing.T) {
	const length = 800 * time.Millisecond
	type step struct {
		at     time.Duration
		do     string
		active bool // after it
	}
	tests := []struct {
		name  string
		steps []step
	}{
		{"one pulse", []step{{0, "pulse", true}, {799 * time.Millisecond, "", true}, {801 * time.Millisecond, "", false}}},
		{"a second extends", []step{
			{0, "pulse", true},
			{500 * time.Millisecond, "pulse", true},
			{1299 * time.Millisecond, "", true},
			{1301 * time.Millisecond, "", false},
		}},
		{"release ends", []step{{0, "pulse", true}, {300 * time.Millisecond, "release", false}, {time.Second, "", false}}},
		{"a pulse after a release has its full length", []step{
			{0, "pulse", true},
			{300 * time.Millisecond, "release", false},
			{400 * time.Millisecond, "pulse", true},
			{1199 * time.Millisecond, "", true},
			{1201 * time.Millisecond, "", false},
		}},
		{"hold stays", []step{{0, "hold", true}, {24 * time.Hour, "", true}, {25 * time.Hour, "release", false}}},
		{"a pulse does not shorten a hold", []step{{0, "hold", true}, {time.Second, "pulse", true}, {time.Minute, "", true}}},
		{"hold during a pulse", []step{{0, "pulse", true}, {100 * time.Millisecond, "hold", true}, {time.Minute, "", true}}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l line
				r := newRelay(t, &l, length)
				start := time.Now()
				for _, s := range tc.steps {
					time.Sleep(s.at - time.Since(start))
					switch s.do {
					case "pulse":
						if err := r.Pulse(t.Context()); err != nil {
							t.Fatal(err)
						}
					case "hold":
						if err := r.Hold(); err != nil {
							t.Fatal(err)
						}
					case "release":
						r.Release()
					}
					synctest.Wait()
					if got := l.active.Load(); got != s.active || r.Status().Active != s.active {
						t.Fatalf("at %v after %q: line %v, status %v, want %v", s.at, s.do, got, r.Status().Active, s.active)
					}
				}
				if err := r.Close(gate.OnFaultClosed); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestReleaseWhilePulseHangs is why there is one word and no lock: a line whose
// driver hangs is still let go by whoever asks, and stays so.
func TestReleaseWhilePulseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l line
		hang := make(chan struct{})
		l.hang.Store(&hang)
		r := newRelay(t, &l, time.Second)
		pulsed := make(chan error, 1)
		go func() { pulsed <- r.Pulse(t.Context()) }()
		synctest.Wait() // Pulse hangs in Set

		before := time.Now()
		r.Release()
		if waited := time.Since(before); waited != 0 {
			t.Errorf("Release waited %v", waited)
		}
		if l.active.Load() {
			t.Error("active after Release")
		}
		close(hang) // the late call makes the line active …
		if err := <-pulsed; err != nil {
			t.Error(err)
		}
		if l.active.Load() { // … and takes it back itself
			t.Error("active after the hanging Pulse came back")
		}
		if err := r.Close(gate.OnFaultGuard); err != nil {
			t.Error(err)
		}
	})
}

func TestRefusals(t *testing.T) {
	broken := errors.New("input/output error")
	t.Run("pulse says so and does not open later", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l line
			l.refuse.Store(&broken)
			r := newRelay(t, &l, time.Second)
			if err := r.Pulse(t.Context()); !errors.Is(err, broken) {
				t.Fatalf("Pulse: %v", err)
			}
			if s := r.Status(); s.Active || !errors.Is(s.Fault, broken) || s.Since.IsZero() {
				t.Errorf("status %+v", s)
			}
			l.refuse.Store(nil)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			if l.active.Load() {
				t.Error("the line opened by itself")
			}
			if s := r.Status(); s.Fault != nil {
				t.Errorf("fault %v stays after the line obeyed", s.Fault)
			}
			if err := r.Close(gate.OnFaultClosed); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("a line that does not fall is tried until it does", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l line
			r := newRelay(t, &l, time.Second)
			if err := r.Pulse(t.Context()); err != nil {
				t.Fatal(err)
			}
			l.refuse.Store(&broken)
			time.Sleep(time.Minute)
			if s := r.Status(); s.Fault == nil || s.Faults < 20 {
				t.Errorf("status %+v", s)
			}
			if n := l.sets.Load(); n > 60 {
				t.Errorf("%d calls in a minute", n)
			}
			l.refuse.Store(nil)
			time.Sleep(retryLast)
			synctest.Wait()
			if l.active.Load() || r.Status().Fault != nil {
				t.Error("the line did not fall when it could")
			}
			if err := r.Close(gate.OnFaultClosed); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("release is kept up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l line
			r := newRelay(t, &l, time.Second)
			if err := r.Hold(); err != nil {
				t.Fatal(err)
			}
			l.refuse.Store(&broken)
			r.Release()
			l.refuse.Store(nil)
			time.Sleep(retryFirst)
			synctest.Wait()
			if l.active.Load() {
				t.Error("still held")
			}
			if err := r.Close(gate.OnFaultClosed); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestClose(t *testing.T) {
	for onFault, want := range map[gate.OnFault]bool{gate.OnFaultClosed: false, gate.OnFaultGuard: false, gate.OnFaultOpen: true} {
		for _, before := range []string{"rest", "pulse", "hold"} {
			t.Run(onFault.String()+" from "+before, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var l line
					r := newRelay(t, &l, time.Second)
					switch before {
					case "pulse":
						_ = r.Pulse(t.Context())
					case "hold":
						_ = r.Hold()
					}
					if err := r.Close(onFault); err != nil {
						t.Fatal(err)
					}
					r.Release() // too late for anything
					time.Sleep(time.Hour)
					if l.active.Load() != want {
						t.Errorf("line %v after Close(%v)", l.active.Load(), onFault)
					}
					if err := r.Pulse(t.Context()); !errors.Is(err, ErrClosed) {
						t.Errorf("Pulse after Close: %v", err)
					}
					if err := r.Hold(); !errors.Is(err, ErrClosed) {
						t.Errorf("Hold after Close: %v", err)
					}
					if err := r.Close(onFault); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
	t.Run("an output that hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var l line
			hang := make(chan struct{})
			l.hang.Store(&hang)
			r := newRelay(t, &l, time.Second)
			start := time.Now()
			if err := r.Close(gate.OnFaultOpen); !errors.Is(err, ErrHangs) {
				t.Errorf("Close: %v", err)
			}
			if d := time.Since(start); d != closeWait {
				t.Errorf("Close took %v", d)
			}
			close(hang)
			synctest.Wait()
		})
	})
}

func TestPulseRefusesDoneContext(t *testing.T) {
	var l line
	r := newRelay(t, &l, time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Pulse(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Pulse: %v", err)
	}
	if l.sets.Load() != 0 {
		t.Error("the line was touched")
	}
	if err := r.Close(gate.OnFaultClosed); err != nil {
		t.Error(err)
	}
}

func TestCheckLength(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, MinLength - 1, MaxLength + 1} {
		if _, err := New(&line{}, d, quiet); err == nil {
			t.Errorf("a pulse of %v was taken", d)
		}
	}
}

// TestManyHands: whatever many callers ask for at once, the line ends as it
// was wanted last.
func TestManyHands(t *testing.T) {
	for round := range 50 {
		var l line
		r := newRelay(t, &l, MinLength)
		var wg sync.WaitGroup
		for hand := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(hand)))
				for range 50 {
					switch rnd.IntN(3) {
					case 0:
						_ = r.Pulse(t.Context())
					case 1:
						_ = r.Hold()
					case 2:
						r.Release()
					}
				}
			})
		}
		wg.Wait()
		r.Release()
		if err := r.Close(gate.OnFaultClosed); err != nil {
			t.Fatal(err)
		}
		if l.active.Load() {
			t.Fatalf("round %d: active after Close", round)
		}
	}
}
