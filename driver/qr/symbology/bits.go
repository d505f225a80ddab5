package symbology

import "unicode/utf8"

// parser reads the segments of the data codewords (ISO/IEC 18004 §7.4).
type parser struct {
	data    []byte
	at      int // bits read
	version int

	out     []byte // the text so far
	raw     []byte // bytes of the segment at hand
	open    bool   // and more of the same follow
	charset int    // the ECI in force, noCharset for none
	prose   bool   // so far all was bytes of UTF-8 without control characters
	fnc1    bool   // FNC1 was seen: % stands for the separator in alphanumeric segments

	part, parts int
	parity      byte
}

// noCharset is the charset of a symbol that names none.
const noCharset = -1

func (p *parser) reset(data []byte, version int) {
	*p = parser{data: data, version: version, out: p.out[:0], raw: p.raw[:0], charset: noCharset, prose: true}
}

// text copies what was read.
func (p *parser) text() []byte { return append(make([]byte, 0, len(p.out)), p.out...) }

func (p *parser) left() int { return 8*len(p.data) - p.at }

// bits reads n bits, at most 24; ok is false when there are not so many.
func (p *parser) bits(n int) (v int, ok bool) {
	if p.left() < n {
		return 0, false
	}
	for n > 0 {
		have := 8 - p.at%8
		take := min(have, n)
		b := int(p.data[p.at/8]) >> (have - take) & (1<<take - 1)
		v = v<<take | b
		p.at += take
		n -= take
	}
	return v, true
}

// peek gives the next n bits without reading them, 0 where there are not so many.
func (p *parser) peek(n int) int {
	at := p.at
	v, _ := p.bits(n)
	p.at = at
	return v
}

// padded says whether nothing but pad codewords follows what was parsed (§7.4.10).
func (p *parser) padded() bool {
	for i, w := range p.data[(p.at+7)/8:] {
		if w != [...]byte{0xEC, 0x11}[i%2] {
			return false
		}
	}
	return true
}

// The mode indicators of table 2.
const (
	modeEnd          = 0
	modeNumeric      = 1
	modeAlphanumeric = 2
	modeAppend       = 3
	modeByte         = 4
	modeFNC1First    = 5
	modeECI          = 7
	modeKanji        = 8
	modeFNC1Second   = 9
	modeHanzi        = 13 // of GB/T 18284
)

// countBits is how many bits tell the length of a segment (table 3).
func countBits(mode, version int) int {
	class := 0
	switch {
	case version >= 27:
		class = 2
	case version >= 10:
		class = 1
	}
	switch mode {
	case modeNumeric:
		return [...]int{10, 12, 14}[class]
	case modeAlphanumeric:
		return [...]int{9, 11, 13}[class]
	case modeByte:
		return [...]int{8, 16, 16}[class]
	default:
		return [...]int{8, 10, 12}[class]
	}
}

// parse reads all segments.
func (p *parser) parse() error {
	for p.left() >= 4 {
		mode, _ := p.bits(4)
		ok := false
		switch mode {
		case modeEnd:
			return nil
		case modeNumeric, modeAlphanumeric, modeByte, modeKanji:
			ok = p.segment(mode)
		case modeHanzi:
			ok = p.hanzi()
		case modeAppend:
			ok = p.structuredAppend()
		case modeECI:
			ok = p.eci()
		case modeFNC1First:
			p.fnc1, ok = true, true
		case modeFNC1Second:
			p.fnc1 = true
			ok = p.application()
		}
		if !ok {
			return ErrData
		}
	}
	return nil
}

func (p *parser) segment(mode int) bool {
	count, ok := p.bits(countBits(mode, p.version))
	if !ok {
		return false
	}
	p.prose = p.prose && mode == modeByte
	switch mode {
	case modeNumeric:
		return p.numeric(count)
	case modeAlphanumeric:
		return p.alphanumeric(count)
	case modeByte:
		return p.bytes(count)
	default:
		return p.kanji(count)
	}
}

// bytes reads characters of eight bits. Segments of bytes that follow each other
// are one text: encoders cut where it suits them, also within a character.
func (p *parser) bytes(count int) bool {
	if p.left() < 8*count {
		return false
	}
	if !p.open {
		p.raw = p.raw[:0]
	}
	for range count {
		b, _ := p.bits(8)
		p.raw = append(p.raw, byte(b))
	}
	if p.open = p.peek(4) == modeByte; p.open {
		return true
	}
	p.prose = p.prose && isProse(p.raw)
	var ok bool
	p.out, ok = appendText(p.out, p.raw, p.charset)
	return ok
}

