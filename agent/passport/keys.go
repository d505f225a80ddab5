package passport

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Key is one key that is trusted to sign passports.
type Key struct {
	// KID is the id that passports name it by: the first 8 bytes of SHA-256
	// over the certificate, for most issuers.
	KID []byte
	// Public is an *ecdsa.PublicKey on P-256 or an *rsa.PublicKey of 2048 to
	// 4096 bits.
	Public crypto.PublicKey
	// Usage is what it may sign.
	Usage Usage
	// NotBefore and NotAfter bound when it is good, both included; zero: no
	// bound.
	NotBefore, NotAfter time.Time
}

// Sizes of RSA keys that are taken, in bits.
const (
	minRSA = 2048
	maxRSA = 4096
)

// Usage is a set of events that a key may sign, as bits; none set: all.
type Usage uint8

// The events of a key's usage.
const (
	UsageTest Usage = 1 << iota
	UsageVaccination
	UsageRecovery
	// UsageOther alone is a key that is for something else, and for no event.
	UsageOther
)

// usageOIDs are the extended key usages of document signers: the ones of the
// EU certificate governance, and the arcs that issuers used before with a
// needless 0 in it.
var usageOIDs = map[string]Usage{
	"1.3.6.1.4.1.1847.2021.1.1":   UsageTest,
	"1.3.6.1.4.1.1847.2021.1.2":   UsageVaccination,
	"1.3.6.1.4.1.1847.2021.1.3":   UsageRecovery,
	"1.3.6.1.4.1.0.1847.2021.1.1": UsageTest,
	"1.3.6.1.4.1.0.1847.2021.1.2": UsageVaccination,
	"1.3.6.1.4.1.0.1847.2021.1.3": UsageRecovery,
}

// For says whether a key of this usage may sign an event.
func (u Usage) For(e gate.PassportEvent) bool {
	switch e {
	case gate.PassportVaccination:
		return u == 0 || u&UsageVaccination != 0
	case gate.PassportTest:
		return u == 0 || u&UsageTest != 0
	case gate.PassportRecovery:
		return u == 0 || u&UsageRecovery != 0
	}
	return false
}

// KIDLen is how many bytes the id of a certificate has.
const KIDLen = 8

// ParseCertificate reads an X.509 certificate of a document signer. Its id is
// the first 8 bytes of SHA-256 over der.
func ParseCertificate(der []byte) (Key, error) {
	sum := sha256.Sum256(der)
	return ParseCertificateAs(sum[:KIDLen], der)
}

// ParseCertificateAs is [ParseCertificate] with an id of the issuer's own
// choice, as some had.
//
// The certificate's own signature is not judged: that a key is trusted is the
// word of the list it is in.
func ParseCertificateAs(kid, der []byte) (Key, error) {
	if len(kid) == 0 || len(kid) > maxKID {
		return Key{}, fmt.Errorf("the id of a key has 1 to %d bytes, not %d", maxKID, len(kid))
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Key{}, fmt.Errorf("not a certificate: %w", err)
	}
	if err := checkPublic(c.PublicKey); err != nil {
		return Key{}, err
	}
	return Key{
		KID:    append([]byte(nil), kid...),
		Public: c.PublicKey, Usage: usageOf(c),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter,
	}, nil
}

// oidExtKeyUsage is the extension of extended key usages (RFC 5280 §4.2.1.12).
var oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}

// usageOf gives the events that a certificate names. One that names other
// purposes only is for all events, as if it named none, unless it says that
// these purposes are critical.
func usageOf(c *x509.Certificate) Usage {
	var u Usage
	for _, oid := range c.UnknownExtKeyUsage {
		u |= usageOIDs[oid.String()]
	}
	if u != 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		return u
	}
	for _, e := range c.Extensions {
		if e.Critical && e.Id.Equal(oidExtKeyUsage) {
			return UsageOther
		}
	}
	return 0
}

// ParsePublic reads a key as SubjectPublicKeyInfo in DER, as trust lists carry
// it.
func ParsePublic(spki []byte) (crypto.PublicKey, error) {
	public, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("not a public key: %w", err)
	}
	return public, checkPublic(public)
}

func checkPublic(public crypto.PublicKey) error {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P256() {
			return nil
		}
		return fmt.Errorf("an EC key on %s; passports are signed on P-256", p.Curve.Params().Name)
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("an RSA key of %d bits; %d to %d are taken", n, minRSA, maxRSA)
		}
		return nil
	}
	return errors.New("neither an EC nor an RSA key")
}

// Alg names what passports signed by the key call it: "ES256" or "PS256".
func (k Key) Alg() string {
	if _, ok := k.Public.(*ecdsa.PublicKey); ok {
		return "ES256"
	}
	return "PS256"
}

// Judge says whether the key is good at an instant; if not, the error is
// [ErrUnknownKey]: it is as if the list did not have it.
func (k Key) Judge(now time.Time) error {
	if !k.NotBefore.IsZero() && now.Before(k.NotBefore) || !k.NotAfter.IsZero() && now.After(k.NotAfter) {
		return ErrUnknownKey
	}
	return nil
}

// Check gives the key that signed the message: [ErrUnknownKey] if no trusted
// key has its id, [ErrForged] if none of those made the signature. Only keys of
// that id are tried. Where several made it, one that is good at the instant
// comes first; whether it is good is for [Key.Judge].
func (k *Keys) Check(m Message, now time.Time) (Key, error) {
	keys := k.byKID[string(m.KID)]
	if len(keys) == 0 {
		return Key{}, ErrUnknownKey
	}
	sum := sha256.Sum256(m.signed())
	found, why := Key{}, ErrForged
	for _, key := range keys {
		if !key.signed(m, sum) {
			continue
		}
		if found, why = key, nil; key.Judge(now) == nil {
			break
		}
	}
	return found, why
}

// signed says whether the key made the signature. The message's algorithm has
// to be the one of the key.
func (k Key) signed(m Message, sum [sha256.Size]byte) bool {
	const half = 32 // bytes of r, and of s
	switch p := k.Public.(type) {
	case *ecdsa.PublicKey:
		return m.Alg == AlgES256 && len(m.Signature) == 2*half && ecdsa.Verify(p, sum[:],
			new(big.Int).SetBytes(m.Signature[:half]), new(big.Int).SetBytes(m.Signature[half:]))
	case *rsa.PublicKey:
		return m.Alg == AlgPS256 && rsa.VerifyPSS(p, crypto.SHA256, sum[:], m.Signature,
			&rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}) == nil
	}
	return false
}
