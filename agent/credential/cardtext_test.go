package credential

import (
	"testing"

	"gateagent/agent/gate"
)

// The form is shared by central and gates: it never changes.
func TestCardText(t *testing.T) {
	born, issued := gate.Date{Year: 1990, Month: 1, DayOfMonth: 2}, gate.Date{Year: 2021, Month: 5, DayOfMonth: 6}
	const want = "NGUYEN DUC HOA|1990-01-02|2021-05-06"
	for _, name := range []string{
		"Nguyễn Đức Hòa", "NGUYỄN ĐỨC HOÀ", "  nguyễn   đức\thòa ", "Nguy\u1ec5n \u0110\u1ee9c H\u00f2a", "Nguye\u0302\u0303n \u0111u\u031b\u0301c ho\u0300a", "Nguyễn Đức. Hòa",
	} {
		if got := CardText(name, born, issued); got != want {
			t.Errorf("%q gives %q, want %q", name, got, want)
		}
	}
	for what, got := range map[string]string{
		"no name":          CardText(" .", born, issued),
		"birth year alone": CardText("A", gate.Date{Year: 1990}, issued),
		"not issued":       CardText("A", born, gate.Date{}),
	} {
		if got != "" {
			t.Errorf("%s: %q", what, got)
		}
	}
}

func TestClaimCarriesCardText(t *testing.T) {
	c := Parse([]byte("001090012345||Nguyễn Văn Mẫu|02011990|Nam|Phố Mẫu, Hà Nội|06052021"))
	if want := "NGUYEN VAN MAU|1990-01-02|2021-05-06"; c.Card != want {
		t.Errorf("card text %q, want %q", c.Card, want)
	}
}