// numeric reads three digits in 10 bits, two in 7, one in 4.
func (p *parser) numeric(count int) bool {
	for count > 0 {
		digits := min(count, 3)
		v, ok := p.bits([...]int{0, 4, 7, 10}[digits])
		limit := [...]int{0, 10, 100, 1000}[digits]
		if !ok || v >= limit {
			return false
		}
		for limit /= 10; limit > 0; limit /= 10 {
			p.out = append(p.out, byte('0'+v/limit%10))
		}
		count -= digits
	}
	return true
}

const alphanumerics = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// separator is what FNC1 stands for within the text: GS.
const separator = 0x1D

// alphanumeric reads two characters in 11 bits, one in 6.
func (p *parser) alphanumeric(count int) bool {
	start := len(p.out)
	for ; count > 0; count -= 2 {
		if count == 1 {
			v, ok := p.bits(6)
			if !ok || v >= 45 {
				return false
			}
			p.out = append(p.out, alphanumerics[v])
			break
		}
		v, ok := p.bits(11)
		if !ok || v >= 45*45 {
			return false
		}
		p.out = append(p.out, alphanumerics[v/45], alphanumerics[v%45])
	}
	if !p.fnc1 {
		return true
	}
	// %% is a percent sign, % alone the separator (§7.4.8.2).
	to := start
	for i := start; i < len(p.out); i++ {
		c := p.out[i]
		if c == '%' {
			if i+1 < len(p.out) && p.out[i+1] == '%' {
				i++
			} else {
				c = separator
			}
		}
		p.out[to] = c
		to++
	}
	p.out = p.out[:to]
	return true
}

// kanji reads characters of Shift_JIS in 13 bits each (§7.4.6).
func (p *parser) kanji(count int) bool {
	if p.left() < 13*count {
		return false
	}
	p.raw = p.raw[:0]
	for range count {
		v, _ := p.bits(13)
		c := v/0xC0<<8 | v%0xC0
		if c += 0x8140; c > 0x9FFC {
			c += 0xC140 - 0x8140
		}
		p.raw = append(p.raw, byte(c>>8), byte(c))
	}
	var ok bool
	p.out, ok = appendShiftJIS(p.out, p.raw)
	return ok
}

// hanziGB2312 is the only subset that the Hanzi mode has.
const hanziGB2312 = 1

// hanzi reads characters of GB 2312 in 13 bits each (GB/T 18284).
func (p *parser) hanzi() bool {
	subset, ok := p.bits(4)
	if !ok || subset != hanziGB2312 {
		return false
	}
	count, ok := p.bits(countBits(modeHanzi, p.version))
	if !ok || p.left() < 13*count {
		return false
	}
	for range count {
		v, _ := p.bits(13)
		r := hanzi(v)
		if r == 0 {
			return false
		}
		p.out = utf8.AppendRune(p.out, r)
	}
	return true
}

// eci reads the number of a character set: 8, 16 or 24 bits (§7.4.2).
func (p *parser) eci() bool {
	first, ok := p.bits(8)
	if !ok {
		return false
	}
	switch {
	case first&0x80 == 0:
		p.charset = first
		return true
	case first&0xC0 == 0x80:
		rest, ok := p.bits(8)
		p.charset = first&0x3F<<8 | rest
		return ok
	case first&0xE0 == 0xC0:
		rest, ok := p.bits(16)
		p.charset = first&0x1F<<16 | rest
		return ok
	}
	return false
}

// structuredAppend reads which symbol of how many this is (§8).
func (p *parser) structuredAppend() bool {
	v, ok := p.bits(16)
	p.part, p.parts, p.parity = v>>12+1, v>>8&0xF+1, byte(v)
	return ok && p.part <= p.parts
}

// application reads the application indicator behind FNC1 in second position:
// two digits or a letter. Transmission begins with it (§7.4.8.3, ISO/IEC 15424).
func (p *parser) application() bool {
	v, ok := p.bits(8)
	switch {
	case !ok:
		return false
	case v < 100:
		p.out = append(p.out, byte('0'+v/10), byte('0'+v%10))
		return true
	case v >= 100+'A' && v <= 100+'Z', v >= 100+'a' && v <= 100+'z':
		p.out = append(p.out, byte(v-100))
		return true
	}
	return false
}
