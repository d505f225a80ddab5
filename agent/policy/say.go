package policy

import "gateagent/agent/gate"

// Reason gives the words for a reason, for whoever may read entries.
func (l Lang) Reason(r gate.Reason) string { return l.reason(r) }

// Verdict gives the words for a verdict.
func (l Lang) Verdict(v gate.Verdict) string { return l.verdict(v) }

// Account is the sentences of an explanation, parted by what they are about.
type Account struct {
	Outcome string
	Steps   []string // what decided, and what else was found
	Facts   []string // what was known of the person, with its age
	Data    string   // age of the data, and the clock
	Changes []string // what would have changed the outcome
}

// Account tells the explanation as [Explanation.Sentences] does, in parts.
func (e Explanation) Account(l Lang) Account {
	a := Account{Outcome: l.outcome(&e), Data: l.data(&e)}
	for _, s := range e.Steps {
		a.Steps = append(a.Steps, l.step(s, e.Level, e.Inputs.Passport.Event == gate.PassportTest))
	}
	for _, f := range e.Facts {
		a.Facts = append(a.Facts, l.fact(f))
	}
	for _, c := range e.Changes {
		a.Changes = append(a.Changes, l.change(c))
	}
	return a
}
