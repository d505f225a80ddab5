package people

import (
	"testing"
	"time"

	"gateagent/agent/gate"
)

// asOf is the day of the list in these tests.
var asOf = mustDay("2021-12-17")

func mustDay(s string) gate.Day {
	d, err := gate.ParseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

// ago is the day n days before the list's; negative: after it.
func ago(n int) gate.Day { return asOf - gate.Day(n) }

func at(n int) time.Time { return time.Unix(int64(ago(n))*86400+8*3600, 0).UTC() }

func doses(d ...Dose) []Dose { return d }

func TestReduce(t *testing.T) {
	tests := []struct {
		name   string
		p      Person
		want   Fact
		future int
	}{
		{name: "nothing known", want: Fact{}},

		{
			name: "two doses, settled", p: Person{Doses: doses(Dose{1, 2, ago(90)}, Dose{2, 2, ago(60)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(60)},
		},
		{
			name: "settled on the very day", p: Person{Doses: doses(Dose{1, 2, ago(44)}, Dose{2, 2, ago(14)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(14)},
		},
		{name: "one day short needs both dates", p: Person{Doses: doses(Dose{1, 2, ago(44)}, Dose{2, 2, ago(13)})}, want: extras},
		{name: "second dose yesterday", p: Person{Doses: doses(Dose{1, 2, ago(40)}, Dose{2, 2, ago(1)})}, want: extras},
		{
			name: "second dose recorded before the first", p: Person{Doses: doses(Dose{2, 2, ago(60)}, Dose{1, 2, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{
			name: "the same dose twice is one", p: Person{Doses: doses(Dose{1, 2, ago(60)}, Dose{1, 2, ago(60)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(60)},
		},
		{
			name: "two numbers on one day are one", p: Person{Doses: doses(Dose{1, 2, ago(60)}, Dose{2, 2, ago(60)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(60)},
		},
		{
			name: "booster yesterday changes nothing", p: Person{Doses: doses(Dose{1, 2, ago(200)}, Dose{2, 2, ago(170)}, Dose{3, 3, ago(1)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(170)},
		},
		{
			name: "booster counted beyond the series", p: Person{Doses: doses(Dose{1, 2, ago(200)}, Dose{2, 2, ago(170)}, Dose{3, 2, ago(20)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(170)},
		},
		{
			name: "three-dose series", p: Person{Doses: doses(Dose{1, 3, ago(90)}, Dose{2, 3, ago(60)}, Dose{3, 3, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{
			name: "three-dose series begun", p: Person{Doses: doses(Dose{1, 3, ago(90)}, Dose{2, 3, ago(60)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(90)},
		},
		{
			name: "single dose is complete", p: Person{Doses: doses(Dose{1, 1, ago(20)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(20)},
		},
		{
			name: "fresh single dose needs one date only", p: Person{Doses: doses(Dose{1, 1, ago(2)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(2)},
		},
		{
			name: "single dose after a first of two", p: Person{Doses: doses(Dose{1, 2, ago(90)}, Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{name: "first dose", p: Person{Doses: doses(Dose{1, 2, ago(3)})}, want: Fact{Kind: gate.FactBegun, Day: ago(3)}},
		{
			name: "dose of tomorrow is ignored", p: Person{Doses: doses(Dose{1, 2, ago(30)}, Dose{2, 2, ago(-1)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(30)}, future: 1,
		},
		{name: "dose of today counts", p: Person{Doses: doses(Dose{1, 2, asOf})}, want: Fact{Kind: gate.FactBegun, Day: asOf}},

		{name: "recovered", p: Person{Recovered: ago(180)}, want: Fact{Kind: gate.FactRecovered, Day: ago(180)}},
		{name: "recovery of tomorrow is ignored", p: Person{Recovered: ago(-1)}, want: Fact{}, future: 1},
		{name: "recovered and begun needs both", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 2, ago(30)})}, want: extras},
		{name: "recovered and freshly completed", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 1, ago(3)})}, want: extras},
		{
			name: "recovered and settled", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},

		{name: "positive", p: Person{Positive: ago(5)}, want: Fact{Kind: gate.FactPositive, Day: ago(5)}},
		{
			name: "positive and vaccinated", p: Person{Positive: ago(5), Doses: doses(Dose{1, 1, ago(90)})},
			want: Fact{Kind: gate.FactPositive, Day: ago(5)},
		},
		{
			name: "positive, recovered since", p: Person{Positive: ago(30), Recovered: ago(10)},
			want: Fact{Kind: gate.FactRecovered, Day: ago(10)},
		},
		{
			name: "positive and recovered on one day", p: Person{Positive: ago(30), Recovered: ago(30)},
			want: Fact{Kind: gate.FactRecovered, Day: ago(30)},
		},
		{
			name: "positive again after recovery", p: Person{Positive: ago(3), Recovered: ago(100)},
			want: Fact{Kind: gate.FactPositive, Day: ago(3)},
		},
		{
			name: "positive test is a positive result", p: Person{Tests: []Test{{PCR: true, Positive: true, Sampled: at(4)}}},
			want: Fact{Kind: gate.FactPositive, Day: ago(4)},
		},
		{
			name: "the later of result and test", p: Person{Positive: ago(9), Tests: []Test{{Positive: true, Sampled: at(4)}}},
			want: Fact{Kind: gate.FactPositive, Day: ago(4)},
		},
		{
			name: "positive outweighs a list", p: Person{Positive: ago(5), Lists: []string{"staff"}},
			want: Fact{Kind: gate.FactPositive, Day: ago(5)},
		},
		{name: "positive of tomorrow is ignored", p: Person{Positive: ago(-1)}, want: Fact{}, future: 1},

		{name: "fresh negative test", p: Person{Tests: []Test{{PCR: true, Sampled: at(1)}}}, want: extras},
		{name: "old negative test", p: Person{Tests: []Test{{PCR: true, Sampled: at(8)}}}, want: Fact{}},
		{
			name: "negative test of a settled person", p: Person{Tests: []Test{{PCR: true, Sampled: at(1)}}, Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{name: "negative test beside a first dose", p: Person{Tests: []Test{{Sampled: at(2)}}, Doses: doses(Dose{1, 2, ago(30)})}, want: extras},
		{name: "test of tomorrow", p: Person{Tests: []Test{{PCR: true, Sampled: at(-1)}}}, want: Fact{}, future: 1},

		{name: "quarantine", p: Person{Quarantine: true, QuarantineUntil: ago(-3)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(-3)}},
		{name: "quarantine by date alone", p: Person{QuarantineUntil: ago(-3)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(-3)}},
		{name: "quarantine until today is in force", p: Person{QuarantineUntil: asOf, Doses: doses(Dose{1, 1, ago(30)})}, want: extras},
		{name: "quarantine over, alone", p: Person{QuarantineUntil: ago(1)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(1)}},
		{
			name: "quarantine over, settled", p: Person{QuarantineUntil: ago(1), Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{
			name: "quarantine over, begun", p: Person{QuarantineUntil: ago(1), Doses: doses(Dose{1, 2, ago(30)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(30)},
		},
		{name: "quarantine and recovered", p: Person{QuarantineUntil: ago(-3), Recovered: ago(30)}, want: extras},
		{
			name: "quarantine without an end", p: Person{Quarantine: true, Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactQuarantine, Day: Forever},
		},
		{
			name: "quarantine and positive", p: Person{Positive: ago(2), QuarantineUntil: ago(-9)},
			want: Fact{Kind: gate.FactPositive, Day: ago(2)},
		},

		{name: "on a list", p: Person{Lists: []string{"staff"}, Doses: doses(Dose{1, 1, ago(30)})}, want: extras},
		{name: "valid to a day", p: Person{ValidTo: ago(-30), Doses: doses(Dose{1, 1, ago(30)})}, want: extras},
	}
	rule := Rule{AsOf: asOf, Settle: DefaultSettle}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, future := rule.Reduce(&tc.p)
			if got != tc.want || future != tc.future {
				t.Errorf("got %+v and %d ignored, want %+v and %d", got, future, tc.want, tc.future)
			}
		})
	}
}

func TestSettleIsAsked(t *testing.T) {
	p := Person{Doses: doses(Dose{1, 2, ago(60)}, Dose{2, 2, ago(20)})}
	for settle, want := range map[int]Fact{20: {Kind: gate.FactCompleted, Day: ago(20)}, 21: extras} {
		if got, _ := (Rule{AsOf: asOf, Settle: settle}).Reduce(&p); got != want {
			t.Errorf("settle %d: %+v, want %+v", settle, got, want)
		}
	}
}

func TestWord(t *testing.T) {
	base := BaseDay(asOf)
	if base != mustDay("2014-01-01") {
		t.Fatalf("base day %v", base)
	}
	tests := []struct {
		name   string
		f      Fact
		kind   gate.FactKind
		day    gate.Day
		extras bool
	}{
		{"a day", Fact{Kind: gate.FactCompleted, Day: ago(60)}, gate.FactCompleted, ago(60), false},
		{"before the base", Fact{Kind: gate.FactRecovered, Day: mustDay("2003-05-01")}, gate.FactRecovered, base, false},
		{"forever", Fact{Kind: gate.FactQuarantine, Day: Forever}, gate.FactQuarantine, base + gate.MaxWordDay, false},
		{"nothing", Fact{}, gate.FactNothing, base, false},
		{"extras alone", extras, gate.FactNothing, base, true},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			w := tc.f.Word(base)
			got := gate.Facts{Found: true, Word: w, Base: base}
			if w.Kind() != tc.kind || got.Day() != tc.day || w.Extras() != tc.extras {
				t.Errorf("kind %v, day %v, extras %v", w.Kind(), got.Day(), w.Extras())
			}
		})
	}
	if w := extras.Word(base); w != 1<<15 {
		t.Errorf("extras alone is %#x, want the flag and nothing else", w)
	}
}
