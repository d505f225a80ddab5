package drivertest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
)

// RelayRig is one relay on the bench.
type RelayRig struct {
	Relay Relay
	// Active reads the line from outside.
	Active func() bool
	// Refuse makes the line answer err from now on; nil makes it obey again.
	// A rig without it cannot fail.
	Refuse func(err error)
	// Hang makes calls that activate the line hang until the returned function
	// is called. A rig without it cannot hang.
	Hang func() (end func())
}

// TestRelay puts a driver through the contract of [Relay]. newRig opens a
// relay at rest whose pulses last pulse; it runs within a synctest bubble, so
// nothing here takes real time.
func TestRelay(t *testing.T, newRig func(t *testing.T, pulse time.Duration) RelayRig) {
	const pulse = 800 * time.Millisecond
	tests := []struct {
		name string
		run  func(t *testing.T, rig RelayRig)
	}{
		{"rests until told", func(t *testing.T, rig RelayRig) {
			expect(t, rig, false, "opened")
			time.Sleep(time.Hour)
			expect(t, rig, false, "an hour later")
		}},
		{"a pulse is bounded", func(t *testing.T, rig RelayRig) {
			doPulse(t, rig)
			expect(t, rig, true, "Pulse returned")
			time.Sleep(pulse - time.Millisecond)
			expect(t, rig, true, "just before the end")
			time.Sleep(2 * time.Millisecond)
			expect(t, rig, false, "just after the end")
		}},
		{"a second pulse extends", func(t *testing.T, rig RelayRig) {
			doPulse(t, rig)
			time.Sleep(pulse / 2)
			doPulse(t, rig)
			time.Sleep(pulse - time.Millisecond)
			expect(t, rig, true, "before the second one's end")
			time.Sleep(2 * time.Millisecond)
			expect(t, rig, false, "after the second one's end")
		}},
		{"a hold lasts, a pulse does not shorten it", func(t *testing.T, rig RelayRig) {
			if err := rig.Relay.Hold(); err != nil {
				t.Fatal(err)
			}
			doPulse(t, rig)
			time.Sleep(24 * time.Hour)
			expect(t, rig, true, "a day later")
			rig.Relay.Release()
			expect(t, rig, false, "Release returned")
		}},
		{"a release ends a pulse for good", func(t *testing.T, rig RelayRig) {
			doPulse(t, rig)
			rig.Relay.Release()
			expect(t, rig, false, "Release returned")
			doPulse(t, rig)
			time.Sleep(pulse - time.Millisecond)
			expect(t, rig, true, "the next pulse has its full length")
			time.Sleep(time.Hour)
			expect(t, rig, false, "later")
		}},
		{"a done context moves nothing", func(t *testing.T, rig RelayRig) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := rig.Relay.Pulse(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("Pulse: %v", err)
			}
			expect(t, rig, false, "a refused pulse")
		}},
		{"a refusal is an error, and nothing opens later", func(t *testing.T, rig RelayRig) {
			if rig.Refuse == nil {
				t.Skip("this output cannot fail")
			}
			broken := errors.New("no such line any more")
			rig.Refuse(broken)
			if err := rig.Relay.Pulse(t.Context()); !errors.Is(err, broken) {
				t.Errorf("Pulse: %v", err)
			}
			rig.Refuse(nil)
			time.Sleep(time.Minute)
			expect(t, rig, false, "a minute after the failed pulse")
			doPulse(t, rig)
			expect(t, rig, true, "it obeys again")
		}},
		{"release works while a pulse hangs", func(t *testing.T, rig RelayRig) {
			if rig.Hang == nil {
				t.Skip("this output cannot hang")
			}
			end := rig.Hang()
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = rig.Relay.Pulse(context.Background()) // whether it succeeded is not the point
			}()
			synctest.Wait()
			start := time.Now()
			rig.Relay.Release()
			if waited := time.Since(start); waited > 0 {
				t.Errorf("Release waited %v for the hanging call", waited)
			}
			expect(t, rig, false, "Release returned")
			end()
			<-done
			expect(t, rig, false, "the hanging call came back")
		}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := newRig(t, pulse)
				defer closeRelay(t, rig, gate.OnFaultClosed) // also after a skip
				tc.run(t, rig)
			})
		})
	}
	for onFault, active := range map[gate.OnFault]bool{
		gate.OnFaultClosed: false, gate.OnFaultGuard: false, gate.OnFaultOpen: true,
	} {
		t.Run("closed with on_fault "+onFault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rig := newRig(t, pulse)
				doPulse(t, rig)
				closeRelay(t, rig, onFault)
				time.Sleep(time.Hour)
				expect(t, rig, active, "an hour after Close")
				if err := rig.Relay.Pulse(t.Context()); err == nil {
					t.Error("Pulse works after Close")
				}
				if err := rig.Relay.Hold(); err == nil {
					t.Error("Hold works after Close")
				}
				rig.Relay.Release()
				expect(t, rig, active, "Release after Close does nothing")
			})
		})
	}
}

func doPulse(t *testing.T, rig RelayRig) {
	t.Helper()
	if err := rig.Relay.Pulse(t.Context()); err != nil {
		t.Fatalf("Pulse: %v", err)
	}
}

// closeRelay closes twice: the second time must be no harm.
func closeRelay(t *testing.T, rig RelayRig, f gate.OnFault) {
	t.Helper()
	for range 2 {
		if err := rig.Relay.Close(f); err != nil {
			t.Errorf("Close(%v): %v", f, err)
		}
	}
}

func expect(t *testing.T, rig RelayRig, active bool, when string) {
	t.Helper()
	synctest.Wait()
	if rig.Active() != active {
		t.Errorf("%s: line active %v, want %v", when, rig.Active(), active)
	}
}
