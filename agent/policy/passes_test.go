package policy_test

import (
	"fmt"
	"maps"
	"testing"

	"gateagent/agent/gate"
)

// shown is a pass in neutral form; minutes are counted from now.
type shown struct {
	kind              gate.PassKind
	why               gate.Reason // empty: it is good
	from, to          int
	inWindow, leaving bool
	inAgo             int
	maybeMore         bool
	level             int
	clock             gate.ClockLevel
	dataAge           int64
}

// meetsPass is the outcome for the bearer of a pass, once more and not from
// the code; retry is true where they are asked to show something else.
func (r rules) meetsPass(s shown, bad map[gate.Reason]int) (v int, retry bool) {
	told := s.clock >= r.passesNeedClock && s.clock <= gate.ClockCentral
	why := s.why
	if why == gate.ReasonPassSpent && s.leaving {
		why = ""
	}
	if why == "" && told {
		switch {
		case s.from > 0:
			why = gate.ReasonPassEarly
		case s.to <= 0:
			why = gate.ReasonPassExpired
		}
	}
	if why != "" {
		const again = -1
		v, known := bad[why]
		if !known {
			v = bad[gate.ReasonPassMalformed]
		}
		timed := why == gate.ReasonPassEarly || why == gate.ReasonPassExpired
		if v > manual && (s.leaving || timed && !told) {
			v = manual
		}
		return v, v == again
	}
	v = r.passes[s.kind][s.level-1]
	if !told {
		return manual, false
	}
	if !s.leaving {
		if !s.inWindow || !r.open {
			v = max(v, manual)
		}
		if s.inAgo != none && s.inAgo <= r.forgive {
			v = max(v, r.in)
		}
		if s.inAgo != none && s.inAgo < r.interval {
			v = max(v, r.reentry)
		}
		if s.maybeMore {
			v = max(v, r.in, r.reentry)
		}
	} else if s.maybeMore {
		v = max(v, r.out)
	}
	return v, false
}

// TestEveryPass holds passes to the statement: kinds, what is wrong with them,
// edges of their times, windows, directions, passages, levels, clocks, data.
func TestEveryPass(t *testing.T) {
	const again = -1
	badDefault := map[gate.Reason]int{
		gate.ReasonPassMalformed: again, gate.ReasonPassUnknown: manual, gate.ReasonPassForged: deny, gate.ReasonPassEarly: manual,
		gate.ReasonPassExpired: deny, gate.ReasonPassRevoked: deny, gate.ReasonPassSpent: deny, gate.ReasonPassElsewhere: deny,
	}
	whys := []gate.Reason{"", "anything else"}
	for why := range badDefault {
		whys = append(whys, why)
	}
	for name, x := range statedPolicies(t) {
		bad := maps.Clone(badDefault)
		if name != "built in" {
			bad[gate.ReasonPassForged], bad[gate.ReasonPassExpired] = alert, manual
			x.rules.passes[gate.PassChild] = [4]int{allow, allow, allow, notice}
		}
		n := 0
		for kind := gate.PassVisitor; kind <= gate.PassStaff; kind++ {
			for _, why := range whys {
				for _, times := range [][2]int{{0, 1}, {-60, 60}, {1, 60}, {-60, 0}, {-60, -1}} {
					for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
						for bits := range 8 {
							for _, ago := range []int{none, 0, 9, 10, 60, 61} {
								for level := 1; level <= 4; level++ {
									for _, dataAge := range []int64{-1, 0, 1 << 40} {
										s := shown{kind, why, times[0], times[1], bits&1 != 0, bits&2 != 0, ago, bits&4 != 0, level, clock, dataAge}
										in := gate.Inputs{Now: now.UnixMilli(), Credential: gate.KindPass, Clock: clock, DataAge: dataAge}
										minute := int(gate.MinuteOf(now))
										in.Pass = gate.Pass{Proof: gate.ProofGood, Kind: kind, From: gate.Minute(minute + s.from), To: gate.Minute(minute + s.to), Why: why}
										if why != "" {
											in.Pass.Proof = gate.ProofBad
										}
										if !s.inWindow {
											in.Pass.Window.From = today + 1
										}
										if s.leaving {
											in.Direction = gate.DirectionOut
										}
										in.Passages.Unknown = s.maybeMore
										if ago != none {
											in.Passages.In = now.UnixMilli() - int64(ago)*60_000
										}
										d := x.policy.AtLevel(level).Decide(in)
										want, retry := x.rules.meetsPass(s, bad)
										if n++; retry != (d.Verdict == gate.Retry) || !retry && strictOf[d.Verdict] != want || d.Class != gate.ClassNone || d.N == 0 {
											t.Fatalf("%s: %+v: %v %v, want %d, retry %v", name, s, d.Verdict, reasonsOf(d), want, retry)
										}
									}
								}
							}
						}
					}
				}
			}
		}
		if n < 200_000 {
			t.Errorf("only %d passes", n)
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
