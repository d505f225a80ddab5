package qr

import (
	"math"
	"slices"

	"gateagent/driver/frame"
)

// finder is a place that looks like a finder pattern along lines in many
// directions.
type finder struct {
	x, y   float32
	module float32 // pixels, the mean over the directions
	light  bool
	lines  int // good ones, of rayLines
	seen   int // hits that led to it
}

// rayLines is how many lines through a centre are looked at.
const rayLines = 12

// directions of those lines: half a turn. The first half of them is spread over
// all of it, slanting ones first, since rows and columns have been looked at.
var directions = func() (d [rayLines][2]float32) {
	for i, k := range [rayLines]int{3, 9, 1, 7, 5, 11, 2, 8, 4, 10, 0, 6} {
		s, c := math.Sincos(math.Pi * (float64(k) + 0.25) / rayLines)
		d[i] = [2]float32{float32(c), float32(s)}
	}
	return d
}()

// ray is a finder pattern along one line: where the edges lie at 1.5, 2.5 and
// 3.5 modules on both sides, whatever the turn and tilt.
type ray struct {
	module float32 // pixels a module in this direction
	shift  float32 // of the middle from where the line was laid, pixels
}

const (
	maxProfile = 256
	// beyond the picture is quiet zone, for all we know.
	beyond = 1000
)

// cast lays a line through (x, y) and seeks the edges. reach is the module
// size to expect at most.
func cast(g *frame.Gray, x, y, dx, dy, reach float32, light bool) (r ray, ok bool) {
	step := max(0.5, reach/6)
	half := int(4.6*reach/step) + 1
	n := 2*half + 1
	if n > maxProfile {
		return r, false
	}
	var profile [maxProfile]float32
	lo, hi := profileOf(g, profile[:n], x-float32(half)*step*dx, y-float32(half)*step*dy, step*dx, step*dy, light)
	if hi-lo < 8 {
		return r, false
	}
	// The threshold is the middle between the darkest and lightest of the part
	// that can be the pattern.
	t := (lo + hi) / 2
	if profile[half] >= t {
		return r, false
	}
	var edges [2][3]float32
	for side := range edges {
		dir := 2*side - 1
		dark, found := true, 0
		for i := half; i+dir >= 0 && i+dir < n && found < 3; i += dir {
			a, b := profile[i], profile[i+dir]
			if (b < t) == dark {
				continue
			}
			frac := (a - t) / (a - b) // next to 0 or 1 at the edge of the picture
			edges[side][found] = (float32((i-half)*dir) + frac) * step
			found++
			dark = !dark
		}
		if found < 3 {
			return r, false
		}
	}
	unit := (edges[0][2] + edges[1][2]) / 7
	tolerance := 0.42*unit + 0.25
	inner, ring := edges[0][0]+edges[1][0], edges[0][1]+edges[1][1]
	if abs32(inner-3*unit) > 1.5*tolerance || abs32(ring-5*unit) > 1.5*tolerance {
		return r, false
	}
	shift := (edges[1][2] - edges[0][2]) / 2
	for i, want := range [...]float32{1.5, 2.5, 3.5} {
		if abs32(edges[0][i]+shift-want*unit) > tolerance || abs32(edges[1][i]-shift-want*unit) > tolerance {
			return r, false
		}
	}
	return ray{unit, shift}, true
}

// profileOf samples a line from (x, y) on, dark pixels low, and gives the lowest
// and the highest value.
func profileOf(g *frame.Gray, to []float32, x, y, dx, dy float32, light bool) (lo, hi float32) {
	last := float32(len(to) - 1)
	lo, hi = 255, 0
	// Well within the picture, which is the rule, whole numbers do.
	if min(x, x+last*dx) < 1 || min(y, y+last*dy) < 1 ||
		max(x, x+last*dx) > float32(g.Width-2) || max(y, y+last*dy) > float32(g.Height-2) {
		for i := range to {
			px, py := x+float32(i)*dx, y+float32(i)*dy
			if px < 0 || py < 0 || px > float32(g.Width) || py > float32(g.Height) {
				to[i] = beyond
				continue
			}
			v := bilinear(g, px, py)
			if light {
				v = 255 - v
			}
			to[i] = v
			lo, hi = min(lo, v), max(hi, v)
		}
		return lo, hi
	}
	const (
		places = 16 // binary ones of a coordinate: pictures are up to 1<<15 wide
		part   = 8  // of them that weigh
		unit   = 1 << part
	)
	ix, iy := uint32((x-0.5)*(1<<places)), uint32((y-0.5)*(1<<places))
	sx, sy := uint32(int32(dx*(1<<places))), uint32(int32(dy*(1<<places)))
	const white = 255 * unit * unit
	least, most := uint32(white), uint32(0)
	for i := range to {
		at := int(iy>>places)*g.Stride + int(ix>>places)
		u, v := ix>>(places-part)&(unit-1), iy>>(places-part)&(unit-1)
		p := g.Pix[at : at+2]
		q := g.Pix[at+g.Stride : at+g.Stride+2]
		top := uint32(p[0])*(unit-u) + uint32(p[1])*u
		bottom := uint32(q[0])*(unit-u) + uint32(q[1])*u
		s := top*(unit-v) + bottom*v
		if light {
			s = white - s
		}
		least, most = min(least, s), max(most, s)
		to[i] = float32(int32(s))
		ix += sx
		iy += sy
	}
	const scale = 1.0 / (unit * unit)
	for i := range to {
		to[i] *= scale
	}
	return float32(least) * scale, float32(most) * scale
}

