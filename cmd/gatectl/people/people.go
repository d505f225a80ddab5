// Package people reads central's list of people and reduces what is known
// about each of them to the fact word that gates look up.
//
// It owns the two forms of the list (CSV and JSON lines, PAYLOADS §6) and the
// one rule by which a record becomes a [Fact]. It writes nothing, signs
// nothing and knows no key: the pseudonyms are made by the caller.
//
// Nothing here says yes or no about a person: that is a policy's business, at
// the gate, on the day. The rule only asks which single date is enough for
// every policy of the kind of PAYLOADS §7.2; where no single date is, the
// record gets the extras flag, and until extras are sent the person comes out
// UNKNOWN.
//
// Days are calendar days without a time zone.
package people

import (
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Person is one record of the list. Zero days mean "not so".
type Person struct {
	Number    gate.Number
	Doses     []Dose // in any order
	Positive  gate.Day
	Recovered gate.Day
	Tests     []Test
	// Quarantine is the flag; QuarantineUntil its last day in force, which may
	// be known with or without the flag.
	Quarantine      bool
	QuarantineUntil gate.Day
	Lists           []string
	ValidTo         gate.Day
}

// Dose is one dose: the N-th of a series of Of.
type Dose struct {
	N, Of int
	On    gate.Day
}

// Test is one laboratory test.
type Test struct {
	PCR      bool // else antigen
	Positive bool
	Sampled  time.Time
}

// Rule is how records become facts.
type Rule struct {
	// AsOf is the day of the list: what is dated later is an error in the data
	// and ignored.
	AsOf gate.Day
	// Settle is how many days after the completing dose a series counts for
	// good. It must not be less than any policy asks (14 by default); from
	// then on no other fact can make the person anything but GREEN.
	Settle int
}

// DefaultSettle is the 14 days of PAYLOADS §7.1.
const DefaultSettle = 14

// testMatters is for how many days before AsOf a negative test may still count
// under any policy; rules in force ask for 48 or 72 hours.
const testMatters = 7

// Fact is what the word of a person says: one kind and one day, or, with
// Extras alone, that one day is not enough.
type Fact struct {
	Kind   gate.FactKind
	Day    gate.Day // 0 for FactNothing
	Extras bool
}

// Forever is the day of a quarantine without a known end.
const Forever = gate.Day(1<<31 - 1)

var extras = Fact{Extras: true}

// Reduce gives the fact of a person, and how many dated facts were ignored
// because they lie after the day of the list.
//
// First match wins, in the order of PAYLOADS §7.2, so that no fact is dropped
// that a row before it needs:
//
//  1. positive without later recovery: nothing else can outweigh it
//  2. quarantine without an end: the same
//  3. on a list, or valid only to a day: extras
//  4. quarantine in force: kind 5 when alone, else extras
//  5. series completed at least Settle days ago: kind 1; recovery, tests and
//     further doses cannot change it
//  6. one fact left: its kind; none: kind 0 (5 when a quarantine is over);
//     several: extras
func (r Rule) Reduce(p *Person) (f Fact, future int) {
	positive := r.past(p.Positive, &future)
	recovered := r.past(p.Recovered, &future)
	negative := false // a test that may still count
	for _, t := range p.Tests {
		switch day := r.past(gate.DayOf(t.Sampled), &future); {
		case day == 0:
		case t.Positive:
			positive = max(positive, day)
		case r.AsOf-day <= testMatters:
			negative = true
		}
	}
	s := r.series(p.Doses, &future)
	inForce := p.QuarantineUntil >= r.AsOf && p.QuarantineUntil != 0

	switch {
	case positive != 0 && recovered < positive:
		return Fact{Kind: gate.FactPositive, Day: positive}, future
	case p.Quarantine && p.QuarantineUntil == 0:
		return Fact{Kind: gate.FactQuarantine, Day: Forever}, future
	case len(p.Lists) > 0 || p.ValidTo != 0:
		return extras, future
	case inForce && (s.first != 0 || recovered != 0 || negative):
		return extras, future
	case inForce:
		return Fact{Kind: gate.FactQuarantine, Day: p.QuarantineUntil}, future
	case s.completed != 0 && r.AsOf-s.completed >= gate.Day(r.Settle):
		return Fact{Kind: gate.FactCompleted, Day: s.completed}, future
	}
	return r.single(s, recovered, negative, p.QuarantineUntil), future
}

// single gives the fact of a person about whom one thing is left to say.
func (r Rule) single(s series, recovered gate.Day, negative bool, quarantine gate.Day) Fact {
	switch {
	case negative,
		s.first != 0 && recovered != 0,
		s.completed != 0 && s.completed != s.first: // the first dose counts until the last one does
		return extras
	case s.completed != 0:
		return Fact{Kind: gate.FactCompleted, Day: s.completed}
	case s.first != 0:
		return Fact{Kind: gate.FactBegun, Day: s.first}
	case recovered != 0:
		return Fact{Kind: gate.FactRecovered, Day: recovered}
	case quarantine != 0:
		return Fact{Kind: gate.FactQuarantine, Day: quarantine}
	}
	return Fact{}
}

// past gives day, or 0 for one after the day of the list, which it counts.
func (r Rule) past(day gate.Day, future *int) gate.Day {
	if day > r.AsOf {
		*future++
		return 0
	}
	return day
}

// series is what the doses of a person come to: the day of the first one, and
// the day of the one that completed the series; 0 where there is none.
type series struct{ first, completed gate.Day }

// series orders doses by date, since their numbers are often wrong, and counts
// each day once. The series is complete with the first dose that is preceded,
// itself included, by as many as it says the series has; a vaccine of a single
// dose is complete with it. Doses after that are boosters.
func (r Rule) series(doses []Dose, future *int) series {
	var past []Dose
	for _, d := range doses {
		if r.past(d.On, future) != 0 {
			past = append(past, d)
		}
	}
	slices.SortFunc(past, func(a, b Dose) int { return int(a.On - b.On) })
	var s series
	count, last := 0, gate.Day(0)
	for _, d := range past {
		if d.On != last {
			count, last = count+1, d.On
		}
		if s.first == 0 {
			s.first = d.On
		}
		if s.completed == 0 && count >= d.Of {
			s.completed = d.On
		}
	}
	return s
}

// BaseDay is day 0 of the fact words of a list of the given day: the first of
// January seven years before. It is the same all year, and leaves at least
// four years for quarantines to come.
func BaseDay(asOf gate.Day) gate.Day {
	return gate.Date{Year: asOf.Date().Year - 7, Month: 1, DayOfMonth: 1}.Day()
}

// Word packs the fact relative to base. Days outside what a word can hold are
// moved to its edge: no rule tells seven years from eight, nor a quarantine
// of four years from one of five.
func (f Fact) Word(base gate.Day) gate.Word {
	day := base
	if f.Day != 0 {
		day = min(max(f.Day, base), base+gate.MaxWordDay)
	}
	if f.Extras {
		day = base
	}
	w, err := gate.NewWord(f.Kind, day, base, f.Extras)
	if err != nil {
		panic(err) // kind and day were brought within bounds above
	}
	return w
}
