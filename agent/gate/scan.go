package gate

import (
	"errors"
	"fmt"
	"time"
)

// Scan is one code that a scanner saw. Camera and serial engine meet here.
type Scan struct {
	// Payload is the text of the code as read, hostile and unbounded in
	// meaning; at most [MaxPayload] bytes. It is never logged or stored.
	Payload []byte
	// Unreadable is true when a code has been in view for a second and could
	// not be read; Payload is then empty.
	Unreadable bool
	// Seen is when the frame or the last byte was handed over.
	Seen time.Time
	// Decode is how long reading the picture took; zero for serial engines.
	Decode time.Duration
}

// MaxPayload is the longest payload a scanner hands on: a version 40-L QR code
// in byte mode (ISO/IEC 18004 table 7).
const MaxPayload = 2953

// ErrNoMoreScans is what a scanner gives when its source has come to its end
// by design, like a folder of recorded pictures: it is not to be opened again.
// Any other error means that the device is gone and may come back.
var ErrNoMoreScans = errors.New("the source has no more scans")

// CredentialKind is the kind of document a payload was recognised as.
type CredentialKind uint8

// The kinds of PAYLOADS §0, and the two for which there is no document.
const (
	KindUnsupported  CredentialKind = iota // read, but nothing we know
	KindUnreadable                         // a code in view that cannot be read
	KindCCCD                               // chip ID card, 7 fields (6 tolerated)
	KindCC                                 // card of 2024, 11 fields
	KindQRQG                               // national personal QR
	KindBHYT                               // health-insurance card
	KindDCC                                // vaccine passport, HC1:
	KindPass                               // our own pass, GP1:
	KindVNeIDDynamic                       // opaque one-minute code
	KindURL                                // a link; never opened
)

var credentialNames = [...]string{
	"unsupported", "unreadable", "cccd", "cc", "qrqg", "bhyt", "dcc", "pass", "vneid_dynamic", "url",
}

func (k CredentialKind) String() string {
	return nameOf(credentialNames[:], uint8(k), "CredentialKind")
}

// ParseCredentialKind is the inverse of [CredentialKind.String].
func ParseCredentialKind(s string) (CredentialKind, error) {
	i, err := indexOf(credentialNames[:], s, "credential kind")
	return CredentialKind(i), err
}

// Number is a 12-digit personal number. Its String is masked, so that a stray
// %v never prints a citizen.
type Number string

// String shows the first three and the last two digits: "001*******45".
func (n Number) String() string {
	if len(n) != 12 {
		return "************"[:min(len(n), 12)]
	}
	return string(n[:3]) + "*******" + string(n[10:])
}

// GoString masks too, for %#v.
func (n Number) GoString() string { return n.String() }

// MarshalText masks too, so that no encoder writes the number out.
func (n Number) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// Valid says whether n is twelve ASCII digits.
func (n Number) Valid() bool {
	if len(n) != 12 {
		return false
	}
	for i := range len(n) {
		if n[i] < '0' || n[i] > '9' {
			return false
		}
	}
	return true
}

// Claim is what a credential says about its bearer: unproven, and only the
// fields a gate needs.
type Claim struct {
	Kind   CredentialKind
	Number Number // empty when the credential carries none
	Born   Date   // zero when unknown; Month or Day may be 0
	Issued Date
	// Expires is the first day the card is no longer good: computed from
	// birth and issue day (PAYLOADS §1.3); zero when it does not expire.
	Expires Date
	// Name in NFC, for the guard's screen only; never stored or sent.
	Name string
	// Card is what the check bits of a data set are made over: name, birth
	// date and issue date in the one form that central uses too. Empty when
	// the credential does not carry all three. Never stored or sent.
	Card     string
	Warnings ClaimFlags
}

// String names the kind and the masked number and nothing else.
func (c Claim) String() string { return fmt.Sprintf("%s %s", c.Kind, c.Number) }

// GoString is String, for %#v.
func (c Claim) GoString() string { return c.String() }

// ClaimFlags are warnings about a credential's own data, as bits.
type ClaimFlags uint16

// The flags; bit numbers are part of the journal format and never change.
const (
	FlagSexMismatch ClaimFlags = 1 << iota
	FlagBirthYearMismatch
	FlagUnknownPlaceCode
	FlagSixFields
	FlagExtraFields
	FlagMasked       // parts are covered by stars: it names nobody
	FlagProxy        // declared by somebody else for its bearer
	FlagControlChars // refused because of control characters in it
	FlagOtherNumber  // the number of an old card or a passport: it names nobody who is known by the personal number
	FlagIssuedEarly  // issued before its bearer was born
)

var flagReasons = [...]Reason{
	ReasonSexMismatch, ReasonBirthYearMismatch, ReasonUnknownPlaceCode, ReasonSixFields, ReasonExtraFields,
	ReasonMasked, ReasonProxy, ReasonControlChars, ReasonOtherNumber, ReasonIssuedEarly,
}

// Has says whether all bits of f are set.
func (c ClaimFlags) Has(f ClaimFlags) bool { return c&f == f }

// NamesNobody says whether the number, if there is one, is not a whole personal
// number, the only one that people are looked up by.
func (c ClaimFlags) NamesNobody() bool { return c&(FlagMasked|FlagOtherNumber) != 0 }

// AppendReasons appends the reason code of each set flag, in bit order.
func (c ClaimFlags) AppendReasons(to []Reason) []Reason {
	for i, r := range flagReasons {
		if c&(1<<i) != 0 {
			to = append(to, r)
		}
	}
	return to
}

// Doubts counts the flags that speak against the card being genuine
// (PAYLOADS §2: sex, birth year, place code); shape flags do not count.
func (c ClaimFlags) Doubts() int {
	n := 0
	for _, f := range [...]ClaimFlags{FlagSexMismatch, FlagBirthYearMismatch, FlagUnknownPlaceCode} {
		if c.Has(f) {
			n++
		}
	}
	return n
}
