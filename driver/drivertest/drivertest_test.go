package drivertest_test

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/driver/drivertest"
	"gateagent/driver/pulse"
)

func TestFakeScannerKeepsTheContract(t *testing.T) {
	drivertest.TestScanner(t, func(*testing.T) drivertest.ScannerRig {
		f := drivertest.NewFakeScanner()
		return drivertest.ScannerRig{
			Scanner: f, Present: f.Present, Arrived: f.Arrived, Unplug: f.Unplug, Gone: drivertest.ErrUnplugged,
		}
	})
}

func TestRecorderKeepsTheContract(t *testing.T) {
	drivertest.TestScanner(t, func(*testing.T) drivertest.ScannerRig {
		f := drivertest.NewFakeScanner()
		return drivertest.ScannerRig{
			Scanner: drivertest.Record(f, io.Discard), Present: f.Present, Arrived: f.Arrived, Unplug: f.Unplug,
			Gone: drivertest.ErrUnplugged,
		}
	})
}

func TestFakeLineKeepsTheContract(t *testing.T) {
	drivertest.TestRelay(t, func(t *testing.T, length time.Duration) drivertest.RelayRig {
		var l drivertest.FakeLine
		r, err := pulse.New(&l, length, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return drivertest.RelayRig{Relay: r, Active: l.Active, Refuse: l.Refuse, Hang: l.Hang}
	})
}

// told is what a session said, without times that differ by nature.
type told struct {
	After      time.Duration
	Payload    string
	Unreadable bool
	End        string
}

func listen(t *testing.T, s drivertest.Scanner) []told {
	t.Helper()
	start := time.Now()
	var out []told
	for {
		scan, err := s.Scan(t.Context())
		if err != nil {
			return append(out, told{After: time.Since(start), End: err.Error()})
		}
		out = append(out, told{time.Since(start), string(scan.Payload), scan.Unreadable, ""})
	}
}

func TestTapeTellsTheSessionAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := drivertest.NewFakeScanner()
		var tape bytes.Buffer
		rec := drivertest.Record(f, &tape)
		go func() {
			time.Sleep(40 * time.Millisecond)
			f.Present("one\r\n\x00\xff")
			time.Sleep(2 * time.Second)
			f.Offer(gate.Scan{Unreadable: true, Seen: time.Now(), Decode: 30 * time.Millisecond})
			time.Sleep(time.Second)
			f.Unplug()
		}()
		first := listen(t, rec)
		if err := rec.Close(); err != nil {
			t.Fatal(err)
		}
		want := []told{
			{40 * time.Millisecond, "one\r\n\x00\xff", false, ""},
			{2040 * time.Millisecond, "", true, ""},
			{3040 * time.Millisecond, "", false, drivertest.ErrUnplugged.Error()},
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("recorded (-want +got):\n%s", diff)
		}
		p, err := drivertest.Play(&tape)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(first, listen(t, p)); diff != "" {
			t.Errorf("played (-recorded +played):\n%s", diff)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestPlayRefusesABrokenTape(t *testing.T) {
	if _, err := drivertest.Play(strings.NewReader("{\"after_ms\":1}\n{")); err == nil || !strings.Contains(err.Error(), "tape line 2") {
		t.Errorf("Play: %v", err)
	}
}
