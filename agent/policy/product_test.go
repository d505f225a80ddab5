package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// inputs turns a neutral scan into what a policy is given.
func (s scanned) inputs() gate.Inputs {
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
			Proof: gate.ProofGood, Matched: !s.stranger, Event: s.event, Dose: uint8(s.dose), Of: uint8(s.of), Day: day(s.ppDay),
		}
		switch s.event {
		case gate.PassportTest:
			in.Passport.Test = minute(s.ppTest)
		case gate.PassportRecovery:
			in.Passport.From, in.Passport.To = day(s.ppDay), day(s.ppTo)
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
func variants(r rules) (all []variant) {
	add := func(name string, change func(*scanned)) { all = append(all, variant{name, change}) }
	more := func(name string, change func(*scanned)) {
		add(name, func(s *scanned) { s.extras = true; change(s) })
	}
	add("as it is", func(*scanned) {})
	add("extras missing", func(s *scanned) { s.missing = true })
	more("extras that say nothing", func(*scanned) {})
	more("beyond", func(s *scanned) { s.beyond = true })
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
	for _, n := range []int{0, 1, 9, 10, 11, 59, 60, 61} {
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
	show := func(name string, change func(*scanned)) {
		add(name, func(s *scanned) { s.passport = true; change(s) })
	}
	show("passport of a stranger", func(s *scanned) {
		s.stranger, s.event, s.dose, s.of, s.ppDay = true, gate.PassportVaccination, 2, 2, 100
	})
	for _, n := range []int{-1, 0, 1, r.dose - 1, r.dose, 365, 366, 1000} {
		for dose := range 4 {
			show(fmt.Sprintf("passport dose %d of 2, %d days ago", dose, n),
				func(s *scanned) { s.event, s.dose, s.of, s.ppDay = gate.PassportVaccination, dose, 2, n })
		}
	}
	for _, n := range []int{-1, 0, 100, r.recovered, r.recovered + 1} {
		for _, to := range []int{-10, 0, 1} {
			show(fmt.Sprintf("passport recovery %d until %d", n, to),
				func(s *scanned) { s.event, s.ppDay, s.ppTo = gate.PassportRecovery, n, to })
		}
	}
	for _, n := range []int{-1, 0, 72 * 60, 72*60 + 1} {
		for _, positive := range []bool{true, false} {
			show(fmt.Sprintf("passport test positive %v %d", positive, n),
				func(s *scanned) { s.event, s.ppTest = gate.PassportTest, tested{true, positive, n} })
		}
	}
	return all
}

func nobody(s *scanned, code gate.CredentialKind, masked bool) scanned {
	x := blank()
	x.code, x.masked = code, masked
	x.found, x.kind, x.age = s.found && s.kind == 4, s.kind, s.age // but what blocks does
	return x
}

// everything calls f for each variant of each person at each level, clock and
// age of the data.
func everything(r rules, f func(v variant, s scanned)) {
	ages := []int{-400, -1, 0, 1, 12, r.dose - 1, r.dose, 179, 180, 181, 365, 366, 1000}
	slices.Sort(ages)
	ages = slices.Compact(ages)
	for _, v := range variants(r) {
		for kind := -1; kind < 8; kind++ {
			for _, age := range ages {
				s := blank()
				if kind >= 0 {
					s.found, s.kind, s.age = true, kind, age
				}
				v.change(&s)
				if !s.found && (s.missing || s.extras) || kind <= 0 && age != 0 {
					continue
				}
				for level := 1; level <= 4; level++ {
					for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
						for _, dataAge := range []int64{-1, 0, r.soft, r.soft + 1, r.hard, r.hard + 1} {
							s.level, s.clock, s.dataAge = level, clock, dataAge
							f(v, s)
						}
					}
				}
			}
		}
	}
}

// TestWholeProductOfEverything holds each policy to the statement: every
// boundary of every dimension against all facts, levels, clocks and ages.
func TestWholeProductOfEverything(t *testing.T) {
	for name, x := range statedPolicies(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var at [5]*policy.Policy
			for level := range at {
				at[level] = x.policy.AtLevel(level)
			}
			n, wrong := 0, 0
			everything(x.rules, func(v variant, s scanned) {
				if n++; wrong > 20 || n%every != 0 {
					return
				}
				d := at[s.level].Decide(s.inputs())
				class, verdict := x.rules.meets(s)
				if d.Class != class || d.Verdict == gate.Retry || strictOf[d.Verdict] != verdict || d.N == 0 {
					wrong++
					t.Errorf("%s: found %v kind %d aged %d, level %d, clock %v, data %d s: %v %v %v, want %v %d",
						v.name, s.found, s.kind, s.age, s.level, s.clock, s.dataAge, d.Class, d.Verdict, reasonsOf(d), class, verdict)
				}
				// A box that knows nothing lets nobody in.
				if d.Verdict.Opens() && (s.dataAge < 0 || s.clock < gate.ClockRTC) {
					t.Errorf("%s opened the gate: %+v", v.name, s)
				}
			})
			if n < 500_000 {
				t.Errorf("only %d cases", n)
			}
			t.Logf("%d cases", n)
		})
	}
}
