package qr

import (
	"math"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/symbology"
)

// The fuzz targets here give each stage what the one before it might, at worst.
// FuzzRead, FuzzEdges and those of symbology complete them.

// material makes the numbers of a fuzz target from its bytes; used up, it gives
// zeros.
type material []byte

func (m *material) byte() byte {
	if len(*m) == 0 {
		return 0
	}
	b := (*m)[0]
	*m = (*m)[1:]
	return b
}

// number is between -limit and limit.
func (m *material) number(limit float32) float32 {
	return limit * float32(int16(uint16(m.byte())<<8|uint16(m.byte()))) / (1 << 15)
}

// module is a module size as finders have: from a quarter of a pixel to a
// thousand.
func (m *material) module() float32 {
	return float32(math.Exp2(float64(m.byte())/255*12 - 2))
}

// finder lies in a picture or somewhat outside.
func (m *material) finder(g *frame.Gray) finder {
	f := finder{x: float32(g.Width)/2 + m.number(float32(g.Width)), y: float32(g.Height)/2 + m.number(float32(g.Height)), module: m.module()}
	b := m.byte()
	f.light, f.lines, f.seen = b&1 != 0, int(b>>1)%(rayLines+1), int(b>>4)
	return f
}

// window need not lie in the picture, nor hold anything.
func (m *material) window() window {
	n := func() int { return int(m.number(400)) }
	return window{n(), n(), n(), n()}
}

// tiled is a picture of at most 256 pixels a side, and not a byte longer than it
// has to be, of square tiles: few bytes make a picture that keeps stages busy.
func tiled(tile []byte, width, height, pad uint8) *frame.Gray {
	g := &frame.Gray{Width: int(width) + 1, Height: int(height) + 1}
	g.Stride = g.Width + int(pad)
	g.Pix = make([]byte, (g.Height-1)*g.Stride+g.Width)
	if side := int(math.Sqrt(float64(len(tile)))); side > 0 {
		for y := range g.Height {
			for x := range g.Width {
				g.Pix[y*g.Stride+x] = tile[y%side*side+x%side]
			}
		}
	}
	return g
}

// seedPictures adds fields of finder patterns, noise and less, with bytes for what
// else a target wants.
func seedPictures(f *testing.F) {
	tile := make([]byte, 9*9)
	for i := range tile {
		if d := max(absInt(i%9-4), absInt(i/9-4)); d > 3 || d == 2 {
			tile[i] = 255
		}
	}
	numbers := []byte("\x05\x10\xF3\x22\x90\x31\x0A\x77\xC0\x58\x10\x9C\xEE\x20\x41\xD3\x62\x18\x8F\x34")
	f.Add(tile, uint8(80), uint8(80), uint8(0), numbers)
	f.Add(tile, uint8(80), uint8(200), uint8(3), numbers[7:])
	f.Add(noise(6, 12, 12).Pix, uint8(199), uint8(140), uint8(9), numbers[3:])
	f.Add([]byte{0, 255, 0, 255}, uint8(0), uint8(0), uint8(1), numbers[:4])
	f.Add([]byte{}, uint8(30), uint8(7), uint8(0), []byte{})
}

func finite(v ...float32) bool {
	for _, v := range v {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}

// bounded holds what a reader spent against its budgets.
func bounded(t *testing.T, r *reader) {
	t.Helper()
	// A patch is counted once it is cut.
	if min(r.tries, r.fits, r.bends, r.efforts, r.looks, min(r.pixels, r.sought)+maxPatch) < 0 {
		t.Fatalf("spent too much: left are %d triples, %d fits, %d bent ones, %d efforts, %d pixels to prepare, %d and %d of patches",
			r.tries, r.fits, r.bends, r.efforts, r.looks, r.pixels, r.sought)
	}
	if len(r.kept) > maxPairUp || len(r.triples) > maxTriples || len(r.finders) > maxFinders || len(r.hopeless) > maxHopeless {
		t.Fatalf("%d finders kept, %d triples, %d finders, %d hopeless", len(r.kept), len(r.triples), len(r.finders), len(r.hopeless))
	}
	for _, s := range [...]*scanner{&r.scanner, &r.close} {
		if len(s.raw) > maxRaw+len(s.edges) || len(s.hits) > len(s.raw) {
			t.Fatalf("%d row hits, %d hits", len(s.raw), len(s.hits))
		}
	}
}

// FuzzBlocks: thresholds lie between the darkest and the lightest pixel.
func FuzzBlocks(f *testing.F) {
	seedPictures(f)
	var b blocks
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, _ []byte) {
		g := tiled(pix, width, height, pad)
		b.of(g)
		lo, hi := uint8(255), uint8(0)
		for y := range g.Height {
			for _, v := range g.Row(y) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
		for i, v := range b.threshold {
			if v < lo || v > hi || b.mean[i] < lo || b.mean[i] > hi || b.ranges[i] > hi-lo {
				t.Fatalf("block %d: threshold %d, mean %d, range %d of pixels from %d to %d", i, v, b.mean[i], b.ranges[i], lo, hi)
			}
			if s := b.scan[i]; s != 0 && s != 255 && s != max(v, 1) {
				t.Fatalf("block %d is scanned at %d, its threshold is %d", i, s, v)
			}
		}
		if b.gate < leastRange {
			t.Fatalf("gate at %d", b.gate)
		}
	})
}

