package policy_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// crowded is a policy under which everything that can be said is said: its
// table lets everybody in with notice, so that each rule finds something to say.
func crowded(t *testing.T) *policy.Policy {
	return changed(t, `{
		"level": 1, "valid_to": "2021-12-01T00:00:00+07:00",
		"credentials": {"qrqg": "manual"},
		"params": {"expired_card": "deny"},
		"hours": {"open": [{"from": "01:00", "to": "02:00"}]},
		"lists": {"staff": {"effect": "allow", "classes": ["YELLOW", "RED"]}, "press": {"effect": "notice"}, "escort": {"effect": "manual"}},
		"passback": {"in": "soft", "out": "soft", "forgive_minutes": 60, "reentry": "hard", "interval_minutes": 60}
	}`)
}

// kept says which reason that was found the decision leaves out; empty for none.
func kept(p *policy.Policy, in gate.Inputs) (d gate.Decision, lost gate.Reason) {
	e := p.Explain(in)
	d = p.Decide(in)
	for _, s := range e.Steps {
		if !slices.Contains(d.ReasonList(), s.Reason) {
			return d, s.Reason
		}
	}
	if d.Verdict == gate.Retry || d.N == gate.MaxReasons { // the former says no more than what to show
		return d, ""
	}
	for _, r := range in.Flags.AppendReasons(nil) {
		if !slices.Contains(d.ReasonList(), r) {
			return d, r
		}
	}
	return d, ""
}

// TestEveryReasonIsKept: the worst there can be, of the bearer of a card and of
// somebody who is blocked, has room for all its reasons.
func TestEveryReasonIsKept(t *testing.T) {
	p := crowded(t)
	in := inputs(gate.Facts{Found: true, Word: gate.Word(gate.FactBegun) << 12, Base: today - 40, HasExtras: true, CardMismatch: true})
	in.Credential, in.CardExpires, in.DataAge = gate.KindQRQG, today-3, 100*3600
	in.Flags = 0xffff &^ (gate.FlagMasked | gate.FlagOtherNumber) // who is named by nothing is judged by less
	in.Passages = gate.Passages{In: now.UnixMilli() - 60_000, Unknown: true}
	in.Passport = gate.Passport{
		Proof: gate.ProofGood, Matched: true, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: today - 3,
	}
	e := &in.Facts.Extras
	e.Completed, e.Window.From = today+3, today+1
	for _, name := range []string{"staff", "press", "escort"} {
		e.AddList(gate.Membership{List: name})
	}
	red := in
	red.Facts.Word = 0
	red.Facts.Extras.FirstDose = today + 2
	blocked := in
	blocked.Facts.Extras.AddList(gate.Membership{List: "deny"})
	blocked.Facts.Extras.Beyond = true
	blocked.Passport.Matched = false
	most := 0
	for name, in := range map[string]gate.Inputs{"YELLOW": in, "RED": red, "BLOCK": blocked} {
		d, lost := kept(p, in)
		if most = max(most, d.N); lost != "" {
			t.Errorf("%s: %q is lost of %d: %v", name, lost, d.N, d.ReasonList())
		}
		t.Logf("%s: %d reasons: %v", name, d.N, d.ReasonList())
	}
	if most < 20 {
		t.Errorf("the worst gives %d reasons only", most)
	}
	// Reasons of which one decision holds at most one, or none beside that of a
	// person; the rest may all stand together.
	alone := [][]gate.Reason{
		{"deny_list", "positive", "quarantine", "vaccinated", "recovered", "partly_vaccinated", "tested", "no_fact_counts", "no_record"},
		{"needs_extras", "reserved_kind"},
		{"clock_untrusted", "policy_not_in_force"},
		{"stale_data", "expired_data", "no_data"},
		{"unreadable", "unsupported", "unsupported_dynamic"},
		{
			"passport_malformed", "passport_unknown", "passport_forged", "passport_usage", "passport_early", "passport_expired", "passport_revoked",
			"passport_mismatch", "passport_too_young", "passport_too_old", "passport_nothing",
		},
		{"pass", "pass_malformed", "pass_unknown", "pass_forged", "pass_early", "pass_expired", "pass_revoked", "pass_spent", "pass_elsewhere"},
	}
	// Those of RETRY, of passes and of the box stand beside none of a person.
	apart := slices.Concat(alone[4], alone[6], []gate.Reason{"needs_card"})
	bound := len(alone) - 2
	for _, r := range gate.Reasons() {
		fault := policy.ModuleOf(r) == policy.ModuleData && !slices.ContainsFunc(alone, func(g []gate.Reason) bool { return slices.Contains(g, r) })
		if !fault && !slices.Contains(apart, r) && !slices.ContainsFunc(alone, func(g []gate.Reason) bool { return slices.Contains(g, r) }) {
			bound++
		}
	}
	bound++ // "deny_list" beside another row that blocks, where the list calls the guard
	t.Logf("%d at most, room for %d", bound, gate.MaxReasons)
	if bound > gate.MaxReasons {
		t.Errorf("%d reasons may stand together, and %d have room", bound, gate.MaxReasons)
	}
}

