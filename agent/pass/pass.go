// Package pass issues and verifies passes of our own: the text of a QR code
// that begins with "GP1:", for people who have no card to show.
//
//	GP1: ─▶ base45 ─▶ COSE_Sign1 (RFC 9052) ─▶ CWT claims (RFC 8392) ─▶ a pass
//
// It is the chain of a vaccine passport without the compression, which makes a
// text this short longer. Central signs (Ed25519), and a box verifies with no
// network but the trust list that it has. README.md has the format.
//
// The package owns that format, its limits and the order in which a pass is
// judged. It has no clock, no list and no opinion: the caller says what time it
// is, which keys are trusted and how a pass stands since it was issued; the
// days and hours of a pass are handed on for the policy to judge.
//
// The text is hostile: anybody can print a code. Nothing of it is believed
// before a trusted key has signed for it, nothing is allocated without bound,
// and names are handed to the guard's screen alone: every String here is masked.
package pass

import (
	"encoding/hex"
	"fmt"
	"log/slog"
	"time"

	"gateagent/agent/gate"
)

// Prefix begins the text of every pass of the one version there is.
const Prefix = "GP1:"

// ID names a pass: 8 to 16 bytes that were drawn at random, followed by
// zeros. It says nothing about anybody.
type ID [16]byte

// minID is how many bytes of an ID there are at least.
const minID = 8

// String gives 16 to 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id.bytes()) }

// ParseID is the inverse of [ID.String].
func ParseID(s string) (ID, error) {
	if b, err := hex.DecodeString(s); err == nil {
		if id, ok := newID(b); ok && id.String() == s {
			return id, nil
		}
	}
	return ID{}, fmt.Errorf("the id of a pass is %d to %d hexadecimal digits in lower case, as pass issue prints it", 2*minID, 2*len(ID{}))
}

// bytes gives the id without the zeros that follow it.
func (id ID) bytes() []byte {
	n := len(id)
	for n > minID && id[n-1] == 0 {
		n--
	}
	return id[:n:n]
}

// newID fills up with zeros. No two ids become the same: one that is longer
// than it has to be does not end with a zero.
func newID(b []byte) (id ID, ok bool) {
	if len(b) < minID || len(b) > len(id) || len(b) > minID && b[len(b)-1] == 0 {
		return ID{}, false
	}
	copy(id[:], b)
	return id, id != ID{}
}

// Claims are what a pass says.
type Claims struct {
	// ID is drawn by [Issue] if it is zero.
	ID   ID
	Kind gate.PassKind
	// Name and Host are for the guard's screen: whose pass it is, and who is
	// visited. NFC, printable; the host may be empty.
	Name, Host string
	// Site it is for.
	Site string
	// Gates it is for; none named: all. A pass for one entry names them.
	Gates []string
	// Zones it is for: gates of which one zone is among them; none named: all.
	Zones []string
	// Single makes it good for one entry.
	Single bool
	// Window is the days and hours within From and To.
	Window gate.Window
	// From and To bound when it is good, to the minute, To excluded.
	From, To time.Time
}

// String says whom it is for and never who.
func (c Claims) String() string { return fmt.Sprintf("pass %s (%s)", c.ID, c.Kind) }

// GoString is String, for %#v.
func (c Claims) GoString() string { return c.String() }

// LogValue is String, for logs of any format.
func (c Claims) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Result is what became of a pass. With a bad proof the other fields say what
// a pass would have been that a trusted key did sign, and are zero otherwise.
type Result struct {
	gate.Pass
	ID ID
	// Name and Host are for the guard's screen and are not kept.
	Name, Host string
}

// String says how it stands and never whose it is.
func (r Result) String() string {
	switch {
	case r.Proof == gate.ProofBad && r.ID == ID{}:
		return string(r.Why)
	case r.Proof == gate.ProofBad:
		return fmt.Sprintf("%s: pass %s (%s)", r.Why, r.ID, r.Kind)
	}
	return fmt.Sprintf("%s pass %s (%s)", r.Proof, r.ID, r.Kind)
}

// GoString is String, for %#v.
func (r Result) GoString() string { return r.String() }

// LogValue is String, for logs of any format.
func (r Result) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText is String too, so that no encoder writes a name out.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
