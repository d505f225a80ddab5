package policy

import (
	"math"

	"gateagent/agent/gate"
)

// rule is one row of the health rules: a person whose fact is of this kind and
// between from and to days old, both included, is of this class. A negative
// age lies in the future.
type rule struct {
	row      int // of PAYLOADS §7.2
	kind     gate.FactKind
	from, to int64
	// timeless rules hold whatever the clock says.
	timeless bool
	class    gate.Class
	reason   gate.Reason
}

const (
	everBefore = math.MinInt64
	everAfter  = math.MaxInt64
)

// rulesFor gives the rows in the order in which they are tried; who is on
// record and meets none is RED (row 7).
func rulesFor(p Params) []rule {
	dose, recovered := int64(p.DoseDays), int64(p.RecoveredDays)
	return []rule{
		{row: 2, kind: gate.FactPositive, from: 0, to: everAfter, timeless: true, class: gate.Block, reason: gate.ReasonPositive},
		// The day of a quarantine is its last one.
		{row: 2, kind: gate.FactQuarantine, from: everBefore, to: 0, class: gate.Block, reason: gate.ReasonQuarantine},
		{row: 3, kind: gate.FactCompleted, from: dose, to: everAfter, class: gate.Green, reason: gate.ReasonVaccinated},
		{row: 4, kind: gate.FactRecovered, from: 0, to: recovered, class: gate.Green, reason: gate.ReasonRecovered},
		{row: 5, kind: gate.FactBegun, from: dose, to: everAfter, class: gate.Yellow, reason: gate.ReasonPartlyVaccinate},
	}
}

// finding is what the rules say about a person.
type finding struct {
	class  gate.Class
	reason gate.Reason
	// ignoredFuture is true when the fact lies after today and did not count.
	ignoredFuture bool
}

// judge applies the rules to the facts of one person.
func (p *Policy) judge(in gate.Inputs, today gate.Day, timeKnown bool) finding {
	f := in.Facts
	switch {
	case !f.Found:
		return finding{class: gate.Unknown, reason: gate.ReasonNoRecord}
	case f.Word.Extras():
		return finding{class: gate.Unknown, reason: gate.ReasonNeedsExtras}
	case f.Word.Kind() > gate.FactQuarantine:
		return finding{class: gate.Unknown, reason: gate.ReasonReservedKind}
	}

	// Counted in 64 bits: a day of a hostile base must not wrap round.
	age := int64(today) - int64(f.Base) - int64(f.Word.Offset())
	future := age < 0 && f.Word.Kind() != gate.FactQuarantine && f.Word.Kind() != gate.FactNothing
	for i := range p.rules {
		r := &p.rules[i]
		if r.kind != f.Word.Kind() {
			continue
		}
		if r.timeless && !timeKnown {
			return finding{class: r.class, reason: r.reason}
		}
		if timeKnown && r.from <= age && age <= r.to {
			return finding{class: r.class, reason: r.reason}
		}
	}
	// Not even "nothing counts" can be said by a clock that cannot tell
	// whether the data are of today or of last year.
	if !timeKnown {
		return finding{class: gate.Unknown, reason: gate.ReasonClockUntrusted}
	}
	return finding{class: gate.Red, reason: gate.ReasonNoFactCounts, ignoredFuture: future}
}
