package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/scripts/hil/control"
	"gateagent/scripts/hil/usbcam"
)

// Cameras of the bench.
var (
	// Both kinds at a size, as real ones offer them: raw slow, JPEG fast.
	common = usbcam.Spec{
		Vendor: 0x1209, Product: 0xca01, Maker: "Bench", Name: "Common", Serial: "C-1",
		Modes: []usbcam.Mode{
			{Kind: usbcam.MJPG, Width: pictureWidth, Height: pictureHeight, FPS: 15},
			{Kind: usbcam.MJPG, Width: 640, Height: 480, FPS: 30},
			{Kind: usbcam.YUYV, Width: 640, Height: 480, FPS: 30},
			{Kind: usbcam.YUYV, Width: pictureWidth, Height: pictureHeight, FPS: 5},
		},
	}
	raw = usbcam.Spec{
		Vendor: 0x1209, Product: 0xca02, Maker: "Bench", Name: "Raw", // no serial, like most
		Modes: []usbcam.Mode{{Kind: usbcam.YUYV, Width: pictureWidth, Height: pictureHeight, FPS: 10}},
	}
	decoy = usbcam.Spec{
		Vendor: 0x1209, Product: 0xca03, Maker: "Bench", Name: "Decoy",
		Modes: []usbcam.Mode{{Kind: usbcam.YUYV, Width: pictureWidth, Height: pictureHeight, FPS: 10}},
	}
)

// link is where udev puts a camera of the bench.
func link(s usbcam.Spec) string {
	name := "usb-" + s.Maker + "_" + s.Name
	if s.Serial != "" {
		name += "_" + s.Serial
	}
	return "/dev/v4l/by-id/" + name + "-video-index0"
}

