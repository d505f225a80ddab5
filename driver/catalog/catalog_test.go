package catalog_test

import (
	"context"
	"errors"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/catalog"
	"gateagent/driver/drivertest"
	"gateagent/driver/frame"
	"gateagent/driver/gpiorelay"
	"gateagent/driver/opticalscan"
	"gateagent/driver/qr/qrframes"
	"gateagent/driver/serialport"
	"gateagent/driver/v4l2cam"
)

var quiet = slog.New(slog.DiscardHandler)

func TestUnknownNamesListTheKnown(t *testing.T) {
	_, err := catalog.NewScanner(catalog.ScannerSpec{Driver: "webcam"}, quiet)
	want := `unknown scanner driver "webcam"; known: ` + strings.Join(catalog.ScannerNames(), ", ")
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = catalog.NewRelay(catalog.RelaySpec{}, quiet)
	if want := `unknown relay driver ""; known: dryrelay, gpiorelay`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !slices.IsSorted(catalog.ScannerNames()) || !slices.IsSorted(catalog.RelayNames()) {
		t.Error("names are not sorted")
	}
}

// TestBadOptionsAreRefusedBeforeOpening: every driver checks what it is given
// when it is built, so that a configuration can be judged without devices.
func TestBadOptionsAreRefusedBeforeOpening(t *testing.T) {
	for _, name := range catalog.ScannerNames() {
		if _, err := catalog.NewScanner(catalog.ScannerSpec{Driver: name}, quiet); err == nil {
			t.Errorf("%s takes a device without a name", name)
		}
	}
	for _, name := range catalog.RelayNames() {
		if _, err := catalog.NewRelay(catalog.RelaySpec{Driver: name, Pulse: time.Hour}, quiet); err == nil {
			t.Errorf("%s takes a pulse of an hour", name)
		}
	}
	_, err := catalog.NewScanner(catalog.ScannerSpec{Driver: "serialscan", Device: "/dev/ttyS9", Framing: "tab"}, quiet)
	if want := `unknown framing "tab"; known: auto, cr, lf, crlf, stx-etx, silence`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestSerialScanner(t *testing.T) {
	pty := drivertest.NewPTY(t)
	open, err := catalog.NewScanner(catalog.ScannerSpec{Driver: "serialscan", Device: pty.Path, Baud: 115200}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pty.Send(t, "A|FICTIONAL|CARD\r\n")
	if scan, err := s.Scan(t.Context()); err != nil || string(scan.Payload) != "A|FICTIONAL|CARD" {
		t.Errorf("got %q, %v", scan.Payload, err)
	}
	pty.Unplug()
	if _, err := s.Scan(t.Context()); !errors.Is(err, serialport.ErrGone) {
		t.Errorf("Scan after unplugging: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err := open(t.Context()); !errors.Is(err, serialport.ErrGone) || s != nil {
		t.Errorf("opened again: %v, %v", s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := open(ctx); !errors.Is(err, context.Canceled) || s != nil {
		t.Errorf("opened with an ended context: %v, %v", s, err)
	}
}

func TestRelays(t *testing.T) {
	open, err := catalog.NewRelay(catalog.RelaySpec{Driver: "dryrelay", Pulse: time.Second}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Pulse(t.Context()); err != nil {
		t.Error(err)
	}
	r.Release()
	if err := r.Close(gate.OnFaultClosed); err != nil {
		t.Error(err)
	}

	open, err = catalog.NewRelay(catalog.RelaySpec{
		Driver: "gpiorelay", Chip: "/nowhere/gpiochip0", Line: "17", Pulse: time.Second,
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := open(t.Context()); !errors.Is(err, gpiorelay.ErrNoChip) || r != nil {
		t.Errorf("opened a chip that is not there: %v, %v", r, err)
	}
}

// writeCode draws a card with a code into a PNG file.
func writeCode(t *testing.T, path, text string) {
	t.Helper()
	var g frame.Gray
	if err := qrframes.NewRenderer().Render(qrframes.Scene{
		Seed: 1, Subject: qrframes.Card, Payload: text, View: qrframes.GateView(1),
	}, &g); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	picture := &image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)}
	if err := errors.Join(png.Encode(f, picture), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestReplayedPictures plays a fictional card from a folder.
func TestReplayedPictures(t *testing.T) {
	dir := t.TempDir()
	const text = "001090000123|123456789|NGUYEN VAN MAU|15071990|Nam|1 Pho Thu|02062021"
	writeCode(t, filepath.Join(dir, "1.png"), text)
	open, err := catalog.NewScanner(catalog.ScannerSpec{Driver: "replaycam", Source: dir}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s, err := open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scan, err := s.Scan(t.Context())
	if err != nil || string(scan.Payload) != text || scan.Decode == 0 {
		t.Errorf("%d bytes, decoded in %v, %v", len(scan.Payload), scan.Decode, err)
	}
	if _, err := s.Scan(t.Context()); !errors.Is(err, gate.ErrNoMoreScans) {
		t.Errorf("at the end: %v, want %v", err, gate.ErrNoMoreScans)
	}
	if _, ok := s.(interface{ Stats() opticalscan.Stats }); !ok {
		t.Error("a camera has no figures")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	_, err = catalog.NewScanner(catalog.ScannerSpec{Driver: "replaycam", Source: "-", Loop: true}, quiet)
	if want := "replay camera: standard input cannot be played in a loop"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMissingCamera(t *testing.T) {
	open, err := catalog.NewScanner(catalog.ScannerSpec{Driver: "v4l2cam", Device: "/dev/v4l/by-id/usb-fictional"}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := open(t.Context()); !errors.Is(err, v4l2cam.ErrGone) || s != nil {
		t.Errorf("opened a camera that is not there: %v, %v", s, err)
	}
}
