package policy

import (
	"fmt"
	"strconv"

	"gateagent/agent/gate"
)

// laxness orders verdicts by how far they open; alert or not is no difference.
func laxness(v gate.Verdict) int {
	switch v {
	case gate.Allow:
		return 3
	case gate.AllowNotice:
		return 2
	case gate.ManualCheck:
		return 1
	}
	return 0
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
			case c == gate.Unknown && laxness(v) == 0:
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
			if laxness(a[c][level]) > laxness(a[c][level-1]) {
				o.problem(c.String(), fmt.Sprintf("is laxer at level %d than at level %d", level, level-1))
			}
		}
	}
	for level := MinLevel; level <= MaxLevel; level++ {
		for _, pair := range [...][2]gate.Class{{gate.Green, gate.Yellow}, {gate.Yellow, gate.Red}} {
			if laxness(a[pair[1]][level]) > laxness(a[pair[0]][level]) {
				o.problem(pair[1].String(), fmt.Sprintf("is laxer than %v at level %d", pair[0], level))
			}
		}
	}
	return a
}
