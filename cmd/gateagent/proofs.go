package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/lane"
	"gateagent/agent/pass"
	"gateagent/agent/passport"
	"gateagent/cache"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// spendWithin bounds how long a person waits for a pass to be written down as
// spent; a disk that takes longer sends them to the guard.
const spendWithin = 2 * time.Second

// proofs verifies what is signed, by the trust list and the list of what is
// revoked as they are in force now, and keeps account of the passes that were
// spent. Lanes use it while documents come.
type proofs struct {
	site, gate string
	zones      []string
	spent      *cache.Spent // nil where it cannot be opened

	passports atomic.Pointer[passport.Keys]
	passes    atomic.Pointer[pass.Keys]
	revoked   atomic.Pointer[wire.RevokedSet] // nil: nothing is
	// revokedVersion is that of the list of what is revoked; 0: none.
	revokedVersion atomic.Uint64
	odd            atomic.Int64 // passport keys of the trust list that cannot be used
	passKeys       atomic.Int64

	spending sync.WaitGroup

	// What became of what was shown.
	passportTally, passTally, spendTally *tally
}

func newProofs(site, gateName string, zones []string, spent *cache.Spent) *proofs {
	p := &proofs{
		site: site, gate: gateName, zones: zones, spent: spent,
		passportTally: passportTally(), passTally: passTally(), spendTally: spendTally(),
	}
	p.trust(signed.Trust{})
	return p
}

// trust puts the keys of a trust list into force.
func (p *proofs) trust(t signed.Trust) {
	passports, odd := passportKeys(t, p.site, func(h passport.Hash) bool { return p.revoked.Load().Passport(h) })
	var keys []pass.Key
	for _, line := range t.Of(signed.RolePass, p.site) {
		keys = append(keys, passKey(line))
	}
	p.passports.Store(passports)
	p.passes.Store(pass.NewKeys(keys, p.standing))
	p.odd.Store(int64(odd))
	p.passKeys.Store(int64(len(keys)))
}

// passKey is the key of a line; the list has made sure that it is one.
func passKey(line signed.TrustKey) pass.Key {
	k := pass.Key{Public: ed25519.PublicKey(line.Key)}
	if line.Nbf != 0 {
		k.NotBefore = time.Unix(line.Nbf, 0)
	}
	if line.Exp != 0 {
		k.NotAfter = time.Unix(line.Exp, 0)
	}
	return k
}

// standing says what became of a pass since it was issued, as far as is known
// here.
func (p *proofs) standing(id pass.ID) pass.Standing {
	list := p.revoked.Load()
	switch {
	case list.Pass(id):
		return pass.Revoked
	case list.Spent(id), p.spent != nil && p.spent.Known(id):
		return pass.Spent
	}
	return pass.Valid
}

// Passport verifies a vaccine passport.
func (p *proofs) Passport(payload []byte, at time.Time) passport.Result {
	return p.passports.Load().Verify(payload, at)
}

// Pass verifies a pass of our own for this gate.
func (p *proofs) Pass(payload []byte, at time.Time) pass.Result {
	return p.passes.Load().Verify(payload, p.site, p.gate, p.zones, at)
}

// Why a pass is not spent.
var (
	errNoSpent      = errors.New("passes that were spent cannot be kept on this box")
	errSpentLost    = errors.New("the list of spent passes was lost since the pass became good")
	errSpendTooLate = fmt.Errorf("not written within %v", spendWithin)
)

// spend notes that a pass for one entry is used up, before it returns.
func (p *proofs) spend(id [16]byte, which gate.Pass) (fresh bool, err error) {
	fresh, err = p.useUp(id, which)
	switch {
	case err != nil:
		p.spendTally.add(outcomeFailed)
	case fresh:
		p.spendTally.add(outcomeSpent)
	default:
		p.spendTally.add(outcomeBefore)
	}
	return fresh, err
}

func (p *proofs) useUp(id [16]byte, which gate.Pass) (fresh bool, err error) {
	if p.spent == nil {
		return false, errNoSpent
	}
	if lost := p.spent.Status().Lost; which.From.Time().Before(lost) {
		return false, errSpentLost
	}
	type outcome struct {
		fresh bool
		err   error
	}
	done := make(chan outcome, 1)
	p.spending.Go(func() {
		fresh, err := p.spent.Spend(id, which.To.Time())
		done <- outcome{fresh, err}
	})
	patience := time.NewTimer(spendWithin)
	defer patience.Stop()
	select {
	case o := <-done:
		return o.fresh, o.err
	case <-patience.C:
		return false, errSpendTooLate
	}
}

// count counts a scan of a signed credential, once for each time it was shown.
func (p *proofs) count(o *lane.Outcome) {
	switch in := &o.Entry.Inputs; o.Read {
	case gate.KindDCC:
		p.passportTally.proof(in.Passport.Proof, in.Passport.Why)
	case gate.KindPass:
		p.passTally.proof(in.Pass.Proof, in.Pass.Why)
	}
}

// state says what is in force.
func (p *proofs) state() health.ProofState {
	s := health.ProofState{PassportKeys: p.passports.Load().Len(), PassKeys: int(p.passKeys.Load())}
	if p.spent != nil {
		s.Spent = p.spent.Status().Passes
	}
	for _, t := range []*tally{p.passportTally, p.passTally, p.spendTally} {
		s.Counts = append(s.Counts, t.counted()...)
	}
	return s
}

// close waits for passes under way and closes their file.
func (p *proofs) close() error {
	p.spending.Wait()
	if p.spent == nil {
		return nil
	}
	return p.spent.Close()
}
