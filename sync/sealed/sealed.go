// Package sealed hands one secret to one box: the key of a data set, or a
// site's entry key, so that only the holder of the box's X25519 identity key
// can read it (DESIGN §5, `keys` in `hello/reply`).
//
// It is HPKE (RFC 9180) in base mode, from the standard library: DHKEM(X25519,
// HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305, which is as fast on a box whose
// processor has no instructions for AES. What comes out is the encapsulated
// key (32 bytes), then the encrypted secret (32) with its tag (16). Site, gate,
// set and key id are in the `info`: what was sealed for one purpose does not
// open for another.
//
// Sealing hides and binds; it does not say who sealed. That is the signature
// around it, and the nonce in there says when. Whoever holds the box's identity
// key and has kept what was sent can open it later: HPKE in base mode knows no
// forward secrecy.
package sealed

import (
	"crypto/ecdh"
	"crypto/hpke"
	"errors"
	"fmt"

	"gateagent/agent/gate"
	"gateagent/sync/identity"
)

// Size is the length of a sealed secret in bytes.
const Size = 32 + 32 + 16

// ErrSealed says that a secret does not open: it was sealed to another box, for
// another purpose, or was changed on the way.
var ErrSealed = errors.New("the sealed key does not open")

// Label says what a secret is for. None of its parts holds a NUL.
type Label struct {
	Site, Gate string
	// Set is the data set, or "entry" for the site's entry key.
	Set string
	Kid string // id of the key
}

// Secret is a key with what it is of.
type Secret struct {
	// Set is the data set, or "entry" for the site's entry key.
	Set string
	Kid string
	Key gate.Key
}

// info gives the `info` of the HPKE context.
func (l Label) info() []byte {
	return []byte("gateagent key\x00" + l.Site + "/" + l.Gate + "\x00" + l.Set + "\x00" + l.Kid)
}

func (l Label) String() string {
	return fmt.Sprintf("key %s of %s for %s/%s", l.Kid, l.Set, l.Site, l.Gate)
}

// Seal seals a key to the X25519 identity key of a box. Twice the same gives
// something else each time.
func Seal(to identity.Key, l Label, key gate.Key) ([]byte, error) {
	public, err := ecdh.X25519().NewPublicKey(to[:])
	if err != nil {
		return nil, fmt.Errorf("seal %v: %w", l, err)
	}
	recipient, err := hpke.NewDHKEMPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("seal %v: %w", l, err)
	}
	out, err := hpke.Seal(recipient, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), l.info(), key[:])
	if err != nil {
		return nil, fmt.Errorf("seal %v: %w", l, err)
	}
	return out, nil
}

// Open opens what was sealed to the box id for the purpose l. Errors wrap
// [ErrSealed].
func Open(id *identity.Identity, l Label, sealed []byte) (gate.Key, error) {
	var key gate.Key
	if len(sealed) != Size {
		return key, fmt.Errorf("open %v: %d bytes: %w", l, len(sealed), ErrSealed)
	}
	private, err := hpke.NewDHKEMPrivateKey(id.Exchanger())
	if err != nil {
		return key, fmt.Errorf("open %v: %w: %w", l, ErrSealed, err)
	}
	plain, err := hpke.Open(private, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), l.info(), sealed)
	if err != nil {
		return key, fmt.Errorf("open %v: %w: %w", l, ErrSealed, err)
	}
	defer clear(plain)
	if len(plain) != len(key) {
		return key, fmt.Errorf("open %v: %d bytes inside: %w", l, len(plain), ErrSealed)
	}
	copy(key[:], plain)
	return key, nil
}
