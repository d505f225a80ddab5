package qr

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// draw renders a scene as a gate camera sees it.
func draw(t testing.TB, s qrframes.Scene) *frame.Gray {
	t.Helper()
	if s.View.Width == 0 {
		s.View = qrframes.GateView(s.Seed)
	}
	g := new(frame.Gray)
	if err := qrframes.NewRenderer().Render(s, g); err != nil {
		t.Fatal(err)
	}
	return g
}

func card(seed uint64, text string) qrframes.Scene {
	return qrframes.Scene{Seed: seed, Subject: qrframes.Card, Payload: text}
}

func read(t testing.TB, r Reader, g *frame.Gray) []Code {
	t.Helper()
	codes, err := r.Read(g)
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func TestCodeTellsWhereItIs(t *testing.T) {
	g := draw(t, qrframes.Scene{
		Subject: qrframes.Card, Payload: "where", Version: 7,
		View: qrframes.View{Width: 640, Height: 480, ModulePixels: 5, X: 0.5, Y: 0.5, Blur: 0.5, Light: 1},
	})
	codes := read(t, NewReader(), g)
	if len(codes) != 1 {
		t.Fatalf("%d codes", len(codes))
	}
	c := codes[0]
	if c.Version != 7 || c.Inverted || c.Mirrored || math.Abs(c.ModulePixels-5) > 0.1 {
		t.Errorf("%v, inverted %v, mirrored %v", c, c.Inverted, c.Mirrored)
	}
	const half = 45 * 5 / 2.0
	for i, want := range [4]Point{{320 - half, 240 - half}, {320 + half, 240 - half}, {320 + half, 240 + half}, {320 - half, 240 + half}} {
		if d := math.Hypot(c.Corners[i].X-want.X, c.Corners[i].Y-want.Y); d > 2 {
			t.Errorf("corner %d is %v, %.1f px off", i, c.Corners[i], d)
		}
	}
}

// turned gives g turned by quarters to the right; mirrored first if asked for.
func turned(g *frame.Gray, quarters int, mirrored bool) *frame.Gray {
	out := frame.New(g.Width, g.Height)
	if quarters%2 == 1 {
		out = frame.New(g.Height, g.Width)
	}
	for y := range g.Height {
		for x := range g.Width {
			u, v := x, y
			if mirrored {
				u = g.Width - 1 - x
			}
			switch quarters {
			case 1:
				u, v = g.Height-1-v, u
			case 2:
				u, v = g.Width-1-u, g.Height-1-v
			case 3:
				u, v = v, g.Width-1-u
			}
			out.Pix[v*out.Stride+u] = g.Pix[y*g.Stride+x]
		}
	}
	return out
}

func TestTurnedMirroredNegativePadded(t *testing.T) {
	const text = "Mẫu thử|042"
	g := draw(t, card(3, text))
	padded := &frame.Gray{Width: g.Width, Height: g.Height, Stride: g.Width + 13, Pix: make([]byte, (g.Width+13)*g.Height)}
	negative := frame.New(g.Width, g.Height)
	for y := range g.Height {
		copy(padded.Pix[y*padded.Stride:], g.Row(y))
		for x, v := range g.Row(y) {
			negative.Pix[y*g.Width+x] = 255 - v
		}
	}
	r := NewReader()
	for name, tt := range map[string]struct {
		g                  *frame.Gray
		inverted, mirrored bool
	}{
		"upright":            {g, false, false},
		"quarter":            {turned(g, 1, false), false, false},
		"upside down":        {turned(g, 2, false), false, false},
		"three quarters":     {turned(g, 3, false), false, false},
		"mirrored":           {turned(g, 0, true), false, true},
		"mirrored quarter":   {turned(g, 1, true), false, true},
		"negative":           {negative, true, false},
		"padded":             {padded, false, false},
		"padded and negated": {&frame.Gray{Pix: negative.Pix, Width: g.Width - 8, Height: g.Height, Stride: g.Width}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(tt.g.Pix)
			codes := read(t, r, tt.g)
			if len(codes) != 1 || string(codes[0].Text) != text {
				t.Fatalf("%d codes", len(codes))
			}
			if c := codes[0]; c.Inverted != tt.inverted || c.Mirrored != tt.mirrored {
				t.Errorf("inverted %v, mirrored %v", c.Inverted, c.Mirrored)
			}
			if !bytes.Equal(before, tt.g.Pix) {
				t.Error("the picture was written to")
			}
		})
	}
}

func TestTwoCodesInOneFrame(t *testing.T) {
	view := qrframes.View{Width: 640, Height: 480, ModulePixels: 5, X: 0.5, Y: 0.5, Blur: 0.5, Noise: 2, Light: 1}
	a := draw(t, qrframes.Scene{Subject: qrframes.Phone, Payload: "left", View: view})
	b := draw(t, qrframes.Scene{Subject: qrframes.Phone, Payload: "right, and longer", View: view})
	both := frame.New(1280, 480)
	for y := range 480 {
		copy(both.Row(y), a.Row(y))
		copy(both.Row(y)[640:], b.Row(y))
	}
	got := map[string]bool{}
	for _, c := range read(t, NewReader(), both) {
		got[string(c.Text)] = true
	}
	if len(got) != 2 || !got["left"] || !got["right, and longer"] {
		t.Errorf("read %d texts: %v", len(got), got)
	}
}

func TestTextsOutliveTheNextRead(t *testing.T) {
	r := NewReader()
	first := read(t, r, draw(t, card(1, "first")))[0].Text
	read(t, r, draw(t, card(2, "second")))
	if string(first) != "first" {
		t.Errorf("the first text became %q", first)
	}
}

