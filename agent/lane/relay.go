package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/supervise"
)

// RelayDevice is an open relay, as a driver gives it. Close leaves it as
// on_fault says: held for `open`, else released.
type RelayDevice interface {
	Relay
	Close(onFault gate.OnFault) error
}

// ErrNoRelay is what a relay that is not there answers.
var ErrNoRelay = errors.New("the relay is not there")

// KeptRelay is a relay that may be missing when the program starts and may go
// and come back. It opens the device, opens it again after a failure, and
// carries a hold over to the new one. Its methods but Run are safe for
// concurrent use.
type KeptRelay struct {
	open    func(ctx context.Context) (RelayDevice, error)
	onFault gate.OnFault
	log     *slog.Logger

	device atomic.Pointer[RelayDevice] // nil: not there
	held   atomic.Bool                 // Hold was called, Release not since
	broken chan struct{}               // the device has failed
	tried  chan struct{}               // closed when it was tried to open once
	once   sync.Once

	mu     sync.Mutex // guards status
	status RelayStatus
}

// RelayStatus is the last word on a relay.
type RelayStatus struct {
	Open  bool
	Since time.Time
	Err   error // why it is not open, or the last failure
	Lost  uint64
}

// NewKeptRelay makes a relay that Run opens.
func NewKeptRelay(open func(ctx context.Context) (RelayDevice, error), onFault gate.OnFault, log *slog.Logger) *KeptRelay {
	return &KeptRelay{
		open: open, onFault: onFault, log: log,
		broken: make(chan struct{}, 1), tried: make(chan struct{}),
		status: RelayStatus{Since: time.Now()},
	}
}

// Run keeps the relay open until ctx ends, and then closes it as on_fault
// says. It returns nil, or why the last close failed.
func (k *KeptRelay) Run(ctx context.Context) error {
	pause := supervise.Backoff{Min: reopenFirst, Max: reopenLast}
	for {
		device, err := k.open(ctx)
		if err == nil {
			k.serve(ctx, device)
			pause.Reset()
			err = device.Close(k.onFault)
		}
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			k.set(false, err)
		}
		k.once.Do(func() { close(k.tried) })
		again := time.NewTimer(pause.Next())
		select {
		case <-ctx.Done():
			again.Stop()
			return nil
		case <-again.C:
		}
	}
}

// serve has the device in use until it fails or ctx ends.
func (k *KeptRelay) serve(ctx context.Context, device RelayDevice) {
	select {
	case <-k.broken: // an old word about the one before
	default:
	}
	k.device.Store(&device)
	defer k.device.Store(nil)
	k.set(true, nil)
	if k.held.Load() {
		if err := device.Hold(); err != nil {
			k.log.Error("the gate could not be held open", "err", err)
		}
		if !k.held.Load() { // released meanwhile
			device.Release()
		}
	}
	k.once.Do(func() { close(k.tried) })
	select {
	case <-ctx.Done():
	case <-k.broken:
	}
}

func (k *KeptRelay) set(open bool, err error) {
	k.mu.Lock()
	s := &k.status
	news := s.Open != open || s.Err == nil
	if s.Open != open {
		s.Since = time.Now()
	}
	s.Open = open
	if err != nil || open {
		s.Err = err
	}
	k.mu.Unlock()
	switch {
	case open:
		k.log.Info("the relay is there")
	case news: // said once, not with every attempt
		k.log.Warn("the relay is not there", "err", err)
	}
}

// failed notes that a call to the device failed: it is opened anew.
func (k *KeptRelay) failed(err error) {
	k.mu.Lock()
	k.status.Err = err
	k.status.Lost++
	k.mu.Unlock()
	select {
	case k.broken <- struct{}{}:
	default:
	}
}

// Pulse opens the gate once. Right after the start it waits for the relay to
// be opened.
func (k *KeptRelay) Pulse(ctx context.Context) error {
	select {
	case <-k.tried:
	case <-ctx.Done():
		return fmt.Errorf("pulse: %w: %w", ErrNoRelay, ctx.Err())
	}
	device := k.device.Load()
	if device == nil {
		return fmt.Errorf("pulse: %w", ErrNoRelay)
	}
	if err := (*device).Pulse(ctx); err != nil {
		k.failed(err)
		return fmt.Errorf("pulse: %w", err)
	}
	return nil
}

// Hold holds the gate open until Release, also over the loss of the device.
func (k *KeptRelay) Hold() error {
	k.held.Store(true)
	device := k.device.Load()
	if device == nil {
		return fmt.Errorf("hold: %w", ErrNoRelay)
	}
	if err := (*device).Hold(); err != nil {
		k.failed(err)
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// Release ends a hold and a pulse. It takes no lock.
func (k *KeptRelay) Release() {
	k.held.Store(false)
	if device := k.device.Load(); device != nil {
		(*device).Release()
	}
}

// Status gives the last word on the relay.
func (k *KeptRelay) Status() RelayStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.status
}
