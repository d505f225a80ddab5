package policy

import "gateagent/agent/gate"

// Row is one condition of the health rules (PAYLOADS §7.2). The first that a
// person meets decides; who is on record and meets none is RED (row 7), who is
// not is UNKNOWN (row 8).
type Row uint8

// The rows, in the order of the built-in policy.
const (
	RowDenyList Row = iota
	RowPositive
	RowQuarantine
	RowVaccinated
	RowRecovered
	RowPartlyVaccinated
	RowTested
	numRows
)

// rowRules give each row its class and its reason, which is also its word in a
// document, and its number in PAYLOADS §7.2.
var rowRules = [numRows]struct {
	no     int
	class  gate.Class
	reason gate.Reason
}{
	RowDenyList:         {1, gate.Block, gate.ReasonDenyList},
	RowPositive:         {2, gate.Block, gate.ReasonPositive},
	RowQuarantine:       {2, gate.Block, gate.ReasonQuarantine},
	RowVaccinated:       {3, gate.Green, gate.ReasonVaccinated},
	RowRecovered:        {4, gate.Green, gate.ReasonRecovered},
	RowPartlyVaccinated: {5, gate.Yellow, gate.ReasonPartlyVaccinate},
	RowTested:           {6, gate.Yellow, gate.ReasonTested},
}

// String gives the word of the row in a document.
func (r Row) String() string {
	if r < numRows {
		return string(rowRules[r].reason)
	}
	return "invalid"
}

// defaultOrder is that of PAYLOADS §7.2.
func defaultOrder() []Row {
	order := make([]Row, 0, numRows)
	for r := range numRows {
		order = append(order, r)
	}
	return order
}

// finding is what the rules say about a person.
type finding struct {
	class  gate.Class
	reason gate.Reason
	// unread says why there is more to know than is known; empty where there
	// is not.
	unread gate.Reason
	// ignoredFuture is true when a fact lies after today and did not count.
	ignoredFuture bool
}

// aspect is one kind of day that the rules ask for.
type aspect uint8

const (
	firstDose aspect = iota
	completed
	lastDose
	recovered
	positive
	quarantine // its last day
	numAspects
)

// picture is what word and extras together say about a person: the age in days
// of the one fact of each kind that counts. A negative age lies in the future.
type picture struct {
	has [numAspects]bool
	age [numAspects]int64
}

// oldest keeps the earlier of two facts, newest the later, but one that lies
// in the future only where there is no other: it is an error in the data and
// hides nothing.
func (p *picture) oldest(a aspect, age int64) {
	if !p.has[a] || age > p.age[a] {
		p.has[a], p.age[a] = true, age
	}
}

func (p *picture) newest(a aspect, age int64) {
	is := p.age[a]
	if !p.has[a] || age < 0 && is < 0 && age < is || age >= 0 && (is < 0 || age < is) {
		p.has[a], p.age[a] = true, age
	}
}

// latest keeps the later of two days, also in the future.
func (p *picture) latest(a aspect, age int64) {
	if !p.has[a] || age < p.age[a] {
		p.has[a], p.age[a] = true, age
	}
}

// paint puts facts together. Ages are counted in 64 bits: a day of a hostile
// base must not wrap round.
func (p *Policy) paint(f *gate.Facts, m *moment) (pic picture) {
	today := int64(m.today)
	result := pic.newest
	if !m.known { // what lies ahead by that clock may well be past
		result = pic.latest
	}
	age := today - int64(f.Base) - int64(f.Word.Offset())
	switch f.Word.Kind() {
	case gate.FactCompleted:
		pic.dose(completed, age)
	case gate.FactBegun:
		pic.dose(firstDose, age)
	case gate.FactRecovered:
		result(recovered, age)
	case gate.FactPositive:
		result(positive, age)
	case gate.FactQuarantine:
		pic.latest(quarantine, age)
	}
	if f.HasExtras {
		e := &f.Extras
		for _, x := range [...]struct {
			aspect aspect
			day    gate.Day
		}{{firstDose, e.FirstDose}, {completed, e.Completed}, {lastDose, e.LastDose}} {
			if x.day != 0 {
				pic.dose(x.aspect, today-int64(x.day))
			}
		}
		if e.Recovered != 0 {
			result(recovered, today-int64(e.Recovered))
		}
		if e.Positive != 0 {
			result(positive, today-int64(e.Positive))
		}
		if e.Quarantine != 0 {
			pic.latest(quarantine, today-int64(e.Quarantine))
		}
		for i := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
			if t := &e.Tests[i]; t.Positive {
				result(positive, today-int64(p.day(int64(t.Sampled)*60_000)))
			}
		}
	}
	// A recovery ends what was found on days before it. One of the same day may
	// have been written down before the sample was taken.
	if pic.has[positive] && pic.has[recovered] && pic.age[recovered] < pic.age[positive] &&
		(!m.known || pic.age[recovered] >= 0) {
		pic.has[positive] = false // recovered since
	}
	return pic
}

