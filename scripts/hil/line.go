package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// The GPIO chip of qemu's "virt" machine is an ARM PL061 at 0x09030000 (qemu
// hw/arm/virt.c). Its data register appears once for each mask of lines; at
// the offset with all bits of the mask set it shows all eight (ARM DDI 0190B
// §3.3.1). 0x400 holds the directions, 1 for output.
const (
	pl061Data      = 0x090303fc
	pl061Direction = 0x09030400
	relayLine      = 5
)

// pulse is a time for which the relay's line was active, seen from outside.
type pulse struct {
	from, to time.Time // to is zero while it lasts
}

func (p pulse) length() time.Duration { return p.to.Sub(p.from) }

// lineWatch samples the relay's line in the chip's register.
type lineWatch struct {
	q      *qmp
	mu     sync.Mutex
	pulses []pulse
	reads  int
	last   time.Time
	gap    time.Duration // longest time between two samples since [lineWatch.fresh]
	err    error
}

// run samples until ctx ends. Between samples it lets the emulator work.
func (w *lineWatch) run(ctx context.Context) {
	active := false
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		value, err := w.q.word(pl061Data)
		now := time.Now()
		w.mu.Lock()
		if err != nil {
			w.err = err
			w.mu.Unlock()
			return
		}
		w.reads++
		if !w.last.IsZero() {
			w.gap = max(w.gap, now.Sub(w.last))
		}
		w.last = now
		if is := value>>relayLine&1 != 0; is && !active {
			w.pulses = append(w.pulses, pulse{from: now})
			active = true
		} else if !is && active {
			w.pulses[len(w.pulses)-1].to = now
			active = false
		}
		w.mu.Unlock()
	}
}

// fresh begins a new count of samples; sampled tells it. A pulse that is longer
// than the gap cannot have been missed.
func (w *lineWatch) fresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads, w.gap = 0, 0
}

func (w *lineWatch) sampled() (times int, gap time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads, max(w.gap, time.Since(w.last))
}

// since gives the pulses that began after t.
func (w *lineWatch) since(t time.Time) ([]pulse, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, fmt.Errorf("the relay's line cannot be read: %w", w.err)
	}
	for i, p := range w.pulses {
		if p.from.After(t) {
			return append([]pulse(nil), w.pulses[i:]...), nil
		}
	}
	return nil, nil
}

// whole waits for n pulses after t that have ended.
func (w *lineWatch) whole(ctx context.Context, t time.Time, n int) ([]pulse, error) {
	for {
		ps, err := w.since(t)
		if err != nil {
			return nil, err
		}
		if len(ps) >= n && !ps[n-1].to.IsZero() {
			return ps, nil
		}
		select {
		case <-ctx.Done():
			return ps, fmt.Errorf("the relay's line pulsed %d times, want %d: %w", len(ps), n, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}
