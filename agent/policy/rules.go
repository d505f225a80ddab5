package policy

import (
	"math"

	"gateagent/agent/gate"
)

// rule is one row of the health rules: a person who has a fact of this kind
// that is between from and to days old, both included, is of this class. A
// negative age lies in the future.
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
// record and meets none is RED (row 7). Row 1 (lists) comes before them and row
// 6 (tests) after: they do not ask for the age of a fact in days.
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

// blockingLists are the names of the lists of row 1.
var blockingLists = [...]string{"deny", "watch"}

// finding is what the rules say about a person.
type finding struct {
	class  gate.Class
	reason gate.Reason
	// ignoredFuture is true when a fact lies after today and did not count.
	ignoredFuture bool
}

// moment is the time of a scan as the rules see it.
type moment struct {
	known  bool
	now    int64 // UTC milliseconds
	today  gate.Day
	minute int // of the day
}

// picture is what word and extras together say about a person: the age in days
// of the one fact of each kind that counts.
type picture struct {
	has [gate.FactQuarantine + 1]bool
	age [gate.FactQuarantine + 1]int64
}

func (p *picture) set(kind gate.FactKind, age int64) { p.has[kind], p.age[kind] = true, age }

// paint puts facts together. Ages are counted in 64 bits: a day of a hostile
// base must not wrap round.
func (p *Policy) paint(f *gate.Facts, today gate.Day) (pic picture) {
	if kind := f.Word.Kind(); kind != gate.FactNothing && kind <= gate.FactQuarantine {
		pic.set(kind, int64(today)-int64(f.Base)-int64(f.Word.Offset()))
	}
	if !f.HasExtras {
		return pic
	}
	e := &f.Extras
	// younger keeps the later of two facts, older the earlier.
	younger := func(kind gate.FactKind, day gate.Day) {
		if age := int64(today) - int64(day); day != 0 && (!pic.has[kind] || age < pic.age[kind]) {
			pic.set(kind, age)
		}
	}
	older := func(kind gate.FactKind, day gate.Day) {
		if age := int64(today) - int64(day); day != 0 && (!pic.has[kind] || age > pic.age[kind]) {
			pic.set(kind, age)
		}
	}
	older(gate.FactBegun, e.FirstDose)
	older(gate.FactCompleted, e.Completed)
	younger(gate.FactRecovered, e.Recovered)
	younger(gate.FactPositive, e.Positive)
	younger(gate.FactQuarantine, e.Quarantine)
	for i := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
		if t := &e.Tests[i]; t.Positive {
			younger(gate.FactPositive, p.day(int64(t.Sampled)*60_000))
		}
	}
	if pic.has[gate.FactPositive] && pic.has[gate.FactRecovered] &&
		0 <= pic.age[gate.FactRecovered] && pic.age[gate.FactRecovered] <= pic.age[gate.FactPositive] {
		pic.has[gate.FactPositive] = false // recovered since
	}
	return pic
}

// judge applies the rules to the facts of one person.
func (p *Policy) judge(f *gate.Facts, m moment) finding {
	switch {
	case !f.Found:
		return finding{class: gate.Unknown, reason: gate.ReasonNoRecord}
	case p.listed(f, m):
		return finding{class: gate.Block, reason: gate.ReasonDenyList}
	case f.Word.Extras() && !f.HasExtras, f.HasExtras && f.Extras.Beyond:
		// There is more to know than is known, and it may turn all the rest.
		return finding{class: gate.Unknown, reason: gate.ReasonNeedsExtras}
	case f.Word.Kind() > gate.FactQuarantine:
		return finding{class: gate.Unknown, reason: gate.ReasonReservedKind}
	}
	pic := p.paint(f, m.today)
	found := finding{class: gate.Red, reason: gate.ReasonNoFactCounts}
	for i := range p.rules {
		r := &p.rules[i]
		if !pic.has[r.kind] {
			continue
		}
		age := pic.age[r.kind]
		if r.timeless && !m.known || m.known && r.from <= age && age <= r.to {
			found.class, found.reason = r.class, r.reason
			break
		}
		found.ignoredFuture = found.ignoredFuture || age < 0 && r.kind != gate.FactQuarantine
	}
	switch {
	case found.class == gate.Block:
	case !m.known:
		// Not even "nothing counts" can be said by a clock that cannot tell
		// whether the data are of today or of last year.
		return finding{class: gate.Unknown, reason: gate.ReasonClockUntrusted}
	case found.class == gate.Red && p.tested(f, m.now):
		found.class, found.reason = gate.Yellow, gate.ReasonTested
	}
	if found.class != gate.Red && found.class != gate.Yellow {
		found.ignoredFuture = false // it would have changed nothing
	}
	return found
}

// listed says whether the person is on a blocking list whose window takes in
// the moment (row 1); by a clock that cannot tell, the list holds.
func (p *Policy) listed(f *gate.Facts, m moment) bool {
	if !f.HasExtras {
		return false
	}
	e := &f.Extras
	for i := range e.Lists[:min(int(e.ListN), len(e.Lists))] {
		l := &e.Lists[i]
		for _, name := range blockingLists {
			if l.List == name && (!m.known || l.Window.Contains(m.today, m.minute)) {
				return true
			}
		}
	}
	return false
}

// tested says whether a negative test is young enough (row 6).
func (p *Policy) tested(f *gate.Facts, now int64) bool {
	if !f.HasExtras {
		return false
	}
	e := &f.Extras
	for i := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
		t := &e.Tests[i]
		var hours int64
		switch t.Kind {
		case gate.TestPCR:
			hours = int64(p.params.PCRHours)
		case gate.TestAntigen:
			hours = int64(p.params.AntigenHours)
		}
		// Counted in whole minutes, as the sample is: good through the last one.
		age := floorDiv(now, 60_000) - int64(t.Sampled)
		if !t.Positive && hours > 0 && 0 <= age && age <= hours*60 {
			return true
		}
	}
	return false
}
