package policy_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"

	"github.com/google/go-cmp/cmp"
)

// now is a Friday noon in Hanoi.
var now = time.Date(2021, 12, 17, 5, 0, 0, 0, time.UTC)

const today = gate.Day(18978) // 2021-12-17

// fact makes facts whose day lies age days before today.
func fact(kind gate.FactKind, age int) gate.Facts {
	const back = 1000 // base day before the fact
	w, err := gate.NewWord(kind, today-gate.Day(age), today-gate.Day(age)-back, false)
	if err != nil {
		panic(err)
	}
	return gate.Facts{Found: true, Word: w, Base: today - gate.Day(age) - back}
}

func withExtras(f gate.Facts) gate.Facts {
	f.Word |= 1 << 15
	return f
}

// inputs is a sound scan of a person with these facts.
func inputs(f gate.Facts) gate.Inputs {
	return gate.Inputs{Now: now.UnixMilli(), Credential: gate.KindCCCD, Facts: f, Clock: gate.ClockCentral}
}

func reasonsOf(d gate.Decision) []gate.Reason { return slices.Clone(d.ReasonList()) }

// TestBoundaryDays takes the boundary tests of PAYLOADS §7.2 one by one.
func TestBoundaryDays(t *testing.T) {
	p := policy.Default()
	for _, tt := range []struct {
		name   string
		facts  gate.Facts
		class  gate.Class
		reason gate.Reason
	}{
		{"completing dose on D, D+13", fact(gate.FactCompleted, 13), gate.Red, gate.ReasonNoFactCounts},
		{"completing dose on D, D+14", fact(gate.FactCompleted, 14), gate.Green, gate.ReasonVaccinated},
		{"completing dose long ago", fact(gate.FactCompleted, 3000), gate.Green, gate.ReasonVaccinated},
		{"completing dose today", fact(gate.FactCompleted, 0), gate.Red, gate.ReasonNoFactCounts},
		{"first dose on D, D+13", fact(gate.FactBegun, 13), gate.Red, gate.ReasonNoFactCounts},
		{"first dose on D, D+14", fact(gate.FactBegun, 14), gate.Yellow, gate.ReasonPartlyVaccinate},
		{"recovered today", fact(gate.FactRecovered, 0), gate.Green, gate.ReasonRecovered},
		{"recovered on D, D+180", fact(gate.FactRecovered, 180), gate.Green, gate.ReasonRecovered},
		{"recovered on D, D+181", fact(gate.FactRecovered, 181), gate.Red, gate.ReasonNoFactCounts},
		{"positive today", fact(gate.FactPositive, 0), gate.Block, gate.ReasonPositive},
		{"positive for a year", fact(gate.FactPositive, 365), gate.Block, gate.ReasonPositive},
		{"quarantine until tomorrow", fact(gate.FactQuarantine, -1), gate.Block, gate.ReasonQuarantine},
		{"quarantine until today", fact(gate.FactQuarantine, 0), gate.Block, gate.ReasonQuarantine},
		{"quarantine until yesterday", fact(gate.FactQuarantine, 1), gate.Red, gate.ReasonNoFactCounts},
		{"nothing", fact(gate.FactNothing, 0), gate.Red, gate.ReasonNoFactCounts},
		{"nothing, dated tomorrow", fact(gate.FactNothing, -1), gate.Red, gate.ReasonNoFactCounts},
		{"not on record", gate.Facts{}, gate.Unknown, gate.ReasonNoRecord},
		{"extras", withExtras(fact(gate.FactCompleted, 40)), gate.Unknown, gate.ReasonNeedsExtras},
		{"reserved kind", fact(7, 40), gate.Unknown, gate.ReasonReservedKind},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := p.Decide(inputs(tt.facts))
			if d.Class != tt.class || !slices.Equal(reasonsOf(d), []gate.Reason{tt.reason}) {
				t.Errorf("%v %v, want %v [%s]", d.Class, reasonsOf(d), tt.class, tt.reason)
			}
		})
	}
	for _, kind := range []gate.FactKind{gate.FactCompleted, gate.FactRecovered, gate.FactBegun, gate.FactPositive} {
		d := p.Decide(inputs(fact(kind, -1)))
		if d.Class != gate.Red || !slices.Equal(reasonsOf(d), []gate.Reason{gate.ReasonNoFactCounts, gate.ReasonFutureFact}) {
			t.Errorf("%v dated tomorrow: %v %v", kind, d.Class, reasonsOf(d))
		}
	}
}

