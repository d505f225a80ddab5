package credential

import "strings"

// The shapes of the kinds that are recognised here and not read: a key, or a
// service that is not there, is needed to make anything of their content.

// isPassport: EU digital certificate (PAYLOADS §5).
func isPassport(text string) bool { return strings.HasPrefix(text, "HC1:") }

// isPass: a pass of our own.
func isPass(text string) bool { return strings.HasPrefix(text, "GP1:") }

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

func isLetter(b byte) bool { return isUpper(b &^ 0x20) }

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
