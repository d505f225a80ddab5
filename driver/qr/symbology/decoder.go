package symbology

import "math"

// Decoder decodes grids. It keeps buffers and is not safe for concurrent use.
type Decoder struct {
	templates [MaxVersion + 1]*Template
	masks     [8][maskPeriod * maskPeriod]byte // 1 where a mask turns over
	corrector *corrector
	words     []byte    // as read, interleaved
	doubt     []float32 // how sure the least sure bit of each was
	block     []byte
	seen      []byte    // the block before it was restored
	sure      []float32 // of the codewords of a block
	erased    []uint8
	best      []byte // the likeliest block with little evidence
	data      []byte // restored
	restored  []restored
	parser    parser
}

// restored tells of a block how it was restored.
type restored struct {
	changed int     // codewords
	data    int     // of them such that hold data
	missing float64 // evidence, in bits; below 0 if there is more than enough
}

// NewDecoder makes a Decoder.
func NewDecoder() *Decoder {
	d := &Decoder{corrector: newCorrector()}
	for mask := range d.masks {
		for i := range d.masks[mask] {
			if masked(mask, i%maskPeriod, i/maskPeriod) {
				d.masks[mask][i] = 1
			}
		}
	}
	return d
}

// Template gives what all symbols of a version have in common. It is made at
// the first call and must not be changed.
func (d *Decoder) Template(version int) *Template {
	if d.templates[version] == nil {
		d.templates[version] = NewTemplate(version)
	}
	return d.templates[version]
}

// Effort is what Decode does about wrong codewords.
type Effort uint8

const (
	// Plain restores errors alone.
	Plain Effort = iota
	// Soft also tries the least sure codewords as erasures, where errors alone
	// are too many.
	Soft
)

// Decode decodes a grid, as seen or mirrored, whichever its format information
// speaks for. An error is one of this package's; nothing is allocated but the
// text.
//
// A text is given only on enough evidence: among 10⁹ frames with a code beyond
// reading, each tried as often as driver/qr does, less than one wrong text is to be
// expected.
func (d *Decoder) Decode(g Grid, effort Effort) (Symbol, error) {
	version := Version(g.N)
	if version == 0 || len(g.Dark) != g.N*g.N {
		return Symbol{}, ErrSize
	}
	n := g.N
	upright, okUpright := decodeFormat(formatBits(func(x, y int) bool { return g.Dark[y*n+x] > 0 }, n))
	mirrored, okMirrored := decodeFormat(formatBits(func(x, y int) bool { return g.Dark[x*n+y] > 0 }, n))
	if !okUpright && !okMirrored {
		return Symbol{}, ErrFormat
	}
	first := okUpright && (!okMirrored || upright.wrong <= mirrored.wrong)
	err := ErrFormat
	for _, mirror := range [...]bool{!first, first} {
		f, ok := upright, okUpright
		if mirror {
			f, ok = mirrored, okMirrored
		}
		if !ok {
			continue
		}
		s := Symbol{Version: version, Level: f.level, Mask: f.mask, Mirrored: mirror}
		d.read(g, d.Template(version), f.mask, mirror)
		l := layoutOf(version, f.level)
		if !d.restore(l, effort) {
			err = ErrCodewords
			continue
		}
		d.parser.reset(d.data, version)
		if e := d.parser.parse(); e != nil {
			err = e
			continue
		}
		if !d.believable() {
			err = ErrCodewords
			continue
		}
		for _, r := range d.restored {
			s.Corrected += r.changed
		}
		s.Text = d.parser.text()
		s.Part, s.Parts, s.Parity = d.parser.part, d.parser.parts, d.parser.parity
		return s, nil
	}
	return Symbol{}, err
}

