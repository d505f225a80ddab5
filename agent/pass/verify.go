package pass

import (
	"crypto/ed25519"
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Key is one key that is trusted to sign passes.
type Key struct {
	Public ed25519.PublicKey
	// NotBefore and NotAfter bound when it is good, NotAfter excluded; zero:
	// no bound.
	NotBefore, NotAfter time.Time
}

func (k Key) good(now time.Time) bool {
	return (k.NotBefore.IsZero() || !now.Before(k.NotBefore)) && (k.NotAfter.IsZero() || now.Before(k.NotAfter))
}

// Standing is what became of a pass since it was issued.
type Standing uint8

// How a pass can stand. The zero value is that nothing is known against it.
const (
	Valid   Standing = iota
	Revoked          // taken back by who issued it
	Spent            // a single entry, made already
)

// Keys are the keys that are trusted to sign passes, by their id. They do not
// change after [NewKeys] and may be used from several goroutines.
type Keys struct {
	byKID    map[KID][]Key
	standing func(ID) Standing
}

// NewKeys takes the trusted keys; what is no Ed25519 key verifies nothing.
// standing is asked of each pass that holds otherwise, and should not take
// long; nil: nothing is known against any.
func NewKeys(keys []Key, standing func(ID) Standing) *Keys {
	k := &Keys{byKID: make(map[KID][]Key, len(keys)), standing: standing}
	for _, key := range keys {
		if len(key.Public) == ed25519.PublicKeySize {
			kid := KIDOf(key.Public)
			k.byKID[kid] = append(k.byKID[kid], key)
		}
	}
	return k
}

// Verify judges the text of a code at an instant, for one gate of a site and
// the zones that it belongs to. It never fails: what cannot be read is a bad
// proof, and the reason says so.
//
// Of several reasons the first is given: it cannot be read, nobody we trust
// signed it, the signature does not hold, it is for elsewhere, it is not good
// yet or no more, it was taken back, it is spent. The times are judged here by
// now alone; how far now is to be believed, and the days and hours of
// Pass.Window, are the policy's.
func (k *Keys) Verify(text []byte, site, gateName string, zones []string, now time.Time) Result {
	m, err := read(text)
	if err != nil {
		return bad(gate.ReasonPassMalformed)
	}
	if why := k.check(m, now); why != "" {
		return bad(why)
	}
	c, err := parsePayload(m.payload)
	if err != nil {
		return bad(gate.ReasonPassMalformed)
	}
	r := c.result()
	if r.Why = k.judge(c, site, gateName, zones, now); r.Why != "" {
		r.Proof = gate.ProofBad
	}
	return r
}

func bad(why gate.Reason) Result {
	return Result{Pass: gate.Pass{Proof: gate.ProofBad, Why: why}}
}

// check says whether a trusted key made the signature; "" that one did.
func (k *Keys) check(m message, now time.Time) gate.Reason {
	var signed []byte
	why := gate.ReasonPassUnknown
	for _, key := range k.byKID[m.kid] {
		if !key.good(now) {
			continue
		}
		if signed == nil {
			signed = toBeSigned(protected(m.kid), m.payload)
		}
		if ed25519.Verify(key.Public, signed, m.signature) {
			return ""
		}
		why = gate.ReasonPassForged
	}
	return why
}

// judge gives what speaks against a pass that somebody we trust has signed.
func (k *Keys) judge(c Claims, site, gateName string, zones []string, now time.Time) gate.Reason {
	switch {
	case c.Site != site || !c.isFor(gateName, zones):
		return gate.ReasonPassElsewhere
	case now.Before(c.From):
		return gate.ReasonPassEarly
	case !now.Before(c.To):
		return gate.ReasonPassExpired
	}
	if k.standing != nil {
		switch k.standing(c.ID) {
		case Valid:
		case Spent:
			return gate.ReasonPassSpent
		default:
			return gate.ReasonPassRevoked
		}
	}
	return ""
}

// isFor says whether the pass is for a gate. One that names gates and zones is
// for the gates it names that belong to one of the zones.
func (c Claims) isFor(gateName string, zones []string) bool {
	if len(c.Gates) > 0 && !slices.Contains(c.Gates, gateName) {
		return false
	}
	return len(c.Zones) == 0 || slices.ContainsFunc(c.Zones, func(z string) bool { return slices.Contains(zones, z) })
}

func (c Claims) result() Result {
	return Result{
		Pass: gate.Pass{
			Proof: gate.ProofGood, Kind: c.Kind, Single: c.Single, Window: c.Window,
			From: gate.MinuteOf(c.From), To: gate.MinuteOf(c.To),
		},
		ID: c.ID, Name: c.Name, Host: c.Host,
	}
}
