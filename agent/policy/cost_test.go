package policy_test

import (
	"testing"

	"gateagent/agent/gate"
)

// TestNothingIsAllocated: no situation of any dimension makes Decide allocate.
func TestNothingIsAllocated(t *testing.T) {
	for name, x := range statedPolicies(t) {
		var ins []gate.Inputs
		for _, v := range variants(&x.rules) {
			s := blank()
			s.found, s.kind, s.age = true, 1, 40
			s.level, s.clock, s.dataAge = 2, gate.ClockCentral, x.rules.hard+1
			v.change(&s)
			ins = append(ins, s.inputs())
		}
		pass := gate.Inputs{Now: now.UnixMilli(), Credential: gate.KindPass, Clock: gate.ClockCentral}
		pass.Pass = gate.Pass{Proof: gate.ProofGood, Kind: gate.PassVisitor, To: 1<<32 - 1}
		ins = append(ins, pass)
		full := ins[0]
		full.Facts.HasExtras = true
		for range gate.MaxMemberships {
			full.Facts.Extras.AddList(gate.Membership{List: "staff", Window: gate.Window{From: today - 9, To: today + 9, Weekdays: 1 << 4}})
		}
		for range gate.MaxTests {
			full.Facts.Extras.AddTest(gate.Test{Kind: gate.TestAntigen, Positive: true})
		}
		full.Flags = 0xffff
		ins = append(ins, full)
		if n := testing.AllocsPerRun(3, func() {
			for i := range ins {
				x.policy.Decide(ins[i])
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkDecideEverything(b *testing.B) {
	x := statedPolicies(b)["everything"]
	s := blank()
	s.found, s.kind, s.age, s.level, s.clock, s.extras = true, 1, 40, 2, gate.ClockCentral, true
	s.lists = []listed{{"staff", true}, {"press", true}, {"escort", true}}
	in := s.inputs()
	b.ReportAllocs()
	for b.Loop() {
		x.policy.Decide(in)
	}
}
