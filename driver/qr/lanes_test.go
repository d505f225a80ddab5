package qr

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/driver/frame"
)

// noise is a picture of random pixels.
func noise(seed uint64, w, h int) *frame.Gray {
	r := rand.New(rand.NewPCG(seed, seed))
	g := frame.New(w, h)
	for i := range g.Pix {
		g.Pix[i] = byte(r.Uint32())
	}
	return g
}

func TestLanesOfBytes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 20000 {
		a, b := r.Uint64(), r.Uint64()
		if r.IntN(2) == 0 {
			b = a ^ b&r.Uint64()&r.Uint64() // many bytes alike
		}
		hi, lo := spread(a&lanes, b&lanes)
		limit := uint8(r.Uint32())
		var want uint64
		for i := range 8 {
			p, q := uint8(a>>(8*i)), uint8(b>>(8*i))
			if i%2 == 0 && (uint8(hi>>(8*i)) != max(p, q) || uint8(lo>>(8*i)) != min(p, q)) {
				t.Fatalf("spread of %x and %x: %x and %x", a, b, hi, lo)
			}
			if p < limit {
				want |= 0x80 << (8 * i)
			}
		}
		if got := below(a, limit); got != want {
			t.Fatalf("below(%x, %d) is %x, want %x", a, limit, got, want)
		}
	}
}

func TestBlocksSampleTwoRows(t *testing.T) {
	g := noise(2, 83, 61)
	var b blocks
	b.of(g)
	for by := range b.rows {
		for bx := range b.columns {
			sum, lo, hi := 0, 255, 0
			for x := range blockSize {
				for _, y := range [...]int{2, 5} {
					v := int(g.Row(by*blockSize + y)[bx*blockSize+x])
					sum += v
					if (x%2 == 0) == (y == 2) {
						lo, hi = min(lo, v), max(hi, v)
					}
				}
			}
			at := by*b.columns + bx
			if int(b.mean[at]) != sum/16 || int(b.ranges[at]) != hi-lo {
				t.Fatalf("block (%d, %d): mean %d, range %d, want %d and %d", bx, by, b.mean[at], b.ranges[at], sum/16, hi-lo)
			}
		}
	}
}

// TestEdgesOfRows compares with a row that is looked at pixel by pixel.
// TestThresholdOfWhatShowsContrast has stripes that meet a wide, bright ground: it
// must not lift their threshold.
func TestThresholdOfWhatShowsContrast(t *testing.T) {
	const side, corner = 160, 80
	g := frame.New(side, side)
	for y := range side {
		for x := range side {
			g.Pix[y*side+x] = 240
			if x < corner && y < corner && x%4 < 2 {
				g.Pix[y*side+x] = 40
			}
		}
	}
	var b blocks
	b.of(g)
	for y := range b.rows {
		for x := range b.columns {
			want := uint8(240)
			if near := corner/blockSize + 2; x < near && y < near {
				want = (240 + 40) / 2
			}
			if got := b.threshold[y*b.columns+x]; got != want {
				t.Errorf("block (%d, %d): %d, want %d", x, y, got, want)
			}
		}
	}
}

func TestEdgesOfRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	var s scanner
	for range 500 {
		g := noise(r.Uint64(), 17+r.IntN(300), 1)
		thresholds := make([]uint8, g.Width/blockSize)
		for i := range thresholds {
			thresholds[i] = [...]uint8{0, 0, 0, 255, uint8(1 + r.IntN(254))}[r.IntN(5)]
			if i > 0 && r.IntN(2) == 0 {
				thresholds[i] = thresholds[i-1]
			}
		}
		var want []int32
		dark := false
		for x, v := range g.Row(0) {
			threshold := thresholds[min(x/blockSize, len(thresholds)-1)]
			if x >= len(thresholds)*blockSize {
				threshold = max(threshold, 1)
			}
			now := v < threshold || threshold == 255 && x < len(thresholds)*blockSize
			if now != dark {
				want = append(want, int32(x))
				dark = now
			}
		}
		want = append(want, int32(g.Width))
		s.row(g.Row(0), thresholds, 0, len(thresholds))
		if !slices.Equal(s.edges, want) {
			t.Fatalf("edges %v, want %v", s.edges, want)
		}
	}
}

func TestLightIsMeanAndDeviation(t *testing.T) {
	const w, h, reach = 90, 70, 13
	r := rand.New(rand.NewPCG(4, 4))
	plane := make([]float32, w*h)
	for y := range h {
		for x := range w { // a slope, and modules on it
			plane[y*w+x] = float32(x+y) + 40*float32((x/3+y/3)%2) + 4*r.Float32()
		}
	}
	var l light
	l.measure(plane, w, h, reach)
	for _, at := range [...][2]int{{45, 35}, {30, 30}, {60, 41}} {
		var sum, sq float64
		for y := at[1] - reach; y <= at[1]+reach; y++ {
			for x := at[0] - reach; x <= at[0]+reach; x++ {
				v := float64(plane[y*w+x])
				sum += v
				sq += v * v
			}
		}
		n := float64((2*reach + 1) * (2*reach + 1))
		mean := sum / n
		deviation := math.Sqrt(sq/n - mean*mean)
		m, s := l.at(float32(at[0])+0.5, float32(at[1])+0.5)
		if math.Abs(float64(m)-mean) > 2 || math.Abs(1/float64(s)-normFloor-deviation) > 2 {
			t.Errorf("at %v: mean %.1f, deviation %.1f, want %.1f and %.1f", at, m, 1/s-normFloor, mean, deviation)
		}
		// Along a row it is the same as at a place.
		means, scales := l.along(at[1])
		if math.Abs(float64(means[at[0]]-m)) > 0.01 || math.Abs(float64(scales[at[0]]-s)) > 1e-4 {
			t.Errorf("at %v: along the row %.2f and %.4f, at the place %.2f and %.4f", at, means[at[0]], scales[at[0]], m, s)
		}
	}
}

func TestProfilesAgreeWithBilinear(t *testing.T) {
	g := noise(5, 64, 48)
	to := make([]float32, 21)
	for _, light := range []bool{false, true} {
		lo, hi := profileOf(g, to, 11.3, 9.8, 1.7, 0.9, light)
		for i, got := range to {
			want := bilinear(g, 11.3+1.7*float32(i), 9.8+0.9*float32(i))
			if light {
				want = 255 - want
			}
			if math.Abs(float64(got-want)) > 2 || got < lo || got > hi {
				t.Fatalf("place %d is %.1f, want %.1f, within %.1f to %.1f", i, got, want, lo, hi)
			}
		}
	}
}

// FuzzEdges holds the scan of any row against what it may give.
func FuzzEdges(f *testing.F) {
	f.Add(binary.LittleEndian.AppendUint64(nil, 0x00FF00FF00FF00FF), uint8(128))
	f.Fuzz(func(t *testing.T, row []byte, threshold uint8) {
		if len(row) < blockSize || len(row) > 1<<12 {
			t.Skip("no row")
		}
		thresholds := make([]uint8, len(row)/blockSize)
		for i := range thresholds {
			thresholds[i] = threshold * uint8(i%3)
		}
		var s scanner
		s.row(row, thresholds, 0, len(thresholds))
		before := int32(-1)
		for _, e := range s.edges[:len(s.edges)-1] {
			if e <= before || int(e) >= len(row) {
				t.Fatalf("edges %v of %d pixels", s.edges, len(row))
			}
			before = e
		}
		s.match(0)
	})
}