// TestMidnight: a day begins at midnight in Vietnam, five in the afternoon UTC.
func TestMidnight(t *testing.T) {
	in := inputs(fact(gate.FactCompleted, 13)) // GREEN from tomorrow on
	midnight := time.Date(2021, 12, 17, 17, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		at   time.Time
		want gate.Class
	}{
		{midnight.Add(-time.Millisecond), gate.Red},
		{midnight, gate.Green},
	} {
		in.Now = tt.at.UnixMilli()
		if got := policy.Default().Decide(in).Class; got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// TestVietnamOffset holds the constant to the zone files.
func TestVietnamOffset(t *testing.T) {
	loc, err := time.LoadLocation("Asia/Ho_Chi_Minh")
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2036; at = at.AddDate(0, 0, 7) {
		if _, off := at.In(loc).Zone(); off != 7*3600 {
			t.Fatalf("on %v Vietnam is %d s from UTC", at, off)
		}
	}
}

// expected is the policy once more, written from PAYLOADS §7 and not from the
// code: what a person with these facts meets at a gate.
type expected struct {
	class   gate.Class
	verdict gate.Verdict
}

func expect(kind int, age int, found, extras bool, level int, clock gate.ClockLevel, dataAge int64) expected {
	haveData, canTell := dataAge >= 0, clock == gate.ClockRTC || clock == gate.ClockNTP || clock == gate.ClockCentral

	class := gate.Red
	if !found {
		class = gate.Unknown
	} else {
		active := kind == 4 && (!canTell || age >= 0)
		confined := kind == 5 && canTell && age <= 0
		switch {
		case active || confined:
			class = gate.Block
		case extras || kind > 5 || !canTell || !haveData: // extras: there are some, and not here
			class = gate.Unknown
		case kind == 1 && age >= 14:
			class = gate.Green
		case kind == 2 && age >= 0 && age <= 180:
			class = gate.Green
		case kind == 3 && age >= 14:
			class = gate.Yellow
		}
	}

	// The action table, row by row as printed.
	table := map[gate.Class]string{
		gate.Green:   "allow allow allow allow",
		gate.Yellow:  "allow allow notice manual",
		gate.Red:     "notice manual manual deny",
		gate.Unknown: "manual manual manual manual",
		gate.Block:   "alert alert alert alert",
	}
	words := map[string]gate.Verdict{"allow": gate.Allow, "notice": gate.AllowNotice, "manual": gate.ManualCheck, "deny": gate.Deny, "alert": gate.DenyAlert}
	var cells [4]string
	fmt.Sscan(table[class], &cells[0], &cells[1], &cells[2], &cells[3])
	verdict := words[cells[level-1]]

	old := dataAge > 72*3600
	switch {
	case class == gate.Block:
	case !haveData || !canTell:
		verdict = gate.ManualCheck
	case old && class == gate.Green:
		verdict = gate.AllowNotice
	case old:
		verdict = gate.ManualCheck
	}
	return expected{class, verdict}
}

// product calls f for every combination that the rules can tell apart.
func product(f func(kind, age int, found, extras bool, level int, clock gate.ClockLevel, dataAge int64)) {
	ages := []int{-400, -1, 0, 1, 12, 13, 14, 15, 179, 180, 181, 1000}
	dataAges := []int64{-1, 0, 1, 24 * 3600, 24*3600 + 1, 72 * 3600, 72*3600 + 1, math.MaxInt64}
	for level := 1; level <= 4; level++ {
		for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
			for _, dataAge := range dataAges {
				f(0, 0, false, false, level, clock, dataAge)
				for kind := range 8 {
					for _, age := range ages {
						f(kind, age, true, false, level, clock, dataAge)
						f(kind, age, true, true, level, clock, dataAge)
					}
				}
			}
		}
	}
}

func productInputs(kind, age int, found, extras bool, clock gate.ClockLevel, dataAge int64) gate.Inputs {
	in := inputs(gate.Facts{})
	if found {
		in.Facts = fact(gate.FactKind(kind), age)
		if extras {
			in.Facts = withExtras(in.Facts)
		}
	}
	in.Clock, in.DataAge = clock, dataAge
	return in
}

func TestWholeProduct(t *testing.T) {
	base := policy.Default()
	n := 0
	product(func(kind, age int, found, extras bool, level int, clock gate.ClockLevel, dataAge int64) {
		n++
		d := base.AtLevel(level).Decide(productInputs(kind, age, found, extras, clock, dataAge))
		want := expect(kind, age, found, extras, level, clock, dataAge)
		if got := (expected{d.Class, d.Verdict}); got != want {
			t.Errorf("kind %d aged %d (found %v, extras %v), level %d, clock %v, data %d s: %v, want %v",
				kind, age, found, extras, level, clock, dataAge, got, want)
		}
		if d.N == 0 {
			t.Errorf("kind %d aged %d, level %d, clock %v: a decision without a reason", kind, age, level, clock)
		}
		has := func(r gate.Reason) bool { return slices.Contains(d.ReasonList(), r) }
		canTell := clock >= gate.ClockRTC
		if has(gate.ReasonClockUntrusted) == canTell {
			t.Errorf("clock %v: reasons %v", clock, d.ReasonList())
		}
		if got, want := has(gate.ReasonStaleData), canTell && dataAge > 86400 && dataAge <= 3*86400; got != want {
			t.Errorf("data aged %d s: reasons %v", dataAge, d.ReasonList())
		}
		if got, want := has(gate.ReasonExpiredData), canTell && dataAge > 3*86400; got != want {
			t.Errorf("data aged %d s: reasons %v", dataAge, d.ReasonList())
		}
		if got, want := has(gate.ReasonNoData), dataAge < 0; got != want {
			t.Errorf("data aged %d s: reasons %v", dataAge, d.ReasonList())
		}
	})
	if n < 10000 {
		t.Errorf("only %d cases", n)
	}
}

// open orders verdicts by how far they open.
func open(v gate.Verdict) int {
	switch v {
	case gate.Allow:
		return 2
	case gate.AllowNotice:
		return 1
	}
	return 0
}

// TestMonotone: a higher level, older data, no data, a worse clock or a doubt
// about the card never open a gate further.
func TestMonotone(t *testing.T) {
	base := policy.Default()
	product(func(kind, age int, found, extras bool, level int, clock gate.ClockLevel, dataAge int64) {
		in := productInputs(kind, age, found, extras, clock, dataAge)
		p := base.AtLevel(level)
		is := open(p.Decide(in).Verdict)
		check := func(what string, worse gate.Verdict) {
			if open(worse) > is {
				t.Errorf("%s opens further: kind %d aged %d, level %d, clock %v, data %d s", what, kind, age, level, clock, dataAge)
			}
		}
		if level < 4 {
			check("a higher level", base.AtLevel(level+1).Decide(in).Verdict)
		}
		worse := in
		if in.DataAge >= 0 && in.DataAge < math.MaxInt64 {
			worse.DataAge = in.DataAge + 3600
			check("older data", p.Decide(worse).Verdict)
		}
		worse.DataAge = -1
		check("no data", p.Decide(worse).Verdict)
		if clock > gate.ClockNone {
			worse = in
			worse.Clock--
			check("a worse clock", p.Decide(worse).Verdict)
		}
		worse = in
		worse.Flags = gate.FlagBirthYearMismatch | gate.FlagUnknownPlaceCode
		check("a doubtful card", p.Decide(worse).Verdict)
		worse = in
		worse.CardExpires = 1
		check("an expired card", p.Decide(worse).Verdict)
	})
}

func TestCard(t *testing.T) {
	p := policy.Default()
	green, red, block := fact(gate.FactCompleted, 40), fact(gate.FactNothing, 0), fact(gate.FactPositive, 1)
	two := gate.FlagSexMismatch | gate.FlagBirthYearMismatch
	for _, tt := range []struct {
		name    string
		facts   gate.Facts
		flags   gate.ClaimFlags
		expires gate.Day
		verdict gate.Verdict
		reasons []gate.Reason
	}{
		{"one doubt", green, gate.FlagSexMismatch, 0, gate.Allow, []gate.Reason{"vaccinated", "sex_mismatch"}},
		{"two doubts", green, two, 0, gate.ManualCheck, []gate.Reason{"doubtful_card", "vaccinated", "sex_mismatch", "birth_year_mismatch"}},
		{"two doubts, refused anyway", red, two, 0, gate.Deny, []gate.Reason{"no_fact_counts", "doubtful_card", "sex_mismatch", "birth_year_mismatch"}},
		{"two doubts, blocked anyway", block, two, 0, gate.DenyAlert, []gate.Reason{"positive", "doubtful_card", "sex_mismatch", "birth_year_mismatch"}},
		{"odd shapes are no doubts", green, gate.FlagSixFields | gate.FlagExtraFields, 0, gate.Allow, []gate.Reason{"vaccinated", "six_fields", "extra_fields"}},
		{"expires tomorrow", green, 0, today + 1, gate.Allow, []gate.Reason{"vaccinated"}},
		{"expires today", green, 0, today, gate.Allow, []gate.Reason{"vaccinated", "card_expired"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := inputs(tt.facts)
			in.Flags, in.CardExpires = tt.flags, tt.expires
			d := p.Decide(in)
			if d.Verdict != tt.verdict {
				t.Errorf("%v, want %v", d.Verdict, tt.verdict)
			}
			if diff := cmp.Diff(tt.reasons, reasonsOf(d)); diff != "" {
				t.Errorf("reasons -want +got:\n%s", diff)
			}
		})
	}
}

// TestNotACard: what names nobody is answered RETRY, whatever else holds.
func TestNotACard(t *testing.T) {
	want := map[gate.CredentialKind]gate.Reason{
		gate.KindUnsupported: "unsupported", gate.KindUnreadable: "unreadable", gate.KindVNeIDDynamic: "unsupported_dynamic",
		gate.KindDCC:  "unsupported",
		gate.KindPass: "unsupported", gate.KindURL: "unsupported", 200: "unsupported",
	}
	for kind, reason := range want {
		for _, dataAge := range []int64{-1, 0, math.MaxInt64} {
			d := policy.Default().Decide(gate.Inputs{Credential: kind, DataAge: dataAge})
			if d.Verdict != gate.Retry || d.Class != gate.ClassNone || !slices.Equal(reasonsOf(d), []gate.Reason{reason}) {
				t.Errorf("%v: %v %v %v", kind, d.Verdict, d.Class, reasonsOf(d))
			}
		}
	}
}

// TestZeroRefuses: no policy, no gate opens.
func TestZeroRefuses(t *testing.T) {
	var none *policy.Policy
	for name, p := range map[string]*policy.Policy{"zero": {}, "nil": none, "level 0": policy.Default().AtLevel(0), "level 5": policy.Default().AtLevel(5)} {
		if d := p.Decide(inputs(fact(gate.FactCompleted, 40))); d.Verdict != gate.Deny {
			t.Errorf("%s: %v", name, d.Verdict)
		}
		if p.Ref().Version != 0 || p.Table() == "" {
			t.Errorf("%s: %v", name, p.Ref())
		}
	}
}

// TestAnyInputs: no inputs, however broken, panic; and only what the rules let
// in is let in.
func TestAnyInputs(t *testing.T) {
	p := policy.Default().AtLevel(1)
	rnd := rand.New(rand.NewPCG(1, 2))
	extremes := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt32, math.MaxInt64}
	any64 := func() int64 {
		if rnd.IntN(2) == 0 {
			return extremes[rnd.IntN(len(extremes))]
		}
		return int64(rnd.Uint64())
	}
	for range 200000 {
		in := gate.Inputs{
			Now: any64(), Direction: gate.Direction(rnd.Uint32()), Credential: gate.CredentialKind(rnd.Uint32N(12)),
			Flags: gate.ClaimFlags(rnd.Uint32()), CardExpires: gate.Day(any64()),
			Facts:   gate.Facts{Found: rnd.IntN(2) == 0, Word: gate.Word(rnd.Uint32()), Base: gate.Day(any64())},
			DataAge: any64(), Clock: gate.ClockLevel(rnd.Uint32N(8)),
		}
		d := p.Decide(in)
		if d != p.Decide(in) {
			t.Fatalf("%+v: two decisions", in)
		}
		isCard := in.Credential == gate.KindCCCD || in.Credential == gate.KindCC ||
			in.Credential == gate.KindQRQG && !in.Flags.NamesNobody()
		if d.Verdict.Opens() && (!isCard || !in.Facts.Found || in.DataAge < 0 || in.Clock < gate.ClockRTC || in.Clock > gate.ClockCentral) {
			t.Fatalf("%+v opened the gate", in)
		}
	}
}

func TestDecideDoesNotAllocate(t *testing.T) {
	p := policy.Default()
	in := inputs(fact(gate.FactCompleted, 40))
	in.DataAge, in.CardExpires, in.Flags = 80*3600, 5, math.MaxUint16
	if n := testing.AllocsPerRun(100, func() { p.Decide(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDecide(b *testing.B) {
	p := policy.Default()
	in := inputs(fact(gate.FactCompleted, 40))
	b.ReportAllocs()
	for b.Loop() {
		p.Decide(in)
	}
}
