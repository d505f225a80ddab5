package policy_test

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// moment is a level, a clock and an age of the data.
type moment struct {
	level   int
	clock   gate.ClockLevel
	dataAge int64
}

// moments are those between which nothing differs that monotony is about.
func moments(r *rules) []moment {
	return []moment{
		{1, gate.ClockCentral, 0},
		{4, gate.ClockCentral, 0},
		{1, gate.ClockCentral, r.hard + 1},
		{4, gate.ClockCentral, r.hard + 1},
		{1, gate.ClockFloor, 0},
		{4, gate.ClockFloor, 0},
		{1, gate.ClockCentral, -1},
	}
}

// TestMonotoneFacts: over the same product, what must not help does not help
// and what must not hurt does not hurt.
func TestMonotoneFacts(t *testing.T) {
	for name, x := range statedPolicies(t) {
		t.Run(name, func(t *testing.T) {
			var at [5]*policy.Policy
			for level := range at {
				at[level] = x.policy.AtLevel(level)
			}
			r, wrong := &x.rules, 0
			at7 := moments(r)
			is := make([]int, len(at7))
			all := plainVariants(r)
			if r.open {
				all = append(all, some(passportVariants(r), 5)...)
			}
			people(r, all, func(v *variant, s *scanned) {
				if wrong > 20 || !s.found || s.missing {
					return
				}
				// Both sides have extras, so that only the one fact differs.
				s.extras = true
				in := s.inputs()
				for i, m := range at7 {
					in.Clock, in.DataAge = m.clock, m.dataAge
					is[i], _ = strictIn(at[m.level].Decide(in).Verdict)
				}
				compare := func(what string, change func(*scanned), mayHelp, mayHurt bool) {
					y := *s
					y.tests, y.lists = slices.Clone(s.tests), slices.Clone(s.lists)
					change(&y)
					then := y.inputs()
					for i, m := range at7 {
						then.Clock, then.DataAge = m.clock, m.dataAge
						after, _ := strictIn(at[m.level].Decide(then).Verdict)
						if after < is[i] && !mayHelp || after > is[i] && !mayHurt {
							wrong++
							t.Errorf("%s, then %s: kind %d aged %d, level %d, clock %v, data %d: %d, then %d", v.name, what, s.kind, s.age, m.level, m.clock, m.dataAge, is[i], after)
						}
					}
				}
				longer := func(to int) func(*scanned) { return func(y *scanned) { y.confined = to } }
				if s.confined != none {
					compare("a longer quarantine", longer(s.confined-1), false, true)
					compare("a much longer quarantine", longer(s.confined-100), false, true)
				} else {
					compare("a quarantine", longer(0), false, true)
				}
				if s.positive == none {
					compare("a positive result today", func(y *scanned) { y.positive = 0 }, false, true)
				}
				compare("on the deny list", func(y *scanned) { y.lists = append(y.lists, listed{"deny", true}) }, false, true)
				compare("an own window that is over", func(y *scanned) { y.outsideOwn = true }, false, true)
				if s.first == none && r.oldest == 0 {
					for _, n := range []int{0, 13, 14, 100} {
						compare("a first dose", func(y *scanned) { y.first = n }, true, false)
					}
				}
				if s.completed == none && r.oldest == 0 {
					for _, n := range []int{0, 1, 13, 14, 100} {
						compare("a completing dose", func(y *scanned) { y.completed = n }, true, false)
					}
				}
				if s.last == none {
					for _, n := range []int{0, 1, 100} { // a booster, also with a longest age
						compare("a booster", func(y *scanned) { y.last = n }, true, false)
					}
				}
				if s.positive == none && s.kind != 4 {
					compare("a positive result on the day of the recovery", func(y *scanned) {
						y.positive = max(s.word(2), s.recovered, 0)
					}, false, true)
				}
				if s.recovered == none && s.kind != 2 {
					compare("a recovery", func(y *scanned) { y.recovered = 1 }, true, false)
				}
				compare("a negative test", func(y *scanned) { y.tests = append(y.tests, tested{true, false, 60}) }, true, false)
				compare("a positive test", func(y *scanned) { y.tests = append(y.tests, tested{true, true, 60}) }, false, true)
				compare("a doubt", func(y *scanned) { y.doubts, y.mismatch = 2, true }, false, true)
				compare("an expired card", func(y *scanned) { y.expired = true }, false, true)
				if s.code == gate.KindCCCD {
					compare("a phone", func(y *scanned) { y.code = gate.KindQRQG }, false, true)
				}
			})
		})
	}
}

