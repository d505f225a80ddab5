package qr

import (
	"flag"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

var update = flag.Bool("update", false, "draw the pictures of README.md anew")

// TestStages reads one frame stage by stage, and draws what each stage sees
// where asked to: the pictures of README.md.
func TestStages(t *testing.T) {
	var g frame.Gray
	scene := qrframes.Scene{
		Seed: 11, Subject: qrframes.Card, Payload: "001099000000||Nguyễn Thị Thử|01011999|Nữ|Số 1, Tỉnh Mẫu|02022022",
		View: qrframes.View{
			Width: 640, Height: 360, ModulePixels: 3, X: 0.62, Y: 0.45, Roll: 14, Yaw: 20, Pitch: -12,
			Blur: 0.9, Noise: 5, Light: 0.8, Slope: 0.3,
		},
	}
	if err := qrframes.NewRenderer().Render(scene, &g); err != nil {
		t.Fatal(err)
	}
	r := NewReader().(*reader)
	r.first.of(&g)
	r.scanner.step = rowStep
	r.scanner.find(&g, &r.first, window{0, 0, g.Width, g.Height})
	hits := append([]hit(nil), r.scanner.hits...)
	found := gather(nil, &g, r.scanner.hits, goodLines)
	triples := triplesOf(nil, &g, found)
	if len(triples) == 0 {
		t.Fatalf("%d row hits, %d hits, %d finders, no triple", len(r.scanner.raw), len(hits), len(found))
	}
	tr := &triples[0]
	module := (tr.corner.module + tr.right.module + tr.lower.module) / 3
	if !r.fitter.patch.cut(&g, tr.window(module, false), module, keepToRead, tr.corner.light) {
		t.Fatal("no patch")
	}
	r.fitter.patch.takeLight()
	r.fitter.guess(tr, 0)
	m, score := r.fitter.fit()
	if score < wellPlaced {
		t.Errorf("the model fits by %.2f", score)
	}
	if s, ok := r.decodeAs(&m, sharpenings[:], take); !ok || string(s.Text) != scene.Payload {
		t.Errorf("read %q", s.Text)
	}
	if *update {
		drawStages(t, &g, r, hits, found, &m)
	}
}

func drawStages(t *testing.T, g *frame.Gray, r *reader, hits []hit, found []finder, m *model) {
	red, green, blue := color.RGBA{220, 30, 30, 255}, color.RGBA{0, 150, 0, 255}, color.RGBA{30, 80, 230, 255}
	grey := &image.Gray{Pix: g.Pix, Stride: g.Stride, Rect: image.Rect(0, 0, g.Width, g.Height)}
	save := func(name string, img image.Image) {
		f, err := os.Create(filepath.Join("doc", name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := png.Encode(f, img); err != nil {
			t.Fatal(err)
		}
	}
	paint := func() *image.RGBA {
		img := image.NewRGBA(grey.Rect)
		imagedraw.Draw(img, grey.Rect, grey, image.Point{}, imagedraw.Src)
		return img
	}
	circle := func(img *image.RGBA, x, y, radius float32, c color.RGBA) {
		for a := range 180 {
			s, k := math.Sincos(float64(a) * math.Pi / 90)
			img.SetRGBA(int(x+radius*float32(k)), int(y+radius*float32(s)), c)
		}
	}
	save("1-frame.png", grey)

	threshold := image.NewGray(grey.Rect)
	for y := range g.Height {
		for x := range g.Width {
			b := &r.first
			if g.Pix[y*g.Stride+x] >= b.scan[min(y/blockSize, b.rows-1)*b.columns+min(x/blockSize, b.columns-1)] {
				threshold.Pix[y*threshold.Stride+x] = 255
			}
		}
	}
	save("2-threshold.png", threshold)

	img := paint()
	for i := range r.scanner.raw {
		h := &r.scanner.raw[i]
		for x := h.from; x < h.to; x++ {
			img.SetRGBA(int(x), int(h.y), blue)
		}
	}
	for i := range hits {
		circle(img, hits[i].x, hits[i].y, 4, red)
	}
	save("3-hits.png", img)

	img = paint()
	for i := range found {
		for _, ring := range []float32{1.5, 2.5, 3.5} {
			circle(img, found[i].x, found[i].y, ring*found[i].module, green)
		}
	}
	save("4-finders.png", img)

	p := &r.fitter.patch
	light := image.NewRGBA(image.Rect(0, 0, 3*p.w, 3*p.h))
	for y := range 3 * p.h {
		for x := range 3 * p.w {
			v := uint8(128 - 60*p.norm[y/3*p.w+x/3])
			light.SetRGBA(x, y, color.RGBA{v, v, v, 255})
		}
	}
	for _, q := range r.fitter.marksOf((m.n - 17) / 4).points {
		x, y := m.place(q.x, q.y)
		c := red
		if q.sign > 0 {
			c = green
		}
		for d := range 4 {
			light.SetRGBA(int(3*x)+d%2, int(3*y)+d/2, c)
		}
	}
	save("5-model.png", light)

	const cell = 6
	modules := image.NewGray(image.Rect(0, 0, m.n*cell, m.n*cell))
	for y := range m.n * cell {
		for x := range m.n * cell {
			modules.Pix[y*modules.Stride+x] = uint8(min(max(128-r.sampler.dark[y/cell*m.n+x/cell], 0), 255))
		}
	}
	save("6-modules.png", modules)
}
