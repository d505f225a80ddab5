package policy_test

import (
	"slices"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestExplain pins explanations as people read them.
func TestExplain(t *testing.T) {
	everything := statedPolicies(t)["everything"].policy
	builtIn := policy.Default()
	scan := func(change func(*scanned)) gate.Inputs {
		s := blank()
		s.found, s.level, s.clock, s.dataAge = true, 4, gate.ClockNTP, 2*3600+180
		change(&s)
		return s.inputs()
	}
	sunday := func(in gate.Inputs) gate.Inputs {
		in.Now += 11 * 3600 * 1000 // 23:00 on the Friday
		return in
	}
	var b strings.Builder
	for _, tt := range []struct {
		name string
		p    *policy.Policy
		in   gate.Inputs
	}{
		{"first dose too young", builtIn, scan(func(s *scanned) { s.kind, s.age = 3, 9 })},
		{"partly vaccinated", builtIn, scan(func(s *scanned) { s.kind, s.age = 3, 30 })},
		{"second dose yesterday", builtIn, scan(func(s *scanned) { s.kind, s.age, s.extras, s.first = 1, 1, true, 40 })},
		{"recovered long ago", builtIn, scan(func(s *scanned) { s.kind, s.age = 2, 181 })},
		{"green", builtIn, scan(func(s *scanned) { s.kind, s.age = 2, 100 })},
		{"positive", builtIn, scan(func(s *scanned) { s.kind, s.age = 4, 3 })},
		{"tested positive", builtIn, scan(func(s *scanned) { s.extras, s.recovered, s.tests = true, 20, []tested{{true, true, 60 * 60}} })},
		{"quarantine until tomorrow", builtIn.AtLevel(1), scan(func(s *scanned) { s.kind, s.age = 5, -1 })},
		{"not on record", builtIn, scan(func(s *scanned) { s.found = false })},
		{"old data", builtIn, scan(func(s *scanned) { s.kind, s.age, s.dataAge = 3, 30, 80*3600 })},
		{"no clock", builtIn, scan(func(s *scanned) { s.kind, s.age, s.clock = 1, 30, gate.ClockFloor })},
		{"a doubtful card that expired", everything, scan(func(s *scanned) { s.kind, s.age, s.doubts, s.expired = 1, 30, 2, true })},
		{"masked", builtIn, scan(func(s *scanned) { *s = nobody(s, gate.KindQRQG, true); s.clock, s.dataAge = gate.ClockNTP, -1 })},
		{"phone", everything, scan(func(s *scanned) { s.kind, s.age, s.code = 1, 30, gate.KindQRQG })},
		{"after hours", everything, sunday(scan(func(s *scanned) { s.kind, s.age = 1, 30 }))},
		{"staff after hours", everything, sunday(scan(func(s *scanned) { s.extras, s.lists = true, []listed{{"staff", true}} }))},
		{"escort", everything, scan(func(s *scanned) { s.kind, s.age, s.extras, s.lists = 1, 30, true, []listed{{"escort", true}} })},
		{"in perhaps twice", everything, scan(func(s *scanned) { s.kind, s.age, s.maybeMore = 1, 30, true })},
		{"in twice", everything, scan(func(s *scanned) { s.kind, s.age, s.inAgo = 1, 30, 30 })},
		{"passport", builtIn, scan(func(s *scanned) {
			s.found, s.passport, s.event, s.dose, s.of, s.ppDay = false, true, gate.PassportVaccination, 2, 2, 40
		})},
		{"passport of a second dose that is young", builtIn, scan(func(s *scanned) {
			s.passport, s.event, s.dose, s.of, s.ppDay = true, gate.PassportVaccination, 2, 2, 5
		})},
		{"passport of a first dose that is young", builtIn, scan(func(s *scanned) {
			s.passport, s.event, s.dose, s.of, s.ppDay = true, gate.PassportVaccination, 1, 2, 5
		})},
		{"passport of an old recovery", builtIn, scan(func(s *scanned) { s.passport, s.event, s.ppDay = true, gate.PassportRecovery, 200 })},
		{"passport of an old test", builtIn, scan(func(s *scanned) {
			s.passport, s.event, s.ppTest = true, gate.PassportTest, tested{true, false, 72*60 + 1}
		})},
		{"passport of somebody else", builtIn, scan(func(s *scanned) {
			s.passport, s.stranger, s.event, s.dose, s.of, s.ppDay = true, true, gate.PassportVaccination, 2, 2, 100
		})},
		{"tested", builtIn, scan(func(s *scanned) { s.extras, s.tests = true, []tested{{true, false, 60 * 60}} })},
	} {
		b.WriteString("== " + tt.name + "\n")
		e := tt.p.Explain(tt.in)
		if d := tt.p.Decide(tt.in); d != e.Decision {
			t.Errorf("%s: explained %v, decided %v", tt.name, e.Decision, d)
		}
		for _, l := range []policy.Lang{policy.English, policy.Vietnamese} {
			for _, s := range e.Sentences(l) {
				b.WriteString(s + "\n")
			}
		}
	}
	golden(t, "testdata/explained.txt", []byte(b.String()))
}

// TestChangesHold: each change that is named brings what it promises, and the
// last instant before "later" and "until" is still as it was.
func TestChangesHold(t *testing.T) {
	strict := func(d gate.Decision) int { return strictOf[d.Verdict] }
	for name, x := range statedPolicies(t) {
		n := 0
		everything(&x.rules, func(v *variant, s *scanned, base *gate.Inputs) {
			if n++; n%997 != 0 { // a sample over all dimensions
				return
			}
			p := x.policy.AtLevel(s.level)
			in := *base
			e := p.Explain(in)
			for _, c := range e.Changes {
				if c.Kind != policy.ChangeLater && c.Kind != policy.ChangeUntil {
					if worse := c.Kind == policy.ChangeHigherLevel; c.Decision.N > 0 && worse != (strict(c.Decision) > strict(e.Decision)) {
						t.Fatalf("%s, %s: %s changes %v to %v", name, v.name, c.Kind, e.Decision.Verdict, c.Decision.Verdict)
					}
					continue
				}
				at := in
				at.Now = c.At.UnixMilli()
				if d := p.Decide(at); d != c.Decision {
					t.Fatalf("%s, %s: %s at %v: %v, not %v", name, v.name, c.Kind, c.At, d, c.Decision)
				}
				at.Now--
				if before := strict(p.Decide(at)); c.Kind == policy.ChangeLater && before < strict(e.Decision) || c.Kind == policy.ChangeUntil && before > strict(e.Decision) {
					t.Fatalf("%s, %s: %s at %v, but already the moment before", name, v.name, c.Kind, c.At)
				}
			}
		})
	}
}

// TestChangesOfPositives: what is said to help against a positive result helps.
func TestChangesOfPositives(t *testing.T) {
	p := policy.Default()
	offered := func(in gate.Inputs) map[policy.ChangeKind]policy.Change {
		is := map[policy.ChangeKind]policy.Change{}
		for _, c := range p.Explain(in).Changes {
			is[c.Kind] = c
		}
		return is
	}
	byWord := inputs(fact(gate.FactPositive, 5))
	byTests := func(n int, positive func(i int) bool) gate.Inputs {
		in := inputs(fact(gate.FactNothing, 0))
		in.Facts.HasExtras = true
		for i := range n {
			in.Facts.Extras.AddTest(gate.Test{Kind: gate.TestPCR, Positive: positive(i), Sampled: gate.MinuteOf(now) - gate.Minute(1+i)*3000})
		}
		return in
	}
	only := func(k int) func(int) bool { return func(i int) bool { return i == k } }
	for name, in := range map[string]gate.Inputs{
		"word": byWord, "only test": byTests(1, only(0)), "newest of two": byTests(2, only(0)), "oldest of six": byTests(6, only(5)),
		"newest of six": byTests(6, only(0)), "all six": byTests(6, func(int) bool { return true }),
	} {
		is := offered(in)
		if c, ok := is[policy.ChangePCR]; ok {
			t.Errorf("%s: a negative PCR is said to help: %v", name, c.Decision.Verdict)
		}
		c, ok := is[policy.ChangeRecovered]
		if said := strings.Join(p.Explain(in).Account(policy.English).Changes, "\n"); !ok || !c.AfterPositive || !strings.Contains(said, "after that positive result") {
			t.Errorf("%s: %+v: %s", name, c, said)
		}
	}
	for name, in := range map[string]gate.Inputs{
		"nothing": inputs(fact(gate.FactNothing, 0)), "six negative ones, too old": byTests(6, func(int) bool { return false }),
	} {
		in.Now += 48 * 3_600_000
		is := p.AtLevel(4).Explain(in).Changes
		if !slices.ContainsFunc(is, func(c policy.Change) bool { return c.Kind == policy.ChangePCR }) {
			t.Errorf("%s: no PCR is said to help", name)
		}
		if slices.ContainsFunc(is, func(c policy.Change) bool { return c.AfterPositive }) {
			t.Errorf("%s: there is no positive result", name)
		}
	}
}

// TestEverythingHasWords: no reason, fact or change is left without a sentence
// in both languages.
func TestEverythingHasWords(t *testing.T) {
	for _, r := range gate.Reasons() {
		vi, en := policy.Vietnamese.Reason(r), policy.English.Reason(r)
		if vi == en || vi == "" || strings.Contains(vi, "_") {
			t.Errorf("%s: %q, %q", r, vi, en)
		}
	}
	for _, v := range gate.Verdicts() {
		if vi, en := policy.Vietnamese.Verdict(v), policy.English.Verdict(v); vi == en || vi == "" {
			t.Errorf("%v: %q, %q", v, vi, en)
		}
	}
	var none *policy.Policy
	for _, p := range []*policy.Policy{none, {}} {
		if got := p.Explain(inputs(fact(gate.FactCompleted, 40))).Sentences(policy.English); !strings.Contains(got[0], "There is no policy") {
			t.Errorf("no policy: %q", got)
		}
	}
}