// dose notes a dose: each is at least a first one and perhaps the last.
func (p *picture) dose(a aspect, age int64) {
	p.oldest(firstDose, age)
	p.newest(lastDose, age)
	if a == completed {
		p.oldest(completed, age)
	}
}

// judge applies the rules to the facts of one person. What blocks decides on
// what is known, however much more there may be to know; only who is not blocked
// by it is UNKNOWN where that could turn the rest.
func (p *Policy) judge(f *gate.Facts, m *moment, l *listing) finding {
	if !f.Found {
		return finding{class: gate.Unknown, reason: gate.ReasonNoRecord}
	}
	pic := p.paint(f, m)
	found := finding{class: gate.Red, reason: gate.ReasonNoFactCounts, unread: unread(f)}
	for _, row := range p.order {
		met, future := p.meets(row, f, &pic, m, l)
		if met {
			found.class, found.reason = rowRules[row].class, rowRules[row].reason
			break
		}
		found.ignoredFuture = found.ignoredFuture || future
	}
	switch {
	case found.class == gate.Block:
	case found.unread != "":
		found.class, found.reason = gate.Unknown, found.unread
	case !m.known:
		// Not even "nothing counts" can be said by a clock that cannot tell
		// whether the data are of today or of last year.
		found.class, found.reason = gate.Unknown, gate.ReasonClockUntrusted
	}
	if found.class != gate.Red && found.class != gate.Yellow {
		found.ignoredFuture = false // it would have changed nothing
	}
	return found
}

// unread says why the facts are not all that central has said about a person;
// empty where they are.
func unread(f *gate.Facts) gate.Reason {
	switch {
	case f.Word.Extras() && !f.HasExtras, f.HasExtras && f.Extras.Beyond:
		return gate.ReasonNeedsExtras
	case f.Word.Kind() > gate.FactQuarantine:
		return gate.ReasonReservedKind
	}
	return ""
}

// meets says whether a person meets a row, and whether a fact that lies in the
// future was passed over. By a clock that cannot tell only lists and positive
// results count.
func (p *Policy) meets(row Row, f *gate.Facts, pic *picture, m *moment, l *listing) (met, future bool) {
	switch row {
	case RowDenyList:
		return l.block, false
	case RowPositive:
		ahead := pic.has[positive] && m.known && pic.age[positive] < 0
		return pic.has[positive] && !ahead, ahead
	}
	if !m.known {
		return false, false
	}
	switch row {
	case RowQuarantine:
		return pic.has[quarantine] && pic.age[quarantine] <= 0, false
	case RowVaccinated:
		young := p.params.MaxDoseAge == 0 || pic.age[lastDose] <= int64(p.params.MaxDoseAge)
		return pic.has[completed] && pic.age[completed] >= int64(p.params.DoseDays) && young,
			pic.has[completed] && pic.age[completed] < 0
	case RowRecovered:
		age := pic.age[recovered]
		return pic.has[recovered] && 0 <= age && age <= int64(p.params.RecoveredDays), pic.has[recovered] && age < 0
	case RowPartlyVaccinated:
		return pic.has[firstDose] && pic.age[firstDose] >= int64(p.params.DoseDays),
			pic.has[firstDose] && pic.age[firstDose] < 0
	case RowTested:
		if f.HasExtras {
			e := &f.Extras
			for i := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
				if p.testCounts(&e.Tests[i], m.now) {
					return true, false
				}
			}
		}
	}
	return false, false
}

// testHours is how long a negative test of a kind counts; 0: not at all.
func (p *Policy) testHours(kind gate.TestKind) int {
	switch kind {
	case gate.TestPCR:
		return p.params.PCRHours
	case gate.TestAntigen:
		return p.params.AntigenHours
	}
	return 0
}

// testCounts says whether a negative test is young enough (row 6). It is
// counted in whole minutes, as the sample is: good through the last one.
func (p *Policy) testCounts(t *gate.Test, now int64) bool {
	hours := int64(p.testHours(t.Kind))
	age := floorDiv(now, 60_000) - int64(t.Sampled)
	return !t.Positive && hours > 0 && 0 <= age && age <= hours*60
}
