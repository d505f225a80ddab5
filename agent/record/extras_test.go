package record

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

func TestExtrasRoundTrip(t *testing.T) {
	full := manyFacts()
	most := gate.Facts{Found: true, HasExtras: true}
	for range gate.MaxMemberships {
		most.Extras.AddList(gate.Membership{
			List:   "a-name-of-thirty-two-characters-",
			Window: gate.Window{From: 1 << 30, To: 1 << 30, Weekdays: 127, Start: 1439, End: 1440},
		})
	}
	for range gate.MaxTests {
		most.Extras.AddTest(gate.Test{Kind: gate.TestAntigen, Positive: true, Sampled: 1<<32 - 1})
	}
	for range gate.MaxOthers {
		most.Extras.AddOther(gate.Other{Provider: 255, Code: 255, Day: -1 << 31})
	}
	for name, f := range map[string]gate.Facts{
		"everything": full, "as much as fits": most, "read, nothing in them": {Found: true, HasExtras: true}, "none": {Found: true, Word: 1 << 15},
	} {
		in := gate.Inputs{
			Now: 1, Facts: f, Passages: gate.Passages{In: 5, Out: 1 << 40, Unknown: true},
			Passport: gate.Passport{
				Proof: gate.ProofGood, Matched: true, Event: gate.PassportTest, Dose: 3, Of: 2, Day: 18900,
				Test: gate.Test{Kind: gate.TestPCR, Sampled: 27_000_000}, From: 18000, To: 18180,
			},
			Pass: gate.Pass{
				Proof: gate.ProofBad, Why: gate.ReasonPassSpent, Kind: gate.PassChild, Single: true,
				Window: gate.Window{Weekdays: 31}, From: 27_000_000, To: 27_000_600,
			},
		}
		b, err := EncodeInputs(in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeInputs(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(in, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
