package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestEveryPass holds passes to the statement: kinds, what is wrong with them,
// edges of their times, windows, directions, passages, levels, clocks, data;
// the verdict, and every reason in its place.
func TestEveryPass(t *testing.T) {
	for name, x := range statedPolicies(t) {
		whys := append(slices.Sorted(maps.Keys(x.rules.bad)), "", "anything else", "passport_expired")
		var at [5]*policy.Policy
		for level := range at {
			at[level] = x.policy.AtLevel(level)
		}
		n, tried := 0, 0
		try := func(s *scanned) {
			if n++; n%stride() != 0 {
				return
			}
			in := s.inputs()
			for s.level = 1; s.level <= 4; s.level++ {
				for s.clock = gate.ClockNone; s.clock <= gate.ClockCentral; s.clock++ {
					for _, s.dataAge = range [...]int64{-1, 0, 1 << 40} { // nobody asks about them
						in.Clock, in.DataAge = s.clock, s.dataAge
						d := at[s.level].Decide(in)
						want := x.rules.meets(s)
						if tried++; !want.same(&d) || d.N == 0 {
							t.Fatalf("%s: %+v: %v %v, want %d %v", name, *s, d.Verdict, reasonsOf(d), want.strict, want.reasons[:want.n])
						}
					}
				}
			}
		}
		for kind := gate.PassVisitor; kind <= gate.PassStaff; kind++ {
			for _, why := range whys {
				for _, times := range [][2]int{{0, 1}, {-60, 60}, {1, 60}, {-60, 0}, {-60, -1}} {
					for bits := range 8 {
						for _, ago := range [][2]int{{none, none}, {0, none}, {9, none}, {10, 30}, {60, none}, {61, 5}, {30, 10}, {none, 60}, {none, 61}} {
							s := blank()
							s.pass, s.passKind, s.passWhy, s.passFrom, s.passTo = true, kind, why, times[0], times[1]
							s.passOther, s.leaving, s.maybeMore = bits&1 != 0, bits&2 != 0, bits&4 != 0
							s.inAgo, s.outAgo = ago[0], ago[1]
							try(&s)
						}
					}
				}
			}
		}
		if least := 800_000 / stride(); tried < least {
			t.Errorf("%d passes, fewer than %d", tried, least)
		}
	}
}

// TestPassportAlone: without a card there is nothing to decide, whatever the
// passport is worth; with a good one the card is asked for.
func TestPassportAlone(t *testing.T) {
	for name, x := range statedPolicies(t) {
		for _, tt := range []struct {
			passport gate.Passport
			want     string
		}{
			{gate.Passport{Proof: gate.ProofGood}, "[needs_card]"},
			{gate.Passport{Proof: gate.ProofGood, Matched: true, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: today - 100}, "[needs_card]"},
			{gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportForged}, "[passport_forged needs_card]"},
			{gate.Passport{Proof: gate.ProofBad, Why: "\x1b[2J"}, "[passport_malformed needs_card]"},
			{gate.Passport{}, "[unsupported]"},
		} {
			in := gate.Inputs{Now: now.UnixMilli(), Credential: gate.KindDCC, Passport: tt.passport, Clock: gate.ClockCentral, DataAge: -1}
			d := x.policy.Decide(in)
			if got := fmt.Sprint(d.ReasonList()); d.Verdict != gate.Retry || got != tt.want {
				t.Errorf("%s: %+v: %v %s, want %s", name, tt.passport, d.Verdict, got, tt.want)
			}
		}
	}
}
