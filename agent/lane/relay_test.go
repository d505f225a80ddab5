package lane_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/lane"

	"github.com/google/go-cmp/cmp"
)

// device is a relay that notes how it was closed.
type device struct{ relay }

func (d *device) Close(f gate.OnFault) error { return d.note("close " + f.String()) }

// bench is where relays are plugged in and out.
type bench struct {
	devices []*device // given to one opener after the other; nil: none there
	opens   int
}

var errUnplugged = errors.New("no such chip")

func (b *bench) open(context.Context) (lane.RelayDevice, error) {
	b.opens++
	if len(b.devices) == 0 {
		return nil, errUnplugged
	}
	d := b.devices[0]
	b.devices = b.devices[1:]
	if d == nil {
		return nil, errUnplugged
	}
	return d, nil
}

// keep runs f beside a kept relay.
func keep(t *testing.T, b *bench, f func(k *lane.KeptRelay)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := lane.NewKeptRelay(b.open, gate.OnFaultOpen, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- k.Run(ctx) }()
		f(k)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestKeptRelay(t *testing.T) {
	d := &device{}
	keep(t, &bench{devices: []*device{d}}, func(k *lane.KeptRelay) {
		if err := k.Pulse(context.Background()); err != nil { // waits for the first opening
			t.Error(err)
		}
		if err := k.Hold(); err != nil {
			t.Error(err)
		}
		k.Release()
		if s := k.Status(); !s.Open || s.Err != nil || s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	})
	if diff := cmp.Diff([]string{"pulse", "hold", "release", "close open"}, d.heard()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestKeptRelayComesLate(t *testing.T) {
	d := &device{}
	keep(t, &bench{devices: []*device{nil, nil, d}}, func(k *lane.KeptRelay) {
		if err := k.Pulse(context.Background()); !errors.Is(err, lane.ErrNoRelay) {
			t.Errorf("pulse: %v", err)
		}
		if err := k.Hold(); !errors.Is(err, lane.ErrNoRelay) {
			t.Errorf("hold: %v", err)
		}
		if s := k.Status(); s.Open || !errors.Is(s.Err, errUnplugged) {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !slices.Equal(d.heard(), []string{"hold"}) {
			t.Errorf("a hold was not carried over: %v", d.heard())
		}
		k.Release()
	})
	if diff := cmp.Diff([]string{"hold", "release", "close open"}, d.heard()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestKeptRelayIsLost(t *testing.T) {
	first, second := &device{}, &device{}
	b := &bench{devices: []*device{first, nil, second}}
	keep(t, b, func(k *lane.KeptRelay) {
		if err := k.Pulse(context.Background()); err != nil {
			t.Error(err)
		}
		broken := errors.New("line gone")
		first.fails(broken)
		if err := k.Pulse(context.Background()); !errors.Is(err, broken) {
			t.Errorf("pulse: %v", err)
		}
		synctest.Wait()
		if err := k.Pulse(context.Background()); !errors.Is(err, lane.ErrNoRelay) {
			t.Errorf("pulse: %v", err)
		}
		if s := k.Status(); s.Open || s.Lost != 1 || s.Err == nil {
			t.Errorf("%+v", s)
		}
		time.Sleep(2 * time.Second)
		if err := k.Pulse(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if b.opens != 3 || !slices.Equal(second.heard(), []string{"pulse", "close open"}) {
		t.Errorf("opened %d times; %v", b.opens, second.heard())
	}
}

func TestKeptRelayPulseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := lane.NewKeptRelay((&bench{}).open, gate.OnFaultClosed, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := k.Pulse(ctx); !errors.Is(err, lane.ErrNoRelay) { // Run was never called
			t.Errorf("pulse: %v", err)
		}
	})
}
