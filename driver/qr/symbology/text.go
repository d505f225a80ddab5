package symbology

import (
	"unicode/utf16"
	"unicode/utf8"
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
	eciBig5     = 28
	eciGB2312   = 29
	eciEUCKR    = 30
	eciGBK      = 31
	eciGB18030  = 32
	eciASCII2   = 170
	eciUTF16LE  = 33
	eciUTF32BE  = 34
	eciUTF32LE  = 35
	eciBinary   = 899
)

// appendText turns a segment of bytes into UTF-8. ok is false for bytes that
// are not of the character set named, and for sets that are not known: no text
// rather than a wrong one.
func appendText(to, raw []byte, charset int) (text []byte, ok bool) {
	wide := charset == eciUTF16BE || charset == eciUTF16LE || charset == eciUTF32BE || charset == eciUTF32LE
	if utf8.Valid(raw) && (!wide || !ascii(raw)) {
		return append(to, raw...), true
	}
	switch charset {
	case noCharset, 0, 2: // 0 and 2 are code page 437, used as "none" by old encoders
		if text, ok = appendShiftJIS(to, raw); ok && looksLikeShiftJIS(raw) {
			return text, true
		}
		return appendLatin1(to, raw), true
	case eciLatin1a, eciLatin1, eciBinary:
		return appendLatin1(to, raw), true
	case eciShiftJIS:
		return appendShiftJIS(to, raw)
	case eciUTF16BE, eciUTF16LE:
		return appendUTF16(to, raw, charset == eciUTF16LE)
	case eciUTF32BE, eciUTF32LE:
		return appendUTF32(to, raw, charset == eciUTF32LE)
	case eciUTF8, eciASCII, eciASCII2:
		// A careless claim, since the bytes are not valid UTF-8. What else they
		// are is anybody's guess.
		return to, false
	}
	if set, ok := pairSets[charset]; ok {
		return set.append(to, raw)
	}
	table, ok := codePages[charset]
	if !ok {
		return to, false
	}
	return appendCodePage(to, raw, table)
}

// isProse says whether bytes are UTF-8 as people write it.
func isProse(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return utf8.Valid(b)
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

// looksLikeShiftJIS says whether bytes of Shift_JIS that name no character set are
// meant so: they must show what ISO-8859-1 hardly ever does, bytes of its
// control range, or three characters of Japanese in a row.
func looksLikeShiftJIS(raw []byte) bool {
	run, longest := 0, 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c < utf8.RuneSelf:
			run = 0
			continue
		case c >= 0xA1 && c <= 0xDF: // half-width katakana
		case c < 0xA0:
			return true
		default: // the first of two
			i++
		}
		run++
		longest = max(longest, run)
	}
	return longest >= 3
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
func appendCodePage(to, raw []byte, table string) (text []byte, ok bool) {
	var upper [utf8.RuneSelf]rune
	i := 0
	for _, r := range table {
		upper[i] = r
		i++
	}
	for _, b := range raw {
		r := rune(b)
		if b >= utf8.RuneSelf {
			if r = upper[b-utf8.RuneSelf]; r == utf8.RuneError {
				return to, false
			}
		}
		to = utf8.AppendRune(to, r)
	}
	return to, true
}
