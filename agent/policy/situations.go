package policy

import (
	"iter"

	"gateagent/agent/gate"
)

// Situation is one combination of what a gate may meet, in words.
type Situation struct {
	// What describes it for people.
	What string
	// Level at which the site is thought to be; 0: as the policy says.
	Level int
	In    gate.Inputs
}

// Decide judges the situation by a policy.
func (s Situation) Decide(p *Policy) gate.Decision {
	if s.Level != 0 && p != nil {
		p = p.AtLevel(s.Level)
	}
	return p.Decide(s.In)
}

// Situations enumerates what two policies may tell apart: every boundary that
// either of them has, of days, hours, ages, levels, lists, passes and passages.
// q may be nil.
func Situations(p, q *Policy) iter.Seq[Situation] {
	return func(yield func(Situation) bool) {
		for _, s := range p.situations() {
			if !yield(Situation{What: s.what, In: s.in}) {
				return
			}
		}
	}
}
