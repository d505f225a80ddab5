// Package wire is the message book: the topic tree, the bodies that travel on
// it, their limits and their signatures up (DESIGN §4.3).
//
// It owns the names and forms that other programs rely on. It is pure: no
// connection, no key, no clock. What comes down is signed and judged by
// sync/signed; the payload types of those documents are here. The record
// format inside entries is agent/record.
//
// Instants are UTC milliseconds, but for iat and exp of signed documents,
// which are Unix seconds. Hashes and epochs are lower-case hexadecimal, keys
// and signatures base64url without padding. Names that a reader does not know
// are passed over in bodies that are signed whole, so that programs of
// different age understand each other; in events nothing is.
package wire

import (
	"encoding/base64"
	"errors"
	"fmt"

	"gateagent/agent/record/strict"
)

// Limits of bodies, in bytes.
const (
	MaxState        = 32 << 10
	MaxHello        = 2 << 10
	MaxWant         = 2 << 10
	MaxCentralState = 1 << 10
	MaxBatch        = 64 << 10
	MaxChunk        = 256 << 10
	maxBodyDepth    = 8
)

// ErrTooLarge is wrapped when a body exceeds its limit.
var ErrTooLarge = strict.ErrTooLarge

// ErrSignature is wrapped when a message up is not signed by the key it must
// be signed by.
var ErrSignature = errors.New("signature does not hold")

// Blob is base64url without padding in JSON.
type Blob []byte

// MarshalText writes base64url without padding.
func (b Blob) MarshalText() ([]byte, error) { return base64.RawURLEncoding.AppendEncode(nil, b), nil }

// UnmarshalText reads base64url without padding.
func (b *Blob) UnmarshalText(text []byte) error {
	out, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return errors.New("not base64url without padding")
	}
	*b = out
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// parse reads a body that is signed whole.
func parse(what string, body []byte, into any, size int) error {
	if err := strict.Read(body, into, strict.Limits{Size: size, Depth: maxBodyDepth}); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
