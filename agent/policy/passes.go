package policy

import "gateagent/agent/gate"

// PassRules say what passes open. A pass vouches for who somebody is, not for
// their health: no data set is asked about its bearer.
type PassRules struct {
	actions [numPassKinds]perLevel
	bad     [numBadPasses]gate.Verdict
	// clock is the least believable clock that the times of a pass accept.
	clock gate.ClockLevel
}

// numPassKinds counts [gate.PassKind], PassNobody included.
const numPassKinds = int(gate.PassStaff) + 1

// passKinds are the kinds that a policy has a row for.
var passKinds = [...]gate.PassKind{gate.PassVisitor, gate.PassChild, gate.PassPaper, gate.PassStaff}

func (r *PassRules) verdict(k gate.PassKind, level int) gate.Verdict {
	if k == gate.PassNobody || int(k) >= numPassKinds {
		return gate.Deny
	}
	return r.actions[k].at(level)
}

// badPass numbers what can be wrong with a pass.
type badPass uint8

const (
	badMalformed badPass = iota
	badUnknown
	badForged
	badEarly
	badExpired
	badRevoked
	badSpent
	badElsewhere
	numBadPasses
)

// badPasses give each its reason, which is its word in a document, and say
// whether it holds only by a clock that can be believed.
var badPasses = [numBadPasses]struct {
	reason gate.Reason
	timed  bool
}{
	badMalformed: {gate.ReasonPassMalformed, false},
	badUnknown:   {gate.ReasonPassUnknown, false},
	badForged:    {gate.ReasonPassForged, false},
	badEarly:     {gate.ReasonPassEarly, true},
	badExpired:   {gate.ReasonPassExpired, true},
	badRevoked:   {gate.ReasonPassRevoked, false},
	badSpent:     {gate.ReasonPassSpent, false},
	badElsewhere: {gate.ReasonPassElsewhere, false},
}

func badPassOf(why gate.Reason) badPass {
	for i := range badPasses {
		if badPasses[i].reason == why {
			return badPass(i)
		}
	}
	return badMalformed
}

// judgePass judges the bearer of a pass; done is true when nothing further
// can change the outcome.
func (p *Policy) judgePass(in *gate.Inputs, m *moment, w *weighing) (done bool) {
	pass := &in.Pass
	// Leaving needs no entry that is left.
	spentOnTheWayOut := pass.Why == gate.ReasonPassSpent && !enters(in.Direction) && pass.Kind != gate.PassNobody
	if pass.Proof != gate.ProofGood && !spentOnTheWayOut {
		p.badPass(badPassOf(pass.Why), in, m, w)
		return true
	}
	minute := floorDiv(m.now, 60_000)
	switch {
	case pass.Kind == gate.PassNobody || int(pass.Kind) >= numPassKinds:
		p.badPass(badMalformed, in, m, w)
		return true
	case m.known && minute < int64(pass.From):
		p.badPass(badEarly, in, m, w)
		return true
	case m.known && minute >= int64(pass.To):
		p.badPass(badExpired, in, m, w)
		return true
	}
	w.begin(gate.ClassNone, p.passes.verdict(pass.Kind, w.level), gate.ReasonPass)
	if spentOnTheWayOut {
		w.note(gate.ReasonPassSpent)
	}
	if m.known && enters(in.Direction) && !pass.Window.Contains(m.today, m.minute) {
		w.tighten(gate.ManualCheck, gate.ReasonOutsideWindow)
	}
	return false
}

// badPass is what a pass meets that does not count. Nobody is refused the way
// out for it: the guard sees to that.
func (p *Policy) badPass(bad badPass, in *gate.Inputs, m *moment, w *weighing) {
	rule := &badPasses[bad]
	verdict := p.passes.bad[bad]
	if strictness(verdict) > strictness(gate.ManualCheck) && (!enters(in.Direction) || rule.timed && !m.known) {
		verdict = gate.ManualCheck
	}
	if rule.timed && !m.known {
		w.note(gate.ReasonClockUntrusted)
	}
	w.begin(gate.ClassNone, verdict, rule.reason)
}
