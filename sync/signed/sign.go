package signed

import (
	"crypto/ed25519"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Signer signs documents with one key of one role.
type Signer struct {
	Kid  string
	Role Role
	Key  ed25519.PrivateKey
}

// String names the key and never shows it.
func (s Signer) String() string { return "signer " + s.Kid + " (" + string(s.Role) + ")" }

// GoString is String, for %#v.
func (s Signer) GoString() string { return s.String() }

// Sign gives the compact form. It refuses what every verifier would refuse: a
// type of another role, a payload without the head of its type, too large.
func (s Signer) Sign(t Type, payload []byte) (string, error) {
	r, known := rules[t]
	switch {
	case !known:
		return "", fmt.Errorf("sign: no document is of type %q", t)
	case r.role != s.Role:
		return "", fmt.Errorf("sign %s: it needs a key of role %s; key %s has role %s", t, r.role, s.Kid, s.Role)
	case !validKid(s.Kid) || len(s.Key) != ed25519.PrivateKeySize:
		return "", fmt.Errorf("sign %s: key %q is not usable", t, s.Kid)
	}
	if _, err := readHead(t, r, payload); err != nil {
		return "", fmt.Errorf("sign %s: %w", t, err)
	}
	out, err := seal(s, t, payload)
	if err != nil {
		return "", fmt.Errorf("sign %s: %w", t, err)
	}
	if len(out) > r.size {
		return "", fmt.Errorf("sign %s: %d bytes, at most %d are taken", t, len(out), r.size)
	}
	return out, nil
}

// seal signs without asking whether it makes sense.
func seal(s Signer, t Type, payload []byte) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: s.Key, KeyID: s.Kid}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(t)),
	)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// Open gives the payload of a document that this very key signed before for
// aud; neither its exp nor its version is judged.
func (s Signer) Open(t Type, aud string, compact []byte) (payload []byte, err error) {
	v := Verifier{site: aud}
	d, err := v.verify(Trust{Keys: []TrustKey{s.TrustKey()}}, t, aud, string(compact), Moment{}, Options{InForce: true})
	return d.Payload, err
}
