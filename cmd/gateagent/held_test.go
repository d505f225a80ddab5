package main_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"io"
	"os/exec"
	"sync"
	"testing"
	"time"

	"gateagent/agent/localapi"
	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// fps is the rate of the imagined camera.
const fps = 10

// TestCardHeldInView: one card held before the camera for eight seconds is one
// entry, and the next person's code is read at once.
func TestCardHeldInView(t *testing.T) {
	t.Parallel()
	const held = 8 * time.Second
	o := newOffice(t)
	o.publishPeople(10)
	s := o.settings("[[lane]]\nname = \"main\"\n[lane.scanner]\ndriver = \"replaycam\"\nsource = \"-\"\n[lane.relay]\ndriver = \"dryrelay\"\n")
	s.logLevel = "debug"
	b := newBench(t, s)
	var film io.WriteCloser
	a := b.startWith(func(c *exec.Cmd) {
		var err error
		if film, err = c.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	})
	o.equipped(a)
	var mu sync.Mutex
	decided := map[string]time.Time{} // when each subject's decision came
	a.onDecision(func(d localapi.Decision) {
		mu.Lock()
		defer mu.Unlock()
		decided[d.Subject] = time.Now()
	})
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(decided)
	}

	first, second := shots(t, 1, 8), shots(t, 2, 8)
	show := time.NewTicker(time.Second / fps)
	defer show.Stop()
	one := func(frame []byte) {
		t.Helper()
		<-show.C
		if _, err := film.Write(frame); err != nil {
			t.Fatalf("the camera's film tears: %v\n%s", err, a.logText())
		}
	}
	for i := range int(held.Seconds() * fps) {
		one(first[i%len(first)])
	}
	if n := count(); n != 1 {
		t.Errorf("%d entries for a card that was held in view", n)
	}
	began, frames := time.Now(), 0
	for count() < 2 && time.Since(began) < held {
		one(second[frames%len(second)])
		frames++
	}
	took := time.Since(began)
	if frames > 10 || took > slow(2*time.Second/fps) {
		t.Errorf("the next person was read after %d frames, %v", frames, took)
	}
	for i := range fps { // still held, still one entry
		one(second[i%len(second)])
	}

	entries := a.waitEntries(2)
	if len(entries) != 2 {
		t.Errorf("%d entries, want 2", len(entries))
	}
	for _, e := range entries {
		v, err := e.Link().Record.Entry()
		if err != nil || !v.Verdict.Opens() || v.Decode <= 0 {
			t.Errorf("%v after %v of decoding (%v)", v.Verdict, v.Decode, err)
		}
	}
	tainted{someone(1), someone(2)}.notIn(t, a, nil)
	if err := film.Close(); err != nil {
		t.Error(err)
	}
	a.stop()
	t.Logf("the next person was read after %d frames, %v; the bound is 10 frames", frames, took.Round(time.Millisecond))
}

// shots draws n pictures of a person's card in an unsteady hand, as the camera
// would send them.
func shots(t testing.TB, who uint64, n int) [][]byte {
	t.Helper()
	r := qrframes.NewRenderer()
	out := make([][]byte, n)
	var g frame.Gray
	for i := range out {
		scene := qrframes.Scene{
			Seed: who, Shot: uint64(i), Subject: qrframes.Card, Payload: someone(int(who)).card(), View: qrframes.GateView(who),
		}
		if err := r.Render(scene, &g); err != nil {
			t.Fatal(err)
		}
		out[i] = jpegOf(t, &g)
	}
	return out
}

// jpegOf is a picture as cameras send it.
func jpegOf(t testing.TB, g *frame.Gray) []byte {
	t.Helper()
	var b bytes.Buffer
	img := &image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)}
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
