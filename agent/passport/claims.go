package passport

import (
	"errors"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Claims are those of a CWT (RFC 8392) that a passport has.
type Claims struct {
	Issuer string // country code; may be missing
	// IssuedAt and Expires are whole seconds since 1970, fractions cut off.
	IssuedAt, Expires int64
	// Content is the certificate itself, not looked at yet.
	Content []byte
}

// String says nothing of the content.
func (c Claims) String() string {
	return "claims(" + time.Unix(c.Expires, 0).UTC().Format(time.DateOnly) + ")"
}

// GoString is String, for %#v.
func (c Claims) GoString() string { return c.String() }

type cwt struct {
	Issuer   any   `cbor:"1,keyasint"`
	Expires  any   `cbor:"4,keyasint"`
	IssuedAt any   `cbor:"6,keyasint"`
	Health   hcert `cbor:"-260,keyasint"`
}

// majorMap is the major type of CBOR maps (RFC 8949 §3.1).
const majorMap = 5

type hcert struct {
	DCC cbor.RawMessage `cbor:"1,keyasint"`
}

// ParseClaims reads the content of a signed message. Both times have to be
// there: a passport that does not say when it ends would never end.
func ParseClaims(b []byte) (Claims, error) {
	var c cwt
	if err := strictCBOR.Unmarshal(b, &c); err != nil {
		return Claims{}, errors.New("the claims cannot be read")
	}
	issued, ok1 := numericDate(c.IssuedAt)
	expires, ok2 := numericDate(c.Expires)
	if !ok1 || !ok2 {
		return Claims{}, errors.New("no time of issue or of expiry")
	}
	if len(c.Health.DCC) == 0 || c.Health.DCC[0]>>5 != majorMap {
		return Claims{}, errors.New("no health certificate")
	}
	issuer, _ := c.Issuer.(string)
	return Claims{Issuer: issuer, IssuedAt: issued, Expires: expires, Content: c.Health.DCC}, nil
}

// numericDate reads seconds since 1970 as a whole number or, as some issuers
// write it, with a fraction.
func numericDate(v any) (int64, bool) {
	const most = 1 << 40 // the year 36,812
	switch n := v.(type) {
	case uint64:
		return int64(min(n, most)), n <= most
	case int64:
		return n, n >= -most && n <= most
	case float64:
		if math.IsNaN(n) || math.Abs(n) > most {
			return 0, false
		}
		return int64(math.Floor(n)), true
	}
	return 0, false
}

// Judge says whether the passport is good at an instant: from the second it
// was issued to the second it expires, both included. The error is [ErrEarly]
// or [ErrExpired].
func (c Claims) Judge(now time.Time) error {
	switch n := now.Unix(); {
	case n < c.IssuedAt:
		return ErrEarly
	case n > c.Expires:
		return ErrExpired
	}
	return nil
}
