// Package people reads central's list of people and reduces what is known
// about each of them to the fact word that gates look up and, for the few whom
// one kind and one day do not describe, the extras beside it.
//
// It owns the two forms of the list (CSV and JSON lines, PAYLOADS §6, with
// windows, hours and other providers' facts added) and the one rule by which a
// record becomes a [Fact] and [gate.Extras]. It writes nothing, signs nothing
// and knows no key: the pseudonyms are made by the caller.
//
// Nothing here says yes or no about a person: that is a policy's business, at
// the gate, on the day. The rule only asks what may count under a policy of
// the kind of PAYLOADS §7.2, so that nothing is sent that no gate will ask for.
//
// Days are calendar days without a time zone.
package people

import (
	"cmp"
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
	Lists           []gate.Membership
	// Window bounds when the person is expected at all.
	Window gate.Window
	Others []gate.Other // facts of other providers
	// What the card says, where [Options.Cards] asks for it.
	Name         string
	Born, Issued gate.Date
}

// reset makes p nobody and keeps its memory.
func (p *Person) reset() {
	*p = Person{Doses: p.Doses[:0], Tests: p.Tests[:0], Lists: p.Lists[:0], Others: p.Others[:0]}
}

// Dose is one dose: the N-th of a series of Of.
type Dose struct {
	N, Of int
	On    gate.Day
}

// Test is one laboratory test.
type Test struct {
	Kind     gate.TestKind
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
	// then on no other fact can make the person anything but GREEN, unless
	// DosesExpire.
	Settle int
	// DosesExpire keeps what counts where a policy bounds the age of the last
	// dose (max_dose_age_days) or does not ask for vaccination at all: the day
	// of that dose, and recovery and tests beside a settled series.
	DosesExpire bool
}

// DefaultSettle is the 14 days of PAYLOADS §7.1.
const DefaultSettle = 14

// testMatters is for how many days before AsOf a negative test may still count
// under any policy; rules in force ask for 48 or 72 hours.
const testMatters = 7

// Fact is what the word of a person says: one kind and one day. Extras says
// that there is more.
type Fact struct {
	Kind   gate.FactKind
	Day    gate.Day // 0 for FactNothing
	Extras bool
}

// Forever is the day of a quarantine without a known end.
const Forever = gate.Day(1<<31 - 1)

// Reduce gives the fact that the word of a person tells and, where that is not
// all that counts, the rest in e, which is only written when the fact says
// Extras. future is how many dated facts were ignored because they lie after
// the day of the list. The order of p's doses and tests is changed.
//
// Some facts outweigh all others under every policy of the kind of PAYLOADS
// §7.2; whoever has one of these needs no extras for the others:
//
//   - positive without a recovery on a later day, and quarantine without an end
//   - a series completed at least Settle days ago: recovery, tests and further
//     doses cannot change it (but quarantine, lists and windows can)
//
// Where doses expire the second is not so: recovery and tests are kept, and the
// last dose is. Once that is Settle days old, the day that it was given says
// all that the day of the completing one does, and stands in its place: a word
// is enough for most people with a booster. Before that both days are kept.
//
// The word takes the first of: quarantine in force, completed, recovered,
// begun, quarantine that is over. What else may count goes into e; a quarantine
// that is over does not.
func (r Rule) Reduce(p *Person, e *gate.Extras) (f Fact, future int) {
	positive := r.past(p.Positive, &future)
	recovered := r.past(p.Recovered, &future)
	for _, t := range p.Tests {
		if day := r.past(gate.DayOf(t.Sampled), &future); t.Positive {
			positive = max(positive, day)
		}
	}
	s := r.series(p.Doses, &future)
	switch {
	case positive != 0 && recovered <= positive: // of one day: as policies have it
		return Fact{Kind: gate.FactPositive, Day: positive}, future
	case p.Quarantine && p.QuarantineUntil == 0:
		return Fact{Kind: gate.FactQuarantine, Day: Forever}, future
	}
	settled := s.completed != 0 && r.AsOf-s.completed >= gate.Day(r.Settle)
	if settled {
		s.first = 0
	}
	switch {
	case settled && !r.DosesExpire:
		recovered = 0
	case settled && r.AsOf-s.last >= gate.Day(r.Settle):
		s.completed = s.last
	}
	k := known{series: s, recovered: recovered, tests: !settled || r.DosesExpire}
	f = r.main(p, k)
	f.Extras = r.more(p, k, f.Kind)
	if f.Extras {
		r.extras(p, k, f.Kind, e)
	}
	return f, future
}

