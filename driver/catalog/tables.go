package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"gateagent/agent/gate"
	"gateagent/driver/dryrelay"
	"gateagent/driver/gpiorelay"
	"gateagent/driver/opticalscan"
	"gateagent/driver/qr"
	"gateagent/driver/replaycam"
	"gateagent/driver/serialscan"
	"gateagent/driver/v4l2cam"
)

// scanners are the scanner drivers by name.
var scanners = map[string]func(ScannerSpec, *slog.Logger) (OpenScanner, error){
	"replaycam":  newReplayCam,
	"serialscan": newSerialScan,
	"v4l2cam":    newV4L2Cam,
}

// relays are the relay drivers by name.
var relays = map[string]func(RelaySpec, *slog.Logger) (OpenRelay, error){
	"dryrelay":  newDryRelay,
	"gpiorelay": newGPIORelay,
}

func newSerialScan(s ScannerSpec, log *slog.Logger) (OpenScanner, error) {
	framing := serialscan.FramingAuto
	if s.Framing != "" {
		var err error
		if framing, err = serialscan.ParseFraming(s.Framing); err != nil {
			return nil, err
		}
	}
	src, err := serialscan.NewSource(serialscan.Options{
		Device: s.Device, Baud: s.Baud, Framing: framing, Silence: s.Silence, MaxLength: s.MaxLength,
	}, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Scanner, error) { return scanner(ctx, src.Open) }, nil
}

func newV4L2Cam(s ScannerSpec, log *slog.Logger) (OpenScanner, error) {
	device, err := v4l2cam.New(v4l2cam.Options{Device: s.Device, Width: s.Width, Height: s.Height, FPS: s.FPS}, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Scanner, error) {
		camera, err := device.Open(ctx)
		if err != nil {
			return nil, err
		}
		return opticalscan.New(camera, qr.NewReader(), opticalscan.Options{}, log), nil
	}, nil
}

func newReplayCam(s ScannerSpec, log *slog.Logger) (OpenScanner, error) {
	switch {
	case s.Source == "":
		return nil, errors.New("replay camera: no source named")
	case s.Source == replaycam.Stdin && s.Loop:
		return nil, errors.New("replay camera: standard input cannot be played in a loop")
	case s.FPS < 0 || s.FPS > replaycam.MaxFPS:
		return nil, fmt.Errorf("replay camera: %d pictures a second; 0 to %d are possible", s.FPS, replaycam.MaxFPS)
	}
	return func(ctx context.Context) (Scanner, error) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		camera, err := replaycam.Open(replaycam.Options{Source: s.Source, FPS: float64(s.FPS), Loop: s.Loop}, log)
		if err != nil {
			return nil, err
		}
		return recording{opticalscan.New(camera, qr.NewReader(), opticalscan.Options{}, log)}, nil
	}, nil
}

// recording is a scanner whose end is meant: nobody need open it again.
type recording struct{ *opticalscan.Scanner }

func (r recording) Scan(ctx context.Context) (gate.Scan, error) {
	s, err := r.Scanner.Scan(ctx)
	if errors.Is(err, io.EOF) {
		return s, fmt.Errorf("%w: the recording is over", gate.ErrNoMoreScans)
	}
	return s, err
}

func newGPIORelay(s RelaySpec, log *slog.Logger) (OpenRelay, error) {
	src, err := gpiorelay.NewSource(gpiorelay.Options{
		Chip: s.Chip, Line: s.Line, ActiveLow: s.ActiveLow, Pulse: s.Pulse, Consumer: s.Consumer,
	}, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Relay, error) { return relay(ctx, src.Open) }, nil
}

func newDryRelay(s RelaySpec, log *slog.Logger) (OpenRelay, error) {
	src, err := dryrelay.NewSource(dryrelay.Options{Pulse: s.Pulse}, log)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (Relay, error) { return relay(ctx, src.Open) }, nil
}

// scanner opens a device unless ctx has ended, and keeps a nil pointer from
// becoming a Scanner that is not nil.
func scanner[T Scanner](ctx context.Context, open func() (T, error)) (Scanner, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open()
	if err != nil {
		return nil, err
	}
	return d, nil
}

// relay is scanner for relays.
func relay[T Relay](ctx context.Context, open func() (T, error)) (Relay, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d, err := open()
	if err != nil {
		return nil, err
	}
	return d, nil
}
