package qr

import (
	"encoding/binary"

	"gateagent/driver/frame"
)

// blockSize is the side of the squares, in pixels, that share a threshold.
const blockSize = 8

// Limits of the contrast gate, in grey levels.
const (
	leastRange  = 16  // between the lightest and the darkest pixel of a block worth scanning
	noiseFactor = 1.5 // of the range that blocks without a picture have, from noise alone
	flatMargin  = 8   // a flat block is dark if it is so far below its surroundings
)

// blocks is the locally adaptive threshold of a picture: the mean of those of the
// 5×5 blocks about each that show contrast, of all where none does. Flat ones tell
// nothing of what lies between dark and light: the quiet zone about the corner of a
// dense code would lift the threshold above its blurred light modules. In scan,
// blocks without contrast are all light or all dark, so that noise on a wall makes
// no runs.
type blocks struct {
	columns, rows int
	mean          []uint8
	threshold     []uint8  // of every block
	scan          []uint8  // the same, gated: 0 all light, 255 all dark
	gate          int      // grey levels
	sums          []uint32 // scratch
	ranges        []uint8
}

// Rest pixels at the right and lower edge belong to the last block.
func (b *blocks) of(g *frame.Gray) {
	b.columns, b.rows = g.Width/blockSize, g.Height/blockSize
	n := b.columns * b.rows
	if cap(b.mean) < n {
		b.mean, b.threshold = make([]uint8, n), make([]uint8, n)
		b.scan, b.ranges = make([]uint8, n), make([]uint8, n)
	}
	b.mean, b.threshold, b.scan, b.ranges = b.mean[:n], b.threshold[:n], b.scan[:n], b.ranges[:n]
	if m := b.columns + 1; cap(b.sums) < m {
		b.sums = make([]uint32, m)
	}
	b.means(g)
	b.measureGate()
	b.smooth()
	b.closeGate()
}

// means samples two rows of each block: over the 5×5 blocks of a threshold they
// are enough, and memory is read once less. Eight pixels are added at once, in
// lanes of 16 bits. The range is that of every other pixel of the two.
func (b *blocks) means(g *frame.Gray) {
	for by := range b.rows {
		out, ranges := b.mean[by*b.columns:(by+1)*b.columns], b.ranges[by*b.columns:(by+1)*b.columns]
		at := by * blockSize * g.Stride
		upper := g.Pix[at+2*g.Stride:][:len(out)*blockSize]
		lower := g.Pix[at+5*g.Stride:][:len(out)*blockSize]
		ranges = ranges[:len(out)]
		for bx := range out {
			p, q := binary.LittleEndian.Uint64(upper[bx*blockSize:]), binary.LittleEndian.Uint64(lower[bx*blockSize:])
			even, odd := p&lanes, q>>8&lanes
			sum := even + odd + p>>8&lanes + q&lanes
			sum += sum >> 32
			out[bx] = uint8((uint32(sum&0xFFFF) + uint32(sum>>16&0xFFFF)) >> 4)
			// Both ends in one word: the largest, and 255 less the smallest.
			hi, lo := spread(even, odd)
			lo ^= lanes
			m := largest(hi&low32|lo<<32, hi>>32|lo&^low32)
			m = largest(m, m>>16)
			ranges[bx] = uint8(m + m>>32 - 255)
		}
	}
}

const (
	lanes = 0x00FF00FF00FF00FF // bytes in lanes of 16 bits
	ones  = 0x0001000100010001
	low32 = 1<<32 - 1
)

// spread gives the larger and the smaller of each two bytes in lanes of 16 bits.
func spread(a, b uint64) (hi, lo uint64) {
	d := a | ones<<8 - b // bit 8 of a lane is set where a is not the smaller
	m := d >> 8 & ones
	d &= m<<8 - m
	return b + d, a - d
}

// largest is the first half of spread.
func largest(a, b uint64) uint64 {
	hi, _ := spread(a, b)
	return hi
}

// A block's part of a sum over 5×5 blocks: its mean; where it shows contrast, the
// mean once more; and how many do. Each fits the bits that it is given.
const (
	contrastSum   = 13 // bits to the left
	contrastCount = 26
	sumMask       = 1<<contrastSum - 1
)

// smooth takes the mean over 5×5 blocks, over fewer at the edges.
func (b *blocks) smooth() {
	columns := b.sums[:b.columns]
	clear(columns)
	deep := 0
	gate := uint8(min(b.gate, 255))
	part := func(mean, span uint8) uint32 {
		v := uint32(mean)
		if span >= gate {
			v |= v<<contrastSum | 1<<contrastCount
		}
		return v
	}
	add := func(y int) {
		means, ranges := b.mean[y*b.columns:(y+1)*b.columns], b.ranges[y*b.columns:(y+1)*b.columns]
		for x, v := range means {
			columns[x] += part(v, ranges[x])
		}
		deep++
	}
	for y := range min(2, b.rows) {
		add(y)
	}
	for y := range b.rows {
		if y+2 < b.rows {
			add(y + 2)
		}
		if y >= 3 {
			means, ranges := b.mean[(y-3)*b.columns:(y-2)*b.columns], b.ranges[(y-3)*b.columns:(y-2)*b.columns]
			for x, v := range means {
				columns[x] -= part(v, ranges[x])
			}
			deep--
		}
		out := b.threshold[y*b.columns : (y+1)*b.columns]
		sum, wide := uint32(0), 0
		for x := range min(2, len(columns)) {
			sum += columns[x]
			wide++
		}
		for x := range out {
			if x+2 < len(columns) {
				sum += columns[x+2]
				wide++
			}
			if x >= 3 {
				sum -= columns[x-3]
				wide--
			}
			total, count := sum>>contrastSum&sumMask, sum>>contrastCount
			if count == 0 {
				total, count = sum&sumMask, uint32(wide*deep)
			}
			out[x] = uint8(total / count)
		}
	}
}

// gateBlocks is about how many blocks the noise is measured in.
const gateBlocks = 2048

// measureGate finds how much contrast a block has from noise alone.
func (b *blocks) measureGate() {
	var histogram [256]int
	count := 0
	step := len(b.ranges)/gateBlocks | 1
	for i := step / 2; i < len(b.ranges); i += step {
		histogram[b.ranges[i]]++
		count++
	}
	quiet, seen := 0, 0
	for seen*20 < count*3 { // the 15th percentile
		seen += histogram[quiet]
		quiet++
	}
	b.gate = max(leastRange, int(noiseFactor*float64(quiet-1)))
}

// closeGate closes the scan to blocks that show no more than that.
func (b *blocks) closeGate() {
	gate := uint8(min(b.gate, 255))
	for i, v := range b.ranges {
		switch {
		case v >= gate:
			b.scan[i] = max(b.threshold[i], 1)
		case int(b.mean[i])+flatMargin < int(b.threshold[i]):
			b.scan[i] = 255
		default:
			b.scan[i] = 0
		}
	}
}
