package policy

import (
	"fmt"
	"strconv"

	"gateagent/agent/gate"
)

// laxer says whether a verdict opens further than another; alert or not is no
// difference.
func laxer(v, than gate.Verdict) bool {
	return strictness(v) < min(strictness(than), strictness(gate.Deny))
}

// actions reads the table class → level → verdict, and refuses tables that
// cannot be meant: one that lets a blocked person in, that refuses for want of
// data, or that is laxer for the worse class or at the higher level.
func (r *reader) actions(o *object) actions {
	var a actions
	if o == nil {
		return a
	}
	complete := true
	for _, c := range judgedClasses {
		row := o.object(c.String(), required)
		if row == nil {
			complete = false
			continue
		}
		for level := MinLevel; level <= MaxLevel; level++ {
			key := strconv.Itoa(level)
			s, ok := row.text(key, required)
			if !ok {
				complete = false
				continue
			}
			v, err := gate.ParseVerdict(s)
			switch {
			case err != nil || v == gate.Retry:
				row.problem(key, fmt.Sprintf("%q is not one of ALLOW, ALLOW_NOTICE, MANUAL_CHECK, DENY, DENY_ALERT", s))
				complete = false
			case c == gate.Block && v.Opens():
				row.problem(key, "would open the gate for a person who is blocked")
			case c == gate.Unknown && !laxer(v, gate.Deny):
				row.problem(key, "would refuse a person only because nothing is known; use MANUAL_CHECK")
			}
			a[c][level] = v
		}
		row.end()
	}
	o.end()
	if !complete {
		return a
	}
	for _, c := range judgedClasses {
		for level := MinLevel + 1; level <= MaxLevel; level++ {
			if laxer(a[c][level], a[c][level-1]) {
				o.problem(c.String(), fmt.Sprintf("is laxer at level %d than at level %d", level, level-1))
			}
		}
	}
	for level := MinLevel; level <= MaxLevel; level++ {
		for _, pair := range [...][2]gate.Class{{gate.Green, gate.Yellow}, {gate.Yellow, gate.Red}} {
			if laxer(a[pair[1]][level], a[pair[0]][level]) {
				o.problem(pair[1].String(), fmt.Sprintf("is laxer than %v at level %d", pair[0], level))
			}
		}
	}
	return a
}
