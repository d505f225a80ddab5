package qr

import (
	"math"
	"slices"

	"gateagent/driver/frame"
)

// triple is three finders that could be a code's: the one in the corner, the
// one at the end of the upper side, the one at the end of the left side (seen
// from behind, the sides are exchanged).
type triple struct {
	corner, right, lower finder
	n                    float32    // estimated modules a side
	recede               [2]float32 // how much farther the ends of both sides seem than the corner, of its distance
	flaw                 float32    // how unlike a code's they lie: 0 is perfect
}

// Limits of a triple's shape: a card tilted by 60 degrees still passes.
const (
	maxModuleRatio = 2.2 // largest module of the three to the smallest
	maxSideRatio   = 3.2 // longer side to the shorter
	minSine        = 0.4
	maxSpread      = 1.4 // of the modules a side that the two sides tell
	maxPicked      = 12  // finders that triples are made of
	maxMeasured    = 60  // triples whose sides are measured
	maxTriples     = 12  // and that are tried
)

// triplesOf lists what three finders could be a code, the likeliest first.
func triplesOf(to []triple, g *frame.Gray, f []finder) []triple {
	to = to[:0]
	if len(f) > maxPicked {
		slices.SortStableFunc(f, func(a, b finder) int { return b.lines*64 + min(b.seen, 63) - a.lines*64 - min(a.seen, 63) })
		f = f[:maxPicked]
	}
	for i := range f {
		for j := range i {
			for k := range j {
				if f[i].light != f[j].light || f[i].light != f[k].light {
					continue
				}
				lo := min(f[i].module, f[j].module, f[k].module)
				hi := max(f[i].module, f[j].module, f[k].module)
				if hi > maxModuleRatio*lo {
					continue
				}
				// Seen flat, the corner is opposite the longest distance; tilted
				// far, it may be any.
				for _, c := range [...][3]int{{i, j, k}, {j, k, i}, {k, i, j}} {
					if t, ok := shape(f[c[0]], f[c[1]], f[c[2]]); ok {
						to = append(to, t)
					}
				}
			}
		}
	}
	// The sides are measured of the likeliest only: that costs.
	slices.SortStableFunc(to, byFlaw)
	to = to[:min(len(to), maxMeasured)]
	kept := to[:0]
	for i := range to {
		if t := to[i]; t.measure(g) {
			kept = append(kept, t)
		}
	}
	slices.SortStableFunc(kept, byFlaw)
	return kept[:min(len(kept), maxTriples)]
}

func byFlaw(a, b triple) int {
	switch {
	case a.flaw < b.flaw:
		return -1
	case a.flaw > b.flaw:
		return 1
	}
	return 0
}

// shape takes the first of three finders for the corner, orders the others, and
// judges how they lie.
func shape(corner, a, b finder) (t triple, ok bool) {
	t.corner, t.right, t.lower = corner, a, b
	ux, uy := t.right.x-t.corner.x, t.right.y-t.corner.y
	vx, vy := t.lower.x-t.corner.x, t.lower.y-t.corner.y
	if ux*vy-uy*vx < 0 {
		t.right, t.lower = t.lower, t.right
		ux, uy, vx, vy = vx, vy, ux, uy
	}
	u, v := hypot(ux, uy), hypot(vx, vy)
	module := (a.module + b.module + corner.module) / 3
	if min(u, v) < 8*module || max(u, v) > 190*module {
		return t, false
	}
	ratio := max(u, v) / min(u, v)
	sine := (ux*vy - uy*vx) / (u * v)
	if ratio > maxSideRatio || sine < minSine {
		return t, false
	}
	cosine := float32(math.Sqrt(float64(max(0, 1-sine*sine))))
	t.flaw = log(ratio) + cosine +
		log(max(a.module, b.module, corner.module)/min(a.module, b.module, corner.module)) +
		float32(3*rayLines-t.corner.lines-t.right.lines-t.lower.lines)/(3*rayLines)
	return t, true
}

// measure estimates the modules a side, which both sides must tell alike.
func (t *triple) measure(g *frame.Gray) bool {
	nu, gu, okU := sideModules(g, &t.corner, &t.right)
	nv, gv, okV := sideModules(g, &t.corner, &t.lower)
	if !okU || !okV {
		return false
	}
	spread := max(nu, nv) / min(nu, nv)
	t.n = (nu + nv) / 2
	t.recede = [2]float32{gu, gv}
	t.flaw += 3 * log(spread)
	return spread <= maxSpread && t.n >= 17 && t.n <= 190
}

func log(v float32) float32 { return float32(math.Log(float64(v))) }

// sideModules estimates the modules a side from the distance of two finders and
// their module sizes along it, and how much farther away the second one is, of
// the first one's distance: what is twice as far is seen a quarter as wide along
// the way there.
func sideModules(g *frame.Gray, a, b *finder) (n, farther float32, ok bool) {
	dx, dy := b.x-a.x, b.y-a.y
	d := hypot(dx, dy)
	dx, dy = dx/d, dy/d
	near, okA := cast(g, a.x, a.y, dx, dy, 1.5*a.module, a.light)
	far, okB := cast(g, b.x, b.y, dx, dy, 1.5*b.module, b.light)
	switch {
	case !okA && !okB:
		return 0, 0, false
	case !okA:
		near = far
	case !okB:
		far = near
	}
	return d/sqrt32(near.module*far.module) + 7, sqrt32(near.module/far.module) - 1, true
}

func distance(a, b *finder) float32 { return hypot(a.x-b.x, a.y-b.y) }

func hypot(x, y float32) float32 { return float32(math.Sqrt(float64(x*x + y*y))) }

// scale turns places of a scaled picture into those of the picture itself.
func (t *triple) scale(k float32) {
	for _, f := range [...]*finder{&t.corner, &t.right, &t.lower} {
		f.x, f.y, f.module = f.x*k, f.y*k, f.module*k
	}
}

func sqrt(v float64) float64 { return math.Sqrt(v) }

func sqrt32(v float32) float32 { return float32(math.Sqrt(float64(v))) }

// move shifts them.
func (t *triple) move(dx, dy float32) {
	for _, f := range [...]*finder{&t.corner, &t.right, &t.lower} {
		f.x, f.y = f.x+dx, f.y+dy
	}
}
