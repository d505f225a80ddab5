package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// inputs turns a neutral scan into what a policy is given.
func (s *scanned) inputs() gate.Inputs {
	in := gate.Inputs{Now: now.UnixMilli(), Credential: s.code, Clock: s.clock, DataAge: s.dataAge}
	day := func(age int) gate.Day {
		if age == none {
			return 0
		}
		return today - gate.Day(age)
	}
	minute := func(t tested) gate.Test {
		kind := gate.TestAntigen
		if t.pcr {
			kind = gate.TestPCR
		}
		return gate.Test{Kind: kind, Positive: t.positive, Sampled: gate.Minute(int64(gate.MinuteOf(now)) - int64(t.minutes))}
	}
	if s.found {
		in.Facts = fact(gate.FactKind(s.kind), s.age)
	}
	if s.missing {
		in.Facts = withExtras(in.Facts)
	}
	if s.extras {
		in.Facts = withExtras(in.Facts)
		in.Facts.HasExtras = true
		e := &in.Facts.Extras
		e.FirstDose, e.Completed, e.LastDose = day(s.first), day(s.completed), day(s.last)
		e.Recovered, e.Positive, e.Quarantine = day(s.recovered), day(s.positive), day(s.confined)
		e.Beyond = s.beyond
		for _, t := range s.tests {
			e.AddTest(minute(t))
		}
		for _, l := range s.lists {
			w := gate.Window{}
			if !l.now {
				w.To = today - 1
			}
			e.AddList(gate.Membership{List: l.name, Window: w})
		}
		if s.outsideOwn {
			e.Window.From = today + 1
		}
	}
	if s.masked {
		in.Flags |= gate.FlagMasked
	}
	in.Flags |= []gate.ClaimFlags{0, gate.FlagSexMismatch, gate.FlagSexMismatch | gate.FlagBirthYearMismatch}[s.doubts]
	in.Facts.CardMismatch = s.mismatch
	if s.expired {
		in.CardExpires = today
	}
	if s.leaving {
		in.Direction = gate.DirectionOut
	}
	if s.inAgo != none {
		in.Passages.In = now.UnixMilli() - int64(s.inAgo)*60_000
	}
	if s.outAgo != none {
		in.Passages.Out = now.UnixMilli() - int64(s.outAgo)*60_000
	}
	in.Passages.Unknown = s.maybeMore
	if s.passport {
		in.Passport = gate.Passport{
			Proof: gate.ProofGood, Why: s.ppWhy, Matched: !s.stranger, Event: s.event,
			Dose: uint8(s.dose), Of: uint8(s.of), Day: day(s.ppDay), From: day(s.ppFrom), To: day(s.ppTo),
		}
		if s.ppWhy != "" {
			in.Passport.Proof = gate.ProofBad
		}
		if s.event == gate.PassportTest {
			in.Passport.Test = minute(s.ppTest)
		}
	}
	if s.pass {
		in.Credential = gate.KindPass
		at := int64(gate.MinuteOf(now))
		in.Pass = gate.Pass{
			Proof: gate.ProofGood, Why: s.passWhy, Kind: s.passKind,
			From: gate.Minute(at + int64(s.passFrom)), To: gate.Minute(at + int64(s.passTo)),
		}
		if s.passWhy != "" {
			in.Pass.Proof = gate.ProofBad
		}
		if s.passOther {
			in.Pass.Window.From = today + 1
		}
	}
	return in
}

// variant changes a scan in one of the dimensions beside word, level, clock
// and age of the data.
type variant struct {
	name   string
	change func(*scanned)
}

// variants are the boundaries of every dimension.
func variants(r *rules) []variant {
	all := plainVariants(r)
	shown := passportVariants(r)
	if !r.open { // what closed hours do hangs on the class alone
		shown = some(shown, 5)
	}
	return append(all, shown...)
}

// some takes one variant of so many.
func some(all []variant, of int) (few []variant) {
	for i := 0; i < len(all); i += of {
		few = append(few, all[i])
	}
	return few
}

