package credential

import "strings"

// The shapes of the kinds that are recognised and not read. Each is told by
// shape alone, as its content is of no use without the matching key or map.

// isPassport: EU digital certificate (PAYLOADS §5).
func isPassport(text string) bool { return strings.HasPrefix(text, "HC1:") }

// isPass: a pass of our own.
func isPass(text string) bool { return strings.HasPrefix(text, "GP1:") }

// isNationalQR: number|NAME|YYYY-MM-DD|0 or 1|QID|EXT, number and date maybe
// masked with stars (PAYLOADS §3).
func isNationalQR(f *fields) bool {
	return f.n == 6 && isISODate(f.at[2]) && (f.at[3] == "0" || f.at[3] == "1")
}

// isISODate: digits or pairs of stars in the places of a date.
func isISODate(s string) bool {
	if len(s) != len("2006-01-02") {
		return false
	}
	for i := range len(s) {
		switch {
		case i == 4 || i == 7:
			if s[i] != '-' {
				return false
			}
		case !isDigit(s[i]) && s[i] != '*':
			return false
		}
	}
	return true
}

// isInsurance: health-insurance card: its number, old or new, and the name as
// hexadecimal UTF-8 (PAYLOADS §4).
func isInsurance(f *fields) bool {
	return f.n >= 2 && isInsuranceNumber(f.at[0]) && isHex(f.at[1])
}

func isInsuranceNumber(s string) bool {
	switch len(s) {
	case 10:
		return isDigits(s)
	case 15:
		return isUpper(s[0]) && isUpper(s[1]) && isDigits(s[2:])
	}
	return false
}

// isLink: a web address. It is never opened.
func isLink(text string) bool {
	for _, scheme := range [...]string{"http://", "https://"} {
		if len(text) >= len(scheme) && strings.EqualFold(text[:len(scheme)], scheme) {
			return true
		}
	}
	return false
}

// minOpaque is the shortest text taken for a one-minute VNeID code. The real
// shape is not published: a guess (PAYLOADS §0).
const minOpaque = 40

// isOpaque: one long word of printable ASCII.
func isOpaque(text string) bool {
	if len(text) < minOpaque {
		return false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' || text[i] == '|' {
			return false
		}
	}
	return true
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isUpper(b byte) bool { return 'A' <= b && b <= 'Z' }

func isDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}

func isHex(s string) bool {
	for i := range len(s) {
		b := s[i] | 0x20 // lower case
		if !isDigit(s[i]) && (b < 'a' || b > 'f') {
			return false
		}
	}
	return s != "" && len(s)%2 == 0
}
