package qr

import (
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// movedBy gives the picture shifted right and down, its edges going on.
func movedBy(g *frame.Gray, dx, dy int) *frame.Gray {
	out := frame.New(g.Width, g.Height)
	for y := range g.Height {
		row := g.Row(min(max(y-dy, 0), g.Height-1))
		for x := range g.Width {
			out.Pix[y*out.Stride+x] = row[min(max(x-dx, 0), g.Width-1)]
		}
	}
	return out
}

func TestMovingCodeIsFollowed(t *testing.T) {
	g := draw(t, card(4, "Mẫu|moving"))
	r := NewReader().(*reader)
	followed := 0
	for i := range 12 {
		codes := read(t, r, movedBy(g, 10*i, -8*i))
		if len(codes) != 1 || string(codes[0].Text) != "Mẫu|moving" {
			t.Fatalf("frame %d: %d codes", i, len(codes))
		}
		if r.tracker.sinceFull > 0 {
			followed++
		}
		x := codes[0].Corners[0].X
		fresh := read(t, NewReader(), movedBy(g, 10*i, -8*i))
		if d := x - fresh[0].Corners[0].X; d > 2 || d < -2 {
			t.Errorf("frame %d: the corner is %.1f px from where a fresh reader sees it", i, d)
		}
	}
	if followed < 10 {
		t.Errorf("followed in %d of 12 frames", followed)
	}
}

func TestFollowedCodeMayGo(t *testing.T) {
	r := NewReader()
	with, without := draw(t, card(5, "here")), draw(t, qrframes.Scene{Seed: 5, Subject: qrframes.Card})
	for i := range 20 {
		g, want := with, 1
		if i%5 > 1 {
			g, want = without, 0
		}
		if codes := read(t, r, g); len(codes) != want {
			t.Fatalf("frame %d: %d codes, want %d", i, len(codes), want)
		}
	}
}

func TestAnotherCodeIsSeenWhileOneIsFollowed(t *testing.T) {
	view := qrframes.View{Width: 640, Height: 480, ModulePixels: 4, X: 0.5, Y: 0.5, Blur: 0.5, Noise: 2, Light: 1}
	a := draw(t, qrframes.Scene{Subject: qrframes.Phone, Payload: "left", View: view})
	b := draw(t, qrframes.Scene{Subject: qrframes.Phone, Payload: "right", View: view})
	none := draw(t, qrframes.Scene{Subject: qrframes.Nothing, View: view})
	beside := func(p, q *frame.Gray) *frame.Gray {
		both := frame.New(1280, 480)
		for y := range 480 {
			copy(both.Row(y), p.Row(y))
			copy(both.Row(y)[640:], q.Row(y))
		}
		return both
	}
	r := NewReader()
	read(t, r, beside(a, none))
	frames := 0
	for ; frames < 2*fullEvery; frames++ {
		if len(read(t, r, beside(a, b))) == 2 {
			break
		}
	}
	if frames > fullEvery {
		t.Errorf("the other code was seen after %d frames", frames)
	}
	// Now both are followed.
	for range fullEvery {
		if n := len(read(t, r, beside(a, b))); n != 2 {
			t.Errorf("%d codes", n)
		}
	}
}

func TestFollowingSurvivesOtherSizes(t *testing.T) {
	r := NewReader()
	for _, size := range [][2]int{{1280, 720}, {320, 240}, {24, 24}, {1280, 720}, {1, 1}, {640, 480}} {
		g := draw(t, qrframes.Scene{Subject: qrframes.Phone, Payload: "x", View: qrframes.View{
			Width: size[0], Height: size[1], ModulePixels: 5, X: 0.5, Y: 0.5, Blur: 0.5, Light: 1,
		}})
		want := 1
		if size[0] < 200 {
			want = 0
		}
		for range 2 {
			if codes := read(t, r, g); len(codes) != want {
				t.Errorf("%v: %d codes", size, len(codes))
			}
		}
	}
}

func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("allocations say nothing under the race detector")
	}
	scenes := map[string]struct {
		scene qrframes.Scene
		most  float64
	}{
		"nothing": {qrframes.Scene{Seed: 2}, 0},
		"no code": {qrframes.Scene{Seed: 2, Subject: qrframes.Card}, 0},
		"card":    {card(2, "Mẫu|0123"), 1},
		"ruined":  {qrframes.Scene{Seed: 2, Subject: qrframes.Card, Payload: "Mẫu|0123", Damage: qrframes.Ruined}, 0},
	}
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			g := draw(t, s.scene)
			r := NewReader()
			for range 2 * fullEvery {
				read(t, r, g) // buffers grow
			}
			if n := testing.AllocsPerRun(50, func() { read(t, r, g) }); n > s.most {
				t.Errorf("%v allocations a frame, want at most %v", n, s.most)
			}
		})
	}
}