// known is what may count of doses, recovery and tests.
type known struct {
	series
	recovered gate.Day
	tests     bool
}

// main gives the fact for the word.
func (r Rule) main(p *Person, k known) Fact {
	switch {
	case p.QuarantineUntil != 0 && p.QuarantineUntil >= r.AsOf:
		return Fact{Kind: gate.FactQuarantine, Day: p.QuarantineUntil}
	case k.completed != 0:
		return Fact{Kind: gate.FactCompleted, Day: k.completed}
	case k.recovered != 0:
		return Fact{Kind: gate.FactRecovered, Day: k.recovered}
	case k.first != 0:
		return Fact{Kind: gate.FactBegun, Day: k.first}
	case p.QuarantineUntil != 0:
		return Fact{Kind: gate.FactQuarantine, Day: p.QuarantineUntil}
	}
	return Fact{}
}

// more says whether the word, of that kind, leaves out what may count.
func (r Rule) more(p *Person, k known, kind gate.FactKind) bool {
	return len(p.Lists) > 0 || len(p.Others) > 0 || !p.Window.IsZero() ||
		k.completed != 0 && kind != gate.FactCompleted ||
		k.recovered != 0 && kind != gate.FactRecovered ||
		k.first != 0 && kind != gate.FactBegun && k.first != k.completed ||
		r.DosesExpire && k.completed != 0 && k.last != k.completed ||
		k.tests && slices.ContainsFunc(p.Tests, r.counts)
}

// counts says whether a test is a negative one that a policy may ask for.
func (r Rule) counts(t Test) bool {
	age := r.AsOf - gate.DayOf(t.Sampled)
	return !t.Positive && age >= 0 && age <= testMatters
}

// extras writes what the word leaves out.
func (r Rule) extras(p *Person, k known, kind gate.FactKind, e *gate.Extras) {
	*e = gate.Extras{Window: p.Window}
	if kind != gate.FactCompleted {
		e.Completed = k.completed
	}
	if kind != gate.FactBegun && k.first != k.completed {
		e.FirstDose = k.first
	}
	if kind != gate.FactRecovered {
		e.Recovered = k.recovered
	}
	if k.last != k.first && k.last != k.completed {
		e.LastDose = k.last
	}
	if k.tests {
		r.tests(p, e)
	}
	for _, m := range p.Lists {
		e.AddList(m)
	}
	for _, o := range p.Others {
		e.AddOther(o)
	}
}

// tests keeps the newest tests that may count: of each kind the newest one
// always, and each minute's once.
func (r Rule) tests(p *Person, e *gate.Extras) {
	slices.SortStableFunc(p.Tests, func(a, b Test) int { return b.Sampled.Compare(a.Sampled) })
	for _, kind := range []gate.TestKind{gate.TestPCR, gate.TestAntigen} {
		room := gate.MaxTests / 2
		last := gate.Minute(0)
		for _, t := range p.Tests {
			at := gate.MinuteOf(t.Sampled)
			if t.Kind != kind || room == 0 || at == last || !r.counts(t) {
				continue
			}
			e.AddTest(gate.Test{Kind: kind, Sampled: at})
			last, room = at, room-1
		}
	}
	slices.SortStableFunc(e.Tests[:e.TestN], func(a, b gate.Test) int { return cmp.Compare(b.Sampled, a.Sampled) })
}

// past gives day, or 0 for one after the day of the list, which it counts.
func (r Rule) past(day gate.Day, future *int) gate.Day {
	if day > r.AsOf {
		*future++
		return 0
	}
	return day
}

// series is what the doses of a person come to: the day of the first one, of
// the one that completed the series, and of the last; 0 where there is none.
type series struct{ first, completed, last gate.Day }

// series orders doses by date, since their numbers are often wrong, and counts
// each day once. The series is complete with the first dose that is preceded,
// itself included, by as many as it says the series has; a vaccine of a single
// dose is complete with it. Doses after that are boosters.
func (r Rule) series(doses []Dose, future *int) (s series) {
	slices.SortStableFunc(doses, func(a, b Dose) int { return cmp.Compare(a.On, b.On) })
	count := 0
	for _, d := range doses {
		if r.past(d.On, future) == 0 {
			continue
		}
		if d.On != s.last {
			count, s.last = count+1, d.On
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
	w, err := gate.NewWord(f.Kind, day, base, f.Extras)
	if err != nil {
		panic(err) // kind and day were brought within bounds above
	}
	return w
}