// read takes the codewords off the grid, the mask taken off.
func (d *Decoder) read(g Grid, t *Template, mask int, mirror bool) {
	right, down := 1, t.N
	if mirror {
		right, down = down, right
	}
	cells := &d.masks[mask]
	d.words, d.doubt = d.words[:0], d.doubt[:0]
	for order := t.order; len(order) >= 8; order = order[8:] {
		word, doubt := byte(0), uint32(math.MaxUint32)
		for _, s := range order[:8] {
			v := g.Dark[int(s.x)*right+int(s.y)*down]
			bit := cells[s.cell]
			if v > 0 {
				bit ^= 1
			}
			word = word<<1 | bit
			// Numbers without their sign are in the order of their bits.
			doubt = min(doubt, math.Float32bits(v)&math.MaxInt32)
		}
		d.words, d.doubt = append(d.words, word), append(d.doubt, math.Float32frombits(doubt))
	}
}

// restore takes the blocks apart (§7.6), restores each, and puts their data one
// after the other into d.data.
func (d *Decoder) restore(l layout, effort Effort) (ok bool) {
	d.data, d.restored = d.data[:0], d.restored[:0]
	for b := range l.blocks {
		d.gather(l, b)
		data := l.data
		if b >= l.short {
			data++
		}
		r, ok := d.restoreBlock(data, l, effort)
		if !ok {
			return false
		}
		d.restored = append(d.restored, r)
		d.data = append(d.data, d.block[:data]...)
	}
	return true
}

// believable says whether there is enough evidence for each block, together with
// what the text that was parsed is evidence of.
func (d *Decoder) believable() bool {
	prose := d.parser.prose && d.parser.padded()
	for _, r := range d.restored {
		if prose {
			r.missing -= min(maxProse, proseWord*float64(r.data))
		}
		if r.missing > 0 {
			return false
		}
	}
	return true
}

// gather picks block b out of the interleaved codewords.
func (d *Decoder) gather(l layout, b int) {
	d.block, d.sure = d.block[:0], d.sure[:0]
	take := func(i int) {
		d.block, d.sure = append(d.block, d.words[i]), append(d.sure, d.doubt[i])
	}
	for i := range l.data {
		take(i*l.blocks + b)
	}
	at := l.data * l.blocks
	if b >= l.short {
		take(at + b - l.short)
	}
	at += l.blocks - l.short
	for i := range l.check {
		take(at + i*l.blocks + b)
	}
}

// restoreBlock restores the gathered block, whose first codewords are data, in
// place. ok says that no more evidence is missing than a text may bring.
func (d *Decoder) restoreBlock(data int, l layout, effort Effort) (best restored, ok bool) {
	check := l.check
	d.seen = append(d.seen[:0], d.block...)
	best.missing = maxProse
	try := func(erased []uint8, need float64) (enough bool) {
		changed, others, ok := d.corrector.restore(d.block, check, erased, (check-len(erased))/2)
		if !ok {
			return false
		}
		if missing := need - evidence(d.seen, d.block, check, erased, others); missing < best.missing {
			best = restored{changed: changed, missing: missing}
			for i, w := range d.block[:data] {
				if w != d.seen[i] {
					best.data++
				}
			}
			d.best = append(d.best[:0], d.block...)
		}
		copy(d.block, d.seen)
		return best.missing <= 0
	}
	if !try(nil, plainEvidence) && effort == Soft {
		d.doubtful()
		for n := 1; n <= min(check, len(d.erased)); n++ {
			if try(d.erased[:n], softEvidence) {
				break
			}
		}
	}
	if best.missing == maxProse {
		return best, false
	}
	copy(d.block, d.best)
	return best, true
}

// doubtful lists the codewords of the block in order of doubt: by insertion, since
// they are few and nothing must be allocated.
func (d *Decoder) doubtful() {
	d.erased = d.erased[:0]
	for i, s := range d.sure {
		j := len(d.erased)
		d.erased = append(d.erased, 0)
		for ; j > 0 && d.sure[d.erased[j-1]] > s; j-- {
			d.erased[j] = d.erased[j-1]
		}
		d.erased[j] = uint8(i)
	}
}