// TestBestPassport: whatever a policy asks of doses, the best passport there
// could be meets it, by the days of its own time zone.
func TestBestPassport(t *testing.T) {
	for _, part := range []string{
		`{}`, `{"params":{"dose_days":45}}`, `{"params":{"max_dose_age_days":20}}`, `{"params":{"dose_days":1,"max_dose_age_days":1}}`,
		`{"time_zone":"America/Los_Angeles"}`, `{"time_zone":"Pacific/Kiritimati"}`,
	} {
		p := changed(t, part).AtLevel(4)
		for hour := range int64(24) {
			in := inputs(fact(gate.FactBegun, 60))
			in.Now += hour * 3_600_000
			if without := p.Decide(in).Verdict; without != gate.ManualCheck {
				t.Fatalf("%s: %v without a passport", part, without)
			}
			in.Passport = p.BestPassport(in)
			if d := p.Decide(in); d.Verdict != gate.Allow || d.Class != gate.Green {
				t.Errorf("%s, %d h later: %v %v", part, hour, d.Verdict, d.ReasonList())
			}
		}
	}
	var none *policy.Policy
	if in := inputs(gate.Facts{}); none.Decide(in).Verdict.Opens() || !none.BestPassport(in).Matched {
		t.Error("no policy")
	}
}

// TestMonotonePassports: whoever shows no passport and then one, or one and
// then that of a further dose, is never worse off, however young that dose is;
// and none that is bad or somebody else's does anything.
func TestMonotonePassports(t *testing.T) {
	for name, x := range statedPolicies(t) {
		if !x.rules.open { // outside the hours all classes meet the same
			continue
		}
		t.Run(name, func(t *testing.T) {
			var at [5]*policy.Policy
			for level := range at {
				at[level] = x.policy.AtLevel(level)
			}
			r, n, wrong := &x.rules, 0, 0
			passports := slices.DeleteFunc(passportVariants(r), func(v variant) bool {
				s := blank()
				v.change(&s)
				p := blank() // nothing but a passport differs
				p.passport, p.ppWhy, p.stranger, p.event, p.dose, p.of = s.passport, s.ppWhy, s.stranger, s.event, s.dose, s.of
				p.ppDay, p.ppFrom, p.ppTo, p.ppTest = s.ppDay, s.ppFrom, s.ppTo, s.ppTest
				return !reflect.DeepEqual(s, p) || s.ppTo != none || s.ppFrom == 0
			})
			shown := make([]scanned, len(passports))
			papers := make([]gate.Passport, len(passports))
			for i := range passports {
				shown[i] = blank()
				passports[i].change(&shown[i])
				papers[i] = shown[i].inputs().Passport
			}
			type pair struct{ one, further int } // the second is of a dose after the first
			var pairs []pair
			for i := range shown {
				for k := range shown {
					a, b := &shown[i], &shown[k]
					// A third dose is written over three, too, by whoever wrote the second over two.
					written := a.of == b.of || b.dose > 2 && b.dose == b.of && a.of < b.of
					if dosed(a) && dosed(b) && written && a.dose < b.dose && b.ppDay >= 0 && b.ppDay <= a.ppDay {
						pairs = append(pairs, pair{i, k})
					}
					// The same dose, later.
					if dosed(a) && dosed(b) && a.of == b.of && a.dose == b.dose && a.ppDay <= b.ppDay && r.oldest == 0 {
						pairs = append(pairs, pair{i, k})
					}
				}
			}
			got := make([]int, len(shown))
			people(r, onRecord(r), func(v *variant, s *scanned) {
				in := s.inputs()
				for _, m := range moments(r)[:3] { // elsewhere a passport does nothing
					in.Clock, in.DataAge, in.Passport = m.clock, m.dataAge, gate.Passport{}
					without, _ := strictIn(at[m.level].Decide(in).Verdict)
					in.Passport = at[m.level].BestPassport(in)
					best, _ := strictIn(at[m.level].Decide(in).Verdict)
					for i := range papers {
						in.Passport = papers[i]
						got[i], _ = strictIn(at[m.level].Decide(in).Verdict)
						n++
						if wrong < 20 && got[i] < best {
							wrong++
							t.Errorf("%s: kind %d aged %d, %+v: %s is better than the best", v.name, s.kind, s.age, m, passports[i].name)
						}
						useless := shown[i].ppWhy != "" || shown[i].stranger
						if wrong < 20 && (got[i] > without || useless && got[i] != without) {
							wrong++
							t.Errorf("%s, then %s: kind %d aged %d, %+v: %d, then %d", v.name, passports[i].name, s.kind, s.age, m, without, got[i])
						}
					}
					for _, p := range pairs {
						if wrong < 20 && got[p.further] > got[p.one] {
							wrong++
							t.Errorf("%s: %s, then %s: kind %d aged %d, %+v: %d, then %d", v.name,
								passports[p.one].name, passports[p.further].name, s.kind, s.age, m, got[p.one], got[p.further])
						}
					}
				}
			})
			if len(pairs) < 300 || n < 1_000_000/stride() {
				t.Errorf("only %d decisions and %d pairs of doses", n, len(pairs))
			}
			t.Logf("%d decisions, %d pairs of doses", n, len(pairs))
		})
	}
}

