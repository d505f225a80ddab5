package catalog

import (
	"context"
	"log/slog"

	"gateagent/driver/dryrelay"
	"gateagent/driver/gpiorelay"
	"gateagent/driver/opticalscan"
	"gateagent/driver/qr"
	"gateagent/driver/serialscan"
	"gateagent/driver/v4l2cam"
)

// scanners are the scanner drivers by name.
var scanners = map[string]func(ScannerSpec, *slog.Logger) (OpenScanner, error){
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
