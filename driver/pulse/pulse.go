// Package pulse keeps the time of a relay: how long a line stays active, and
// who may end it.
//
// It owns the wanted state of one on/off output and the goroutine that ends
// pulses. It knows no hardware: driver/gpiorelay and driver/dryrelay bring an
// [Output].
//
// The wanted state is a single atomic word, and whoever changes it drives the
// output himself. So Hold and Release take no lock, and they work even while
// another goroutine hangs in Pulse: the one that hangs finds out when it comes
// back that something else is wanted, and obeys.
package pulse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
)

// Bounds of a pulse. Shorter ones do not move a lock, longer ones are a hold.
const (
	MinLength = 20 * time.Millisecond
	MaxLength = 60 * time.Second
)

// CheckLength says whether d is within [MinLength] and [MaxLength].
func CheckLength(d time.Duration) error {
	if d < MinLength || d > MaxLength {
		return fmt.Errorf("a pulse of %v is not within %v..%v", d, MinLength, MaxLength)
	}
	return nil
}

// Output is the line itself. Set may be called from several goroutines at once
// and may hang in one of them without hindering the others.
type Output interface {
	Set(active bool) error
}

// ErrClosed is what Pulse and Hold give after Close.
var ErrClosed = errors.New("relay closed")

// ErrHangs is what Close gives when a call to the output does not come back:
// the output must then not be closed under it.
var ErrHangs = errors.New("the output hangs")

// The wanted state: idle, held, or the instant at which a pulse ends, in
// nanoseconds since the relay was made. The two end states are for good: being
// values of the same word, no call can slip in after Close.
const (
	idle       = 0
	held       = math.MaxInt64
	closedIdle = -1
	closedHeld = -2
)

// closeWait is how long Close waits for an output that hangs.
const closeWait = 2 * time.Second

// The pauses before an output that refused to fall is tried again.
const (
	retryFirst = 50 * time.Millisecond
	retryLast  = 2 * time.Second
)

// Relay pulses, holds and releases an output. All methods may be called from
// several goroutines at once.
type Relay struct {
	out    Output
	length time.Duration
	log    *slog.Logger
	born   time.Time

	want atomic.Int64
	wake chan struct{} // a token: want or fault has changed
	stop chan struct{}
	done chan struct{} // the goroutine that ends pulses has ended

	once     sync.Once
	closeErr error // guarded by once

	pulses, extended, holds, releases, faults atomic.Uint64
	fault                                     atomic.Pointer[faultNote]
}

type faultNote struct {
	err   error
	since time.Time
}

// Status is what a relay does and has done.
type Status struct {
	Active   bool   // a pulse is under way, or the line is held
	Held     bool   // until released
	Pulses   uint64 // asked for
	Extended uint64 // of these, asked for while one was under way
	Holds    uint64
	Releases uint64 // asked for, not counting pulses that ended
	Faults   uint64 // times the output refused
	// Fault is why the output refused last; nil when it obeyed since.
	Fault error
	Since time.Time // of Fault
}

