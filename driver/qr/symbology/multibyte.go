package symbology

import (
	_ "embed"
	"unicode/utf8"
)

// Character sets of two bytes a character. Their tables hold a character of the
// basic plane for each pair, high byte first, 0 where a set has none; the tests
// write and check them by golang.org/x/text, whose own tables serve both
// directions and are several times as large.
var (
	//go:embed tables/jis0208.bin
	jis0208Table string
	//go:embed tables/gbk.bin
	gbkTable string
	//go:embed tables/big5.bin
	big5Table string
	//go:embed tables/ksx1001.bin
	ksx1001Table string
)

// pairs is a character set whose characters beyond ASCII are pairs of bytes.
type pairs struct {
	table *string
	// leads are the first and last byte that begin a pair, trails those of the
	// second byte, in up to two stretches.
	leads  [2]byte
	trails [2][2]byte
}

// pairSets are the character sets by number. GB 18030 has further characters of
// four bytes, which hardly anybody writes: they are not understood.
var pairSets = map[int]pairs{
	eciBig5:    {&big5Table, [2]byte{0xA1, 0xF9}, [2][2]byte{{0x40, 0x7E}, {0xA1, 0xFE}}},
	eciGB2312:  {&gbkTable, [2]byte{0x81, 0xFE}, [2][2]byte{{0x40, 0x7E}, {0x80, 0xFE}}},
	eciEUCKR:   {&ksx1001Table, [2]byte{0xA1, 0xFE}, [2][2]byte{{0xA1, 0xFE}, {1, 0}}},
	eciGBK:     {&gbkTable, [2]byte{0x81, 0xFE}, [2][2]byte{{0x40, 0x7E}, {0x80, 0xFE}}},
	eciGB18030: {&gbkTable, [2]byte{0x81, 0xFE}, [2][2]byte{{0x40, 0x7E}, {0x80, 0xFE}}},
}

// width is how many second bytes there are.
func (p *pairs) width() int {
	n := 0
	for _, s := range p.trails {
		n += max(0, int(s[1])-int(s[0])+1)
	}
	return n
}

// rune looks up a pair; 0 for none.
func (p *pairs) rune(lead, trail byte) rune {
	if lead < p.leads[0] || lead > p.leads[1] {
		return 0
	}
	at := 0
	for _, s := range p.trails {
		if trail >= s[0] && trail <= s[1] {
			return entry(*p.table, int(lead-p.leads[0])*p.width()+at+int(trail-s[0]))
		}
		at += max(0, int(s[1])-int(s[0])+1)
	}
	return 0
}

func entry(table string, i int) rune { return rune(table[2*i])<<8 | rune(table[2*i+1]) }

// append turns bytes into text.
func (p *pairs) append(to, raw []byte) (text []byte, ok bool) {
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		if b < utf8.RuneSelf {
			to = append(to, b)
			continue
		}
		if i++; i == len(raw) {
			return to, false
		}
		r := p.rune(b, raw[i])
		if r == 0 {
			return to, false
		}
		to = utf8.AppendRune(to, r)
	}
	return to, true
}

// The rows of JIS X 0208, with those that Windows adds, lie two to a first byte of
// Shift_JIS, 188 characters.
const (
	shiftJISWidth = 188
	halfKatakana  = 0xFF61 - 0xA1
)

// appendShiftJIS turns bytes into text.
func appendShiftJIS(to, raw []byte) (text []byte, ok bool) {
	for i := 0; i < len(raw); i++ {
		b := raw[i]
		switch {
		case b <= 0x80:
			to = utf8.AppendRune(to, rune(b))
			continue
		case b >= 0xA1 && b <= 0xDF:
			to = utf8.AppendRune(to, halfKatakana+rune(b))
			continue
		}
		if i++; i == len(raw) {
			return to, false
		}
		r := shiftJISRune(b, raw[i])
		if r == 0 {
			return to, false
		}
		to = utf8.AppendRune(to, r)
	}
	return to, true
}

// shiftJISRune looks up a pair; 0 for none.
func shiftJISRune(lead, trail byte) rune {
	row, column := int(lead)-0x81, int(trail)-0x40
	if lead >= 0xE0 {
		row -= 0xE0 - 0xA0
	}
	if trail > 0x7F {
		column--
	}
	at := row*shiftJISWidth + column
	if lead < 0x81 || lead == 0xA0 || lead > 0xFC || trail < 0x40 || trail == 0x7F || trail > 0xFC || 2*at+1 >= len(jis0208Table) {
		return 0
	}
	return entry(jis0208Table, at)
}

// hanzi looks up a character of the Hanzi mode (GB/T 18284): 13 bits of a
// character of GB 2312; 0 for none.
func hanzi(v int) rune {
	lead, trail := v/0x60, v%0x60
	if lead += 0xA1; lead > 0xAA {
		lead += 0xB0 - 0xAB
	}
	set := pairSets[eciGB2312]
	if trail += 0xA1; lead > 0xFE || trail > 0xFE {
		return 0
	}
	return set.rune(byte(lead), byte(trail))
}
