package dryrelay

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/drivertest"
)

func TestContract(t *testing.T) {
	drivertest.TestRelay(t, func(t *testing.T, length time.Duration) drivertest.RelayRig {
		src, err := NewSource(Options{Pulse: length}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		r, err := src.Open()
		if err != nil {
			t.Fatal(err)
		}
		return drivertest.RelayRig{Relay: r, Active: r.Active}
	})
}

func TestSaysAndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		src, err := NewSource(Options{Pulse: time.Second}, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		r, err := src.Open()
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // the second and third extend the first
			if err := r.Pulse(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		if err := r.Pulse(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Close(gate.OnFaultClosed); err != nil {
			t.Fatal(err)
		}
		if r.Openings() != 2 {
			t.Errorf("%d openings, want 2", r.Openings())
		}
		if n := strings.Count(log.String(), "would open the gate"); n != 2 {
			t.Errorf("said %d times what it would open, want 2:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "would let the gate shut"); n != 2 {
			t.Errorf("said %d times that it would shut, want 2:\n%s", n, &log)
		}
	})
}

func TestRefusesALengthOutOfBounds(t *testing.T) {
	if _, err := NewSource(Options{Pulse: time.Hour}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a pulse of an hour was taken")
	}
}
