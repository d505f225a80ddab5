package qr

import (
	"fmt"

	"gateagent/driver/frame"
	"gateagent/driver/qr/symbology"
)

// reader is the reader of this package: see the package's comment for the way a
// picture goes. All its buffers are kept from picture to picture.
type reader struct {
	first     blocks // the thresholds of the picture
	again     blocks // and of a scaled one
	scanner   scanner
	finders   []finder
	triples   []triple
	fitter    fitter
	sampler   sampler
	equaliser equaliser
	decoder   *symbology.Decoder
	scaled    frame.Gray

	evidence evidence
	bench    bench // where a place is prepared for the second stage
	prepared frame.Gray
	close    scanner // what is seen in it

	kept     []finder // of all passes
	duos     []duo
	tries    int // triples that may still be looked at
	fits     int // models that may still be fitted to them
	looks    int // pixels that may still be prepared
	bends    int // bent models that may still be tried
	efforts  int // and symbols that may still be tried with all means
	pixels   int // of patches that may still be cut for triples
	sought   int // and for pairs
	codes    []Code
	ways     []way // how each of them was found
	tracker  tracker
	expected *track // the code sought, nil for any
	// sharpening is the one that read the last symbol.
	sharpening int
	hopeless   []Code  // symbols that were tried, surely codes, and not read
	doubt      Code    // the likeliest code that could not be read
	like       float32 // and how well its model fits; 0 for none
}

// NewReader makes a Reader.
func NewReader() Reader {
	r := &reader{decoder: symbology.NewDecoder()}
	r.fitter.tables = r.decoder
	return r
}

// Limits of the fit, the mean of normalised darkness over the modules that
// every code of a size has in common.
const (
	// worthDecoding is the least score that error correction is tried on.
	worthDecoding = 0.46
	// restFits is the least score of all marks but those of the finder patterns:
	// codes have 0.45 and more, fields of finder patterns 0.26 at most.
	restFits = 0.33
	// worthTrying is the score at which a model is tried before it is fitted well.
	worthTrying = 0.7
	// sharp is the score of a code that needs nothing but its place.
	sharp = 0.85
	// inView is the least score at which an unread symbol is said to be a code
	// all the same.
	inView = 0.62
	// surelyCode is the score above which a symbol that could not be read is
	// tried no more than maxRetries times in all passes: its place is known as well
	// as can be.
	surelyCode  = 0.8
	maxRetries  = 2
	maxHopeless = 8
)

// leastSide is the shortest side of a picture that could hold a code.
const leastSide = 21

func (r *reader) Read(g *frame.Gray) (codes []Code, err error) {
	if err := g.Check(); err != nil {
		return nil, fmt.Errorf("read QR: %w", err)
	}
	r.codes, r.doubt, r.like = r.codes[:0], Code{}, 0
	if g.Width < leastSide || g.Height < leastSide {
		return r.codes, nil
	}
	// What is read is hostile. Nothing is known to make the reader panic; if
	// something does, one frame is lost, not the gate.
	defer func() {
		if p := recover(); p != nil {
			codes, err = nil, fmt.Errorf("read QR: reader failed: %v", p)
		}
	}()
	r.kept, r.ways, r.hopeless = r.kept[:0], r.ways[:0], r.hopeless[:0]
	r.allow(g)
	if r.follow(g) {
		return r.codes, nil
	}
	r.allow(g)
	r.search(g)
	r.remember(g)
	if len(r.codes) == 0 && r.like >= inView {
		r.codes = append(r.codes, r.doubt)
	}
	return r.codes, nil
}

// allow sets what may be spent on a search.
func (r *reader) allow(g *frame.Gray) {
	r.tries, r.fits, r.pixels, r.sought = maxTries, maxFits, maxPixels, maxPixels
	r.bends, r.efforts = maxBends, maxEfforts
	r.looks = leastLooks + g.Width*g.Height/lookShare
}

// search looks for codes in the whole picture, harder and harder until one is
// read: the cheapest means that are likely to help first.
func (r *reader) search(g *frame.Gray) {
	r.pass(g, g, window{0, 0, g.Width, g.Height}, 1, &r.scanner, &r.first)
	if r.done() || len(r.kept) > maxKept {
		return
	}
	small := g.Width*g.Height <= enlargeUpTo
	if small && r.onlyTiny() {
		r.passEnlarged(g)
		small = false
		if r.done() {
			return
		}
	}
	r.passBlocks(g)
	noisy := len(r.scanner.raw) >= busyHits
	if noisy {
		r.passShrunk(g)
	}
	// Of two finders the third is sought at once; among more, the three of a code
	// may be.
	paired := len(r.kept)
	if paired == 2 && !r.done() {
		r.readPairs(g)
	}
	if !r.done() {
		r.second(g)
	}
	if !noisy && len(r.kept) > 0 && !r.done() {
		r.passShrunk(g)
	}
	if len(r.kept) > paired && !r.done() {
		r.readPairs(g)
	}
	if small && !r.done() {
		r.passEnlarged(g)
	}
}