// New makes a relay at rest whose pulses last length, and starts the goroutine
// that ends them; [Relay.Close] joins it. It does not touch the output.
func New(out Output, length time.Duration, log *slog.Logger) (*Relay, error) {
	if err := CheckLength(length); err != nil {
		return nil, err
	}
	r := &Relay{
		out: out, length: length, log: log, born: time.Now(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go r.endPulses()
	return r, nil
}

// now is never 0, so that no instant is taken for idle.
func (r *Relay) now() int64 { return int64(time.Since(r.born)) + 1 }

// Pulse makes the line active and returns as soon as it is; the line falls by
// itself when the length of a pulse has passed. A pulse during a pulse extends
// it to its own end, and one during a hold changes nothing: nothing is ever
// shortened. It fails when ctx is done beforehand, the relay is closed, or the
// output refuses; then the line is released.
func (r *Relay) Pulse(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for {
		old, now := r.want.Load(), r.now()
		if old < idle {
			return ErrClosed
		}
		until := max(old, now+int64(r.length))
		if !r.want.CompareAndSwap(old, until) {
			continue
		}
		r.pulses.Add(1)
		if old > now {
			r.extended.Add(1)
		}
		r.notify()
		if err := r.drive(); err != nil {
			// What did not open must not open later by itself.
			r.want.CompareAndSwap(until, idle)
			return fmt.Errorf("pulse the relay: %w", err)
		}
		return nil
	}
}

// Hold makes the line active until [Relay.Release] or Close. It takes no lock.
// If the output refuses, Hold says so and it is tried again until it obeys or
// something else is wanted.
func (r *Relay) Hold() error {
	if !r.set(held) {
		return ErrClosed
	}
	r.holds.Add(1)
	r.notify()
	if err := r.drive(); err != nil {
		return fmt.Errorf("hold the relay: %w", err)
	}
	return nil
}

// Release lets the line fall now, whatever pulse or hold is under way. It
// takes no lock and does not wait for other callers. If the output refuses,
// it is tried again until it obeys or something else is wanted, and
// [Relay.Status] names the fault. After Close it does nothing.
func (r *Relay) Release() {
	if !r.set(idle) {
		return
	}
	r.releases.Add(1)
	r.notify()
	_ = r.drive() // the fault is kept in the status
}

// set wants something new, unless the relay is closed.
func (r *Relay) set(want int64) bool {
	for {
		old := r.want.Load()
		if old < idle {
			return false
		}
		if r.want.CompareAndSwap(old, want) {
			return true
		}
	}
}

// Close ends the relay as onFault says: open leaves the line held, closed and
// guard release it. It waits at most 2 s for an output that hangs, and gives
// the same answer when called again. The output itself is the caller's.
func (r *Relay) Close(onFault gate.OnFault) error {
	r.once.Do(func() {
		if onFault == gate.OnFaultOpen {
			r.want.Store(closedHeld)
		} else {
			r.want.Store(closedIdle)
		}
		close(r.stop)
		last := make(chan error, 1)
		go func() { // joined below, unless the output hangs for good
			err := r.drive()
			<-r.done
			last <- err
		}()
		timer := time.NewTimer(closeWait)
		defer timer.Stop()
		select {
		case err := <-last:
			if err != nil {
				r.closeErr = fmt.Errorf("leave the relay %s: %w", endState(onFault), err)
			}
		case <-timer.C:
			r.closeErr = fmt.Errorf("leave the relay %s: %w", endState(onFault), ErrHangs)
		}
	})
	return r.closeErr
}

func endState(f gate.OnFault) string {
	if f == gate.OnFaultOpen {
		return "held"
	}
	return "released"
}

// Status gives the state as wanted and the counters.
func (r *Relay) Status() Status {
	want := r.want.Load()
	s := Status{
		Active: r.active(want), Held: want == held || want == closedHeld,
		Pulses: r.pulses.Load(), Extended: r.extended.Load(),
		Holds: r.holds.Load(), Releases: r.releases.Load(), Faults: r.faults.Load(),
	}
	if f := r.fault.Load(); f != nil {
		s.Fault, s.Since = f.err, f.since
	}
	return s
}

func (r *Relay) active(want int64) bool { return want == closedHeld || want > r.now() }

// drive brings the output to what is wanted. Several goroutines may drive at
// once, in any order: each looks again after its call, so the last to come
// back leaves the output as it was wanted last.
func (r *Relay) drive() error {
	for {
		active := r.active(r.want.Load())
		err := r.out.Set(active)
		if err != nil {
			r.faults.Add(1)
			if r.fault.Swap(&faultNote{err, time.Now()}) == nil {
				r.log.Error("the relay does not obey", "active", active, "error", err)
			}
			r.notify()
			return err
		}
		if r.active(r.want.Load()) == active {
			if r.fault.Swap(nil) != nil {
				r.log.Info("the relay obeys again")
			}
			return nil
		}
	}
}

func (r *Relay) notify() {
	select {
	case r.wake <- struct{}{}:
	default: // a token is there already
	}
}

// endPulses lets the line fall when a pulse is over, and tries again, after
// growing pauses, while the output does not obey.
func (r *Relay) endPulses() {
	defer close(r.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	pause := retryFirst
	for {
		want := r.want.Load()
		wait := time.Hour
		if want > idle && want != held {
			wait = max(0, time.Duration(want-r.now()))
		}
		if r.fault.Load() != nil {
			wait = min(wait, pause)
		}
		timer.Reset(wait)
		select {
		case <-r.stop:
			return
		case <-r.wake:
			continue
		case <-timer.C:
		}
		over := want > idle && want <= r.now() && r.want.CompareAndSwap(want, idle)
		if !over && r.fault.Load() == nil {
			continue
		}
		if r.drive() != nil {
			pause = min(2*pause, retryLast)
		} else {
			pause = retryFirst
		}
	}
}
