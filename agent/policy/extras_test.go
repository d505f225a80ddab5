package policy_test

import (
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// with gives a person whose word says kind, age days ago, and whose extras
// change fills.
func with(kind gate.FactKind, age int, change func(*gate.Extras)) gate.Facts {
	f := withExtras(fact(kind, age))
	f.HasExtras = true
	change(&f.Extras)
	return f
}

func sampled(hours int) gate.Minute { return gate.MinuteOf(now.Add(-time.Duration(hours) * time.Hour)) }

// TestExtras: two facts together, tests, lists and windows (PAYLOADS §7.2).
func TestExtras(t *testing.T) {
	list := func(name string, w gate.Window) func(*gate.Extras) {
		return func(e *gate.Extras) { e.AddList(gate.Membership{List: name, Window: w}) }
	}
	test := func(kind gate.TestKind, positive bool, at gate.Minute) func(*gate.Extras) {
		return func(e *gate.Extras) { e.AddTest(gate.Test{Kind: kind, Positive: positive, Sampled: at}) }
	}
	for _, tt := range []struct {
		name   string
		facts  gate.Facts
		class  gate.Class
		reason gate.Reason
	}{
		{"second dose yesterday after a first 40 days ago", with(gate.FactCompleted, 1, func(e *gate.Extras) { e.FirstDose = today - 40 }), gate.Yellow, "partly_vaccinated"},
		{"booster yesterday", with(gate.FactCompleted, 40, func(e *gate.Extras) { e.FirstDose, e.LastDose = today-70, today-1 }), gate.Green, "vaccinated"},
		{"first dose too young, recovered", with(gate.FactBegun, 3, func(e *gate.Extras) { e.Recovered = today - 100 }), gate.Green, "recovered"},
		{"positive, recovered later", with(gate.FactPositive, 30, func(e *gate.Extras) { e.Recovered = today - 10 }), gate.Green, "recovered"},
		{"recovered, positive later", with(gate.FactRecovered, 100, func(e *gate.Extras) { e.Positive = today - 2 }), gate.Block, "positive"},
		{"positive, recovery dated tomorrow", with(gate.FactPositive, 3, func(e *gate.Extras) { e.Recovered = today + 1 }), gate.Block, "positive"},
		{"vaccinated, in quarantine", with(gate.FactCompleted, 40, func(e *gate.Extras) { e.Quarantine = today }), gate.Block, "quarantine"},
		{"vaccinated, out of quarantine", with(gate.FactCompleted, 40, func(e *gate.Extras) { e.Quarantine = today - 1 }), gate.Green, "vaccinated"},
		{"PCR 72 h ago", with(gate.FactNothing, 0, test(gate.TestPCR, false, sampled(72))), gate.Yellow, "tested"},
		{"PCR 72 h and a minute ago", with(gate.FactNothing, 0, test(gate.TestPCR, false, sampled(72)-1)), gate.Red, "no_fact_counts"},
		{"PCR of tomorrow", with(gate.FactNothing, 0, test(gate.TestPCR, false, sampled(-24))), gate.Red, "no_fact_counts"},
		{"antigen does not count", with(gate.FactNothing, 0, test(gate.TestAntigen, false, sampled(1))), gate.Red, "no_fact_counts"},
		{"a positive test", with(gate.FactCompleted, 40, test(gate.TestAntigen, true, sampled(5))), gate.Block, "positive"},
		{"a positive test, recovered since", with(gate.FactRecovered, 10, test(gate.TestPCR, true, sampled(24*20))), gate.Green, "recovered"},
		{"on the deny list", with(gate.FactCompleted, 40, list("deny", gate.Window{})), gate.Block, "deny_list"},
		{"on the watch list from tomorrow", with(gate.FactCompleted, 40, list("watch", gate.Window{From: today + 1})), gate.Green, "vaccinated"},
		{"on the staff list", with(gate.FactCompleted, 40, list("staff", gate.Window{})), gate.Green, "vaccinated"},
		{"more than this version reads", with(gate.FactCompleted, 40, func(e *gate.Extras) { e.Beyond = true }), gate.Unknown, "needs_extras"},
		{"listed, and more than this version reads", with(gate.FactCompleted, 40, func(e *gate.Extras) {
			e.Beyond = true
			e.AddList(gate.Membership{List: "deny"})
		}), gate.Block, "deny_list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := policy.Default().Decide(inputs(tt.facts))
			if d.Class != tt.class || d.ReasonList()[0] != tt.reason {
				t.Errorf("%v %v, want %v [%s]", d.Class, reasonsOf(d), tt.class, tt.reason)
			}
		})
	}
}