// onlyTiny says whether no finder was found but such of hardly more than a pixel
// a module.
func (r *reader) onlyTiny() bool {
	for i := range r.kept {
		if r.kept[i].module > tinyModule {
			return false
		}
	}
	return true
}

// passEnlarged looks at a larger picture.
func (r *reader) passEnlarged(g *frame.Gray) {
	enlarge(&r.scaled, g, enlargeBy)
	r.pass(g, &r.scaled, window{}, 1/float32(enlargeBy), &r.close, &r.again)
}

// done says whether a code was read, or one was seen that is beyond help.
func (r *reader) done() bool { return len(r.codes) > 0 || len(r.hopeless) >= maxRetries }

// pass seeks codes in a picture of the window w of g, scaled by 1/factor, and
// reads them in g.
func (r *reader) pass(g, scaled *frame.Gray, w window, factor float32, s *scanner, b *blocks) {
	b.of(scaled)
	s.step = rowStep
	if r.expected != nil { // two rows in the middle of a finder pattern are enough
		s.step = max(rowStep, int(1.3*r.expected.module/factor))
	}
	s.find(scaled, b, window{0, 0, scaled.Width, scaled.Height})
	r.expected.sift(s, factor)
	r.finders = gather(r.finders, scaled, s.hits, goodLines)
	r.seek(g, scaled, w, factor, way{shrink: int(factor)})
}

// seek reads the codes that the finders seen in a picture of a window make up.
func (r *reader) seek(g, picture *frame.Gray, w window, factor float32, how way) {
	dx, dy := float32(w.left), float32(w.top)
	r.keep(r.finders, factor, dx, dy)
	r.triples = triplesOf(r.triples, picture, r.finders)
	for i := range r.triples {
		r.triples[i].scale(factor)
		r.triples[i].move(dx, dy)
	}
	r.readTriples(g, how)
}

// The threshold's reach is that of five blocks: very large modules are sought in
// a smaller picture, those of a pixel or so, as in symbols that never saw a
// camera, in a larger one.
const (
	enlargeBy   = 3
	enlargeUpTo = 1 << 17 // pixels
	tinyModule  = 1.5     // pixels
	// Half the size takes out noise and textures; without either, and without
	// a finder, nothing new is seen in it.
	busyHits      = 1300
	shrinkAtLeast = 64 // pixels a side, after shrinking
	leastBlocks   = 40 // a side
)

// passBlocks looks at the means of blocks: a picture too, and there already.
func (r *reader) passBlocks(g *frame.Gray) {
	b := &r.first
	if min(b.columns, b.rows) >= leastBlocks {
		means := frame.Gray{Pix: b.mean, Width: b.columns, Height: b.rows, Stride: b.columns}
		r.pass(g, &means, window{}, blockSize, &r.close, &r.again)
	}
}

// passShrunk looks at smaller pictures.
func (r *reader) passShrunk(g *frame.Gray) {
	for _, k := range [...]int{2, 4} {
		if min(g.Width, g.Height) >= k*shrinkAtLeast && !r.done() {
			shrink(&r.scaled, g, k)
			r.pass(g, &r.scaled, window{}, float32(k), &r.close, &r.again)
		}
	}
}

// readTriples reads what triples can be read, leaving out those that share a
// finder with a code read already.
func (r *reader) readTriples(g *frame.Gray, how way) {
	for i := range r.triples {
		t := &r.triples[i]
		if r.taken(t) {
			continue
		}
		if code, far, ok := r.readTriple(g, t); ok {
			how.far, how.sharpening = far, r.sharpening
			r.codes, r.ways = append(r.codes, code), append(r.ways, how)
		}
	}
}

// taken says whether a finder of t lies in a code that was read, or all of them
// in one that proved hopeless.
func (r *reader) taken(t *triple) bool {
	for i := range r.codes {
		c := &r.codes[i]
		if c.holds(t.corner.x, t.corner.y) || c.holds(t.right.x, t.right.y) || c.holds(t.lower.x, t.lower.y) {
			return true
		}
	}
	tries := 0
	for i := range r.hopeless {
		c := &r.hopeless[i]
		if c.holds(t.corner.x, t.corner.y) && c.holds(t.right.x, t.right.y) && c.holds(t.lower.x, t.lower.y) {
			tries++
		}
	}
	return tries >= maxRetries
}

