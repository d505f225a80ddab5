package drivertest

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
)

// ErrUnplugged is what a [FakeScanner] says after Unplug.
var ErrUnplugged = errors.New("the fake scanner is unplugged")

var errFakeClosed = errors.New("the fake is closed")

// FakeScanner is a scanner that a test works by hand. It keeps the contract of
// [Scanner].
type FakeScanner struct {
	wake chan struct{}

	mu      sync.Mutex
	waiting *gate.Scan // the slot
	err     error      // why no more comes
	arrived uint64
	ended   chan struct{}
}

// NewFakeScanner makes a scanner that nobody has shown anything.
func NewFakeScanner() *FakeScanner {
	return &FakeScanner{wake: make(chan struct{}, 1), ended: make(chan struct{})}
}

// Present shows a readable code, seen now.
func (f *FakeScanner) Present(payload string) {
	f.Offer(gate.Scan{Payload: []byte(payload), Seen: time.Now()})
}

// Offer lays any scan into the slot, for example an unreadable one.
func (f *FakeScanner) Offer(s gate.Scan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arrived++
	if w := f.waiting; w != nil && w.Unreadable == s.Unreadable && bytes.Equal(w.Payload, s.Payload) {
		return
	}
	f.waiting = &s
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Arrived counts what was presented.
func (f *FakeScanner) Arrived() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.arrived
}

// Unplug makes Scan fail with [ErrUnplugged], after what still waits.
func (f *FakeScanner) Unplug() { f.Fail(ErrUnplugged) }

// Fail makes Scan fail with err, after what still waits.
func (f *FakeScanner) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		close(f.ended)
	}
}

// Scan waits for the next code.
func (f *FakeScanner) Scan(ctx context.Context) (gate.Scan, error) {
	for {
		select {
		case <-ctx.Done():
			return gate.Scan{}, ctx.Err()
		case <-f.wake:
		case <-f.ended:
		}
		f.mu.Lock()
		s, err := f.waiting, f.err
		f.waiting = nil
		f.mu.Unlock()
		switch {
		case errors.Is(err, errFakeClosed):
			return gate.Scan{}, err
		case s != nil:
			return *s, nil
		case err != nil:
			return gate.Scan{}, err
		}
	}
}

// Close ends a waiting Scan.
func (f *FakeScanner) Close() error {
	f.Fail(errFakeClosed)
	return nil
}

// FakeLine is one output line: what a relay driver drives, with a test on the
// other side. It records what was done to it.
type FakeLine struct {
	active atomic.Bool
	refuse atomic.Pointer[error]
	hang   atomic.Pointer[chan struct{}]

	mu      sync.Mutex
	changes []Change
}

// Change is one change of a line, at the time the line took it.
type Change struct {
	At     time.Time
	Active bool
}

// Set drives the line. It may be called from several goroutines.
func (l *FakeLine) Set(active bool) error {
	if h := l.hang.Load(); h != nil && active {
		<-*h
	}
	if err := l.refuse.Load(); err != nil {
		return *err
	}
	if l.active.Swap(active) != active {
		l.mu.Lock()
		l.changes = append(l.changes, Change{time.Now(), active})
		l.mu.Unlock()
	}
	return nil
}

// Active reads the line.
func (l *FakeLine) Active() bool { return l.active.Load() }

// Changes gives what was recorded, oldest first.
func (l *FakeLine) Changes() []Change {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Change(nil), l.changes...)
}

// Refuse makes Set answer err from now on; nil makes it obey again.
func (l *FakeLine) Refuse(err error) {
	if err == nil {
		l.refuse.Store(nil)
		return
	}
	l.refuse.Store(&err)
}

// Hang makes calls that activate the line hang until end is called.
func (l *FakeLine) Hang() (end func()) {
	c := make(chan struct{})
	l.hang.Store(&c)
	return func() {
		l.hang.Store(nil)
		close(c)
	}
}
