package specimen

import (
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/passport"
)

// What is issued here is what agent/passport takes, and from nobody else.
func TestIssued(t *testing.T) {
	day := func(s string) time.Time {
		at, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	i, err := NewIssuer()
	if err != nil {
		t.Fatal(err)
	}
	text, err := i.Vaccination(Vaccination{
		Family: "Nguyễn", Given: "Thị Mẫu", Born: day("1990-07-15"), Dose: 2, Of: 2, On: day("2021-08-10"),
		From: day("2021-12-01"), To: day("2022-12-01"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, spki := i.KID()
	public, err := passport.ParsePublic(spki)
	if err != nil {
		t.Fatal(err)
	}
	keys := passport.NewKeys([]passport.Key{{KID: i.kid, Public: public}}, nil)
	r := keys.Verify([]byte(text), day("2022-01-01"))
	if r.Proof != gate.ProofGood || r.Event != gate.PassportVaccination || r.Dose != 2 || r.Of != 2 || r.Day.String() != "2021-08-10" {
		t.Errorf("%+v", r.Passport)
	}
	if !r.Holder.Matches("NGUYỄN THỊ MẪU", gate.Date{Year: 1990, Month: 7, DayOfMonth: 15}) {
		t.Error("the holder is another")
	}
	if r := passport.NewKeys(nil, nil).Verify([]byte(text), day("2022-01-01")); r.Why != gate.ReasonPassportUnknown {
		t.Errorf("somebody trusts it: %v", r.Why)
	}
}