// plainVariants are those without a passport.
func plainVariants(r *rules) (all []variant) {
	add := func(name string, change func(*scanned)) { all = append(all, variant{name, change}) }
	more := func(name string, change func(*scanned)) {
		add(name, func(s *scanned) { s.extras = true; change(s) })
	}
	add("as it is", func(*scanned) {})
	add("extras missing", func(s *scanned) { s.missing = true })
	more("extras that say nothing", func(*scanned) {})
	more("beyond", func(s *scanned) { s.beyond = true })
	more("positive, beyond", func(s *scanned) { s.positive, s.beyond = 1, true })
	more("in quarantine, beyond", func(s *scanned) { s.confined, s.beyond = 0, true })
	more("recovered since, beyond", func(s *scanned) { s.positive, s.recovered, s.beyond = 2, 1, true })
	doses := []int{-1, 0, 1, r.dose - 1, r.dose, r.dose + 1, 364, 365, 366, 1000}
	for _, n := range doses {
		more(fmt.Sprintf("first dose %d", n), func(s *scanned) { s.first = n })
		more(fmt.Sprintf("completed %d", n), func(s *scanned) { s.completed = n })
		more(fmt.Sprintf("first dose 40, completed %d", n), func(s *scanned) { s.first, s.completed = 40, n })
		more(fmt.Sprintf("completed 500, last %d", n), func(s *scanned) { s.first, s.completed, s.last = 550, 500, n })
	}
	for _, n := range []int{-1, 0, 1, 2, 90, r.recovered - 1, r.recovered, r.recovered + 1} {
		more(fmt.Sprintf("recovered %d", n), func(s *scanned) { s.recovered = n })
		more(fmt.Sprintf("positive %d", n), func(s *scanned) { s.positive = n })
		more(fmt.Sprintf("positive %d, recovered 1", n), func(s *scanned) { s.positive, s.recovered = n, 1 })
		more(fmt.Sprintf("positive %d, recovered that day", n), func(s *scanned) { s.positive, s.recovered = n, n })
		more(fmt.Sprintf("recovered %d, tested positive an hour ago", n),
			func(s *scanned) { s.recovered, s.tests = n, []tested{{true, true, 60}} })
		more(fmt.Sprintf("quarantine %d", n), func(s *scanned) { s.confined = n })
	}
	for _, pcr := range []bool{true, false} {
		for _, positive := range []bool{true, false} {
			for _, n := range []int{-1, 0, 59, 60, 48 * 60, 48*60 + 1, 72 * 60, 72*60 + 1} {
				more(fmt.Sprintf("test pcr %v positive %v %d min", pcr, positive, n),
					func(s *scanned) { s.tests = []tested{{pcr, positive, n}} })
			}
		}
	}
	names := append([]string{"deny", "watch", "nobody-knows", r.staff}, slices.Concat(r.blocks, r.alerts, r.manual, r.notice)...)
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name == "" {
			continue
		}
		more("on "+name, func(s *scanned) { s.lists = []listed{{name, true}} })
		more("was on "+name, func(s *scanned) { s.lists = []listed{{name, false}} })
		more("on nobody-knows and "+name, func(s *scanned) { s.lists = []listed{{"nobody-knows", true}, {name, true}} })
		more("on "+name+", beyond", func(s *scanned) { s.lists, s.beyond = []listed{{name, true}}, true })
		if r.staff != "" {
			more("on staff and "+name, func(s *scanned) { s.lists = []listed{{name, true}, {r.staff, true}} })
		}
	}
	more("outside the own window", func(s *scanned) { s.outsideOwn = true })
	more("outside the own window, leaving", func(s *scanned) { s.outsideOwn, s.leaving = true, true })
	add("leaving", func(s *scanned) { s.leaving = true })
	add("card of 2024", func(s *scanned) { s.code = gate.KindCC })
	add("national QR", func(s *scanned) { s.code = gate.KindQRQG })
	// Who they are is not known, so that nothing is on record about them.
	add("masked QR", func(s *scanned) { *s = nobody(s, gate.KindQRQG, true) })
	add("insurance card", func(s *scanned) { *s = nobody(s, gate.KindBHYT, false) })
	for doubts := range 3 {
		for _, mismatch := range []bool{false, true} {
			for _, expired := range []bool{false, true} {
				add(fmt.Sprintf("%d doubts, mismatch %v, expired %v", doubts, mismatch, expired),
					func(s *scanned) { s.doubts, s.mismatch, s.expired = doubts, mismatch, expired })
			}
		}
	}
	for _, n := range []int{-90, -1, 0, 1, 9, 10, 11, 59, 60, 61} { // below zero: by a clock that was set back since
		for _, leaving := range []bool{false, true} {
			add(fmt.Sprintf("came %d min ago, leaving %v", n, leaving), func(s *scanned) { s.inAgo, s.leaving = n, leaving })
			add(fmt.Sprintf("left %d min ago, leaving %v", n, leaving), func(s *scanned) { s.outAgo, s.leaving = n, leaving })
			add(fmt.Sprintf("came %d min ago, left since, leaving %v", n+30, leaving),
				func(s *scanned) { s.inAgo, s.outAgo, s.leaving = n+30, n, leaving })
		}
	}
	for _, n := range []int{none, 5, 61} {
		for _, leaving := range []bool{false, true} {
			add(fmt.Sprintf("came %d min ago and perhaps later, leaving %v", n, leaving),
				func(s *scanned) { s.inAgo, s.maybeMore, s.leaving = n, true, leaving })
			add(fmt.Sprintf("left %d min ago and perhaps later, leaving %v", n, leaving),
				func(s *scanned) { s.outAgo, s.maybeMore, s.leaving = n, true, leaving })
		}
	}
	return all
}

