// Package passport verifies vaccine passports without a network: the EU
// digital COVID certificate, which Vietnam issues too, as the text of a code
// that begins with "HC1:" (PAYLOADS §5).
//
//	HC1: ─▶ base45 ─▶ zlib ─▶ COSE_Sign1 ─▶ CWT ─▶ one vaccination, test or recovery
//
// It owns these formats, their limits, the keys by id and the comparison of a
// passport's holder with an ID card. It has no clock, no list of its own and
// no opinion: the caller says what time it is, which keys are trusted and what
// is revoked, and the policy says what a dose is worth.
//
// The text is hostile: anybody can print a code. Nothing is allocated without
// bound, nothing panics, and nothing of the content is believed before a
// trusted key has signed for it. Names are kept for one comparison and are
// never printed: the String of every value here is masked.
package passport

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
)

// Prefix begins the text of every passport of the one version there is.
const Prefix = "HC1:"

// Result is what became of a passport. Everything but Passport.Proof and
// Passport.Why is zero unless the proof is good.
type Result struct {
	gate.Passport
	Holder Holder
	// ID is SHA-256 over the certificate's identifier (`ci`, UCI) as it is
	// printed on it. Its first 16 bytes are what our own list of revoked
	// passports holds.
	ID [sha256.Size]byte
	// Hashes are all the names by which a list may revoke it.
	Hashes Hashes
}

// String says what it is about and never whose it is.
func (r Result) String() string {
	if r.Proof == gate.ProofBad {
		return string(r.Why)
	}
	return r.Proof.String() + " " + r.Event.String()
}

// GoString is String, for %#v.
func (r Result) GoString() string { return r.String() }

// Keys are the keys that are trusted to sign passports, by their id. The cost
// of a lookup does not depend on how many there are. They do not change after
// [NewKeys] and may be used from several goroutines.
type Keys struct {
	byKID   map[string][]Key
	n       int
	revoked func(Hash) bool
}

// NewKeys takes the trusted keys; several may have the same id. Keys that are
// neither P-256 nor RSA of 2048 to 4096 bits, or have no id, are left out: they
// verify nothing. revoked says what is revoked and is asked once for each of
// the hashes of a passport; nil: nothing is.
func NewKeys(keys []Key, revoked func(Hash) bool) *Keys {
	k := &Keys{byKID: make(map[string][]Key, len(keys)), revoked: revoked}
	for _, key := range keys {
		if len(key.KID) == 0 || checkPublic(key.Public) != nil {
			continue
		}
		k.byKID[string(key.KID)] = append(k.byKID[string(key.KID)], key)
		k.n++
	}
	return k
}

// Len says how many keys there are.
func (k *Keys) Len() int { return k.n }

// Verify judges the text of a code at an instant. It never fails: what cannot
// be read is a bad proof, and the reason says so.
func (k *Keys) Verify(text []byte, now time.Time) Result {
	m, err := Read(text)
	if err != nil {
		return bad(gate.ReasonPassportMalformed)
	}
	key, err := k.Check(m, now)
	if err := errors.Join(err, key.Judge(now)); err != nil {
		return bad(reasonOf(err))
	}
	claims, err := ParseClaims(m.Payload)
	if err != nil {
		return bad(gate.ReasonPassportMalformed)
	}
	c, err := ParseContent(claims.Content)
	if err != nil || c.Judge() != nil {
		return bad(gate.ReasonPassportMalformed)
	}
	if !key.Usage.For(c.Event) {
		return bad(gate.ReasonPassportUsage)
	}
	hashes := hashesOf(c.ID, claims.Issuer, m)
	if k.revoked != nil && hashes.any(k.revoked) {
		return bad(gate.ReasonPassportRevoked)
	}
	if err := claims.Judge(now); err != nil {
		return bad(reasonOf(err))
	}
	r := Result{Passport: c.Passport, Holder: c.Holder, ID: sha256.Sum256([]byte(c.ID)), Hashes: hashes}
	r.Proof = gate.ProofGood
	return r
}

func bad(why gate.Reason) Result {
	return Result{Passport: gate.Passport{Proof: gate.ProofBad, Why: why}}
}

// Read takes the text of a code apart as far as the signed message, which it
// does not judge.
func Read(text []byte) (Message, error) {
	packed, err := Unprefix(text)
	if err != nil {
		return Message{}, err
	}
	packed, err = base45.Decode(packed)
	if err != nil {
		return Message{}, err
	}
	plain, err := Inflate(packed)
	if err != nil {
		return Message{}, err
	}
	return ParseMessage(plain)
}

// Unprefix gives what follows "HC1:". What engines and printed codes put before
// and behind a text is dropped: a byte order mark; CR, LF, NUL and tabs. A blank
// is a digit here and stays.
func Unprefix(text []byte) ([]byte, error) {
	if len(text) > gate.MaxPayload {
		return nil, errors.New("longer than a code can be")
	}
	rest, ok := bytes.CutPrefix(bytes.TrimPrefix(text, []byte("\ufeff")), []byte(Prefix))
	if !ok {
		return nil, fmt.Errorf("does not begin with %q", Prefix)
	}
	return bytes.TrimRight(rest, "\r\n\x00\t"), nil
}

// Why a passport that can be read does not count.
var (
	// ErrUnknownKey: no trusted key has its id, or none that is valid now.
	ErrUnknownKey = errors.New("no trusted key signed it")
	// ErrForged: the key of its id did not make the signature.
	ErrForged = errors.New("the signature does not hold")
	// ErrEarly: it was issued after now.
	ErrEarly = errors.New("issued after now")
	// ErrExpired: its last second is over.
	ErrExpired = errors.New("expired")
)

func reasonOf(err error) gate.Reason {
	switch {
	case errors.Is(err, ErrUnknownKey):
		return gate.ReasonPassportUnknown
	case errors.Is(err, ErrForged):
		return gate.ReasonPassportForged
	case errors.Is(err, ErrEarly):
		return gate.ReasonPassportEarly
	case errors.Is(err, ErrExpired):
		return gate.ReasonPassportExpired
	}
	return gate.ReasonPassportMalformed
}
