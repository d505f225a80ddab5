package qr

import (
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/common"
	"golang.org/x/text/encoding"
	"golang.org/x/text/transform"
)

// The text rule: bytes that are valid UTF-8 are UTF-8, whatever a careless
// encoder claims; else the character set that the code names (ECI); else the
// library's guess. Wrong claims and missing ones are common, and bytes of
// another character set are hardly ever valid UTF-8 by chance.

// textHints makes the library ask [textRule] for byte segments without an ECI.
func textHints() map[gozxing.DecodeHintType]interface{} {
	return map[gozxing.DecodeHintType]interface{}{gozxing.DecodeHintType_CHARACTER_SET: textRule{}}
}

// textRule is the character set "UTF-8 if it is, else the guess".
type textRule struct{}

func (textRule) NewDecoder() *encoding.Decoder {
	return &encoding.Decoder{Transformer: &segmentDecoder{}}
}

func (textRule) NewEncoder() *encoding.Encoder { return encoding.Nop.NewEncoder() }

// segmentDecoder turns one byte segment into UTF-8. The library hands it over
// whole; the guess is made once, from the whole.
type segmentDecoder struct{ guess transform.Transformer }

func (d *segmentDecoder) Reset() { d.guess = nil }

func (d *segmentDecoder) Transform(dst, src []byte, atEOF bool) (nDst, nSrc int, err error) {
	if d.guess == nil {
		d.guess = guess(src)
	}
	return d.guess.Transform(dst, src, atEOF)
}

func guess(segment []byte) transform.Transformer {
	if utf8.Valid(segment) {
		return encoding.Nop.NewDecoder()
	}
	charset, err := common.StringUtils_guessCharset(segment, nil)
	if err != nil || charset == nil {
		return encoding.UTF8Validator
	}
	return charset.NewDecoder()
}

// namesCharset picks the symbologies with an ECI in force (ISO/IEC 15424 ]Q2, ]Q4, ]Q6).
func namesCharset(symbology int) bool { return symbology > 0 && symbology%2 == 0 }

// textOf applies the rule to a decoded code. Where an ECI was in force, the
// library has followed it; that is put right for codes of one byte segment
// only, since the library does not say where in the text a segment stands.
func textOf(r *common.DecoderResult) []byte {
	if segments := r.GetByteSegments(); namesCharset(r.GetSymbologyModifier()) && len(segments) == 1 {
		raw := segments[0]
		if utf8.Valid(raw) && !ascii(raw) && alone(r.GetRawBytes(), len(raw)) {
			return append([]byte(nil), raw...)
		}
	}
	text := r.GetText()
	if !utf8.ValidString(text) {
		text = string([]rune(text)) // replaces what is not UTF-8
	}
	return []byte(text)
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// alone says whether the data codewords are one ECI of a single byte, a segment
// of n bytes and nothing else (ISO/IEC 18004 §7.4): 4 bits 0111, 8 bits of ECI
// below 128, 4 bits 0100, the count in 8 or 16 bits, the bytes, and 0000 if
// there is room.
func alone(codewords []byte, n int) bool {
	if len(codewords) < 4 || codewords[0]>>4 != 0x7 || codewords[0]&0x8 != 0 || codewords[1]&0xF != 0x4 {
		return false
	}
	end := 0
	switch {
	case int(codewords[2]) == n:
		end = 3 + n
	case int(codewords[2])<<8|int(codewords[3]) == n:
		end = 4 + n
	default:
		return false
	}
	return end == len(codewords) || end < len(codewords) && codewords[end]>>4 == 0
}
