package symbology

import "github.com/makiuchi-d/gozxing/common/reedsolomon"

// maxCheck is the most codewords of error correction that a block has.
const maxCheck = 30

// field is the field of 256 elements of QR codes, gozxing's, laid out for
// decoding: as products and quotients are looked up, without a branch for 0.
type field struct {
	exp [510]byte
	log [256]uint8 // of 1 to 255
	// times[i][v] is v·αⁱ. The next value of a polynomial's term or a
	// syndrome is one look-up away.
	times [maxCheck + 1][256]byte
}

func newField() *field {
	f, gf := &field{}, reedsolomon.GenericGF_QR_CODE_FIELD_256
	for i := range 255 {
		x := gf.Exp(i)
		f.exp[i], f.exp[i+255] = byte(x), byte(x)
		f.log[x] = uint8(i)
	}
	for i := range f.times {
		for v := range f.times[i] {
			f.times[i][v] = byte(gf.Multiply(v, gf.Exp(i)))
		}
	}
	return f
}

func (f *field) mul(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+int(f.log[b])]
}

// div divides by b, which is not 0.
func (f *field) div(a, b byte) byte {
	if a == 0 {
		return 0
	}
	return f.exp[int(f.log[a])+255-int(f.log[b])]
}

// polynomial holds coefficients, that of x⁰ first.
type polynomial [maxCheck + 1]byte

// corrector restores blocks, in buffers of its own.
type corrector struct {
	field     *field
	syndromes [maxCheck + 3]byte // rounded up to whole fours
	locator   polynomial
	evaluator polynomial
}

func newCorrector() *corrector { return &corrector{field: newField()} }

// syndrome computes the syndromes of a block and says whether all are 0.
func (c *corrector) syndrome(block []byte, check int) (clean bool) {
	any := byte(0)
	// Four at a time: each look-up waits for the one before it, and the
	// processor can wait for four at once.
	for i := 0; i < check; i += 4 {
		last := min(i+3, maxCheck)
		t0, t1, t2, t3 := &c.field.times[i], &c.field.times[min(i+1, last)], &c.field.times[min(i+2, last)], &c.field.times[last]
		var s0, s1, s2, s3 byte
		for _, w := range block {
			s0, s1, s2, s3 = t0[s0]^w, t1[s1]^w, t2[s2]^w, t3[s3]^w
		}
		c.syndromes[i], c.syndromes[i+1], c.syndromes[i+2], c.syndromes[i+3] = s0, s1, s2, s3
	}
	for _, s := range c.syndromes[:check] {
		any |= s
	}
	return any == 0
}

// restore restores a block in place: the codewords at the places erased, which
// are all different, and up to most others. changed tells how many codewords it
// changed, others how many of them were not among the erased. ok is false if
// that does not make it whole; the block is then as it was.
//
// len(erased)+2·most must not exceed check. The method is Berlekamp and
// Massey's, begun with the locator of the erasures, and Forney's for the
// values.
func (c *corrector) restore(block []byte, check int, erased []uint8, most int) (changed, others int, ok bool) {
	if c.syndrome(block, check) {
		return 0, 0, true
	}
	degree, ok := c.locate(len(block), check, erased, most)
	if !ok {
		return 0, 0, false
	}
	changed, ok = c.mend(block, check, degree)
	return changed, degree - len(erased), ok
}

// locate finds the polynomial whose roots are the inverses of the places of
// wrong codewords, in a block of n.
func (c *corrector) locate(n, check int, erased []uint8, most int) (degree int, ok bool) {
	f := c.field
	// The product of (1 - X·x) over the erased places.
	locator := polynomial{1}
	for k, at := range erased {
		x := f.exp[n-1-int(at)]
		for i := k + 1; i > 0; i-- {
			locator[i] ^= f.mul(x, locator[i-1])
		}
	}
	rho := len(erased)
	degree = rho
	prior := locator
	for r := rho; r < check; r++ {
		var d byte
		for i := 0; i <= degree; i++ {
			d ^= f.mul(locator[i], c.syndromes[r-i])
		}
		copy(prior[1:], prior[:maxCheck])
		prior[0] = 0
		if d == 0 {
			continue
		}
		grow := 2*degree <= r+rho
		if grow {
			if degree = r + 1 + rho - degree; degree > rho+most {
				return 0, false // and it never shrinks
			}
		}
		log := int(f.log[d])
		for i := range check + 1 {
			was := locator[i]
			if p := prior[i]; p != 0 {
				locator[i] ^= f.exp[log+int(f.log[p])]
			}
			if grow {
				prior[i] = 0
				if was != 0 {
					prior[i] = f.exp[int(f.log[was])+255-log]
				}
			}
		}
	}
	for _, v := range locator[degree+1:] {
		if v != 0 {
			return 0, false
		}
	}
	c.locator = locator
	return degree, true
}

// mend finds the roots of the locator and what is to be added to the codewords
// there. A locator without as many roots within the block as its degree is
// that of no pattern of errors.
func (c *corrector) mend(block []byte, check, degree int) (changed int, ok bool) {
	f, n := c.field, len(block)
	// The evaluator: syndromes times locator, modulo x^check.
	c.evaluator = polynomial{}
	for i := range check {
		for j := 0; j <= min(i, degree); j++ {
			c.evaluator[i] ^= f.mul(c.syndromes[i-j], c.locator[j])
		}
	}
	// From the first codeword, the one of the highest power, to the last: the
	// terms of the locator at 1/X grow by αⁱ from each to the next.
	terms := c.locator
	for i := 1; i <= degree; i++ {
		terms[i] = f.div(terms[i], f.exp[i*(n-1)%255])
	}
	var places, values [maxCheck]byte
	roots := 0
	for at := 0; at < n && roots < degree; at++ {
		even, odd := terms[0], byte(0)
		for i := 1; i <= degree; i += 2 {
			odd ^= terms[i]
			terms[i] = f.times[i][terms[i]]
		}
		for i := 2; i <= degree; i += 2 {
			even ^= terms[i]
			terms[i] = f.times[i][terms[i]]
		}
		if even != odd {
			continue
		}
		if odd == 0 {
			return 0, false // a root twice
		}
		// The odd terms are the formal derivative at 1/X times 1/X; the first
		// of the consecutive roots of the code being 1, the value is
		// X·(evaluator/derivative).
		x, v := (255-(n-1-at))%255, byte(0)
		for i := check - 1; i >= 0; i-- {
			v = f.mul(v, f.exp[x]) ^ c.evaluator[i]
		}
		places[roots], values[roots] = byte(at), f.div(v, odd)
		roots++
	}
	if roots != degree {
		return 0, false
	}
	for i := range roots {
		if block[places[i]] ^= values[i]; values[i] != 0 {
			changed++
		}
	}
	if c.syndrome(block, check) {
		return changed, true
	}
	for i := range roots {
		block[places[i]] ^= values[i]
	}
	return 0, false
}
