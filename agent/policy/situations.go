package policy

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Situation is one combination of what a gate may meet, in words.
type Situation struct {
	// Group is the part of the rule book that it belongs to.
	Group string
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
// either of them has, of days, hours, ages, levels, lists, passports, passes
// and passages. q may be nil. Neither may be the zero Policy.
func Situations(p, q *Policy) iter.Seq[Situation] {
	return func(yield func(Situation) bool) {
		w := newWorld(p, q)
		for _, g := range w.groups() {
			for _, s := range g.rows {
				first, last := MinLevel, MaxLevel
				if g.timed {
					first, last = 0, 0
				}
				for level := first; level <= last; level++ {
					if !yield(Situation{Group: g.name, What: s.what, Level: level, In: s.in}) {
						return
					}
				}
			}
		}
	}
}

// group is one part of the situations. Those that are timed are judged at the
// level in force at their moment, the others at every level.
type group struct {
	name  string
	timed bool
	rows  []situation
}

// situation is one line of a printed table.
type situation struct {
	what string
	in   gate.Inputs
}

// world makes situations out of the boundaries of one or two policies.
type world struct {
	policies []*Policy
	zone     *time.Location
	at       time.Time // a moment at which all of them are in force and open
	today    gate.Day
}

func newWorld(policies ...*Policy) *world {
	w := &world{}
	for _, p := range policies {
		if p != nil && p.built {
			w.policies = append(w.policies, p)
		}
	}
	if len(w.policies) == 0 {
		w.policies = append(w.policies, builtIn)
	}
	first := w.policies[0]
	w.zone = first.zone
	w.at = w.sensible()
	w.today = first.day(w.at.UnixMilli())
	return w
}

// sensible finds a noon, or the first full hour after it, at which every
// policy is in force and every site open, if there is one.
func (w *world) sensible() time.Time {
	at := time.Date(2021, 12, 17, 12, 0, 0, 0, w.zone)
	for _, p := range w.policies {
		switch {
		case !p.from.IsZero() && (at.Before(p.from) || len(w.policies) == 1):
			at = p.from
		case !p.to.IsZero() && !at.Before(p.to):
			at = p.to.Add(-time.Second)
		}
	}
	for h := range 24 * 60 {
		x := at.Add(time.Duration(h) * time.Hour)
		good := true
		for _, p := range w.policies {
			m := p.moment(x.UnixMilli(), gate.ClockCentral, gate.ClockFloor)
			good = good && p.open(&m) && (p.to.IsZero() || x.Before(p.to))
		}
		if good {
			return x.In(w.zone)
		}
	}
	return at.In(w.zone)
}

// numbers collects the numbers of all policies and their neighbours on both
// sides, in order and not below zero.
func (w *world) numbers(of func(*Policy) int) (all []int) {
	for _, p := range w.policies {
		n := of(p)
		all = append(all, max(n-1, 0), n, n+1)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// sound is a scan with nothing wrong: a good card, fresh data, a good clock.
func (w *world) sound() gate.Inputs {
	return gate.Inputs{Now: w.at.UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral}
}

// with gives a person with a fact that is age days old.
func (w *world) with(kind gate.FactKind, age int) gate.Inputs {
	in := w.sound()
	in.Facts = gate.Facts{Found: true, Word: gate.Word(kind) << 12, Base: w.today - gate.Day(age)}
	return in
}

// extra gives the same person with more on record.
func extra(in gate.Inputs, change func(*gate.Extras)) gate.Inputs {
	in.Facts.Word |= 1 << 15
	in.Facts.HasExtras = true
	change(&in.Facts.Extras)
	return in
}

// person is somebody who stands for a class.
type person struct {
	name string
	in   gate.Inputs
}

func (w *world) longest(of func(*Policy) int) (n int) {
	for _, p := range w.policies {
		n = max(n, of(p))
	}
	return n
}

// people are one of each class.
func (w *world) people() []person {
	dose := w.longest(func(p *Policy) int { return p.params.DoseDays })
	return []person{
		{"GREEN", w.with(gate.FactCompleted, dose)},
		{"YELLOW", w.with(gate.FactBegun, dose)},
		{"RED", w.with(gate.FactNothing, 0)},
		{"UNKNOWN", w.sound()},
		{"BLOCK", w.with(gate.FactPositive, 3)},
	}
}

// each makes a row of every person, or of some, that change alters.
func (w *world) each(rows []situation, what string, change func(*gate.Inputs), names ...string) []situation {
	for _, who := range w.people() {
		if len(names) > 0 && !slices.Contains(names, who.name) {
			continue
		}
		in := who.in
		change(&in)
		rows = append(rows, situation{who.name + ", " + what, in})
	}
	return rows
}

func (w *world) groups() []group {
	return []group{
		{"facts", false, w.facts()},
		{"tests", false, w.tests()},
		{"trouble", false, w.troubles()},
		{"credentials", false, w.credentials()},
		{"passports", false, w.passports()},
		{"lists", false, w.lists()},
		{"list hours", true, w.listHours()},
		{"hours", true, w.hours()},
		{"dates", true, w.dates()},
		{"passes", false, w.passes()},
		{"passages", false, w.passages()},
	}
}

// facts are the rows of PAYLOADS §7.2 with their boundary days.
func (w *world) facts() (rows []situation) {
	add := func(what string, in gate.Inputs) { rows = append(rows, situation{what, in}) }
	dose := w.numbers(func(p *Policy) int { return p.params.DoseDays })
	add("not on record", w.sound())
	add("on record, nothing that counts", w.with(gate.FactNothing, 0))
	for _, n := range append(dose, 3000) {
		add(fmt.Sprintf("series completed %s", ago(n)), w.with(gate.FactCompleted, n))
		add(fmt.Sprintf("first dose %s", ago(n)), w.with(gate.FactBegun, n))
		add(fmt.Sprintf("series completed yesterday, first dose %s", ago(n)),
			extra(w.with(gate.FactCompleted, 1), func(e *gate.Extras) { e.FirstDose = w.today - gate.Day(n) }))
	}
	if w.longest(func(p *Policy) int { return p.params.MaxDoseAge }) > 0 {
		for _, n := range w.numbers(func(p *Policy) int { return p.params.MaxDoseAge }) {
			add(fmt.Sprintf("series completed %s, no booster", ago(n)), w.with(gate.FactCompleted, n))
			add(fmt.Sprintf("series completed 3000 days ago, booster %s", ago(n)),
				extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) { e.LastDose = w.today - gate.Day(n) }))
		}
	}
	for _, n := range append([]int{0}, w.numbers(func(p *Policy) int { return p.params.RecoveredDays })...) {
		add(fmt.Sprintf("recovered %s", ago(n)), w.with(gate.FactRecovered, n))
		add(fmt.Sprintf("first dose 3000 days ago, recovered %s", ago(n)),
			extra(w.with(gate.FactBegun, 3000), func(e *gate.Extras) { e.Recovered = w.today - gate.Day(n) }))
	}
	add("positive today, not recovered", w.with(gate.FactPositive, 0))
	add("positive 365 days ago, not recovered", w.with(gate.FactPositive, 365))
	add("positive 30 days ago, recovered since", extra(w.with(gate.FactPositive, 30), func(e *gate.Extras) { e.Recovered = w.today - 10 }))
	add("vaccinated, positive yesterday", extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) { e.Positive = w.today - 1 }))
	add("quarantine until tomorrow", w.with(gate.FactQuarantine, -1))
	add("quarantine until today", w.with(gate.FactQuarantine, 0))
	add("quarantine until yesterday", w.with(gate.FactQuarantine, 1))
	add("vaccinated, in quarantine until today", extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) { e.Quarantine = w.today }))
	add("vaccinated and recovered", extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) { e.Recovered = w.today - 1 }))
	add("positive and in quarantine", extra(w.with(gate.FactPositive, 1), func(e *gate.Extras) { e.Quarantine = w.today }))
	add("positive and on the list deny", member(w.with(gate.FactPositive, 1), "deny", gate.Window{}))
	add("in quarantine and on the list deny", member(w.with(gate.FactQuarantine, 0), "deny", gate.Window{}))
	add("a first dose and a negative PCR test", extra(w.with(gate.FactBegun, 3000), func(e *gate.Extras) {
		e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(w.at)})
	}))
	add("recovered and a negative PCR test", extra(w.with(gate.FactRecovered, 1), func(e *gate.Extras) {
		e.AddTest(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(w.at)})
	}))
	add("a fact dated tomorrow", w.with(gate.FactCompleted, -1))
	needs := w.with(gate.FactCompleted, 3000)
	needs.Facts.Word |= 1 << 15
	add("more to know than the box has", needs)
	add("more to know than this version reads", extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) { e.Beyond = true }))
	add("a fact of a later version", w.with(6, 0))
	return rows
}

