package qr

import "gateagent/driver/frame"

// track is where a code was read in an earlier frame, and how it was found.
type track struct {
	place    window // of its corners, pixels
	module   float32
	version  int
	inverted bool
	way      way
}

// way is the kind of pass that found a code.
type way struct {
	shrink   int // of the first stage: 1, 2, 4 or 8; 0 for the others
	prepared int // of the second stage: 1 plus the preparation; 0 for the others
	far      [2]float32
	// sharpening is which of them read it.
	sharpening int
}

// Limits of tracking.
const (
	// trackReach is how far a code may move from one frame to the next, as a
	// share of the frame's longer side.
	trackReach = 0.055
	// fullEvery is how often the whole frame is searched all the same: another
	// code may have come into view.
	fullEvery = 8
	// trackFrames is for how many frames a code that was lost is looked for
	// where it was.
	trackFrames = 3
	maxTracks   = 4
)

// tracker remembers what was read.
type tracker struct {
	width, height int // of the frame
	tracks        []track
	sinceFull     int // frames
	lost          int
}

// remember makes tracks of the codes that were read in a whole frame.
func (r *reader) remember(g *frame.Gray) {
	t := &r.tracker
	t.width, t.height, t.sinceFull = g.Width, g.Height, 0
	if len(r.ways) == 0 {
		if t.lost++; t.lost > trackFrames {
			t.tracks = t.tracks[:0]
		}
		return
	}
	t.tracks, t.lost = t.tracks[:0], 0
	for i, w := range r.ways {
		if len(t.tracks) == maxTracks {
			break
		}
		t.tracks = append(t.tracks, trackOf(&r.codes[i], w))
	}
}

func trackOf(c *Code, how way) track {
	t := track{module: float32(c.ModulePixels), version: c.Version, inverted: c.Inverted, way: how}
	lowX, lowY, highX, highY := c.Corners[0].X, c.Corners[0].Y, c.Corners[0].X, c.Corners[0].Y
	for _, p := range c.Corners[1:] {
		lowX, lowY, highX, highY = min(lowX, p.X), min(lowY, p.Y), max(highX, p.X), max(highY, p.Y)
	}
	const far = 1 << 20 // places beyond are no pixels
	clip := func(v float64) int { return int(min(max(v, -far), far)) }
	t.place = window{clip(lowX), clip(lowY), clip(highX) + 1, clip(highY) + 1}
	return t
}

// follow looks for the codes of the last frame near where they were, and says
// whether all of them were read.
func (r *reader) follow(g *frame.Gray) bool {
	t := &r.tracker
	if len(t.tracks) == 0 || t.width != g.Width || t.height != g.Height || t.sinceFull >= fullEvery {
		return false
	}
	t.sinceFull++
	for i := range t.tracks {
		before := len(r.codes)
		r.followOne(g, &t.tracks[i])
		if len(r.codes) == before {
			r.codes, r.ways = r.codes[:0], r.ways[:0]
			return false
		}
		t.tracks[i] = trackOf(&r.codes[before], r.ways[before])
	}
	t.lost = 0
	return true
}

// followOne looks for one code as it was found before, and for no other version.
func (r *reader) followOne(g *frame.Gray, t *track) {
	reach := int(trackReach*float32(max(g.Width, g.Height)) + 4*t.module)
	w := window{t.place.left - reach, t.place.top - reach, t.place.right + reach, t.place.bottom + reach}.clip(g)
	if min(w.right-w.left, w.bottom-w.top) < leastSide {
		return
	}
	r.expected = t
	defer func() { r.expected = nil }()
	switch {
	case t.way.prepared > 0:
		r.look(g, w, 0, preparations[t.way.prepared-1:t.way.prepared])
	case t.way.shrink > 1:
		k := t.way.shrink
		part := partOf(g, w)
		if min(part.Width, part.Height) < k*leastSide {
			return
		}
		shrink(&r.scaled, &part, k)
		r.pass(g, &r.scaled, w, float32(k), &r.close, &r.again)
	case t.way.shrink == 1:
		part := partOf(g, w)
		r.pass(g, &part, w, 1, &r.close, &r.again)
	}
}

// sift keeps the hits that can be of the code: of its polarity, and neither much
// smaller nor much larger. Pixels of the picture are factor times smaller than
// those that were scanned.
func (t *track) sift(s *scanner, factor float32) {
	if t == nil {
		return
	}
	kept := s.hits[:0]
	for _, h := range s.hits {
		size := max(h.across, h.down) * factor / t.module
		if h.light == t.inverted && size > 0.6 && size < 2.2 {
			kept = append(kept, h)
		}
	}
	s.hits = kept
}

// partOf is a window of a picture as a picture. It shares memory with g.
func partOf(g *frame.Gray, w window) frame.Gray {
	return frame.Gray{
		Width: w.right - w.left, Height: w.bottom - w.top, Stride: g.Stride, Pix: g.Pix[w.top*g.Stride+w.left:],
	}
}