// onRecord are the variants of what is on record of a person who shows the card
// and nothing else.
func onRecord(r *rules) []variant {
	return slices.DeleteFunc(plainVariants(r), func(v variant) bool {
		s := blank()
		v.change(&s)
		return s.code != gate.KindCCCD || s.doubts > 0 || s.mismatch || s.expired || s.leaving || s.maybeMore ||
			s.inAgo != none || s.outAgo != none || len(s.tests) > 0
	})
}

// dosed says whether a passport is good and of a dose.
func dosed(s *scanned) bool {
	return s.ppWhy == "" && !s.stranger && s.event == gate.PassportVaccination && s.dose > 0 && s.of > 0 && s.ppDay != none
}

// TestZeroOpensNothing: no zero value, of inputs or of parts of them, opens a
// gate, and under no policy do any inputs panic.
func TestZeroOpensNothing(t *testing.T) {
	for name, x := range statedPolicies(t) {
		for level := range 6 {
			p := x.policy.AtLevel(level)
			for kind := range gate.CredentialKind(12) {
				for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
					in := gate.Inputs{Now: now.UnixMilli(), Credential: kind, Clock: clock}
					check := func(what string, in gate.Inputs) {
						if d := p.Decide(in); d.Verdict.Opens() {
							t.Errorf("%s level %d, %v, clock %v, %s: %v %v", name, level, kind, clock, what, d.Verdict, d.ReasonList())
						}
					}
					check("nothing", in)
					in.Pass.Proof = gate.ProofGood
					check("a pass that says nothing", in)
					in.Pass.Kind = gate.PassVisitor
					check("a pass without times", in)
					in.Pass = gate.Pass{Proof: gate.ProofBad, Kind: gate.PassVisitor, To: 1<<32 - 1}
					check("a bad pass that does not say why", in)
					in.Pass = gate.Pass{Kind: gate.PassVisitor, To: 1<<32 - 1}
					check("a pass that was not verified", in)
					in.Pass = gate.Pass{}
					in.Passport = gate.Passport{Proof: gate.ProofGood, Matched: true}
					check("a passport that says nothing", in)
					in.Passport.Event = gate.PassportVaccination
					check("a vaccination without doses", in)
					in.Passport.Event = gate.PassportRecovery
					check("a recovery without days", in)
				}
			}
		}
		if d := x.policy.AtLevel(0).Decide(gate.Inputs{Credential: gate.KindPass, Pass: gate.Pass{Proof: gate.ProofGood, Kind: gate.PassVisitor, To: 1<<32 - 1}, Clock: gate.ClockCentral}); d.Verdict.Opens() {
			t.Errorf("%s at no level: %v", name, d.Verdict)
		}
	}
}

