// Package identity owns the box's own keys: Ed25519, which signs every message
// up, and X25519, to which central seals what only this box may read (DESIGN
// §4.3 "Signatures up", §5). They are made at first start and never leave the
// box; their public parts are in `state` and `hello`.
//
// It owns one file, keys.json in the identity directory (mode 0600), written
// whole or not at all. It does not know what is signed: that is sync/wire.
package identity

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gateagent/agent/durable"
)

// ErrDamaged is wrapped when keys.json exists and cannot be used. A new
// identity is never made in its place: central would refuse it under the same
// name, and whoever replaces it should know.
var ErrDamaged = errors.New("identity file is damaged")

// fileName is the one file in the identity directory.
const fileName = "keys.json"

// maxFile bounds what is read of the file, in bytes.
const maxFile = 4 << 10

// Key is a public key of 32 bytes: base64url without padding in JSON.
type Key [32]byte

// String gives the key as in JSON.
func (k Key) String() string { return base64.RawURLEncoding.EncodeToString(k[:]) }

// MarshalText is [Key.String].
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of [Key.MarshalText].
func (k *Key) UnmarshalText(b []byte) error {
	got, err := base64.RawURLEncoding.Strict().DecodeString(string(b))
	if err != nil || len(got) != len(k) {
		return errors.New("a public key is 32 bytes as base64url without padding")
	}
	copy(k[:], got)
	return nil
}

// Public is the public part of an identity. Two boxes are the same when their
// Publics are equal.
type Public struct {
	Ed25519 Key `json:"ed25519"`
	X25519  Key `json:"x25519"`
}

// IsZero says whether no identity is named.
func (p Public) IsZero() bool { return p == Public{} }

// Identity is the box's key pairs. It is safe for concurrent use.
type Identity struct {
	sign ed25519.PrivateKey
	open *ecdh.PrivateKey
}

// String never shows a private part.
func (id *Identity) String() string { return "identity " + id.Public().Ed25519.String() }

// GoString is String, for %#v.
func (id *Identity) GoString() string { return id.String() }

// file is the form on disk: seeds as base64url without padding.
type file struct {
	V       int    `json:"v"`
	Ed25519 string `json:"ed25519"`
	X25519  string `json:"x25519"`
}

// Load reads the identity in dir, or makes one when there is none. The
// directory is made (mode 0700) if need be. Errors wrap [ErrDamaged] when a
// file is there but cannot be used.
func Load(dir string) (*Identity, error) {
	path := filepath.Join(dir, fileName)
	id, err := read(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make identity directory: %w", err)
	}
	id, err = New()
	if err != nil {
		return nil, err
	}
	if err := id.write(path); err != nil {
		return nil, fmt.Errorf("write identity: %w", err)
	}
	return id, nil
}

// New makes an identity that is in memory only.
func New() (*Identity, error) {
	_, sign, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	open, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make identity: %w", err)
	}
	return &Identity{sign, open}, nil
}

func read(path string) (*Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("read identity %s: %w", path, ErrDamaged)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil || f.V != 1 {
		return nil, fmt.Errorf("read identity %s: %w", path, ErrDamaged)
	}
	seed, err1 := base64.RawURLEncoding.DecodeString(f.Ed25519)
	scalar, err2 := base64.RawURLEncoding.DecodeString(f.X25519)
	if err1 != nil || err2 != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("read identity %s: %w", path, ErrDamaged)
	}
	open, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return nil, fmt.Errorf("read identity %s: %w", path, ErrDamaged)
	}
	return &Identity{ed25519.NewKeyFromSeed(seed), open}, nil
}

// write puts the file in place whole.
func (id *Identity) write(path string) error {
	b, err := json.Marshal(file{
		V:       1,
		Ed25519: base64.RawURLEncoding.EncodeToString(id.sign.Seed()),
		X25519:  base64.RawURLEncoding.EncodeToString(id.open.Bytes()),
	})
	if err != nil {
		return err
	}
	return durable.WriteFile(path, append(b, '\n'), 0o600)
}

// Public gives the public part.
func (id *Identity) Public() Public {
	var p Public
	copy(p.Ed25519[:], id.sign.Public().(ed25519.PublicKey))
	copy(p.X25519[:], id.open.PublicKey().Bytes())
	return p
}

// Exchanger gives the X25519 key for opening what is sealed to this box. It
// exchanges and does not show its scalar.
func (id *Identity) Exchanger() ecdh.KeyExchanger { return exchanger{id} }

type exchanger struct{ id *Identity }

func (e exchanger) PublicKey() *ecdh.PublicKey { return e.id.open.PublicKey() }
func (e exchanger) Curve() ecdh.Curve          { return e.id.open.Curve() }
func (e exchanger) ECDH(peer *ecdh.PublicKey) ([]byte, error) {
	return e.id.open.ECDH(peer)
}

// String is [Identity.String], so that no way of printing shows the key.
func (e exchanger) String() string   { return e.id.String() }
func (e exchanger) GoString() string { return e.id.String() }

// Sign signs what a message says under the topic it is sent on. canonical is
// the message without its `sig`, as deterministic CBOR.
func (id *Identity) Sign(topic string, canonical []byte) []byte {
	return ed25519.Sign(id.sign, message(topic, canonical))
}

// Verify says whether sig is what the holder of pub signs for topic and
// canonical.
func Verify(pub Key, topic string, canonical, sig []byte) bool {
	return len(sig) == ed25519.SignatureSize && ed25519.Verify(pub[:], message(topic, canonical), sig)
}

// message joins topic and body by a NUL, which no topic holds.
func message(topic string, canonical []byte) []byte {
	m := make([]byte, 0, len(topic)+1+len(canonical))
	m = append(m, topic...)
	m = append(m, 0)
	return append(m, canonical...)
}
