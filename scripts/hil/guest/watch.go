//go:build linux

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"gateagent/driver/qr"
	"gateagent/driver/v4l2cam"
	"gateagent/scripts/hil/control"
)

// watch reads codes through driver/v4l2cam and driver/qr alone. It says when
// it has opened the camera.
func watch(ctx context.Context, r control.Watch, say func(control.Message)) (*control.Seen, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Seconds)*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	dev, err := v4l2cam.New(v4l2cam.Options{Device: r.Device, Width: r.Width, Height: r.Height, FPS: r.FPS}, log)
	if err != nil {
		return nil, err
	}
	w := watcher{say: say, want: r.Until, reader: qr.NewReader(), seen: &control.Seen{Texts: map[string]int{}}}
	began := cpuSeconds()
	for ctx.Err() == nil {
		err := w.session(ctx, dev)
		if w.done {
			break
		}
		if err != nil && ctx.Err() == nil {
			w.seen.Faults = append(w.seen.Faults, err.Error())
			if errors.Is(err, v4l2cam.ErrGone) {
				w.seen.Gone++
			}
			if !r.Lasting {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	w.seen.CPUSeconds = cpuSeconds() - began
	w.seen.MicrosFrame, w.seen.MicrosRead = median(w.frames), median(w.reads)
	return w.seen, nil
}

type watcher struct {
	say           func(control.Message)
	want          string
	done          bool
	reader        qr.Reader
	seen          *control.Seen
	frames, reads []time.Duration
}

// session is one opening of the camera.
func (w *watcher) session(ctx context.Context, dev *v4l2cam.Device) error {
	cam, err := dev.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = cam.Close() }()
	s := cam.Stats()
	w.seen.Opens = append(w.seen.Opens, control.Opened{Node: s.Node, Format: s.Format, Width: s.Width, Height: s.Height, FPS: s.FPS})
	w.say(control.Message{Event: "line", Name: "watch", Text: "open " + s.Node})
	defer func() { w.seen.Bad += cam.Stats().Bad }()
	for {
		began := time.Now()
		g, err := cam.Frame(ctx)
		if err != nil {
			return err
		}
		handed := time.Now()
		codes, err := w.reader.Read(g)
		if err != nil {
			return err
		}
		w.seen.Frames++
		w.frames = append(w.frames, handed.Sub(began))
		w.reads = append(w.reads, time.Since(handed))
		for _, c := range codes {
			if c.Readable() {
				w.seen.Texts[string(c.Text)]++
				w.done = w.done || w.want != "" && string(c.Text) == w.want
			}
		}
		if w.done {
			return nil
		}
	}
}

func median(d []time.Duration) int64 {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2].Microseconds()
}

func cpuSeconds() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