// FuzzScan: what rows, columns and lines find lies in the picture and has a size.
func FuzzScan(f *testing.F) {
	seedPictures(f)
	var b blocks
	var s scanner
	var found []finder
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, width, height, pad)
		m := material(numbers)
		fine := m.byte()&1 != 0
		if fine {
			s.findFine(g)
		} else {
			b.of(g)
			s.step = 1 + int(m.byte()%40)
			s.find(g, &b, m.window().clip(g))
		}
		if len(s.raw) > maxRaw+g.Width || len(s.hits) > len(s.raw) {
			t.Fatalf("%d row hits, %d hits", len(s.raw), len(s.hits))
		}
		for _, h := range s.hits {
			if !(h.x >= 0 && h.y >= 0 && h.x <= float32(g.Width) && h.y <= float32(g.Height) && h.across > 0 && h.down > 0) {
				t.Fatalf("hit %+v in %d×%d", h, g.Width, g.Height)
			}
		}
		found = gather(found, g, s.hits, goodLines)
		checkFinders(t, g, found)
	})
}

func checkFinders(t *testing.T, g *frame.Gray, found []finder) {
	t.Helper()
	if len(found) > maxFinders {
		t.Fatalf("%d finders", len(found))
	}
	for _, f := range found {
		far := 4 * f.module
		if !(f.module > 0 && f.x >= -far && f.y >= -far && f.x <= float32(g.Width)+far && f.y <= float32(g.Height)+far) || !finite(f.module) {
			t.Fatalf("finder %+v in %d×%d", f, g.Width, g.Height)
		}
	}
}

// FuzzRays looks for a finder where there need be none.
func FuzzRays(f *testing.F) {
	seedPictures(f)
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, max(width, 1), max(height, 1), pad)
		m := material(numbers)
		h := hit{x: float32(g.Width) * (m.number(0.5) + 0.5), y: float32(g.Height) * (m.number(0.5) + 0.5)}
		h.across, h.down, h.light = m.module(), m.module(), m.byte()&1 != 0
		if f, ok := examine(g, &h, goodLinesPrepared); ok {
			checkFinders(t, g, []finder{f})
		}
		x, y := m.number(500), m.number(500)
		s, c := math.Sincos(float64(m.number(math.Pi)))
		if r, ok := cast(g, x, y, float32(c), float32(s), m.module(), h.light); ok && (!finite(r.module, r.shift) || r.module <= 0) {
			t.Fatalf("ray %+v", r)
		}
	})
}

// FuzzTriples takes any finders for those of codes, three and two.
func FuzzTriples(f *testing.F) {
	seedPictures(f)
	r := NewReader().(*reader)
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, max(width, leastSide), max(height, leastSide), pad)
		m := material(numbers)
		r.codes, r.ways, r.kept, r.hopeless, r.finders = r.codes[:0], r.ways[:0], r.kept[:0], r.hopeless[:0], r.finders[:0]
		for len(m) > 0 && len(r.finders) < maxFinders {
			r.finders = append(r.finders, m.finder(g))
		}
		r.allow(g)
		r.keep(r.finders, 1, 0, 0)
		r.triples = triplesOf(r.triples, g, r.finders)
		for _, tr := range r.triples {
			if !(tr.n >= 17 && tr.n <= 190) || !finite(tr.flaw) {
				t.Fatalf("triple of %v modules, flaw %v", tr.n, tr.flaw)
			}
		}
		r.readTriples(g, way{})
		r.readPairs(g)
		bounded(t, r)
	})
}

