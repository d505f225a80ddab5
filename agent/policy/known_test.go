package policy_test

import (
	"slices"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestWhatIsKnownBlocks: of whom there is more to know than can be read, what
// is known blocks all the same, and no list lets them in for the rest.
func TestWhatIsKnownBlocks(t *testing.T) {
	lets := changed(t, `{"lists":{"staff":{"effect":"allow","classes":["YELLOW","RED","UNKNOWN"]}}}`).AtLevel(1)
	for _, tt := range []struct {
		name   string
		facts  gate.Facts
		extras func(*gate.Extras)
		want   []gate.Reason
	}{
		{"positive", fact(gate.FactPositive, 2), func(*gate.Extras) {}, []gate.Reason{"positive", "needs_extras"}},
		{"quarantine", fact(gate.FactQuarantine, -5), func(*gate.Extras) {}, []gate.Reason{"quarantine", "needs_extras"}},
		{"positive extras", fact(gate.FactCompleted, 40), func(e *gate.Extras) { e.Positive = today - 1 }, []gate.Reason{"positive", "needs_extras"}},
		{"quarantine extras", fact(gate.FactCompleted, 40), func(e *gate.Extras) { e.Quarantine = today }, []gate.Reason{"quarantine", "needs_extras"}},
		{"denied", fact(gate.FactCompleted, 40), func(e *gate.Extras) { e.AddList(gate.Membership{List: "deny"}) }, []gate.Reason{"deny_list", "needs_extras"}},
		{"nothing blocks", fact(gate.FactCompleted, 40), func(*gate.Extras) {}, []gate.Reason{"needs_extras"}},
		{"recovered since", fact(gate.FactPositive, 2), func(e *gate.Extras) { e.Recovered = today }, []gate.Reason{"needs_extras"}},
		{"a later kind", fact(6, 3), func(*gate.Extras) {}, []gate.Reason{"needs_extras"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := inputs(withExtras(tt.facts))
			in.Facts.HasExtras, in.Facts.Extras.Beyond = true, true
			tt.extras(&in.Facts.Extras)
			if d := policy.Default().Decide(in); !slices.Equal(d.ReasonList(), tt.want) {
				t.Errorf("%v, want %v", d.ReasonList(), tt.want)
			}
			in.Facts.Extras.AddList(gate.Membership{List: "staff"})
			if d := lets.Decide(in); d.Verdict.Opens() {
				t.Errorf("staff: %v %v", d.Verdict, d.ReasonList())
			}
		})
	}
	in := inputs(fact(7, 0))
	in.Facts.HasExtras, in.Facts.Extras.Positive = true, today-1
	if d := policy.Default().Decide(in); !slices.Equal(d.ReasonList(), []gate.Reason{"positive", "reserved_kind"}) {
		t.Errorf("a later kind and a positive result: %v", d.ReasonList())
	}
	if d := policy.Default().Decide(inputs(withExtras(fact(gate.FactPositive, 2)))); d.Class != gate.Block {
		t.Errorf("positive, and more that is not there: %v", d.Class)
	}
	in = inputs(fact(gate.FactNothing, 0))
	in.Facts.HasExtras, in.Credential, in.Flags = true, gate.KindQRQG, gate.FlagMasked
	in.Facts.Extras.AddList(gate.Membership{List: "staff"})
	if d := lets.Decide(in); d.Verdict.Opens() {
		t.Errorf("a list let in somebody whose code names nobody: %v", d.ReasonList())
	}
}

// TestRecoveryIsOfALaterDay: what was found on the day of the recovery, or
// after it, is not over.
func TestRecoveryIsOfALaterDay(t *testing.T) {
	sampled := func(minutes int64) func(*gate.Extras) {
		return func(e *gate.Extras) {
			e.AddTest(gate.Test{Kind: gate.TestPCR, Positive: true, Sampled: gate.Minute(int64(gate.MinuteOf(now)) - minutes)})
		}
	}
	positive := func(age gate.Day) func(*gate.Extras) { return func(e *gate.Extras) { e.Positive = today - age } }
	for _, tt := range []struct {
		name      string
		recovered int
		found     func(*gate.Extras)
		want      gate.Class
	}{
		{"today, positive an hour ago", 0, sampled(60), gate.Block},
		{"today, positive as the day began", 0, sampled(12 * 60), gate.Block},
		{"today, positive the minute before", 0, sampled(12*60 + 1), gate.Green},
		{"yesterday, positive an hour ago", 1, sampled(60), gate.Block},
		{"today, positive today", 0, positive(0), gate.Block},
		{"today, positive yesterday", 0, positive(1), gate.Green},
		{"today, positive days before", 0, positive(9), gate.Green},
		{"100 days ago, positive that day", 100, positive(100), gate.Block},
		{"100 days ago, positive the day before", 100, positive(101), gate.Green},
		{"100 days ago, positive the day after", 100, positive(99), gate.Block},
		{"today, positive days before and an hour ago", 0, func(e *gate.Extras) { positive(9)(e); sampled(60)(e) }, gate.Block},
	} {
		in := inputs(withExtras(fact(gate.FactRecovered, tt.recovered)))
		in.Facts.HasExtras = true
		tt.found(&in.Facts.Extras)
		if d := policy.Default().Decide(in); d.Class != tt.want {
			t.Errorf("recovered %s: %v, want %v", tt.name, d.Class, tt.want)
		}
	}
}
