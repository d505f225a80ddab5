package qr

import (
	"encoding/binary"
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
	if len(b.scan) == 0 { // not one block
		return
	}
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

// row lists the edges of a row, the first being from light to dark. The eight
// pixels of a block are compared at once; eight blocks without contrast cost
// hardly more than one.
func (s *scanner) row(row []byte, thresholds []uint8, left, right int) {
	if most := len(row) + 2; cap(s.edges) < most {
		s.edges = make([]int32, most)
	}
	edges := s.edges[:cap(s.edges)]
	n := 0
	dark := uint64(0)
	for bx := left; bx < right; bx++ {
		t := thresholds[bx]
		var m uint64
		switch t {
		case 0:
			if dark == 0 {
				for bx+8 < right && binary.LittleEndian.Uint64(thresholds[bx+1:]) == 0 {
					bx += 8
				}
				continue
			}
		case 255:
			if dark == 1 {
				continue
			}
			m = tops
		default:
			m = below(binary.LittleEndian.Uint64(row[bx*blockSize:]), t)
		}
		change := m ^ (m<<8 | dark<<7)
		dark = m >> 63
		for change != 0 {
			edges[n] = int32(bx*blockSize + bits.TrailingZeros64(change)>>3)
			n++
			change &= change - 1
		}
	}
	end := right * blockSize
	if right == len(thresholds) { // pixels that make no whole block
		for t := max(thresholds[right-1], 1); end < len(row); end++ {
			now := uint64(0)
			if row[end] < t {
				now = 1
			}
			if now != dark {
				edges[n] = int32(end)
				n++
				dark = now
			}
		}
	}
	edges[n] = int32(end)
	s.edges = edges[:n+1]
}

// tops are the highest bits of eight bytes.
const tops = 0x8080808080808080

// below marks, in their highest bits, those of eight bytes that are less than t.
func below(v uint64, t uint8) uint64 {
	u := uint64(uint32(t) * 0x01010101)
	u |= u << 32
	d := (v | tops) - u&^tops // the lower seven bits, without borrowing from the next byte
	return (^v&u | ^(v^u)&^d) & tops
}

// match seeks 1:1:3:1:1 among the runs of a row, dark or light in the middle.
// Runs may be off by half a module and half a pixel, the middle one by more.
func (s *scanner) match(y int32) {
	for i := 0; i+5 < len(s.edges); i++ {
		e := s.edges[i : i+6 : i+6]
		c := e[3] - e[2]
		a, f := e[1]-e[0], e[5]-e[4]
		// What follows implies the second, which most fail.
		if outer := max(a, f); c <= outer || 2*c+2 < 3*outer {
			continue
		}
		total := e[5] - e[0]
		slack := total + 6
		if off(14*a-2*total) > slack || off(14*f-2*total) > slack ||
			off(14*(e[2]-e[1])-2*total) > slack || off(14*(e[4]-e[3])-2*total) > slack ||
			off(14*c-6*total) > slack+total/2 || total < 7 {
			continue
		}
		s.raw = append(s.raw, rowHit{from: e[2], to: e[3], y: y, total: total, light: i%2 == 1})
	}
}

func off(v int32) int32 { return max(v, -v) }

// confirm looks along the column through a row hit for the same ratio. Each run
// is followed no further than a pattern allows that those before it belong to:
// bars and letters are done with at once.
func (s *scanner) confirm(g *frame.Gray, b *blocks, r *rowHit) {
	x, y := int(r.from+r.to)/2, int(r.y)
	across := int(r.total)
	c := columnOf(g, b, x)
	dark := !r.light // the middle is
	// The pattern is two fifths to five halves as high as it is wide.
	most := (20*across + 7) / 14
	up := c.run(y, -1, dark, most)
	if up == 0 || up > most || up > y {
		return
	}
	down := c.run(y+1, 1, dark, most-up)
	middle := up + down
	if middle > most || 14*middle < 8*across/5-7 || y+1+down >= g.Height {
		return
	}
	most = (7*middle + 9) / 8
	above := c.run(y-up, -1, !dark, most)
	if above > most || up+above > y {
		return
	}
	below := c.run(y+1+down, 1, !dark, most)
	if below > most || y+1+down+below >= g.Height {
		return
	}
	// The outermost runs may be cut off by the edge of the picture.
	top := c.run(y-up-above, -1, dark, most)
	bottom := c.run(y+1+down+below, 1, dark, most)
	total := middle + above + below + top + bottom
	if max(top, bottom) > most || total*5 < across*2 || total*2 > across*5 {
		return
	}
	slack := 3*total/2 + 7
	if absInt(14*middle-6*total) > slack+total/2 ||
		absInt(14*above-2*total) > slack || absInt(14*below-2*total) > slack ||
		absInt(14*top-2*total) > slack || absInt(14*bottom-2*total) > slack {
		return
	}
	s.hits = append(s.hits, hit{
		x: float32(r.from+r.to) / 2, y: float32(y) + 0.5 + float32(down+1-up)/2,
		across: float32(r.total) / 7, down: float32(total) / 7, light: r.light, row: r.y,
		contrast: b.ranges[min(y/blockSize, b.rows-1)*b.columns+min(x/blockSize, b.columns-1)],
	})
}

func absInt(v int) int { return max(v, -v) }

// column is a column of pixels with its thresholds.
type column struct {
	pix        []byte // the first is the column's
	stride     int
	height     int
	thresholds []uint8 // likewise
	columns    int
	last       int // block
}

func columnOf(g *frame.Gray, b *blocks, x int) column {
	return column{g.Pix[x:], g.Stride, g.Height, b.threshold[min(x/blockSize, b.columns-1):], b.columns, b.rows - 1}
}

// run is how many pixels in line from y on, up or down, are dark (or light): at
// most one more than limit.
func (c *column) run(y, step int, dark bool, limit int) int {
	n := 0
	for n <= limit && uint(y) < uint(c.height) {
		by := min(y/blockSize, c.last)
		t := c.thresholds[by*c.columns]
		left := y - by*blockSize + 1 // in this block
		if step > 0 {
			left = blockSize - (y - by*blockSize)
			if by == c.last {
				left = c.height - y
			}
		}
		left = min(left, limit+1-n)
		at := y * c.stride
		for range left {
			if (c.pix[at] < t) != dark {
				return n
			}
			n++
			at += step * c.stride
		}
		y += step * left
	}
	return n
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
