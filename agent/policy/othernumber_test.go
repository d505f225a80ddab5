package policy_test

import (
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestOtherNumber: the national QR with the number of an old card or a passport
// names nobody. It is not that data are missing, and no document can have it
// judged like a whole number.
func TestOtherNumber(t *testing.T) {
	in := inputs(gate.Facts{})
	in.Credential, in.Flags, in.DataAge = gate.KindQRQG, gate.FlagOtherNumber, -1
	d := policy.Default().Decide(in)
	if d.Verdict != gate.ManualCheck || d.Class != gate.Unknown || d.ReasonList()[0] != gate.ReasonAmbiguous {
		t.Errorf("%v %v %v", d.Verdict, d.Class, d.ReasonList())
	}
	var said bool
	for _, r := range d.ReasonList() {
		said = said || r == gate.ReasonOtherNumber
		if r == gate.ReasonNoData {
			t.Error("says that data are missing")
		}
	}
	if !said {
		t.Errorf("does not say why: %v", d.ReasonList())
	}
}
