package passport

import "errors"

// errBase45 is all that is said about a text that is not base45: it quotes
// nothing.
var errBase45 = errors.New("not base45")

// base45Digits are the digits of RFC 9285 in the order of their values; they
// are the characters of a QR code's alphanumeric mode.
const base45Digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// base45Values gives the value of a digit plus one, 0 for what is none.
var base45Values = func() (v [256]uint8) {
	for i := range len(base45Digits) {
		v[base45Digits[i]] = uint8(i) + 1
	}
	return v
}()

// DecodeBase45 decodes RFC 9285: three digits, the lowest first, are two
// bytes, two digits at the end one byte. Exactly one text stands for any
// bytes: other characters, lower case, a single digit at the end and numbers
// that are too large are refused.
func DecodeBase45(text []byte) ([]byte, error) {
	if len(text)%3 == 1 {
		return nil, errBase45
	}
	out := make([]byte, 0, len(text)/3*2+1)
	for ; len(text) > 0; text = text[min(3, len(text)):] {
		n, weight := 0, 1
		for _, c := range text[:min(3, len(text))] {
			v := base45Values[c]
			if v == 0 {
				return nil, errBase45
			}
			n += int(v-1) * weight
			weight *= 45
		}
		switch {
		case len(text) == 2 && n <= 0xff:
			out = append(out, byte(n))
		case len(text) > 2 && n <= 0xffff:
			out = append(out, byte(n>>8), byte(n))
		default:
			return nil, errBase45
		}
	}
	return out, nil
}
