package qr

import (
	"encoding/binary"
	"math/bits"

	"gateagent/driver/frame"
)

// Places in a prepared picture are found finer than a pixel: in sixteenths.
const (
	fineBits = 4
	fineUnit = 1 << fineBits
)

// findFine scans every row of a prepared picture for finder patterns. Edges are
// where the brightness, going straight from pixel to pixel, crosses the middle.
func (s *scanner) findFine(g *frame.Gray) {
	s.raw, s.hits = s.raw[:0], s.hits[:0]
	for y := range g.Height {
		if len(s.raw) >= maxRaw {
			break
		}
		s.fineRow(g.Row(y))
		s.matchFine(int32(y))
	}
	for i := range s.raw {
		s.confirmFine(g, &s.raw[i])
	}
}

// fineRow lists the edges of a row, the first from light to dark. A pixel is
// dark where its highest bit is not set.
func (s *scanner) fineRow(row []byte) {
	if most := len(row) + 2; cap(s.edges) < most {
		s.edges = make([]int32, most)
	}
	edges := s.edges[:cap(s.edges)]
	n := 0
	if row[0] < preparedMiddle {
		edges[n] = 0
		n++
	}
	dark := uint64(row[0]>>7) ^ 1
	x := 0
	edge := func(x int) {
		before, here := int32(row[x-1]), int32(row[x])
		edges[n] = int32(x)*fineUnit + fineUnit/2 - (preparedMiddle-here)*fineUnit/(before-here)
		n++
	}
	for ; x+8 <= len(row); x += 8 {
		m := ^binary.LittleEndian.Uint64(row[x:]) & tops
		change := m ^ (m<<8 | dark<<7)
		dark = m >> 63
		for change != 0 {
			edge(x + bits.TrailingZeros64(change)>>3)
			change &= change - 1
		}
	}
	for ; x < len(row); x++ {
		if now := uint64(row[x]>>7) ^ 1; now != dark {
			edge(x)
			dark = now
		}
	}
	edges[n] = int32(len(row)) * fineUnit
	s.edges = edges[:n+1]
}

// matchFine is match for edges in sixteenths.
func (s *scanner) matchFine(y int32) {
	e := s.edges
	for i := 0; i+5 < len(e); i++ {
		c := e[i+3] - e[i+2]
		a, f := e[i+1]-e[i], e[i+5]-e[i+4]
		if c <= a || c <= f {
			continue
		}
		total := e[i+5] - e[i]
		slack := total + 5*fineUnit
		if off(14*a-2*total) > slack || off(14*f-2*total) > slack ||
			off(14*(e[i+2]-e[i+1])-2*total) > slack || off(14*(e[i+4]-e[i+3])-2*total) > slack ||
			off(14*c-6*total) > slack+total/2 || total < 6*fineUnit {
			continue
		}
		s.raw = append(s.raw, rowHit{from: e[i+2], to: e[i+3], y: y, total: total, light: i%2 == 1})
	}
}

// confirmFine looks along the column through a row hit.
func (s *scanner) confirmFine(g *frame.Gray, r *rowHit) {
	x, y := int(r.from+r.to)>>(fineBits+1), int(r.y)
	limit := int(r.total)*5/2>>fineBits + 3
	up, ok := armFine(g, x, y, -1, r.light, limit)
	if !ok {
		return
	}
	down, ok := armFine(g, x, y, 1, r.light, limit)
	if !ok {
		return
	}
	total := up[2] + down[2]
	if total*5 < r.total*2 || total*2 > r.total*5 {
		return
	}
	slack := 3*total/2 + 6*fineUnit
	if off(14*(up[0]+down[0])-6*total) > slack+total/2 {
		return
	}
	for _, run := range [...]int32{up[1] - up[0], up[2] - up[1], down[1] - down[0], down[2] - down[1]} {
		if off(14*run-2*total) > slack {
			return
		}
	}
	const unit = 1 / float32(fineUnit)
	s.hits = append(s.hits, hit{
		x: float32(r.from+r.to) / 2 * unit, y: float32(y) + 0.5 + float32(down[0]-up[0])/2*unit,
		across: float32(r.total) / 7 * unit, down: float32(total) / 7 * unit, light: r.light, row: r.y,
	})
}

// armFine is arm in sixteenths, from the middle of the pixel.
func armFine(g *frame.Gray, x, y, step int, light bool, limit int) (ends [3]int32, ok bool) {
	at := y*g.Stride + x
	before := int32(g.Pix[at])
	want := !light // dark in the middle
	if (before < preparedMiddle) != want {
		return ends, false
	}
	n := 0
	for i := range ends {
		for {
			y += step
			n++
			if n > limit {
				return ends, false
			}
			if y < 0 || y >= g.Height {
				if i < 2 {
					return ends, false
				}
				ends[i] = int32(n)*fineUnit - fineUnit/2
				break
			}
			at += step * g.Stride
			here := int32(g.Pix[at])
			if (here < preparedMiddle) != want {
				ends[i] = int32(n)*fineUnit - (preparedMiddle-here)*fineUnit/(before-here)
				before = here
				break
			}
			before = here
		}
		want = !want
	}
	return ends, true
}
