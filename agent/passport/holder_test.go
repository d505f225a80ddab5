package passport

import (
	"testing"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
)

func TestMatches(t *testing.T) {
	born := gate.Date{Year: 1995, Month: 9, DayOfMonth: 2}
	tests := []struct {
		name           string
		fn, gn, fi, gi string
		dob            string
		card           string
		born           gate.Date
		want           bool
	}{
		{"as on the card", "Nguyễn", "Thị Thử Nghiệm", "NGUYEN", "THI<THU<NGHIEM", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, true},
		{"card in capitals", "Nguyễn", "Thị Thử Nghiệm", "NGUYEN", "THI<THU<NGHIEM", "1995-09-02", "NGUYỄN THỊ THỬ NGHIỆM", born, true},
		{"card without diacritics", "Nguyễn", "Thị Thử Nghiệm", "", "", "1995-09-02", "nguyen thi thu nghiem", born, true},
		{"tone on another letter", "Trần", "Thị Hoà", "", "", "1995-09-02", "Trần Thị Hòa", born, true},
		{"đ", "Đỗ", "Văn Đạt", "DO", "VAN<DAT", "1995-09-02", "Đỗ Văn Đạt", born, true},
		{"decomposed", "Nguyễn", "Thử", "", "", "1995-09-02", "Nguyễn Thử", born, true},
		{"machine-readable name alone", "", "", "NGUYEN", "THI<THU<NGHIEM", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, true},
		{"printed otherwise, machine-readable as the card", "Nguyen-Smith", "Thu", "NGUYEN", "THI<THU", "1995-09-02", "Nguyễn Thị Thử", born, true},
		{"all in the family name", "Nguyễn Thị Thử Nghiệm", "", "NGUYEN<THI<THU<NGHIEM", "", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, true},
		{"middle name with the family name", "Nguyễn Thị", "Thử Nghiệm", "", "", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, true},
		{"given name first", "Nghiệm", "Nguyễn Thị Thử", "", "", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, true},
		{"blanks elsewhere", "Nguyễn", "Thị  Thửnghiệm", "", "", "1995-09-02", " Nguyễn Thị Thử Nghiệm ", born, true},
		{"time after the date", "Nguyễn", "Thử", "", "", "1995-09-02T00:00:00", "Nguyễn Thử", born, true},

		{"a word missing", "Nguyễn", "Thử Nghiệm", "", "", "1995-09-02", "Nguyễn Thị Thử Nghiệm", born, false},
		{"a word missing on the card", "Nguyễn", "Thị Thử Nghiệm", "", "", "1995-09-02", "Nguyễn Nghiệm", born, false},
		{"words in another order", "Nguyễn", "Văn Anh", "", "", "1995-09-02", "Nguyễn Anh Văn", born, false},
		{"another name", "Nguyễn", "Thị Thử", "", "", "1995-09-02", "Nguyễn Thị Mẫu", born, false},
		{"another day", "Nguyễn", "Thử", "", "", "1995-09-03", "Nguyễn Thử", born, false},
		{"day and month swapped", "Nguyễn", "Thử", "", "", "1995-02-09", "Nguyễn Thử", born, false},
		{"no birth date", "Nguyễn", "Thử", "", "", "", "Nguyễn Thử", born, false},
		{"no birth date on either", "Nguyễn", "Thử", "", "", "", "Nguyễn Thử", gate.Date{}, false},
		{"year only", "Nguyễn", "Thử", "", "", "1995", "Nguyễn Thử", born, false},
		{"year only on both", "Nguyễn", "Thử", "", "", "1995", "Nguyễn Thử", gate.Date{Year: 1995}, true},
		{"month only on both", "Nguyễn", "Thử", "", "", "1995-09", "Nguyễn Thử", gate.Date{Year: 1995, Month: 9}, true},
		{"unknown day as zeros", "Nguyễn", "Thử", "", "", "1995-00-00", "Nguyễn Thử", gate.Date{Year: 1995}, true},
		{"no name on the card", "Nguyễn", "Thử", "", "", "1995-09-02", "", born, false},
		{"no letters on the card", "Nguyễn", "Thử", "", "", "1995-09-02", "*** 12", born, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := newHolder(tt.fn, tt.gn, tt.fi, tt.gi, tt.dob)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Matches(tt.card, tt.born); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// TestHolderName: the name has the form that cards have it in, and is enough
// for a comparison by itself.
func TestHolderName(t *testing.T) {
	h, err := newHolder("Nguyễn", "Thị Thử Nghiệm", "NGUYEN", "THI<THU<NGHIEM", "1995-09-02")
	if err != nil {
		t.Fatal(err)
	}
	if want := credential.FoldName("Nguyễn Thị Thử Nghiệm"); h.Name != want {
		t.Errorf("got %q, want %q", h.Name, want)
	}
	if bare := (Holder{Name: h.Name, Born: h.Born}); !bare.Matches("NGUYỄN THỊ THỬ NGHIỆM", h.Born) {
		t.Error("the name alone does not match")
	}
}

func TestBirthDate(t *testing.T) {
	for s, want := range map[string]gate.Date{
		"1995-09-02":          {Year: 1995, Month: 9, DayOfMonth: 2},
		"1995-09":             {Year: 1995, Month: 9},
		"1995":                {Year: 1995},
		"1995-09-02T00:00:00": {Year: 1995, Month: 9, DayOfMonth: 2},
		"1995-00-00":          {Year: 1995},
		"1995-09-00":          {Year: 1995, Month: 9},
		"1995-XX-XX":          {Year: 1995},
		"1995-09-XX":          {Year: 1995, Month: 9},
		"1995-13-01":          {},
		"1995-02-30":          {},
		"1995-9-2":            {},
		"02/09/1995":          {},
		"0000-00-00":          {},
		"1995-09-02-01":       {},
		"":                    {},
		"-":                   {},
	} {
		if got := birthDate(s); got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}
