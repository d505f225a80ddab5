package main

import (
	"slices"
	"sync/atomic"

	"gateagent/agent/gate"
	"gateagent/agent/health"
)

// tally counts what became of one kind of signed credential since the start.
// It knows its outcomes from the beginning: what is shown adds none.
type tally struct {
	what     string
	outcomes []string
	counts   []atomic.Uint64
}

// The outcomes beside the reasons why a credential does not count.
const (
	outcomeVerified = "verified"
	outcomeOther    = "other" // a reason that is not among the outcomes
)

// Outcomes of using up a pass for one entry.
const (
	outcomeSpent  = "spent"
	outcomeBefore = "spent_before" // it was used a moment before, in another lane
	outcomeFailed = "failed"       // it could not be written down, or what is written was lost
)

func newTally(what string, outcomes ...string) *tally {
	outcomes = append(outcomes, outcomeOther)
	return &tally{what: what, outcomes: outcomes, counts: make([]atomic.Uint64, len(outcomes))}
}

// tallyOf counts credentials that are verified or refused for one of reasons.
func tallyOf(what string, reasons ...gate.Reason) *tally {
	outcomes := []string{outcomeVerified}
	for _, r := range reasons {
		outcomes = append(outcomes, string(r))
	}
	return newTally(what, outcomes...)
}

func passportTally() *tally {
	return tallyOf("passport", gate.ReasonPassportMalformed, gate.ReasonPassportUnknown, gate.ReasonPassportForged,
		gate.ReasonPassportUsage, gate.ReasonPassportEarly, gate.ReasonPassportExpired, gate.ReasonPassportRevoked)
}

func passTally() *tally {
	return tallyOf("pass", gate.ReasonPassMalformed, gate.ReasonPassUnknown, gate.ReasonPassForged, gate.ReasonPassEarly,
		gate.ReasonPassExpired, gate.ReasonPassRevoked, gate.ReasonPassSpent, gate.ReasonPassElsewhere)
}

func spendTally() *tally {
	return newTally("spend", outcomeSpent, outcomeBefore, outcomeFailed)
}

// proof counts a credential that was verified.
func (t *tally) proof(p gate.Proof, why gate.Reason) {
	if p == gate.ProofGood {
		t.add(outcomeVerified)
	} else {
		t.add(string(why))
	}
}

func (t *tally) add(outcome string) {
	i := slices.Index(t.outcomes, outcome)
	if i < 0 {
		i = len(t.outcomes) - 1
	}
	t.counts[i].Add(1)
}

// counted gives all outcomes, also those that have not been.
func (t *tally) counted() []health.ProofCount {
	out := make([]health.ProofCount, len(t.outcomes))
	for i, outcome := range t.outcomes {
		out[i] = health.ProofCount{What: t.what, Outcome: outcome, Count: t.counts[i].Load()}
	}
	return out
}
