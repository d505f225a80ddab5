package people

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

var staff = []gate.Membership{{List: "staff", Window: gate.Window{Weekdays: 0b11111}}}

func listed(all ...gate.Membership) (e gate.Extras) {
	for _, m := range all {
		e.AddList(m)
	}
	return e
}

func tested(all ...gate.Test) (e gate.Extras) {
	for _, t := range all {
		e.AddTest(t)
	}
	return e
}

func TestReduce(t *testing.T) {
	tests := []struct {
		name   string
		p      Person
		want   Fact
		extras gate.Extras // want.Extras says that there are some
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
		{
			name: "one day short needs both dates", p: Person{Doses: doses(Dose{1, 2, ago(44)}, Dose{2, 2, ago(13)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(13), Extras: true},
			extras: gate.Extras{FirstDose: ago(44)},
		},
		{
			name: "second dose yesterday", p: Person{Doses: doses(Dose{1, 2, ago(40)}, Dose{2, 2, ago(1)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(1), Extras: true},
			extras: gate.Extras{FirstDose: ago(40)},
		},
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
		{
			name: "recovered and begun needs both", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 2, ago(30)})},
			want:   Fact{Kind: gate.FactRecovered, Day: ago(90), Extras: true},
			extras: gate.Extras{FirstDose: ago(30)},
		},
		{
			name: "recovered and freshly completed", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 1, ago(3)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(3), Extras: true},
			extras: gate.Extras{Recovered: ago(90)},
		},
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
			want: Fact{Kind: gate.FactPositive, Day: ago(30)},
		},
		{
			name: "positive again after recovery", p: Person{Positive: ago(3), Recovered: ago(100)},
			want: Fact{Kind: gate.FactPositive, Day: ago(3)},
		},
		{
			name: "positive test is a positive result", p: Person{Tests: []Test{{Kind: gate.TestPCR, Positive: true, Sampled: at(4)}}},
			want: Fact{Kind: gate.FactPositive, Day: ago(4)},
		},
		{
			name: "the later of result and test", p: Person{Positive: ago(9), Tests: []Test{{Kind: gate.TestAntigen, Positive: true, Sampled: at(4)}}},
			want: Fact{Kind: gate.FactPositive, Day: ago(4)},
		},
		{
			name: "positive outweighs a list", p: Person{Positive: ago(5), Lists: staff},
			want: Fact{Kind: gate.FactPositive, Day: ago(5)},
		},
		{name: "positive of tomorrow is ignored", p: Person{Positive: ago(-1)}, want: Fact{}, future: 1},

		{
			name: "fresh negative test", p: Person{Tests: []Test{{Kind: gate.TestPCR, Sampled: at(1)}}},
			want:   Fact{Kind: gate.FactNothing, Extras: true},
			extras: tested(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(at(1))}),
		},
		{name: "old negative test", p: Person{Tests: []Test{{Kind: gate.TestPCR, Sampled: at(8)}}}, want: Fact{}},
		{
			name: "negative test of a settled person", p: Person{Tests: []Test{{Kind: gate.TestPCR, Sampled: at(1)}}, Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{
			name: "negative test beside a first dose", p: Person{Tests: []Test{{Kind: gate.TestAntigen, Sampled: at(2)}}, Doses: doses(Dose{1, 2, ago(30)})},
			want:   Fact{Kind: gate.FactBegun, Day: ago(30), Extras: true},
			extras: tested(gate.Test{Kind: gate.TestAntigen, Sampled: gate.MinuteOf(at(2))}),
		},
		{name: "test of tomorrow", p: Person{Tests: []Test{{Kind: gate.TestPCR, Sampled: at(-1)}}}, want: Fact{}, future: 1},

		{name: "quarantine", p: Person{Quarantine: true, QuarantineUntil: ago(-3)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(-3)}},
		{name: "quarantine by date alone", p: Person{QuarantineUntil: ago(-3)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(-3)}},
		{
			name: "quarantine until today is in force", p: Person{QuarantineUntil: asOf, Doses: doses(Dose{1, 1, ago(30)})},
			want:   Fact{Kind: gate.FactQuarantine, Day: asOf, Extras: true},
			extras: gate.Extras{Completed: ago(30)},
		},
		{name: "quarantine over, alone", p: Person{QuarantineUntil: ago(1)}, want: Fact{Kind: gate.FactQuarantine, Day: ago(1)}},
		{
			name: "quarantine over, settled", p: Person{QuarantineUntil: ago(1), Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(30)},
		},
		{
			name: "quarantine over, begun", p: Person{QuarantineUntil: ago(1), Doses: doses(Dose{1, 2, ago(30)})},
			want: Fact{Kind: gate.FactBegun, Day: ago(30)},
		},
		{
			name: "quarantine and recovered", p: Person{QuarantineUntil: ago(-3), Recovered: ago(30)},
			want:   Fact{Kind: gate.FactQuarantine, Day: ago(-3), Extras: true},
			extras: gate.Extras{Recovered: ago(30)},
		},
		{
			name: "quarantine without an end", p: Person{Quarantine: true, Doses: doses(Dose{1, 1, ago(30)})},
			want: Fact{Kind: gate.FactQuarantine, Day: Forever},
		},
		{
			name: "quarantine and positive", p: Person{Positive: ago(2), QuarantineUntil: ago(-9)},
			want: Fact{Kind: gate.FactPositive, Day: ago(2)},
		},

		{
			name: "on a list", p: Person{Lists: staff, Doses: doses(Dose{1, 1, ago(30)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(30), Extras: true},
			extras: listed(staff...),
		},
		{
			name: "valid to a day", p: Person{Window: gate.Window{To: ago(-30)}, Doses: doses(Dose{1, 1, ago(30)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(30), Extras: true},
			extras: gate.Extras{Window: gate.Window{To: ago(-30)}},
		},
		{
			name: "on a list, with a booster", p: Person{Lists: staff, Doses: doses(Dose{2, 2, ago(100)}, Dose{1, 2, ago(130)}, Dose{3, 3, ago(5)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(100), Extras: true},
			extras: gate.Extras{LastDose: ago(5), Lists: listed(staff...).Lists, ListN: 1},
		},
		{
			name: "on a list, begun", p: Person{Lists: staff, Doses: doses(Dose{1, 2, ago(100)})},
			want:   Fact{Kind: gate.FactBegun, Day: ago(100), Extras: true},
			extras: listed(staff...),
		},
		{
			name: "another provider's fact", p: Person{Others: []gate.Other{{Provider: gate.ProviderSchool, Code: 3}}},
			want:   Fact{Extras: true},
			extras: gate.Extras{Others: [gate.MaxOthers]gate.Other{{Provider: gate.ProviderSchool, Code: 3}}, OtherN: 1},
		},
		{
			name: "quarantine beside everything", p: Person{
				QuarantineUntil: ago(-3), Recovered: ago(100), Doses: doses(Dose{1, 2, ago(40)}, Dose{2, 2, ago(9)}),
				Tests: []Test{{Kind: gate.TestPCR, Sampled: at(2)}},
			},
			want: Fact{Kind: gate.FactQuarantine, Day: ago(-3), Extras: true},
			extras: func() gate.Extras {
				e := tested(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(at(2))})
				e.FirstDose, e.Completed, e.Recovered = ago(40), ago(9), ago(100)
				return e
			}(),
		},
		{
			name: "tests of both kinds, many of one", p: Person{Tests: []Test{
				{Kind: gate.TestAntigen, Sampled: at(5)},
				{Kind: gate.TestAntigen, Sampled: at(1)},
				{Kind: gate.TestAntigen, Sampled: at(1)},
				{Kind: gate.TestPCR, Sampled: at(6)},
				{Kind: gate.TestAntigen, Sampled: at(2)},
				{Kind: gate.TestAntigen, Sampled: at(3)},
			}},
			want: Fact{Extras: true},
			extras: tested(
				gate.Test{Kind: gate.TestAntigen, Sampled: gate.MinuteOf(at(1))}, gate.Test{Kind: gate.TestAntigen, Sampled: gate.MinuteOf(at(2))},
				gate.Test{Kind: gate.TestAntigen, Sampled: gate.MinuteOf(at(3))}, gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(at(6))},
			),
		},
	}
	rule := Rule{AsOf: asOf, Settle: DefaultSettle}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var e gate.Extras
			got, future := rule.Reduce(&tc.p, &e)
			if diff := cmp.Diff(tc.extras, e); diff != "" {
				t.Errorf("extras (-want +got):\n%s", diff)
			}
			if got != tc.want || future != tc.future {
				t.Errorf("got %+v and %d ignored, want %+v and %d", got, future, tc.want, tc.future)
			}
		})
	}
}

func TestSettleIsAsked(t *testing.T) {
	p := Person{Doses: doses(Dose{1, 2, ago(60)}, Dose{2, 2, ago(20)})}
	for settle, want := range map[int]Fact{20: {Kind: gate.FactCompleted, Day: ago(20)}, 21: {Kind: gate.FactCompleted, Day: ago(20), Extras: true}} {
		var e gate.Extras
		if got, _ := (Rule{AsOf: asOf, Settle: settle}).Reduce(&p, &e); got != want {
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
		{"with extras", Fact{Kind: gate.FactBegun, Day: ago(3), Extras: true}, gate.FactBegun, ago(3), true},
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
}