// TestAnythingAtAll: hostile inputs of every dimension neither panic nor open
// for whom nothing speaks.
func TestAnythingAtAll(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	names := []string{"deny", "watch", "staff", "escort", "press", "banned", "", "x"}
	for name, x := range statedPolicies(t) {
		for range 60_000 / stride() {
			in := gate.Inputs{
				Now: int64(rnd.Uint64()), Direction: gate.Direction(rnd.Uint32()), Credential: gate.CredentialKind(rnd.Uint32N(12)),
				Flags: gate.ClaimFlags(rnd.Uint32()), CardExpires: gate.Day(rnd.Uint32()),
				Facts: gate.Facts{
					Found: rnd.IntN(2) == 0, Word: gate.Word(rnd.Uint32()), Base: gate.Day(rnd.Uint32()),
					HasExtras: rnd.IntN(2) == 0, CardMismatch: rnd.IntN(2) == 0,
				},
				Passport: gate.Passport{
					Proof: gate.Proof(rnd.Uint32N(4)), Why: "<script>", Matched: rnd.IntN(2) == 0, Event: gate.PassportEvent(rnd.Uint32N(6)),
					Dose: uint8(rnd.Uint32()), Of: uint8(rnd.Uint32()), Day: gate.Day(rnd.Uint32()), From: gate.Day(rnd.Uint32()), To: gate.Day(rnd.Uint32()),
				},
				Pass: gate.Pass{
					Proof: gate.Proof(rnd.Uint32N(4)), Why: "'; --", Kind: gate.PassKind(rnd.Uint32N(8)), From: gate.Minute(rnd.Uint32()), To: gate.Minute(rnd.Uint32()),
					Window: gate.Window{From: gate.Day(rnd.Uint32()), To: gate.Day(rnd.Uint32()), Weekdays: uint8(rnd.Uint32()), Start: uint16(rnd.Uint32()), End: uint16(rnd.Uint32())},
				},
				Passages: gate.Passages{In: int64(rnd.Uint64()), Out: int64(rnd.Uint64()), Unknown: rnd.IntN(2) == 0},
				DataAge:  int64(rnd.Uint64()), Clock: gate.ClockLevel(rnd.Uint32N(8)),
			}
			if rnd.IntN(2) == 0 {
				in.Now = now.UnixMilli()
			}
			e := &in.Facts.Extras
			e.TestN, e.ListN = uint8(rnd.Uint32()), uint8(rnd.Uint32())
			e.FirstDose, e.Completed, e.LastDose = gate.Day(rnd.Uint32()), gate.Day(rnd.Uint32()), gate.Day(rnd.Uint32())
			e.Recovered, e.Positive, e.Quarantine = gate.Day(rnd.Uint32()), gate.Day(rnd.Uint32()), gate.Day(rnd.Uint32())
			for i := range e.Lists {
				e.Lists[i] = gate.Membership{List: names[rnd.IntN(len(names))], Window: in.Pass.Window}
			}
			for i := range e.Tests {
				e.Tests[i] = gate.Test{Kind: gate.TestKind(rnd.Uint32N(5)), Positive: rnd.IntN(2) == 0, Sampled: gate.Minute(rnd.Uint32())}
			}
			d := x.policy.Decide(in)
			if d != x.policy.Decide(in) {
				t.Fatalf("%s: two decisions", name)
			}
			named := in.Credential == gate.KindCCCD || in.Credential == gate.KindCC || in.Credential == gate.KindQRQG && !in.Flags.NamesNobody()
			passed := in.Credential == gate.KindPass && (in.Pass.Proof == gate.ProofGood || in.Pass.Why == gate.ReasonPassSpent)
			clock := in.Clock >= gate.ClockRTC && in.Clock <= gate.ClockCentral
			if d.Verdict.Opens() && (!clock || !passed && (!named || in.DataAge < 0)) {
				t.Fatalf("%s: opened: %+v", name, in)
			}
			for _, r := range d.ReasonList() {
				if !slices.Contains(gate.Reasons(), r) {
					t.Fatalf("%s: a reason from outside: %q", name, r)
				}
			}
		}
		// Few of them, because it allocates much: explaining never panics.
		for range 2000 / stride() {
			in := gate.Inputs{
				Now: int64(rnd.Uint64()), Credential: gate.CredentialKind(rnd.Uint32N(12)), Clock: gate.ClockLevel(rnd.Uint32N(8)), DataAge: int64(rnd.Uint64()),
				Facts: gate.Facts{Found: true, Word: gate.Word(rnd.Uint32()), Base: gate.Day(rnd.Uint32()), HasExtras: true}, CardExpires: gate.Day(rnd.Uint32()),
			}
			in.Facts.Extras.ListN, in.Facts.Extras.TestN = uint8(rnd.Uint32()), uint8(rnd.Uint32())
			e := x.policy.Explain(in)
			if e.Decision != x.policy.Decide(in) || len(e.Account(policy.English).Steps) == 0 {
				t.Fatalf("%s: %+v explained otherwise", name, in)
			}
		}
	}
}
