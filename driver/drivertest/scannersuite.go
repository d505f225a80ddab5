package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gateagent/agent/gate"
)

// ScannerRig is one scanner on the bench.
type ScannerRig struct {
	Scanner Scanner
	// Present shows a code to the device.
	Present func(payload string)
	// Arrived counts the codes that the driver has taken from the device, so
	// that a test can wait without sleeping by guess.
	Arrived func() uint64
	// Unplug takes the device away.
	Unplug func()
	// Gone is what Scan then wraps; nil when any error will do.
	Gone error
}

// patience is how long a suite waits for what must happen; it is only ever
// used up by a driver that fails.
const patience = 10 * time.Second

// TestScanner puts a driver through the contract of [Scanner]. newRig sets up
// a fresh device and opens it.
func TestScanner(t *testing.T, newRig func(t *testing.T) ScannerRig) {
	tests := []struct {
		name string
		run  func(t *testing.T, rig ScannerRig)
	}{
		{"hands over what was shown", scansWhatWasShown},
		{"ends with its context", endsWithContext},
		{"the newest waits", newestWaits},
		{"a repeat of the waiting one is one", repeatIsOne},
		{"payloads belong to the receiver", payloadsAreOwned},
		{"says that the device is gone", saysGone},
		{"hands over what came before it went", handsOverBeforeGone},
		{"close ends a waiting scan", closeEndsScan},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			leaks := goleak.IgnoreCurrent()
			rig := newRig(t)
			tc.run(t, rig)
			closeScanner(t, rig)
			goleak.VerifyNone(t, leaks)
		})
	}
}

// closeScanner closes twice: the second time must be no harm.
func closeScanner(t *testing.T, rig ScannerRig) {
	t.Helper()
	for range 2 {
		if err := rig.Scanner.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func scan(t *testing.T, s Scanner) gate.Scan {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	got, err := s.Scan(ctx)
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return got
}

func waitArrived(t *testing.T, rig ScannerRig, n uint64) {
	t.Helper()
	for deadline := time.Now().Add(patience); rig.Arrived() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d codes arrived", rig.Arrived(), n)
		}
	}
}

func scansWhatWasShown(t *testing.T, rig ScannerRig) {
	for _, want := range []string{
		"001090000123|123456789|NGUYỄN VĂN MẪU|15071990|Nam|1 Phố Thử, Hà Nội|02062021",
		"short",
		"001090000123|123456789|NGUYỄN VĂN MẪU|15071990|Nam|1 Phố Thử, Hà Nội|02062021",
	} {
		before := time.Now()
		rig.Present(want)
		got := scan(t, rig.Scanner)
		if string(got.Payload) != want || got.Unreadable {
			t.Errorf("payload of %d bytes, unreadable %v; want the %d bytes shown", len(got.Payload), got.Unreadable, len(want))
		}
		if got.Seen.Before(before) || got.Seen.After(time.Now()) {
			t.Errorf("Seen %v is not between showing and handing over", got.Seen)
		}
	}
}

func endsWithContext(t *testing.T, rig ScannerRig) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := rig.Scanner.Scan(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Scan: %v, want the context's end", err)
	}
	rig.Present("afterwards")
	if got := scan(t, rig.Scanner); string(got.Payload) != "afterwards" {
		t.Error("the scan after an ended one is another")
	}
}

func newestWaits(t *testing.T, rig ScannerRig) {
	for i := range 5 {
		rig.Present(fmt.Sprintf("person-%d", i))
		waitArrived(t, rig, uint64(i+1))
	}
	if got := scan(t, rig.Scanner); string(got.Payload) != "person-4" {
		t.Errorf("got %q, want the newest", got.Payload)
	}
	nothingWaits(t, rig)
}

func repeatIsOne(t *testing.T, rig ScannerRig) {
	for i := range 3 {
		rig.Present("held-in-view")
		waitArrived(t, rig, uint64(i+1))
	}
	if got := scan(t, rig.Scanner); string(got.Payload) != "held-in-view" {
		t.Errorf("got %q", got.Payload)
	}
	nothingWaits(t, rig)
}

func nothingWaits(t *testing.T, rig ScannerRig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if got, err := rig.Scanner.Scan(ctx); err == nil {
		t.Errorf("another scan waits: %q", got.Payload)
	}
}

func payloadsAreOwned(t *testing.T, rig ScannerRig) {
	rig.Present("first-payload")
	first := scan(t, rig.Scanner)
	rig.Present("second-one!!!")
	second := scan(t, rig.Scanner)
	if string(first.Payload) != "first-payload" {
		t.Errorf("the first payload changed to %q", first.Payload)
	}
	copy(first.Payload, bytes.Repeat([]byte{'x'}, len(first.Payload)))
	if string(second.Payload) != "second-one!!!" {
		t.Errorf("payloads share memory: %q", second.Payload)
	}
}

func saysGone(t *testing.T, rig ScannerRig) {
	rig.Present("before")
	scan(t, rig.Scanner)
	rig.Unplug()
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		got, err := rig.Scanner.Scan(ctx)
		cancel()
		if err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Scan after unplugging: %q, %v", got.Payload, err)
		}
		if rig.Gone != nil && !errors.Is(err, rig.Gone) {
			t.Errorf("Scan after unplugging: %v, want %v", err, rig.Gone)
		}
	}
}

func handsOverBeforeGone(t *testing.T, rig ScannerRig) {
	rig.Present("last-one")
	waitArrived(t, rig, 1)
	rig.Unplug()
	if got := scan(t, rig.Scanner); string(got.Payload) != "last-one" {
		t.Errorf("got %q", got.Payload)
	}
}

func closeEndsScan(t *testing.T, rig ScannerRig) {
	ended := make(chan error, 1)
	go func() {
		_, err := rig.Scanner.Scan(context.Background())
		ended <- err
	}()
	time.Sleep(5 * time.Millisecond) // likely waiting by now; the outcome is the same if not
	if err := rig.Scanner.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Scan gave a code that nobody showed")
		}
	case <-time.After(patience):
		t.Fatal("Scan still waits after Close")
	}
}