// doses are doses of passports: of one, of two, of three and boosters.
var doses = [...]struct{ dose, of int }{{0, 2}, {1, 0}, {1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 2}, {1, 3}, {2, 3}, {3, 3}, {3, 4}, {4, 4}}

// doseDays are the days of a dose at which something may turn.
func (r *rules) doseDays() []int {
	return []int{-1, 0, 1, r.dose - 1, r.dose, r.dose + 1, 364, 365, 366, 1000}
}

// passportVariants are passports shown with the card: every dose and event at
// the boundaries of its days, everything that can be wrong with one, and each
// kind with what else may be on record or shown.
func passportVariants(r *rules) (all []variant) {
	show := func(name string, change func(*scanned)) {
		all = append(all, variant{"passport: " + name, func(s *scanned) { s.passport = true; change(s) }})
	}
	dose := func(dose, of, age int) func(*scanned) {
		return func(s *scanned) { s.event, s.dose, s.of, s.ppDay = gate.PassportVaccination, dose, of, age }
	}
	for _, n := range r.doseDays() {
		for _, d := range doses {
			show(fmt.Sprintf("dose %d of %d, %d days ago", d.dose, d.of, n), dose(d.dose, d.of, n))
		}
	}
	recovery := func(age, from, to int) func(*scanned) {
		return func(s *scanned) { s.event, s.ppDay, s.ppFrom, s.ppTo = gate.PassportRecovery, age, from, to }
	}
	for _, n := range []int{-1, 0, 1, 100, r.recovered - 1, r.recovered, r.recovered + 1} {
		for _, from := range []int{none, 0, -1} {
			for _, to := range []int{none, -10, 0, 1} {
				show(fmt.Sprintf("recovery %d, from %d until %d", n, from, to), recovery(n, from, to))
			}
		}
	}
	for _, pcr := range []bool{true, false} {
		for _, positive := range []bool{true, false} {
			for _, n := range []int{-1, 0, 48 * 60, 48*60 + 1, 72 * 60, 72*60 + 1} {
				show(fmt.Sprintf("test pcr %v positive %v %d min", pcr, positive, n),
					func(s *scanned) { s.event, s.ppTest = gate.PassportTest, tested{pcr, positive, n} })
			}
		}
	}
	show("says nothing", func(*scanned) {})
	show("without a day", dose(2, 2, none))
	kinds := map[string]func(*scanned){
		"first": dose(1, 2, 40), "young": dose(2, 2, 3), "whole": dose(2, 2, 100), "old": dose(2, 2, 400), "booster": dose(3, 2, 0),
		"recovery": recovery(50, none, none),
	}
	names := slices.Sorted(maps.Keys(kinds))
	for _, name := range names {
		for _, why := range append(slices.Clone(whysOfPassports), "needs_card", "<script>") {
			show(name+", bad: "+string(why), func(s *scanned) { kinds[name](s); s.ppWhy = why })
		}
		show(name+", a stranger's", func(s *scanned) { kinds[name](s); s.stranger = true })
		more := func(what string, change func(*scanned)) {
			show(name+", "+what, func(s *scanned) { kinds[name](s); s.extras = true; change(s) })
		}
		more("on deny", func(s *scanned) { s.lists = []listed{{"deny", true}} })
		more("on staff", func(s *scanned) { s.lists = []listed{{r.staff, true}} })
		more("beyond", func(s *scanned) { s.beyond = true })
		more("positive, beyond", func(s *scanned) { s.positive, s.beyond = 1, true })
		more("in quarantine, beyond", func(s *scanned) { s.confined, s.beyond = 0, true })
		more("recovered since, beyond", func(s *scanned) { s.positive, s.recovered, s.beyond = 2, 1, true })
		more("first dose 40, completed 1", func(s *scanned) { s.first, s.completed = 40, 1 })
		more("positive 1", func(s *scanned) { s.positive = 1 })
		more("tested", func(s *scanned) { s.tests = []tested{{true, false, 60}} })
		more("tomorrow", func(s *scanned) { s.completed = -1 })
		show(name+", extras missing", func(s *scanned) { kinds[name](s); s.missing = true })
		show(name+", national QR", func(s *scanned) { kinds[name](s); s.code = gate.KindQRQG })
		show(name+", masked QR", func(s *scanned) { x := nobody(s, gate.KindQRQG, true); x.passport = true; kinds[name](&x); *s = x })
		show(name+", leaving", func(s *scanned) { kinds[name](s); s.leaving = true })
		show(name+", doubts", func(s *scanned) { kinds[name](s); s.doubts, s.mismatch, s.expired = 2, true, true })
	}
	return all
}

