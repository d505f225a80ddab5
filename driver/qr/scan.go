package qr

import (
	"math/bits"

	"gateagent/driver/frame"
)

// rowStep is how many rows lie from one scanned row to the next. At 4, small
// codes are lost; at 2, a sixth more time buys next to nothing.
const rowStep = 3

// hit is a place where a row, and a column through it, show dark and light runs
// in the ratio 1:1:3:1:1 of a finder pattern.
type hit struct {
	x, y   float32
	across float32 // pixels a module along the row
	down   float32 // and along the column
	light  bool    // the pattern is light on dark ground
	row    int32   // the row that was scanned

	borneOut bool  // by the hit of another row
	contrast uint8 // of its surroundings, where that was measured
}

// rowHit is one that only the row shows yet.
type rowHit struct {
	from, to int32 // of the middle run
	y        int32
	total    int32
	light    bool
}

// scanner finds hits. Its buffers are kept.
type scanner struct {
	step  int     // from one scanned row to the next
	edges []int32 // of one row: where the colour changes
	raw   []rowHit
	hits  []hit
}

// maxRaw bounds the row hits of a picture: noise makes thousands.
const maxRaw = 20000

// find scans the rows of a window of the picture.
func (s *scanner) find(g *frame.Gray, b *blocks, w window) {
	s.raw, s.hits = s.raw[:0], s.hits[:0]
	left, right := w.left/blockSize, min((w.right+blockSize-1)/blockSize, b.columns)
	for y := w.top + s.step/2; y < w.bottom && len(s.raw) < maxRaw; y += s.step {
		by := min(y/blockSize, b.rows-1)
		s.row(g.Row(y), b.scan[by*b.columns:(by+1)*b.columns], left, right)
		s.match(int32(y))
	}
	for i := range s.raw {
		s.confirm(g, b, &s.raw[i])
	}
}

// row lists the edges of a row, the first being from light to dark. A block at
// once becomes a byte of bits; blocks without contrast cost next to nothing.
func (s *scanner) row(row []byte, thresholds []uint8, left, right int) {
	s.edges = s.edges[:0]
	dark := uint32(0)
	for bx := left; bx < right; bx++ {
		t := thresholds[bx]
		var m uint32
		switch t {
		case 0:
			if dark == 0 {
				continue
			}
		case 255:
			if dark == 1 {
				continue
			}
			m = 0xFF
		default:
			p := row[bx*blockSize:][:blockSize:blockSize]
			u := uint32(t)
			m = (uint32(p[0])-u)>>31 | (uint32(p[1])-u)>>31<<1 | (uint32(p[2])-u)>>31<<2 | (uint32(p[3])-u)>>31<<3 |
				(uint32(p[4])-u)>>31<<4 | (uint32(p[5])-u)>>31<<5 | (uint32(p[6])-u)>>31<<6 | (uint32(p[7])-u)>>31<<7
		}
		change := (m ^ (m<<1 | dark)) & 0xFF
		dark = m >> 7
		for change != 0 {
			i := bits.TrailingZeros32(change)
			s.edges = append(s.edges, int32(bx*blockSize+i))
			change &= change - 1
		}
	}
	end := right * blockSize
	if right == len(thresholds) { // pixels that make no whole block
		for t := uint32(max(thresholds[right-1], 1)); end < len(row); end++ {
			if now := (uint32(row[end]) - t) >> 31; now != dark {
				s.edges = append(s.edges, int32(end))
				dark = now
			}
		}
	}
	s.edges = append(s.edges, int32(end))
}

// match seeks 1:1:3:1:1 among the runs of a row, dark or light in the middle.
// Runs may be off by half a module and half a pixel, the middle one by more.
func (s *scanner) match(y int32) {
	e := s.edges
	for i := 0; i+5 < len(e); i++ {
		c := e[i+3] - e[i+2]
		a, f := e[i+1]-e[i], e[i+5]-e[i+4]
		if c <= a || c <= f {
			continue
		}
		total := e[i+5] - e[i]
		slack := total + 6
		if off(14*a-2*total) > slack || off(14*f-2*total) > slack ||
			off(14*(e[i+2]-e[i+1])-2*total) > slack || off(14*(e[i+4]-e[i+3])-2*total) > slack ||
			off(14*c-6*total) > slack+total/2 || total < 7 {
			continue
		}
		s.raw = append(s.raw, rowHit{from: e[i+2], to: e[i+3], y: y, total: total, light: i%2 == 1})
	}
}

func off(v int32) int32 { return max(v, -v) }

// confirm looks along the column through a row hit for the same ratio.
func (s *scanner) confirm(g *frame.Gray, b *blocks, r *rowHit) {
	x, y := int(r.from+r.to)/2, int(r.y)
	limit := int(r.total)*5/2 + 3
	up, ok := arm(g, b, x, y, -1, r.light, limit)
	if !ok {
		return
	}
	down, ok := arm(g, b, x, y, 1, r.light, limit)
	if !ok {
		return
	}
	total := up[2] + down[2] - 1
	if total*5 < int(r.total)*2 || total*2 > int(r.total)*5 {
		return
	}
	slack := 3*total/2 + 7
	middle := up[0] + down[0] - 1
	if absInt(14*middle-6*total) > slack+total/2 {
		return
	}
	for _, run := range [...]int{up[1] - up[0], up[2] - up[1], down[1] - down[0], down[2] - down[1]} {
		if absInt(14*run-2*total) > slack {
			return
		}
	}
	s.hits = append(s.hits, hit{
		x: float32(r.from+r.to) / 2, y: float32(y) + 0.5 + float32(down[0]-up[0])/2,
		across: float32(r.total) / 7, down: float32(total) / 7, light: r.light, row: r.y,
		contrast: b.ranges[min(y/blockSize, b.rows-1)*b.columns+min(x/blockSize, b.columns-1)],
	})
}

func absInt(v int) int { return max(v, -v) }

// arm walks from a pixel up or down through the three runs of half a finder
// pattern and gives where each ends, in pixels from the start.
func arm(g *frame.Gray, b *blocks, x, y, step int, light bool, limit int) (ends [3]int, ok bool) {
	at := y*g.Stride + x
	bx := min(x/blockSize, b.columns-1)
	want := !light // dark in the middle
	n := 0
	for i := range ends {
		for {
			if y < 0 || y >= g.Height {
				if i == 2 {
					break // cut off by the edge, at the outer run
				}
				return ends, false
			}
			t := b.threshold[min(y/blockSize, b.rows-1)*b.columns+bx]
			if (g.Pix[at] < t) != want {
				break
			}
			if n++; n > limit {
				return ends, false
			}
			y += step
			at += step * g.Stride
		}
		ends[i] = n
		want = !want
	}
	return ends, ends[0] > 0 && ends[1] > ends[0] && ends[2] > ends[1]
}

// window is a part of a picture, in whole pixels.
type window struct{ left, top, right, bottom int }

func (w window) clip(g *frame.Gray) window {
	return window{max(w.left, 0), max(w.top, 0), min(w.right, g.Width), min(w.bottom, g.Height)}
}

// holds says whether a place is in the window.
func (w window) holds(x, y float32) bool {
	return x >= float32(w.left) && x < float32(w.right) && y >= float32(w.top) && y < float32(w.bottom)
}