// holds says whether a place lies within the code's corners.
func (c *Code) holds(x, y float32) bool {
	sign := 0
	for i := range c.Corners {
		p, q := c.Corners[i], c.Corners[(i+1)%4]
		cross := (q.X-p.X)*(float64(y)-p.Y) - (q.Y-p.Y)*(float64(x)-p.X)
		switch {
		case cross > 0 && sign >= 0:
			sign = 1
		case cross < 0 && sign <= 0:
			sign = -1
		default:
			return false
		}
	}
	return true
}

// readTriple reads a triple. far is where its far corner is, as trust wants it.
func (r *reader) readTriple(g *frame.Gray, t *triple) (code Code, far [2]float32, ok bool) {
	module := (t.corner.module + t.right.module + t.lower.module) / 3
	known := r.expected != nil
	if r.pixels <= 0 || r.tries <= 0 {
		return code, far, false
	}
	if !r.fitter.patch.cut(g, t.window(module, known), module, keepToRead, t.corner.light) {
		return code, far, false
	}
	fits := r.fits
	r.pixels -= r.fitter.patch.w * r.fitter.patch.h
	r.tries--
	var symbol symbology.Symbol
	var m model
	var score float32
	if known {
		// In all likelihood nothing changed but the place.
		if m, ok = r.fitter.trust(t, r.expected.version, r.expected.way.far); ok {
			symbol, ok = r.decodeAs(&m, sharpenings[r.expected.way.sharpening:][:1], takeFast)
			r.sharpening = r.expected.way.sharpening
		}
	}
	if !ok {
		if m, score, symbol, ok = r.fitAndDecode(t); score < worthDecoding {
			return code, far, false
		}
		if !ok && r.fitter.restScore(&m) < restFits {
			return code, far, false
		}
	}
	if !ok {
		symbol, ok = r.strive(&m, score)
	}
	code = r.codeOf(&m, t.corner.light)
	if !ok {
		if score > r.like {
			r.doubt, r.like = code, score
		}
		if score > surelyCode && len(r.hopeless) < maxHopeless {
			r.hopeless = append(r.hopeless, code)
		}
		return code, far, false
	}
	r.tries, r.fits = r.tries+1, fits // only what fails is counted
	code.Text, code.Mirrored = symbol.Text, symbol.Mirrored
	code.Part, code.Parts = symbol.Part, symbol.Parts
	code.Figures = r.sampler.figures(r.decoder.Template(code.Version), t.corner.light)
	if code.Mirrored {
		code.Corners[1], code.Corners[3] = code.Corners[3], code.Corners[1]
	}
	return code, m.farOf(), true
}

// strive reads a symbol that cheap means do not read: bent, and with all means.
// What fits badly, or as a whole worse than along its sides, is tried bent first.
func (r *reader) strive(m *model, score float32) (s symbology.Symbol, ok bool) {
	placed := score >= wellPlaced
	flat := placed && score >= flatShare*r.fitter.guesses[0].score
	if flat {
		if s, ok = r.decodeHard(m); ok {
			return s, true
		}
	}
	if symbology.Version(m.n) >= meshVersion && r.bends > 0 {
		r.bends--
		bent := *m
		if r.fitter.bendTo(&bent) > score+bendGain {
			s, ok = r.decodeAs(&bent, sharpenings[:], take)
			if !ok && placed && !flat {
				if s, ok = r.decodeHard(m); ok {
					return s, true
				}
			}
			if !ok {
				s, ok = r.decodeHard(&bent)
			}
			if ok {
				*m = bent
			}
			return s, ok
		}
	}
	if flat {
		return s, false
	}
	return r.decodeHard(m)
}

// fitAndDecode fits a model to a triple and reads it. A flat, sharp code lies
// where its finders say; next its far corner is sought, then all four are moved.
func (r *reader) fitAndDecode(t *triple) (m model, score float32, s symbology.Symbol, ok bool) {
	version := 0
	if r.expected != nil {
		version = r.expected.version
	}
	r.fitter.patch.takeLight()
	r.fitter.guess(t, version)
	if m, score = r.fitter.guessed(); score == 0 {
		return m, score, s, false
	}
	if score >= worthTrying && r.fitter.settle(&m, r.fitter.guesses[0].score) {
		score = r.fitter.patch.score(&m, r.fitter.marksOf(symbology.Version(m.n)).points)
	}
	for cornered := false; ; cornered = true {
		if score >= sharp {
			if s, ok = r.decodeAs(&m, sharpenings[:1], takeFast); ok {
				return m, score, s, true
			}
		}
		if score >= worthTrying {
			if s, ok = r.decodeAs(&m, sharpenings[:2], take); ok {
				return m, score, s, true
			}
		}
		if cornered || score >= wellPlaced {
			break
		}
		score = r.fitter.corner(&m)
	}
	if r.fits <= 0 {
		return m, 0, s, false
	}
	r.fits--
	if m, score = r.fitter.fit(); score < worthDecoding {
		return m, score, s, false
	}
	if r.fitter.restScore(&m) < restFits {
		// Three finders that belong to nothing fit well by themselves.
		return m, score, s, false
	}
	s, ok = r.decodeAs(&m, sharpenings[:], take)
	return m, score, s, ok
}