// FuzzModel fits models of any version to any quad, bends and samples them.
func FuzzModel(f *testing.F) {
	seedPictures(f)
	r := NewReader().(*reader)
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, max(width, 20), max(height, 20), pad)
		n := material(numbers)
		p, fit := &r.fitter.patch, &r.fitter
		light := n.byte()&1 != 0
		module := n.module()
		w := window{0, 0, g.Width, g.Height}
		if n.byte()&1 != 0 {
			w = n.window()
		}
		if !p.cut(g, w, module, keepToRead, light) {
			return
		}
		p.takeLight()
		version := 1 + int(n.byte())%symbology.MaxVersion
		tr := triple{corner: n.finder(g), right: n.finder(g), lower: n.finder(g), n: float32(symbology.Size(version))}
		m, _ := fit.trust(&tr, version, [2]float32{n.number(1), n.number(1)})
		expected := int(n.byte()%2) * version
		settle := fit.fit
		if n.byte()&1 != 0 {
			settle = fit.guessed
		}
		tr.recede = [2]float32{n.number(1), n.number(1)}
		fit.guess(&tr, expected)
		if fitted, score := settle(); score > 0 {
			m = fitted
		}
		for i := range m.quad {
			m.quad[i][0] += n.number(60)
			m.quad[i][1] += n.number(60)
		}
		if !m.solve() {
			return
		}
		scores := []float32{fit.corner(&m), fit.refine(&m), fit.restScore(&m)}
		if version >= meshVersion {
			scores = append(scores, fit.bendTo(&m))
		}
		if !finite(scores...) {
			t.Fatalf("scores %v of %+v", scores, m)
		}
		far := m.farOf()
		if !finite(far[0], far[1]) {
			t.Fatalf("far corner %v of %+v", far, m)
		}
		r.sampler.take(p, &m, n.byte()&1 != 0)
		template := r.decoder.Template(version)
		r.equaliser.load(&r.sampler)
		for round := range 2 {
			r.equaliser.train(&r.sampler, template, round == 0)
		}
		sharp := sharpenings[int(n.byte())%len(sharpenings)]
		r.sampler.sharpen(sharp.k, sharp.reach)
		if !finite(r.sampler.value...) || !finite(r.sampler.dark...) {
			t.Fatalf("modules of %+v are no numbers", m)
		}
		if s := r.sampler.figures(template, light); math.IsNaN(s.Blur + s.Contrast + s.Light) {
			t.Fatalf("figures %+v", s)
		}
		r.codeOf(&m, light)
	})
}

// FuzzPlaces takes any parts of a picture for places worth the second stage.
func FuzzPlaces(f *testing.F) {
	seedPictures(f)
	r := NewReader().(*reader)
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, max(width, leastSide), max(height, leastSide), pad)
		m := material(numbers)
		r.codes, r.ways, r.kept, r.hopeless = r.codes[:0], r.ways[:0], r.kept[:0], r.hopeless[:0]
		r.allow(g)
		r.first.of(g)
		r.scanner.step = rowStep
		r.scanner.find(g, &r.first, window{0, 0, g.Width, g.Height})
		r.look(g, m.window().clip(g), m.module(), preparations[:])
		r.kept = r.kept[:0]
		for range int(m.byte() % 4) {
			r.keep([]finder{m.finder(g)}, 1, 0, 0)
		}
		r.second(g)
		bounded(t, r)
		for _, v := range r.evidence.around {
			if v < 0 {
				t.Fatal("evidence is less than none")
			}
		}
	})
}

// FuzzScale: shrunk and enlarged pictures stay within the lightest and darkest
// pixel.
func FuzzScale(f *testing.F) {
	seedPictures(f)
	var to frame.Gray
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		m := material(numbers)
		k := 2 + int(m.byte()%3)
		g := tiled(pix, max(width, uint8(k)), max(height, uint8(k)), pad)
		lo, hi := uint8(255), uint8(0)
		for y := range g.Height {
			for _, v := range g.Row(y) {
				lo, hi = min(lo, v), max(hi, v)
			}
		}
		for _, scale := range []func(){
			func() { shrink(&to, g, k) },
			func() { enlarge(&to, g, min(k, 3)) }, // it knows two and three
		} {
			scale()
			for _, v := range to.Pix {
				if v < lo || v > hi {
					t.Fatalf("%d in a picture from %d to %d", v, lo, hi)
				}
			}
		}
	})
}

// FuzzTracks remembers any code of an earlier frame, found in any way, and reads
// some frames.
func FuzzTracks(f *testing.F) {
	seedPictures(f)
	f.Fuzz(func(t *testing.T, pix []byte, width, height, pad uint8, numbers []byte) {
		g := tiled(pix, max(width, leastSide), max(height, leastSide), pad)
		m := material(numbers)
		r := NewReader().(*reader)
		for range 1 + m.byte()%maxTracks {
			tr := track{place: m.window(), module: m.module(), version: 1 + int(m.byte())%symbology.MaxVersion, inverted: m.byte()&1 != 0}
			tr.way = way{
				shrink: [...]int{0, 1, 2, 4, 8}[m.byte()%5], prepared: int(m.byte()) % (len(preparations) + 1),
				far: [2]float32{m.number(3), m.number(3)}, sharpening: int(m.byte()) % len(sharpenings),
			}
			r.tracker.tracks = append(r.tracker.tracks, tr)
		}
		r.tracker.width, r.tracker.height = g.Width, g.Height
		for range 2 {
			if _, err := r.Read(g); err != nil {
				t.Fatal(err)
			}
			bounded(t, r)
			if r.expected != nil || len(r.tracker.tracks) > maxTracks || len(r.codes) != len(r.ways) && len(r.ways) != 0 {
				t.Fatalf("%d tracks, %d codes found in %d ways", len(r.tracker.tracks), len(r.codes), len(r.ways))
			}
			for i := range g.Pix { // and then another
				g.Pix[i] ^= m.byte()
			}
		}
	})
}