// TestOwnWindow: outside a person's own days and hours the guard decides.
func TestOwnWindow(t *testing.T) {
	for _, tt := range []struct {
		name string
		w    gate.Window // now is Friday noon in Hanoi
		want gate.Verdict
	}{
		{"none", gate.Window{}, gate.Allow},
		{"today", gate.Window{From: today, To: today}, gate.Allow},
		{"until yesterday", gate.Window{To: today - 1}, gate.ManualCheck},
		{"from tomorrow", gate.Window{From: today + 1}, gate.ManualCheck},
		{"Fridays", gate.Window{Weekdays: 1 << 4}, gate.Allow},
		{"Saturdays", gate.Window{Weekdays: 1 << 5}, gate.ManualCheck},
		{"until noon", gate.Window{Start: 8 * 60, End: 12 * 60}, gate.ManualCheck},
		{"from noon", gate.Window{Start: 12 * 60, End: 24 * 60}, gate.Allow},
		{"over midnight", gate.Window{Start: 22 * 60, End: 6 * 60}, gate.ManualCheck},
		{"over midnight, Thursdays until noon", gate.Window{Weekdays: 1 << 3, Start: 22 * 60, End: 12*60 + 1}, gate.Allow},
		{"over midnight, Fridays until noon", gate.Window{Weekdays: 1 << 4, Start: 22 * 60, End: 12*60 + 1}, gate.ManualCheck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := with(gate.FactCompleted, 40, func(e *gate.Extras) { e.Window = tt.w })
			if d := policy.Default().Decide(inputs(f)); d.Verdict != tt.want {
				t.Errorf("%v %v, want %v", d.Verdict, reasonsOf(d), tt.want)
			}
		})
	}
}

// TestCardMismatch: a hint to the guard, never a refusal.
func TestCardMismatch(t *testing.T) {
	p := policy.Default()
	for _, tt := range []struct {
		name    string
		facts   gate.Facts
		flags   gate.ClaimFlags
		verdict gate.Verdict
	}{
		{"GREEN", fact(gate.FactCompleted, 40), 0, gate.AllowNotice},
		{"GREEN and another doubt", fact(gate.FactCompleted, 40), gate.FlagSexMismatch, gate.ManualCheck},
		{"YELLOW at level 4", fact(gate.FactBegun, 40), 0, gate.ManualCheck},
		{"RED", fact(gate.FactNothing, 0), 0, gate.Deny},
		{"BLOCK", fact(gate.FactPositive, 3), 0, gate.DenyAlert},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := inputs(tt.facts)
			in.Facts.CardMismatch, in.Flags = true, tt.flags
			d := p.Decide(in)
			if d.Verdict != tt.verdict || !slices.Contains(d.ReasonList(), gate.ReasonCardDataMismatch) {
				t.Errorf("%v %v, want %v", d.Verdict, reasonsOf(d), tt.verdict)
			}
		})
	}
}

func TestDecideWithExtrasDoesNotAllocate(t *testing.T) {
	p := policy.Default()
	in := inputs(with(gate.FactNothing, 0, func(e *gate.Extras) {
		for range gate.MaxTests {
			e.AddTest(gate.Test{Kind: gate.TestAntigen, Sampled: sampled(1)})
		}
		for range gate.MaxMemberships {
			e.AddList(gate.Membership{List: "staff"})
		}
	}))
	if n := testing.AllocsPerRun(100, func() { p.Decide(in) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
