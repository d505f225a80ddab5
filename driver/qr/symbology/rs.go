package symbology

import "github.com/makiuchi-d/gozxing/common/reedsolomon"

// The field of 256 elements of QR codes: powers of 2 modulo x⁸+x⁴+x³+x²+1.
type field struct {
	exp [510]byte
	log [256]uint8 // of 1 to 255
}

func newField() *field {
	f := &field{}
	x := 1
	for i := range 255 {
		f.exp[i], f.exp[i+255] = byte(x), byte(x)
		f.log[x] = uint8(i)
		if x <<= 1; x > 255 {
			x ^= 0x11D
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

// corrector restores blocks. It keeps buffers.
type corrector struct {
	field *field
	plain *reedsolomon.ReedSolomonDecoder // errors alone
	words []int
	// scratch of the decoding with erasures; degrees stay below 256
	syndromes, locator, prior, next, evaluator [256]byte
}

func newCorrector() *corrector {
	return &corrector{
		field: newField(),
		plain: reedsolomon.NewReedSolomonDecoder(reedsolomon.GenericGF_QR_CODE_FIELD_256),
	}
}

// syndrome computes the syndromes of a block and says whether all are 0.
func (c *corrector) syndrome(block []byte, check int) (clean bool) {
	clean = true
	for i := range check {
		s := byte(0)
		for _, w := range block {
			s = c.field.mul(s, c.field.exp[i]) ^ w
		}
		c.syndromes[i] = s
		clean = clean && s == 0
	}
	return clean
}

// errors restores a block with up to check/2 wrong codewords, in place, and
// tells how many there were.
//
// Most blocks that reach it are beyond repair, being of no code at all, and the
// library allocates some hundred times before it says so. So the decoder below,
// which allocates nothing, says whether there is anything to restore; the
// library restores, and the two must agree.
func (c *corrector) errors(block []byte, check int) (wrong int, ok bool) {
	if c.syndrome(block, check) {
		return 0, true
	}
	c.words = c.words[:0]
	for _, w := range block {
		c.words = append(c.words, int(w))
	}
	if wrong, ok = c.erasures(block, check, nil, 0); !ok || c.plain.Decode(c.words, check) != nil {
		return 0, false
	}
	for i, w := range c.words {
		if w != int(block[i]) {
			return 0, false
		}
	}
	return wrong, true
}

// erasures restores a block some of whose codewords are known to be doubtful:
// erased lists their places. It restores e wrong codewords outside of those as
// long as len(erased)+2·e ≤ check-spare; spare codewords of redundancy are kept
// to tell a right answer from a lucky one.
//
// The method is Berlekamp and Massey's, begun with the locator of the erasures,
// and Forney's for the values.
func (c *corrector) erasures(block []byte, check int, erased []uint8, spare int) (wrong int, ok bool) {
	if len(erased) > check-spare {
		return 0, false
	}
	if c.syndrome(block, check) {
		return 0, true
	}
	f, n := c.field, len(block)
	// The locator: the product of (1 - X·x) over the erased places.
	clear(c.locator[:])
	c.locator[0] = 1
	for k, at := range erased {
		x := f.exp[n-1-int(at)]
		for i := k + 1; i > 0; i-- {
			c.locator[i] ^= f.mul(x, c.locator[i-1])
		}
	}
	rho := len(erased)
	c.prior = c.locator
	degree := rho
	for r := rho; r < check; r++ {
		var d byte
		for i := 0; i <= min(r, degree); i++ {
			d ^= f.mul(c.locator[i], c.syndromes[r-i])
		}
		copy(c.prior[1:], c.prior[:check])
		c.prior[0] = 0
		if d == 0 {
			continue
		}
		c.next = c.locator
		for i := range check + 1 {
			c.next[i] ^= f.mul(d, c.prior[i])
		}
		if 2*degree <= r+rho {
			degree = r + 1 + rho - degree
			for i := range check + 1 {
				c.prior[i] = f.div(c.locator[i], d)
			}
		}
		c.locator = c.next
	}
	if 2*degree-rho > check-spare {
		return 0, false
	}
	for i := degree + 1; i <= check; i++ {
		if c.locator[i] != 0 {
			return 0, false
		}
	}
	// The evaluator: syndromes times locator, modulo x^check.
	clear(c.evaluator[:])
	for i := range check {
		for j := 0; j <= min(i, degree); j++ {
			c.evaluator[i] ^= f.mul(c.syndromes[i-j], c.locator[j])
		}
	}
	roots := 0
	for at := range n {
		power := n - 1 - at
		inverse := (255 - power) % 255 // exponent of 1/X
		var value, slope byte
		for i := degree; i >= 0; i-- {
			term := c.locator[i]
			if term != 0 {
				term = f.exp[(int(f.log[term])+i*inverse)%255]
			}
			value ^= term
			if i%2 == 1 {
				slope ^= term
			}
		}
		if value != 0 {
			continue
		}
		roots++
		if slope == 0 {
			return 0, false
		}
		var e byte
		for i := range check {
			if term := c.evaluator[i]; term != 0 {
				e ^= f.exp[(int(f.log[term])+i*inverse)%255]
			}
		}
		// slope is the formal derivative at 1/X times 1/X; the first
		// consecutive root being 1, the value is X·(evaluator/derivative).
		if e = f.div(e, slope); e != 0 {
			wrong++
		}
		block[at] ^= e
	}
	return wrong, roots == degree && c.syndrome(block, check)
}