// TestNoReasonIsLost: random people, codes and circumstances, under policies
// that say much.
func TestNoReasonIsLost(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	policies := []*policy.Policy{crowded(t), policy.Default()}
	for _, x := range statedPolicies(t) {
		policies = append(policies, x.policy)
	}
	one := func(n int) bool { return rnd.IntN(n) == 0 }
	day := func() gate.Day { return today + gate.Day(rnd.IntN(60)-50) }
	most := 0
	for range 20_000 / stride() {
		in := inputs(fact(gate.FactKind(rnd.IntN(8)), rnd.IntN(50)-5))
		in.Credential = gate.CredentialKind(rnd.Uint32N(12))
		if one(2) {
			in.Credential = gate.KindQRQG
		}
		in.Direction = gate.Direction(rnd.Uint32N(2))
		in.Flags = gate.ClaimFlags(rnd.Uint32())
		if one(2) {
			in.Flags &^= gate.FlagMasked | gate.FlagOtherNumber
		}
		in.DataAge = []int64{-1, 0, 30 * 3600, 100 * 3600}[rnd.IntN(4)]
		in.CardExpires, in.Facts.CardMismatch = day(), one(2)
		if one(8) {
			in.Clock = gate.ClockFloor
		}
		in.Facts.HasExtras = !one(4)
		e := &in.Facts.Extras
		for _, d := range []*gate.Day{&e.FirstDose, &e.Completed, &e.LastDose, &e.Positive, &e.Recovered, &e.Quarantine, &e.Window.From} {
			if one(3) {
				*d = day()
			}
		}
		for _, name := range []string{"staff", "press", "escort", "banned", "deny", "watch"} {
			if one(3) {
				e.AddList(gate.Membership{List: name})
			}
		}
		e.Beyond = one(6)
		in.Passages = gate.Passages{In: now.UnixMilli() - rnd.Int64N(4_000_000), Out: now.UnixMilli() - rnd.Int64N(4_000_000), Unknown: one(2)}
		in.Passport = gate.Passport{
			Proof: gate.Proof(rnd.Uint32N(3)), Why: "passport_expired", Matched: !one(4), Event: gate.PassportEvent(rnd.Uint32N(4)),
			Dose: uint8(rnd.UintN(4)), Of: uint8(rnd.UintN(4)), Day: day(),
		}
		in.Pass = gate.Pass{
			Proof: gate.Proof(rnd.Uint32N(3)), Why: "pass_spent", Kind: gate.PassKind(rnd.Uint32N(6)),
			From: gate.MinuteOf(now) - 5, To: gate.MinuteOf(now) + 5, Window: e.Window,
		}
		for _, p := range policies {
			d, lost := kept(p.AtLevel(1+rnd.IntN(4)), in)
			if most = max(most, d.N); lost != "" || d.N == gate.MaxReasons {
				t.Fatalf("%q is lost of %d: %v: %+v", lost, d.N, d.ReasonList(), in)
			}
		}
	}
	if most < 16 {
		t.Errorf("%d reasons at most: the policies say little", most)
	}
	t.Logf("%d reasons at most", most)
}