// plug plugs a camera in and waits for its node, which it gives.
func (b *bench) plug(ctx context.Context, port int, s usbcam.Spec, card string) (string, error) {
	if _, err := b.vm.Ask(ctx, control.Request{Plug: &control.Plug{Port: port, Model: s, Card: card}}); err != nil {
		return "", err
	}
	var last []string
	for {
		m, err := b.vm.Ask(ctx, control.Request{Nodes: &control.Nodes{}})
		if err != nil {
			return "", fmt.Errorf("uvcvideo made no node for %s; there is %v: %w", s.Name, last, err)
		}
		last = m.Nodes
		for _, n := range m.Nodes {
			if node, ok := strings.CutPrefix(n, link(s)+" -> "); ok {
				return node, nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (b *bench) unplug(ctx context.Context, port int) error {
	_, err := b.vm.Ask(ctx, control.Request{Unplug: &control.Unplug{Port: port}})
	return err
}

func (b *bench) watch(ctx context.Context, w control.Watch) (*control.Seen, error) {
	if w.Width == 0 {
		w.Width, w.Height, w.FPS = pictureWidth, pictureHeight, 15
	}
	if w.Seconds == 0 {
		w.Seconds = 30
	}
	m, err := b.vm.Ask(ctx, control.Request{Watch: &w})
	if err != nil {
		return nil, err
	}
	if m.Seen == nil {
		return nil, errors.New("the guest's watch says nothing")
	}
	return m.Seen, nil
}

// read watches until a card was read and checks how the camera ran.
func (b *bench) read(ctx context.Context, device, payload, format string) (string, error) {
	seen, err := b.watch(ctx, control.Watch{Device: device, Until: payload})
	if err != nil {
		return "", err
	}
	if seen.Texts[payload] == 0 {
		return "", fmt.Errorf("the card was not read in %d frames (%d bad), faults %q, opened %+v", seen.Frames, seen.Bad, seen.Faults, seen.Opens)
	}
	o := seen.Opens[0]
	if o.Format != format || o.Width != pictureWidth || o.Height != pictureHeight {
		return "", fmt.Errorf("the camera ran with %s %d×%d, want %s", o.Format, o.Width, o.Height, format)
	}
	return fmt.Sprintf("%s %d×%d at %.0f/s on %s; unpacked %d ms, read %d ms", o.Format, o.Width, o.Height, o.FPS, o.Node,
		seen.MicrosFrame/1000, seen.MicrosRead/1000), nil
}

// drivers proves the camera driver alone, on the kernel's own uvcvideo.
func (b *bench) drivers(ctx context.Context) {
	const port, otherPort, thirdPort = 0, 3, 5
	var nodeCommon string
	payload := cards()["allowed"]
	ok := b.prove(ctx, "camera driver: a card by MJPEG (no Huffman tables), raw being too slow", time.Minute, func(ctx context.Context) (_ string, err error) {
		if nodeCommon, err = b.plug(ctx, port, common, "allowed"); err != nil {
			return "", err
		}
		return b.read(ctx, link(common), payload, "MJPEG")
	})
	if !ok {
		return
	}
	b.prove(ctx, "camera driver: the metadata node is refused, with a word on it", 20*time.Second, func(ctx context.Context) (string, error) {
		var n int
		if _, err := fmt.Sscanf(nodeCommon, "/dev/video%d", &n); err != nil {
			return "", err
		}
		seen, err := b.watch(ctx, control.Watch{Device: fmt.Sprintf("/dev/video%d", n+1), Seconds: 5})
		if err != nil {
			return "", err
		}
		if len(seen.Faults) != 1 || !strings.Contains(seen.Faults[0], "metadata node") {
			return "", fmt.Errorf("faults %q", seen.Faults)
		}
		return "", nil
	})
	b.prove(ctx, "camera driver: a camera in use is told from a broken one", 30*time.Second, func(ctx context.Context) (string, error) {
		mark, first := b.vm.mark(), make(chan error, 1)
		go func() {
			_, err := b.watch(ctx, control.Watch{Device: link(common), Seconds: 8})
			first <- err
		}()
		if err := b.vm.line(ctx, mark, "watch", "open "); err != nil {
			return "", errors.Join(err, <-first)
		}
		seen, err := b.watch(ctx, control.Watch{Device: nodeCommon, Seconds: 5})
		if err := errors.Join(err, <-first); err != nil {
			return "", err
		}
		if len(seen.Faults) != 1 || !strings.Contains(seen.Faults[0], "in use") {
			return "", fmt.Errorf("faults %q, opened %+v", seen.Faults, seen.Opens)
		}
		return "", nil
	})
	b.prove(ctx, "camera driver: a card by YUYV, the camera named by its node", time.Minute, func(ctx context.Context) (string, error) {
		if err := b.unplug(ctx, port); err != nil {
			return "", err
		}
		node, err := b.plug(ctx, port, raw, "allowed")
		if err != nil {
			return "", err
		}
		return b.read(ctx, node, payload, "YUYV")
	})
	b.prove(ctx, "camera driver: unplugged while streaming, back at another port under another node, its own taken by another camera", time.Minute, func(ctx context.Context) (string, error) {
		return b.comesBack(ctx, port, otherPort, thirdPort)
	})
	for _, p := range []int{otherPort, thirdPort} {
		_ = b.unplug(ctx, p) // the next proofs begin with empty ports; these may be
	}
}

// relayDriver proves the relay's driver alone, seen from outside.
func (b *bench) relayDriver(ctx context.Context) {
	const pulseMS, holdMS = 500, 1200
	b.prove(ctx, "relay driver: a pulse and a hold, and the line low afterwards, read in the chip's register", 20*time.Second, func(ctx context.Context) (string, error) {
		began := time.Now()
		_, err := b.vm.Ask(ctx, control.Request{Relay: &control.Relay{Chip: "gpiochip0", Line: fmt.Sprint(relayLine), PulseMS: pulseMS, HoldMS: holdMS}})
		if err != nil {
			return "", err
		}
		ps, err := b.line.whole(ctx, began, 2)
		if err != nil {
			return "", err
		}
		direction, err := b.vm.qmp.word(pl061Direction)
		if err != nil {
			return "", err
		}
		switch {
		case len(ps) != 2:
			return "", fmt.Errorf("%d pulses, want 2", len(ps))
		case direction>>relayLine&1 != 1:
			return "", fmt.Errorf("the line is no output: directions %#x", direction)
		case !about(ps[0].length(), pulseMS), !about(ps[1].length(), holdMS):
			return "", fmt.Errorf("active for %v and %v, want %d and %d ms", ps[0].length(), ps[1].length(), pulseMS, holdMS)
		}
		return fmt.Sprintf("%d ms and %d ms", ps[0].length().Milliseconds(), ps[1].length().Milliseconds()), nil
	})
}

// about allows for the emulator, whose clock stumbles when this machine is
// busy.
func about(d time.Duration, ms int64) bool {
	return d > time.Duration(ms)*time.Millisecond*8/10 && d < time.Duration(ms)*time.Millisecond*13/10+300*time.Millisecond
}

// comesBack lets a lasting watch lose its camera, which it knows by its node,
// and find it again.
func (b *bench) comesBack(ctx context.Context, port, otherPort, thirdPort int) (string, error) {
	second := cards()["refused"]
	type outcome struct {
		seen *control.Seen
		err  error
	}
	mark, done := b.vm.mark(), make(chan outcome, 1)
	go func() {
		seen, err := b.watch(ctx, control.Watch{Device: "/dev/video0", Until: second, Seconds: 40, Lasting: true})
		done <- outcome{seen, err}
	}()
	if err := b.vm.line(ctx, mark, "watch", "open /dev/video0"); err != nil {
		return "", err
	}
	time.Sleep(time.Second) // in the middle of things
	if err := b.unplug(ctx, port); err != nil {
		return "", err
	}
	time.Sleep(time.Second) // its absence is noticed
	if _, err := b.plug(ctx, thirdPort, decoy, "wall"); err != nil {
		return "", err
	}
	back := time.Now()
	node, err := b.plug(ctx, otherPort, raw, "refused")
	if err != nil {
		return "", err
	}
	o := <-done
	if o.err != nil {
		return "", o.err
	}
	seen := o.seen
	if seen.Texts[second] == 0 || seen.Gone == 0 || len(seen.Opens) < 2 {
		return "", fmt.Errorf("read %d times, gone %d times, opened %+v, faults %q", seen.Texts[second], seen.Gone, seen.Opens, seen.Faults)
	}
	last := seen.Opens[len(seen.Opens)-1]
	if last.Node != node || node == seen.Opens[0].Node {
		return "", fmt.Errorf("opened %s, the camera is at %s, it was at %s", last.Node, node, seen.Opens[0].Node)
	}
	if !slices.ContainsFunc(seen.Faults, func(f string) bool {
		return strings.Contains(f, "no such device") || strings.Contains(f, "input/output")
	}) {
		return "", fmt.Errorf("the unplug went unnoticed: faults %q", seen.Faults)
	}
	return fmt.Sprintf("%s → %s, read again %.1f s after plugging in; %.1f s of processor in %d frames",
		seen.Opens[0].Node, last.Node, time.Since(back).Seconds(), seen.CPUSeconds, seen.Frames), nil
}