// ago writes an age in days.
func ago(days int) string {
	switch days {
	case 0:
		return "today"
	case 1:
		return "1 day ago"
	}
	return fmt.Sprintf("%d days ago", days)
}

func (w *world) tests() (rows []situation) {
	for _, kind := range []gate.TestKind{gate.TestPCR, gate.TestAntigen, gate.TestOther} {
		for _, n := range w.numbers(func(p *Policy) int { return p.testHours(kind) * 60 }) {
			rows = append(rows, situation{
				fmt.Sprintf("negative %v test %d h %d min ago", kind, n/60, n%60),
				extra(w.with(gate.FactNothing, 0), func(e *gate.Extras) {
					e.AddTest(gate.Test{Kind: kind, Sampled: gate.MinuteOf(w.at) - gate.Minute(n)})
				}),
			})
		}
	}
	for _, p := range []bool{true, false} {
		what := map[bool]string{true: "positive PCR test an hour ago, vaccinated", false: "negative PCR test an hour ago, vaccinated"}[p]
		rows = append(rows, situation{what, extra(w.with(gate.FactCompleted, 3000), func(e *gate.Extras) {
			e.AddTest(gate.Test{Kind: gate.TestPCR, Positive: p, Sampled: gate.MinuteOf(w.at) - 60})
		})})
	}
	return rows
}

