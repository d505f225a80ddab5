// Package specimen issues vaccine passports of people who do not exist, for
// demonstrations and tests: the other half of agent/passport. It draws a key of
// its own, which nobody trusts who was not told to, and owns nothing else. No
// box links it.
package specimen

import (
	"bytes"
	"compress/zlib"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"gateagent/agent/base45"
	"gateagent/agent/passport"

	"github.com/fxamacker/cbor/v2"
)

// Issuer signs passports with a key of its own (ES256).
type Issuer struct {
	key  *ecdsa.PrivateKey
	spki []byte
	kid  []byte
}

// NewIssuer draws a key. Its id is the first 8 bytes of SHA-256 over the key.
func NewIssuer() (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("draw a passport key: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("passport key: %w", err)
	}
	sum := sha256.Sum256(spki)
	return &Issuer{key, spki, sum[:passport.KIDLen]}, nil
}

// KID gives the id of the key in hexadecimal, and the key as
// SubjectPublicKeyInfo, as a trust list has them.
func (i *Issuer) KID() (kid string, spki []byte) { return hex.EncodeToString(i.kid), i.spki }

// Vaccination is what a passport is to say of a dose.
type Vaccination struct {
	Family, Given string    // with diacritics, as printed
	Born          time.Time // calendar day
	Dose, Of      int
	On            time.Time // calendar day of the dose
	// From and To bound the passport, to the second.
	From, To time.Time
}

// Vaccination issues a passport: the text of its code.
func (i *Issuer) Vaccination(v Vaccination) (string, error) {
	var id [8]byte
	rand.Read(id[:]) // never fails
	return i.sign(map[int]any{
		1: "VN", 4: v.To.Unix(), 6: v.From.Unix(),
		-260: map[int]any{1: map[string]any{
			"ver": "1.3.0", "dob": v.Born.Format(time.DateOnly),
			"nam": map[string]any{"fn": v.Family, "gn": v.Given},
			"v": []any{map[string]any{
				"tg": "840539006", "vp": "J07BX03", "mp": "EU/1/21/1529", "ma": "ORG-100030215",
				"dn": v.Dose, "sd": v.Of, "dt": v.On.Format(time.DateOnly),
				"co": "VN", "is": "Specimen", "ci": "URN:UVCI:01:VN:" + hex.EncodeToString(id[:]),
			}},
		}},
	})
}

func (i *Issuer) sign(claims map[int]any) (string, error) {
	payload, err := cbor.Marshal(claims)
	if err != nil {
		return "", err
	}
	protected, err := cbor.Marshal(map[int]any{1: passport.AlgES256, 4: i.kid})
	if err != nil {
		return "", err
	}
	toSign, err := cbor.Marshal([]any{"Signature1", protected, []byte{}, payload}) // RFC 9052 §4.4
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(toSign)
	r, s, err := ecdsa.Sign(rand.Reader, i.key, sum[:])
	if err != nil {
		return "", err
	}
	const half = 32 // bytes of r, and of s
	signature := make([]byte, 2*half)
	r.FillBytes(signature[:half])
	s.FillBytes(signature[half:])
	message, err := cbor.Marshal(cbor.Tag{Number: 18, Content: []any{protected, map[int]any{}, payload, signature}})
	if err != nil {
		return "", err
	}
	return Pack(message)
}

// Pack compresses a message and writes it as the text of a code, whatever it
// is.
func Pack(message []byte) (string, error) {
	var packed bytes.Buffer
	w, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(message); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return passport.Prefix + base45.Encode(packed.Bytes()), nil
}
