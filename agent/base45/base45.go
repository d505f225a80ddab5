// Package base45 writes bytes as the text of a QR code's alphanumeric mode and
// reads it back (RFC 9285): three digits for two bytes, the lowest first.
//
// It owns the alphabet and what is refused, and nothing of what the bytes
// mean: vaccine passports and passes of our own are two users of it.
package base45

import "errors"

// ErrSyntax is all that is said about a text that is not base45: it quotes
// nothing.
var ErrSyntax = errors.New("not base45")

// digits are in the order of their values.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

const base = len(digits)

// values gives the value of a digit plus one, 0 for what is none.
var values = func() (v [256]uint8) {
	for i := range base {
		v[digits[i]] = uint8(i) + 1
	}
	return v
}()

// EncodedLen gives how many digits n bytes take.
func EncodedLen(n int) int { return n/2*3 + n%2*2 }

// Encode gives the text of b.
func Encode(b []byte) string {
	out := make([]byte, 0, EncodedLen(len(b)))
	for ; len(b) > 1; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		out = append(out, digits[n%base], digits[n/base%base], digits[n/base/base])
	}
	if len(b) > 0 {
		out = append(out, digits[int(b[0])%base], digits[int(b[0])/base])
	}
	return string(out)
}

// Decode is the inverse of [Encode]. Exactly one text stands for any bytes:
// other characters, lower case, a single digit at the end and numbers that are
// too large are refused with [ErrSyntax].
func Decode(text []byte) ([]byte, error) {
	if len(text)%3 == 1 {
		return nil, ErrSyntax
	}
	out := make([]byte, 0, len(text)/3*2+1)
	for len(text) > 0 {
		group := text[:min(3, len(text))]
		text = text[len(group):]
		n, weight := 0, 1
		for _, c := range group {
			v := values[c]
			if v == 0 {
				return nil, ErrSyntax
			}
			n += int(v-1) * weight
			weight *= base
		}
		switch {
		case len(group) == 3 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		case len(group) == 2 && n <= 0xff:
			out = append(out, byte(n))
		default:
			return nil, ErrSyntax
		}
	}
	return out, nil
}
