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

// A space of another kind in a name is one: the guard sees the name, and a
// passport is matched with it.
func TestSpacesInNames(t *testing.T) {
	for name, want := range map[string]string{
		"Nguyễn Văn\u00a0Mẫu": "Nguyễn Văn Mẫu", "Nguyễn\u202fVăn\u3000Mẫu": "Nguyễn Văn Mẫu", "\u2009Nguyễn\u2003Văn Mẫu\u00a0": "Nguyễn Văn Mẫu",
		"Nguyễn\u200bVăn Mẫu": "", "Nguyễn\u2028Văn Mẫu": "", "Nguyễn \u202eVăn Mẫu": "", "Nguyễn Văn\ufeffMẫu": "", "\u00a0": "",
	} {
		c := Parse([]byte("001090012345||" + name + "|02011990|Nam|x|06052021"))
		if c.Name != want || want != "" && c.Card != "NGUYEN VAN MAU|1990-01-02|2021-05-06" {
			t.Errorf("%q is shown as %q, compared as %q", name, c.Name, c.Card)
		}
	}
	if c := Parse([]byte("0123456789|4cc3aac2a056c4836e|15/07/1938|1|-|$")); c.Name != "Lê Văn" {
		t.Errorf("a name in hex is shown as %q", c.Name)
	}
}

// TestExpiryOfEveryBirth: a birth date with unknown parts gives the latest
// expiry of all the days that it can mean, none being later than any.
func TestExpiryOfEveryBirth(t *testing.T) {
	for _, born := range []gate.Date{
		{Year: 1982, Month: 1}, {Year: 1982}, {Year: 2000, Month: 2}, {Year: 2000}, {Year: 1963}, {Year: 1964, Month: 2}, {Year: 1964}, {Year: 2010, Month: 12},
	} {
		first, last := birthRange(born)
		step := 1
		if born.Month == 0 {
			step = 5
		}
		for _, age := range []int{-1, 11, 12, 22, 23, 37, 38, 57, 58} {
			for i := 0; i < 366; i += step {
				issued := (birthday(first, age).Day() + gate.Day(i)).Date()
				var want gate.Date
				for b := first.Day(); b <= last.Day(); b++ {
					e := expiryOf(b.Date(), issued)
					if e.IsZero() {
						want = e
						break
					}
					if want.IsZero() || e.Day() > want.Day() {
						want = e
					}
				}
				if got := expiry(born, issued); got != want {
					t.Fatalf("born %v, issued %v: expires %v, want %v", born, issued, got, want)
				}
			}
		}
	}
}
