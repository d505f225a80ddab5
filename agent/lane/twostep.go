package lane

import (
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/passport"
)

// Proofs verifies the credentials that are signed, at an instant. The payload
// is as it was read; it is neither kept nor changed.
type Proofs interface {
	Passport(payload []byte, at time.Time) passport.Result
	Pass(payload []byte, at time.Time) pass.Result
}

// What the first half of a two-step scan needs, as its entry says it.
const (
	NeedsCard     = "card"     // a passport was shown: show the ID card of its holder
	NeedsPassport = "passport" // a card was shown: the passport of its holder could help
)

// holdFor is how long the first half waits for the second.
const holdFor = 20 * time.Second

// held is the first half of a two-step scan: a passport that waits for its
// card, or a card that a passport could help. Nothing but the text of the code
// is held, for [holdFor] at most, and it is overwritten when it is let go;
// nothing of it is written anywhere. It belongs to the loop.
type held struct {
	what    string // it needs: NeedsCard, NeedsPassport; empty: nothing is held
	payload []byte
	until   time.Time
	receipt *gate.Receipt // of its entry; nil: it has none
	timer   *time.Timer
	// missed is the last first half whose second did not come in time: what it
	// needed, and the hash of its code.
	missed struct {
		what string
		hash uint64
	}
}

func (h *held) init() {
	h.timer = time.NewTimer(holdFor)
	h.timer.Stop()
}

// take holds a payload, which is the lane's from then on.
func (h *held) take(what string, payload []byte) {
	h.drop()
	h.what, h.payload, h.until = what, payload, time.Now().Add(holdFor)
	h.timer.Reset(holdFor)
}

func (h *held) drop() {
	clear(h.payload)
	h.timer.Stop()
	h.what, h.payload, h.receipt = "", nil, nil
}

// holdBack holds the first half of a two-step scan. If the other half was shown
// before and had to be let go, it may be in view still: it is read once more,
// so that nobody has to take it away and come again.
func (l *Lane) holdBack(what string, payload []byte) {
	l.held.take(what, payload)
	if m := &l.held.missed; m.what != "" && m.what != what {
		l.slot.again(m.hash)
		m.what = ""
	}
}

// letGo ends the waiting for a second half.
func (l *Lane) letGo() {
	h := &l.held
	if h.what != "" {
		h.missed.what, h.missed.hash = h.what, l.slot.hashOf(h.payload)
	}
	h.drop()
}

// needing says whether a first half that needs this is held.
func (h *held) needing(what string) bool { return h.what == what && time.Now().Before(h.until) }

// ref gives the number of the entry of the first half; 0 when it has none, or
// none yet.
func (h *held) ref() uint64 {
	if h.receipt == nil {
		return 0
	}
	select {
	case <-h.receipt.Done():
		seq, _ := h.receipt.Wait() // 0 when it was not written
		return seq
	default:
		return 0
	}
}

// shown is what was found out about one scan: whose it is and what is proven.
type shown struct {
	claim    gate.Claim
	read     gate.CredentialKind // of the code itself; the claim may be the first half's
	passport gate.Passport
	pass     pass.Result
	ref      uint64 // of the first half, where this is the second
}

// look reads a payload, verifies what is signed and joins the halves of a
// two-step scan. A code of somebody else ends one; a code that nobody can be
// told from does not.
func (l *Lane) look(payload []byte, now time.Time) shown {
	s := shown{claim: credential.Parse(payload)}
	s.read = s.claim.Kind
	switch s.read {
	case gate.KindDCC:
		if l.o.Proofs != nil {
			l.lookAtPassport(&s, payload, now)
		}
	case gate.KindPass:
		if l.o.Proofs != nil {
			s.pass = l.o.Proofs.Pass(payload, now)
		}
		l.held.drop()
	case gate.KindCCCD, gate.KindCC:
		if l.held.needing(NeedsCard) {
			r := l.o.Proofs.Passport(l.held.payload, now)
			s.passport = r.Passport
			if s.passport.Matched = r.Holder.Matches(s.claim.Name, s.claim.Born); s.passport.Matched {
				s.ref = l.held.ref()
			} else {
				s.passport = another(r.Passport)
			}
		}
		l.held.drop()
	case gate.KindQRQG, gate.KindBHYT:
		l.held.drop()
	}
	return s
}

// another is what the bearer of a card shares of the passport of somebody else:
// that one was shown. What it says is not theirs, and is not recorded with them.
func another(p gate.Passport) gate.Passport { return gate.Passport{Proof: p.Proof, Why: p.Why} }

// lookAtPassport verifies a passport. With the card of its holder held it is
// the second half, and the scan is that of the card.
func (l *Lane) lookAtPassport(s *shown, payload []byte, now time.Time) {
	r := l.o.Proofs.Passport(payload, now)
	s.passport = r.Passport
	if r.Proof != gate.ProofGood {
		return // whose it is, nobody knows
	}
	if l.held.needing(NeedsPassport) {
		if card := credential.Parse(l.held.payload); r.Holder.Matches(card.Name, card.Born) {
			s.claim, s.passport.Matched, s.ref = card, true, l.held.ref()
		}
	}
	l.held.drop()
}

// needs says what the scan is the first half for; "" for nothing.
func (l *Lane) needs(s *shown, in *gate.Inputs, d *gate.Decision, rules Rules) string {
	switch {
	case l.o.Proofs == nil, rules == nil, in.Passport.Matched:
		return ""
	case s.claim.Kind == gate.KindDCC:
		if in.Passport.Proof == gate.ProofGood && d.Verdict == gate.Retry {
			return NeedsCard
		}
		return ""
	case s.claim.Kind != gate.KindCCCD && s.claim.Kind != gate.KindCC, d.Verdict.Opens(), d.Verdict == gate.DenyAlert, s.claim.Name == "":
		return ""
	}
	best := *in
	best.Passport = rules.BestPassport(*in)
	if rules.Decide(best).Verdict.Opens() {
		return NeedsPassport
	}
	return ""
}
