package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"gateagent/agent/record/strict"
)

// MaxRevoked bounds the payload of a gate-revoked+jws, in bytes: with some
// 4,500 passes it is full.
const MaxRevoked = 190 << 10

// Revoked is the payload of a gate-revoked+jws on `{site}/revoked`: what a
// site's gates do not take any more. It is whole: what a newer version does not
// name is good again. Passes are named until they would have expired anyway, so
// the list stays short.
type Revoked struct {
	Aud string `json:"aud"` // the site
	Ver uint64 `json:"ver"`
	Iat int64  `json:"iat"` // Unix seconds
	Exp int64  `json:"exp"` // Unix seconds
	// Passes were taken back by who issued them.
	Passes []RevokedPass `json:"passes,omitempty"`
	// Spent are passes for one entry, which was made at some gate.
	Spent []RevokedPass `json:"spent,omitempty"`
	// Passports are vaccine passports, by the first 16 bytes of SHA-256 over
	// their identifier, or by the other hashes of the EU's lists.
	Passports []PassportHash `json:"passports,omitempty"`
}

// RevokedPass is a pass, and when it would have expired.
type RevokedPass struct {
	ID  PassID `json:"id"`
	Exp int64  `json:"exp"` // Unix seconds
}

// PassID is the id of a pass: 8 to 16 bytes, then zeros. In JSON it is
// hexadecimal without the zeros behind the eighth byte.
type PassID [16]byte

const minPassID = 8

// MarshalText writes 16 to 32 lower-case hexadecimal digits.
func (id PassID) MarshalText() ([]byte, error) {
	n := len(id)
	for n > minPassID && id[n-1] == 0 {
		n--
	}
	return hex.AppendEncode(nil, id[:n]), nil
}

// UnmarshalText is the inverse of MarshalText.
func (id *PassID) UnmarshalText(text []byte) error {
	*id = PassID{}
	if len(text) < 2*minPassID || len(text) > 2*len(id) || !isHex(string(text), 0, len(text)) {
		return errors.New("not the id of a pass")
	}
	if _, err := hex.Decode(id[:], text); err != nil {
		return errors.New("not the id of a pass")
	}
	if back, _ := id.MarshalText(); string(back) != string(text) || *id == (PassID{}) {
		return errors.New("not the id of a pass")
	}
	return nil
}

// PassportHash names a vaccine passport.
type PassportHash [16]byte

// MarshalText writes 32 lower-case hexadecimal digits.
func (h PassportHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText is the inverse of MarshalText.
func (h *PassportHash) UnmarshalText(text []byte) error {
	if len(text) != 2*len(h) || !isHex(string(text), 0, len(text)) {
		return errors.New("not 32 hexadecimal digits")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// Check reports what no central would sign.
func (r Revoked) Check() error {
	for name, list := range map[string][]RevokedPass{"passes": r.Passes, "spent": r.Spent} {
		for _, p := range list {
			if p.Exp <= 0 || p.ID == (PassID{}) {
				return fmt.Errorf("%s: a pass has no id or no exp", name)
			}
		}
	}
	return nil
}

// ParseRevoked reads the payload of a list whose signature holds.
func ParseRevoked(payload []byte) (Revoked, error) {
	var r Revoked
	if err := strict.Read(payload, &r, strict.Limits{Size: MaxRevoked, Depth: maxBodyDepth}); err != nil {
		return Revoked{}, fmt.Errorf("revoked: %w", err)
	}
	if err := r.Check(); err != nil {
		return Revoked{}, fmt.Errorf("revoked: %w", err)
	}
	return r, nil
}

// Marshal writes the payload, to be signed.
func (r Revoked) Marshal() ([]byte, error) {
	if err := r.Check(); err != nil {
		return nil, fmt.Errorf("revoked: %w", err)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("revoked: %w", err)
	}
	if len(b) > MaxRevoked {
		return nil, fmt.Errorf("revoked: %d bytes, at most %d are taken: %w", len(b), MaxRevoked, ErrTooLarge)
	}
	return b, nil
}

// RevokedSet answers whether something is on a list, in constant time and
// without allocating. It does not change and may be used from several
// goroutines; nil is the empty set.
type RevokedSet struct {
	passes, spent map[PassID]struct{}
	passports     map[PassportHash]struct{}
}

// Set makes the set of a list.
func (r Revoked) Set() *RevokedSet {
	s := &RevokedSet{
		passes: make(map[PassID]struct{}, len(r.Passes)), spent: make(map[PassID]struct{}, len(r.Spent)),
		passports: make(map[PassportHash]struct{}, len(r.Passports)),
	}
	for _, p := range r.Passes {
		s.passes[p.ID] = struct{}{}
	}
	for _, p := range r.Spent {
		s.spent[p.ID] = struct{}{}
	}
	for _, h := range r.Passports {
		s.passports[h] = struct{}{}
	}
	return s
}

// Pass says whether a pass was taken back.
func (s *RevokedSet) Pass(id [16]byte) bool {
	if s == nil {
		return false
	}
	_, there := s.passes[id]
	return there
}

// Spent says whether a pass for one entry was used at another gate.
func (s *RevokedSet) Spent(id [16]byte) bool {
	if s == nil {
		return false
	}
	_, there := s.spent[id]
	return there
}

// Passport says whether a vaccine passport is revoked under a hash.
func (s *RevokedSet) Passport(hash [16]byte) bool {
	if s == nil {
		return false
	}
	_, there := s.passports[hash]
	return there
}
