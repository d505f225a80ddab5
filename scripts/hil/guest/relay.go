//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/gpiorelay"
	"gateagent/scripts/hil/control"
)

// settle is the pause between the steps of [work], long enough to be seen
// from outside as apart.
const settle = 700 * time.Millisecond

// work pulses a line and holds it, through driver/gpiorelay alone.
func work(ctx context.Context, r control.Relay) error {
	pulse := time.Duration(r.PulseMS) * time.Millisecond
	src, err := gpiorelay.NewSource(gpiorelay.Options{Chip: r.Chip, Line: r.Line, Pulse: pulse},
		slog.New(slog.NewTextHandler(os.Stdout, nil)))
	if err != nil {
		return err
	}
	relay, err := src.Open()
	if err != nil {
		return err
	}
	if err := relay.Pulse(ctx); err != nil {
		return errors.Join(err, relay.Close(gate.OnFaultClosed))
	}
	time.Sleep(pulse + settle)
	if err := relay.Hold(); err != nil {
		return errors.Join(err, relay.Close(gate.OnFaultClosed))
	}
	time.Sleep(time.Duration(r.HoldMS) * time.Millisecond)
	return relay.Close(gate.OnFaultClosed)
}