func nobody(s *scanned, code gate.CredentialKind, masked bool) scanned {
	x := blank()
	x.code, x.masked = code, masked
	x.found, x.kind, x.age = s.found && s.kind == 4, s.kind, s.age // but what blocks does
	return x
}

// stride is how many people of a product there are to one that is tried; one
// in fifteen with -short or under the race detector.
func stride() int {
	if testing.Short() || underRace {
		return 15
	}
	return 1
}

// people calls f with each person in each variant that is tried: what the word
// of the record says, at its boundaries, and all that goes with it.
func people(r *rules, all []variant, f func(v *variant, s *scanned)) {
	ages := []int{-400, -1, 0, 1, 12, r.dose - 1, r.dose, r.recovered - 1, r.recovered, r.recovered + 1, 365, 366, 1000}
	slices.Sort(ages)
	ages = slices.Compact(ages)
	n, every := 0, stride()
	for i := range all {
		for kind := -1; kind < 8; kind++ {
			for _, age := range ages {
				if kind <= 0 && age != 0 {
					continue
				}
				if n++; n%every != 0 {
					continue
				}
				s := blank()
				if kind >= 0 {
					s.found, s.kind, s.age = true, kind, age
				}
				all[i].change(&s)
				if !s.found && (s.missing || s.extras) {
					continue
				}
				f(&all[i], &s)
			}
		}
	}
}

// everything calls f for each variant of each person at each level, clock and
// age of the data.
func everything(r *rules, f func(v *variant, s *scanned, in *gate.Inputs)) {
	people(r, variants(r), func(v *variant, s *scanned) {
		in := s.inputs()
		for s.level = 1; s.level <= 4; s.level++ {
			for s.clock = gate.ClockNone; s.clock <= gate.ClockCentral; s.clock++ {
				for _, s.dataAge = range [...]int64{-1, 0, r.soft, r.soft + 1, r.hard, r.hard + 1} {
					in.Clock, in.DataAge = s.clock, s.dataAge
					f(v, s, &in)
				}
			}
		}
	})
}

// TestWholeProductOfEverything holds each policy to the statement: every
// boundary of every dimension against all facts, levels, clocks and ages. The
// class, the verdict, and every reason in its place.
func TestWholeProductOfEverything(t *testing.T) {
	for name, x := range statedPolicies(t) {
		t.Run(name, func(t *testing.T) {
			var at [5]*policy.Policy
			for level := range at {
				at[level] = x.policy.AtLevel(level)
			}
			n, wrong := 0, 0
			var d gate.Decision
			var want outcome
			everything(&x.rules, func(v *variant, s *scanned, in *gate.Inputs) {
				if n++; wrong > 20 {
					return
				}
				d, want = at[s.level].Decide(*in), x.rules.meets(s)
				if !want.same(&d) || d.N == 0 {
					wrong++
					t.Errorf("%s: found %v kind %d aged %d, level %d, clock %v, data %d s: %v %v %v, want %v %d %v",
						v.name, s.found, s.kind, s.age, s.level, s.clock, s.dataAge, d.Class, d.Verdict, reasonsOf(d), want.class, want.strict, want.reasons[:want.n])
				}
				// A box that knows nothing lets nobody in.
				if d.Verdict.Opens() && (s.dataAge < 0 || s.clock < gate.ClockRTC) {
					wrong++
					t.Errorf("%s opened the gate: %+v", v.name, *s)
				}
			})
			if least := 3_000_000 / stride(); n < least {
				t.Errorf("%d cases, fewer than %d", n, least)
			}
			t.Logf("%d cases", n)
		})
	}
}