// Bounds of the dearest means for each picture. Of some thousand codes of every
// kind of fault, none took more than 7 triples, 3 fits and 2 efforts, and one more
// pixels to prepare: what does is a texture.
const (
	maxTries   = 10      // triples whose patches are looked at in vain
	maxFits    = 6       // models that are fitted in vain
	maxPixels  = 500_000 // of those patches, and as many of those of pairs
	leastLooks = 120_000 // pixels that are prepared,
	lookShare  = 3       // and besides, a part of the picture
	maxEfforts = 4       // symbols that equaliser and erasures are tried on
	maxBends   = 3
	flatShare  = 0.9  // of what the sides score: where the whole scores less, it is bent
	bendGain   = 0.03 // how much better a bent model must be to be believed
)

// window is the part of the picture that a triple's symbol can be in, less where
// it is known to be flat.
func (t *triple) window(module float32, flat bool) window {
	farX, farY := t.right.x+t.lower.x-t.corner.x, t.right.y+t.lower.y-t.corner.y
	side := max(distance(&t.corner, &t.right), distance(&t.corner, &t.lower))
	margin := 6*module + 2
	if !flat {
		margin += 0.12 * side
	}
	return window{
		int(min(t.corner.x, t.right.x, t.lower.x, farX) - margin), int(min(t.corner.y, t.right.y, t.lower.y, farY) - margin),
		int(max(t.corner.x, t.right.x, t.lower.x, farX) + margin), int(max(t.corner.y, t.right.y, t.lower.y, farY) + margin),
	}
}

// sharpening is a way to turn measured modules into dark and light ones.
type sharpening struct {
	k     float32
	reach int // of the local threshold, modules
}

// sharpenings in the order in which they pay.
var sharpenings = [...]sharpening{{0, 4}, {1, 4}, {0.5, 4}, {2, 4}, {1, 2}, {1, 7}, {3, 4}, {5, 4}}

// decodeHard samples a fitted model and decodes it equalised, then with the
// doubtful codewords as erasures.
func (r *reader) decodeHard(m *model) (s symbology.Symbol, ok bool) {
	if r.efforts == 0 {
		return s, false
	}
	r.efforts--
	r.sharpening = 0
	template := r.decoder.Template(symbology.Version(m.n))
	r.sampler.take(&r.fitter.patch, m, take)
	r.equaliser.load(&r.sampler)
	for round := range equaliserRounds {
		if !r.equaliser.train(&r.sampler, template, round == 0) {
			break
		}
		if s, ok = r.try(symbology.Soft); ok {
			return s, true
		}
	}
	for _, v := range sharpenings[:4] {
		r.sampler.sharpen(v.k, v.reach)
		if s, ok = r.try(symbology.Soft); ok {
			return s, true
		}
	}
	return s, false
}

// How modules are sampled: at nine places, or at five.
const (
	take     = false
	takeFast = true
)

// decodeAs samples a model and decodes it sharpened in some ways.
func (r *reader) decodeAs(m *model, ways []sharpening, fast bool) (s symbology.Symbol, ok bool) {
	r.sampler.take(&r.fitter.patch, m, fast)
	for i, v := range ways {
		r.sampler.sharpen(v.k, v.reach)
		if s, ok = r.try(symbology.Plain); ok {
			r.sharpening = i
			return s, true
		}
	}
	return s, false
}

// equaliserRounds is how often the equaliser learns.
const equaliserRounds = 5

// try decodes what the sampler shows.
func (r *reader) try(effort symbology.Effort) (s symbology.Symbol, ok bool) {
	s, err := r.decoder.Decode(r.sampler.grid(), effort)
	return s, err == nil && len(s.Text) > 0 // an empty code says nothing
}

// codeOf gives size and place of a model; the text is not known yet.
func (r *reader) codeOf(m *model, light bool) Code {
	n := float32(m.n)
	c := Code{Version: symbology.Version(m.n), Inverted: light}
	for i, at := range [...][2]float32{{0, 0}, {n, 0}, {n, n}, {0, n}} {
		x, y := r.fitter.patch.from(m.place(at[0], at[1]))
		c.Corners[i] = Point{float64(x), float64(y)}
	}
	c.ModulePixels = float64(m.module()) * float64(r.fitter.patch.scale)
	return c
}