// troubles are old data, clocks and doubtful cards, for each class.
func (w *world) troubles() (rows []situation) {
	for _, age := range []func(*Policy) int{
		func(p *Policy) int { return int(p.softAge) }, func(p *Policy) int { return int(p.hardAge) },
	} {
		for _, n := range w.numbers(age) {
			d := time.Duration(n) * time.Second
			rows = w.each(rows, fmt.Sprintf("data %d h %d s old", d/time.Hour, d%time.Hour/time.Second), func(in *gate.Inputs) { in.DataAge = int64(n) })
		}
	}
	rows = w.each(rows, "a data set is missing", func(in *gate.Inputs) { in.DataAge = -1 })
	for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
		rows = w.each(rows, fmt.Sprintf("clock %v", clock), func(in *gate.Inputs) { in.Clock = clock })
	}
	rows = w.each(rows, "card expires tomorrow", func(in *gate.Inputs) { in.CardExpires = w.today + 1 })
	rows = w.each(rows, "card expired today", func(in *gate.Inputs) { in.CardExpires = w.today })
	for i := range hintRules {
		for k := i; k < numHints; k++ {
			what := string(hintRules[i].reason)
			if k != i {
				what += " and " + string(hintRules[k].reason)
			}
			rows = w.each(rows, what, func(in *gate.Inputs) {
				in.Flags = hintRules[i].flag | hintRules[k].flag
				in.Facts.CardMismatch = i == hintCardData || k == hintCardData
			})
		}
	}
	all := gate.FlagSexMismatch | gate.FlagBirthYearMismatch | gate.FlagUnknownPlaceCode
	rows = w.each(rows, "every doubt about the card", func(in *gate.Inputs) { in.Flags, in.Facts.CardMismatch = all, true })
	rows = w.each(rows, "within the own days and hours", func(in *gate.Inputs) {
		*in = extra(*in, func(e *gate.Extras) { e.Window = gate.Window{From: w.today, To: w.today} })
	}, "GREEN", "YELLOW", "RED", "BLOCK")
	rows = w.each(rows, "outside the own days and hours", func(in *gate.Inputs) {
		*in = extra(*in, func(e *gate.Extras) { e.Window.To = w.today - 1 })
	}, "GREEN", "YELLOW", "RED", "BLOCK")
	return w.each(rows, "outside the own days and hours, on the way out", func(in *gate.Inputs) {
		*in = extra(*in, func(e *gate.Extras) { e.Window.To = w.today - 1 })
		in.Direction = gate.DirectionOut
	}, "GREEN", "BLOCK")
}
