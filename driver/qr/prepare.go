package qr

import "gateagent/driver/frame"

// preparation is one way to make a place easier to scan.
type preparation struct {
	shrink  int     // times, before all else; 1 for not at all
	sharpen float32 // gain; 0 for none
}

// preparations in the order in which they pay; the i-th shrinks by i+1.
var preparations = [...]preparation{
	{shrink: 1, sharpen: 1.5},
	{shrink: 2, sharpen: 1},
}

const (
	// Prepared pictures are normalised over squares of so many pixels each way.
	preparedReach = 11
	sharpenReach  = 2
	sharpenSide   = 2*sharpenReach + 1
	// A prepared picture has its local mean in the middle of the range, and a
	// local deviation of preparedGain.
	preparedMiddle = 128
	preparedGain   = 60
	preparedMost   = 2 * preparedGain

	// Means and scales in whole numbers: grey levels, and what they become.
	meanBits  = 9
	scaleBits = 8
	meanUnit  = 1 << meanBits
	bitUnit   = 1 << scaleBits
	scaleUnit = preparedGain * bitUnit
)

// bench is where a place is prepared for the second stage.
type bench struct {
	sharp   frame.Gray
	light   light
	columns []int32 // scratch: sums of columns, and of their margins
}

// prepare makes the picture of a place.
func (r *reader) prepare(g *frame.Gray, w window, p *preparation) {
	part := partOf(g, w)
	from := &part
	if p.shrink > 1 {
		shrink(&r.scaled, from, p.shrink)
		from = &r.scaled
	}
	r.bench.unsharp(from, p.sharpen)
	r.bench.normalise(&r.prepared)
}

// unsharp adds gain times what each pixel differs from the mean of the square
// about it; beyond the edges, the outermost pixels go on.
func (b *bench) unsharp(g *frame.Gray, gain float32) {
	w, h := g.Width, g.Height
	b.sharp.Reset(w, h)
	if cap(b.columns) < w+2*sharpenReach {
		b.columns = make([]int32, w+2*sharpenReach)
	}
	columns := b.columns[:w+2*sharpenReach]
	inner := columns[sharpenReach : sharpenReach+w]
	clear(inner)
	for y := -sharpenReach; y < sharpenReach; y++ {
		for x, v := range g.Row(min(max(y, 0), h-1)) {
			inner[x] += int32(v)
		}
	}
	const bits = 16
	here, around := int32((1+gain)*(1<<bits)), int32(gain*(1<<bits)/(sharpenSide*sharpenSide))
	for y := range h {
		last := g.Row(min(y+sharpenReach, h-1))[:len(inner)]
		for x := range inner {
			inner[x] += int32(last[x])
		}
		for i := range sharpenReach {
			columns[i], columns[len(columns)-1-i] = inner[0], inner[w-1]
		}
		sum := int32(0)
		for _, v := range columns[:sharpenSide-1] {
			sum += v
		}
		in, out := g.Row(y), b.sharp.Row(y)
		before, after := columns[:len(in)], columns[sharpenSide-1:][:len(in)]
		out = out[:len(in)]
		for x, v := range in {
			sum += after[x]
			out[x] = uint8(min(max((int32(v)*here-sum*around+1<<(bits-1))>>bits, 0), 255))
			sum -= before[x]
		}
		first := g.Row(max(y-sharpenReach, 0))[:len(inner)]
		for x := range inner {
			inner[x] -= int32(first[x])
		}
	}
}

// normalise takes the light out of the sharpened picture.
func (b *bench) normalise(to *frame.Gray) {
	g, l := &b.sharp, &b.light
	l.grow(g.Width, g.Height, preparedReach)
	for y := range g.Height {
		l.addBytes(y, g.Row(y))
	}
	l.spread()
	to.Reset(g.Width, g.Height)
	for y := range g.Height {
		in, out := g.Row(y), to.Row(y)
		l.pieces(y, func(from, end int, m, s, dm, ds float32) {
			mean, meanStep := int32(m*meanUnit), int32(dm*meanUnit)
			scale, scaleStep := int32(s*scaleUnit), int32(ds*scaleUnit)
			part := out[from:end]
			for x, v := range in[from:end][:len(part)] {
				n := ((int32(v)*meanUnit-mean)*scale + preparedMiddle*meanUnit*bitUnit - meanUnit*bitUnit/2) >> (meanBits + scaleBits)
				part[x] = uint8(min(max(n, preparedMiddle-preparedMost), preparedMiddle+preparedMost))
				mean += meanStep
				scale += scaleStep
			}
		})
	}
}