func abs32(v float32) float32 { return max(v, -v) }

// centred is how far off a centre may be, in modules, to be left there.
const centred = 0.1

// examine casts lines through a hit and says what finder it is, if at least
// share of the lines show one. The centre is put right between two rounds.
func examine(g *frame.Gray, h *hit, share float32) (f finder, ok bool) {
	f = finder{x: h.x, y: h.y, light: h.light, seen: 1}
	reach := max(h.across, h.down) * 1.35
	for round := range 3 {
		var sx, sy, module float32
		f.lines = 0
		lines, need := directions[:], share
		if round == 0 {
			lines, need = lines[:rayLines/2], share*0.6
		}
		spare := len(lines) - int(math.Ceil(float64(need)*float64(len(lines)))) // lines that may fail
		for i := range lines {
			d := &lines[i]
			r, good := cast(g, f.x, f.y, d[0], d[1], reach, f.light)
			if !good {
				if spare--; spare < 0 {
					return f, false
				}
				continue
			}
			f.lines++
			module += r.module
			sx += r.shift * d[0]
			sy += r.shift * d[1]
		}
		k := float32(f.lines)
		f.module = module / k
		if round == 2 {
			break
		}
		sx, sy = 2*sx/k, 2*sy/k
		f.x += sx
		f.y += sy
		if round == 1 && max(abs32(sx), abs32(sy)) < centred*f.module {
			break // the lines would tell the same again
		}
	}
	return f, true
}

// bilinear is the brightness at a place, its outermost pixels going on for ever.
func bilinear(g *frame.Gray, x, y float32) float32 {
	x, y = x-0.5, y-0.5
	if x < 0 {
		x = 0
	}
	if y < 0 {
		y = 0
	}
	ix, iy := int(x), int(y)
	fx, fy := x-float32(ix), y-float32(iy)
	if ix >= g.Width-1 {
		ix, fx = g.Width-2, 1
	}
	if iy >= g.Height-1 {
		iy, fy = g.Height-2, 1
	}
	p := g.Pix[iy*g.Stride+ix:]
	q := p[g.Stride : g.Stride+2]
	a, b := float32(p[0]), float32(p[1])
	c, d := float32(q[0]), float32(q[1])
	top := a + (b-a)*fx
	return top + (c+(d-c)*fx-top)*fy
}

// Bounds of the first stage.
const (
	maxFinders  = 40
	maxExamined = 400 // hits
	maxLonely   = 150 // of them, with those that no other row bears out
	goodLines   = 0.6
)

// gather merges hits into finders: those of one pattern lie within it. Hits that
// a neighbouring row bears out are examined first, then those of most contrast,
// since noise makes hundreds that nothing bears out.
func gather(to []finder, g *frame.Gray, hits []hit, share float32) []finder {
	to = to[:0]
	support(hits)
	if len(hits) > maxLonely {
		slices.SortFunc(hits, func(a, b hit) int { return b.rank() - a.rank() })
	}
	examined := 0
next:
	for i := range hits {
		h := &hits[i]
		for k := range to {
			f := &to[k]
			if f.light == h.light && abs32(f.x-h.x) < 2.5*f.module && abs32(f.y-h.y) < 2.5*f.module {
				f.seen++
				continue next
			}
		}
		if len(to) >= maxFinders {
			break
		}
		if examined++; examined > maxExamined || !h.borneOut && examined > maxLonely {
			break
		}
		f, ok := examine(g, h, share)
		if !ok {
			continue
		}
		for k := range to {
			o := &to[k]
			if o.light == f.light && abs32(f.x-o.x) < 2*o.module && abs32(f.y-o.y) < 2*o.module {
				o.seen++
				continue next
			}
		}
		to = append(to, f)
	}
	return to
}

// rank orders hits: the higher, the likelier.
func (h *hit) rank() int {
	if h.borneOut {
		return 256 + int(h.contrast)
	}
	return int(h.contrast)
}

// support marks the hits that another one next to them bears out. Hits come row
// by row.
func support(hits []hit) {
	for i := range hits {
		a := &hits[i]
		for j := i + 1; j < len(hits); j++ {
			b := &hits[j]
			if b.row-a.row > 2*rowStep { // far below
				break
			}
			if a.light == b.light && b.row > a.row && abs32(a.x-b.x) < a.across && abs32(a.y-b.y) < a.down {
				a.borneOut, b.borneOut = true, true
			}
		}
	}
}