func TestCodeHidesItsText(t *testing.T) {
	c := Code{Text: []byte("012345678901|Nguyễn")}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "0123") || strings.Contains(s, "48 49") || strings.Contains(s, "0x30") {
			t.Errorf("%s gives %s", format, s)
		}
		if s := fmt.Sprintf(format, []Code{c}); strings.Contains(s, "0123") || strings.Contains(s, "48 49") || strings.Contains(s, "0x30") {
			t.Errorf("%s gives %s", format, s)
		}
	}
}

func TestOddPictures(t *testing.T) {
	r := NewReader()
	for _, size := range [][2]int{{1, 1}, {1, 300}, {300, 1}, {2, 2}, {7, 7}, {39, 41}, {40, 40}, {41, 39}, {8, 2000}} {
		for _, fill := range []func(i int) byte{
			func(int) byte { return 0 }, func(int) byte { return 255 }, func(i int) byte { return byte(i * 101) },
		} {
			g := frame.New(size[0], size[1])
			for i := range g.Pix {
				g.Pix[i] = fill(i)
			}
			if codes := read(t, r, g); len(codes) != 0 {
				t.Errorf("%v: %v", size, codes)
			}
		}
	}
	for name, g := range map[string]frame.Gray{
		"empty": {}, "short": {Width: 9, Height: 9, Stride: 9, Pix: make([]byte, 80)}, "stride": {Width: 9, Height: 9, Stride: 8, Pix: make([]byte, 99)},
	} {
		if _, err := r.Read(&g); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// hostile are pictures made to keep a reader busy.
func hostile() map[string]*frame.Gray {
	finders, stripes, noise := frame.New(1280, 720), frame.New(1280, 720), frame.New(1280, 720)
	r := rand.New(rand.NewPCG(1, 2))
	for y := range 720 {
		for x := range 1280 {
			d := max(absInt(x%9-4), absInt(y%9-4))
			if d > 3 || d == 2 {
				finders.Pix[y*1280+x] = 255
			}
			if m := x % 16; m == 1 || m == 2 || m == 8 || m == 9 || m > 11 { // 1:1:3:1:1 over and over
				stripes.Pix[y*1280+x] = 255
			}
			noise.Pix[y*1280+x] = byte(r.Uint32())
		}
	}
	return map[string]*frame.Gray{"finders": finders, "stripes": stripes, "noise": noise}
}

// TestHostilePicturesAreBounded compares with the time an ordinary frame takes.
// The bounds are wide, for busy machines; without a budget of candidates the
// finders alone take minutes.
func TestHostilePicturesAreBounded(t *testing.T) {
	if raceDetector {
		t.Skip("times say nothing under the race detector")
	}
	r := NewReader()
	empty := draw(t, qrframes.Scene{Seed: 1})
	fastest := func(g *frame.Gray) time.Duration {
		best := time.Hour
		for range 3 {
			start := time.Now()
			read(t, r, g)
			best = min(best, time.Since(start))
		}
		return best
	}
	base := fastest(empty)
	for name, g := range hostile() {
		took := fastest(g)
		t.Logf("%s: %.1f times an empty frame's %v", name, float64(took)/float64(base), base)
		if took > 60*base {
			t.Errorf("%s: %v, an empty frame takes %v", name, took, base)
		}
	}
}

func FuzzRead(f *testing.F) {
	small := draw(f, qrframes.Scene{
		Subject: qrframes.Card, Payload: "1",
		View: qrframes.View{Width: 96, Height: 96, ModulePixels: 3, X: 0.5, Y: 0.5, Light: 1},
	})
	if codes := read(f, NewReader(), small); len(codes) != 1 {
		f.Fatalf("the seed shows %d codes", len(codes))
	}
	f.Add(small.Pix, uint8(96))
	f.Add([]byte{0, 255, 0, 0, 0, 255, 0}, uint8(7))
	f.Add(bytes.Repeat([]byte{0, 255}, 3000), uint8(77))
	r := NewReader()
	f.Fuzz(func(t *testing.T, pix []byte, width uint8) {
		w := int(width) + 1
		if len(pix) < w || len(pix) > 1<<16 {
			t.Skip("no picture")
		}
		g := frame.Gray{Pix: pix, Width: w, Height: len(pix) / w, Stride: w}
		codes, err := r.Read(&g)
		if err != nil {
			t.Fatal(err)
		}
		bounded(t, r.(*reader))
		for _, c := range codes {
			if c.Readable() && (len(c.Text) == 0 || !bytes.Equal(bytes.ToValidUTF8(c.Text, nil), c.Text)) {
				t.Fatalf("text of %d bytes", len(c.Text))
			}
			if c.Version < 1 || c.Version > 40 || math.IsNaN(c.ModulePixels) {
				t.Fatal(c)
			}
		}
	})
}

func BenchmarkRead(b *testing.B) {
	frames := map[string]*frame.Gray{
		"card":    draw(b, card(1, strings.Repeat("Mẫu|0123", 14))),
		"no-code": draw(b, qrframes.Scene{Seed: 1, Subject: qrframes.Card}),
		"empty":   draw(b, qrframes.Scene{Seed: 1}),
		"ruined":  draw(b, qrframes.Scene{Seed: 1, Subject: qrframes.Card, Payload: strings.Repeat("Mẫu|0123", 14), Damage: qrframes.Ruined}),
	}
	maps.Copy(frames, hostile())
	for name, g := range frames {
		b.Run(name, func(b *testing.B) {
			r := NewReader()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Read(g); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
