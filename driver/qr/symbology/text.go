package symbology

import (
	"bytes"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/transform"
)

// The text rule: bytes that are valid UTF-8 are UTF-8, whatever a careless
// encoder claims; else the character set that the code names (ECI); else the
// guess, Shift_JIS or ISO-8859-1. Wrong claims and missing ones are common, and
// bytes of another character set are hardly ever valid UTF-8 by chance.

// ECI numbers of the AIM register.
const (
	eciLatin1a  = 1
	eciLatin1   = 3
	eciShiftJIS = 20
	eciUTF16BE  = 25
	eciUTF8     = 26
	eciASCII    = 27
	eciASCII2   = 170
	eciUTF16LE  = 33
	eciUTF32BE  = 34
	eciUTF32LE  = 35
	eciBinary   = 899
)

// charsets turns bytes into text, in buffers of its own: nothing is allocated
// once they are there.
type charsets struct {
	shiftJIS transform.Transformer // made when first asked for
	wide     []byte                // what it gave
	upper    []rune                // of a code page
}

// appendText turns a segment of bytes into UTF-8. ok is false for bytes that
// are not of the character set named, and for sets whose tables are too large
// to carry (Chinese and Korean ones): no text rather than a wrong one.
func (c *charsets) appendText(to, raw []byte, charset int) (text []byte, ok bool) {
	wide := charset == eciUTF16BE || charset == eciUTF16LE || charset == eciUTF32BE || charset == eciUTF32LE
	if utf8.Valid(raw) && (!wide || !ascii(raw)) {
		return append(to, raw...), true
	}
	switch charset {
	case noCharset, 0, 2: // 0 and 2 are code page 437, used as "none" by old encoders
		if looksLikeShiftJIS(raw) {
			if text, ok = c.appendShiftJIS(to, raw); ok {
				return text, true
			}
		}
		return appendLatin1(to, raw), true
	case eciLatin1a, eciLatin1, eciBinary:
		return appendLatin1(to, raw), true
	case eciShiftJIS:
		return c.appendShiftJIS(to, raw)
	case eciUTF16BE, eciUTF16LE:
		return appendUTF16(to, raw, charset == eciUTF16LE)
	case eciUTF32BE, eciUTF32LE:
		return appendUTF32(to, raw, charset == eciUTF32LE)
	case eciUTF8, eciASCII, eciASCII2:
		// A careless claim, since the bytes are not valid UTF-8. What else they
		// are is anybody's guess.
		return to, false
	}
	table, ok := codePages[charset]
	if !ok {
		return to, false
	}
	return c.appendCodePage(to, raw, table)
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// appendLatin1 takes each byte for the character of its number: what the
// standard means where it names nothing else.
func appendLatin1(to, raw []byte) []byte {
	for _, c := range raw {
		to = utf8.AppendRune(to, rune(c))
	}
	return to
}

func (c *charsets) appendShiftJIS(to, raw []byte) (text []byte, ok bool) {
	if c.shiftJIS == nil {
		c.shiftJIS = japanese.ShiftJIS.NewDecoder().Transformer
	}
	// A byte becomes three at most, or one that is not of the set U+FFFD.
	c.wide = slices.Grow(c.wide[:0], 3*len(raw))[:3*len(raw)]
	c.shiftJIS.Reset()
	n, _, err := c.shiftJIS.Transform(c.wide, raw, true)
	if err != nil || bytes.ContainsRune(c.wide[:n], encodingError) {
		return to, false
	}
	return append(to, c.wide[:n]...), true
}

// encodingError is what x/text puts where bytes are not of a character set.
const encodingError = utf8.RuneError

// looksLikeShiftJIS says whether bytes that name no character set may be
// Shift_JIS: all of them must be, which only its tables can tell, and they must
// show what ISO-8859-1 hardly ever does: bytes of its control range, or three
// characters of Japanese in a row.
func looksLikeShiftJIS(raw []byte) bool {
	run, longest, control := 0, 0, false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case c < 0x80:
			run = 0
			continue
		case c >= 0xA1 && c <= 0xDF: // half-width katakana
		case c >= 0x81 && c <= 0x9F, c >= 0xE0 && c <= 0xFC: // first of two
			control = control || c < 0xA0
			if i++; i == len(raw) || raw[i] < 0x40 || raw[i] == 0x7F || raw[i] > 0xFC {
				return false
			}
		default:
			return false
		}
		run++
		longest = max(longest, run)
	}
	return control || longest >= 3
}

func appendUTF16(to, raw []byte, little bool) (text []byte, ok bool) {
	if len(raw)%2 != 0 {
		return to, false
	}
	unit := func(i int) rune {
		if little {
			return rune(raw[i]) | rune(raw[i+1])<<8
		}
		return rune(raw[i])<<8 | rune(raw[i+1])
	}
	for i := 0; i < len(raw); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			if i += 2; i == len(raw) {
				return to, false
			}
			if r = utf16.DecodeRune(r, unit(i)); r == utf8.RuneError {
				return to, false
			}
		}
		if i == 0 && r == 0xFEFF {
			continue // byte order mark
		}
		to = utf8.AppendRune(to, r)
	}
	return to, true
}

func appendUTF32(to, raw []byte, little bool) (text []byte, ok bool) {
	if len(raw)%4 != 0 {
		return to, false
	}
	for ; len(raw) > 0; raw = raw[4:] {
		r := uint32(raw[0])<<24 | uint32(raw[1])<<16 | uint32(raw[2])<<8 | uint32(raw[3])
		if little {
			r = uint32(raw[3])<<24 | uint32(raw[2])<<16 | uint32(raw[1])<<8 | uint32(raw[0])
		}
		if r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
			return to, false
		}
		to = utf8.AppendRune(to, rune(r))
	}
	return to, true
}

// appendCodePage maps the upper half of the bytes by a table of 128 characters.
func (c *charsets) appendCodePage(to, raw []byte, table string) (text []byte, ok bool) {
	c.upper = c.upper[:0]
	for _, r := range table {
		c.upper = append(c.upper, r)
	}
	for _, b := range raw {
		r := rune(b)
		if b >= utf8.RuneSelf {
			if r = c.upper[b-utf8.RuneSelf]; r == utf8.RuneError {
				return to, false
			}
		}
		to = utf8.AppendRune(to, r)
	}
	return to, true
}
