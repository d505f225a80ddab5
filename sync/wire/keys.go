package wire

import "fmt"

// MaxKeys bounds the keys of one reply: more than a box has use for, because
// central does not know which sets it uses.
const MaxKeys = 64

// maxSealed bounds one sealed key, in bytes.
const maxSealed = 256

// SealedKey is the key of a data set, or the site's entry key, sealed to one
// box (sync/sealed).
type SealedKey struct {
	Set    string `json:"set"` // or "entry"
	Kid    string `json:"kid"`
	Sealed Blob   `json:"sealed"`
}

// check reports what no central would send.
func (k SealedKey) check() error {
	switch {
	case !ValidSet(k.Set): // "entry" is of the same form
		return fmt.Errorf("keys: %q is no data set", clip(k.Set))
	case !validKid(k.Kid):
		return fmt.Errorf("keys: %q is no key id", clip(k.Kid))
	case len(k.Sealed) == 0 || len(k.Sealed) > maxSealed:
		return fmt.Errorf("keys: %d bytes are no sealed key", len(k.Sealed))
	}
	return nil
}

// validKid says whether s is a key id as sync/signed has them.
func validKid(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
