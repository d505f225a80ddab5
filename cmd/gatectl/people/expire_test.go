package people

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// TestWhereDosesExpire is what is kept of a person beside a settled series.
func TestWhereDosesExpire(t *testing.T) {
	tests := []struct {
		name   string
		p      Person
		want   Fact
		extras gate.Extras
	}{
		{
			name: "no booster", p: Person{Doses: doses(Dose{1, 2, ago(90)}, Dose{2, 2, ago(60)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(60)},
		},
		{
			name: "a booster old enough to count for the series", p: Person{Doses: doses(Dose{1, 2, ago(200)}, Dose{2, 2, ago(70)}, Dose{3, 3, ago(20)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(20)},
		},
		{
			name: "of several the last", p: Person{Doses: doses(Dose{1, 1, ago(300)}, Dose{2, 2, ago(140)}, Dose{3, 3, ago(14)})},
			want: Fact{Kind: gate.FactCompleted, Day: ago(14)},
		},
		{
			name: "a young booster needs both days", p: Person{Doses: doses(Dose{1, 2, ago(200)}, Dose{2, 2, ago(70)}, Dose{3, 3, ago(13)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(70), Extras: true},
			extras: gate.Extras{LastDose: ago(13)},
		},
		{
			name: "a booster before the series has settled", p: Person{Doses: doses(Dose{1, 1, ago(12)}, Dose{2, 2, ago(2)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(12), Extras: true},
			extras: gate.Extras{LastDose: ago(2)},
		},
		{
			name: "recovery beside a series", p: Person{Recovered: ago(90), Doses: doses(Dose{1, 1, ago(200)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(200), Extras: true},
			extras: gate.Extras{Recovered: ago(90)},
		},
		{
			name: "a test beside a series", p: Person{Tests: []Test{{Kind: gate.TestPCR, Sampled: at(1)}}, Doses: doses(Dose{1, 1, ago(200)})},
			want:   Fact{Kind: gate.FactCompleted, Day: ago(200), Extras: true},
			extras: tested(gate.Test{Kind: gate.TestPCR, Sampled: gate.MinuteOf(at(1))}),
		},
		{
			name: "in quarantine", p: Person{QuarantineUntil: ago(-3), Doses: doses(Dose{1, 1, ago(300)}, Dose{2, 2, ago(40)})},
			want:   Fact{Kind: gate.FactQuarantine, Day: ago(-3), Extras: true},
			extras: gate.Extras{Completed: ago(40)},
		},
		{
			name: "positive outweighs it all", p: Person{Positive: ago(2), Doses: doses(Dose{1, 1, ago(300)}, Dose{2, 2, ago(4)})},
			want: Fact{Kind: gate.FactPositive, Day: ago(2)},
		},
	}
	rule := Rule{AsOf: asOf, Settle: DefaultSettle, DosesExpire: true}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			var e gate.Extras
			got, _ := rule.Reduce(&tc.p, &e)
			if diff := cmp.Diff(tc.extras, e); diff != "" {
				t.Errorf("extras (-want +got):\n%s", diff)
			}
			if got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

// whole is all that a list says of a person, as facts of a gate.
func whole(p *Person) gate.Facts {
	p.Doses, p.Tests = slices.Clone(p.Doses), slices.Clone(p.Tests)
	rule := Rule{AsOf: asOf}
	var future int
	s := rule.series(p.Doses, &future)
	e := gate.Extras{
		FirstDose: s.first, Completed: s.completed, LastDose: s.last, Recovered: p.Recovered, Positive: p.Positive, Quarantine: p.QuarantineUntil,
	}
	for _, t := range p.Tests {
		e.AddTest(gate.Test{Kind: t.Kind, Sampled: gate.MinuteOf(t.Sampled)})
	}
	return gate.Facts{Found: true, HasExtras: true, Extras: e}
}

// TestNothingIsLostWhereDosesExpire decides people by all that is known of them
// and by what is kept, under policies that bound the age of doses, that ask for
// no vaccination and that leave out rows, on the day of the list and after it.
func TestNothingIsLostWhereDosesExpire(t *testing.T) {
	parse := func(params, order string) *policy.Policy {
		t.Helper()
		doc, err := policy.Default().Marshal(policy.Header{})
		if err != nil {
			t.Fatal(err)
		}
		whole, own := map[string]any{}, map[string]any{}
		err = errors.Join(json.Unmarshal(doc, &whole), json.Unmarshal([]byte("{"+params+"}"), &own))
		maps.Copy(whole["params"].(map[string]any), own)
		whole["order"] = strings.Split(order, " ")
		doc, err2 := json.Marshal(whole)
		p, err3 := policy.ParseDraft(doc)
		if err := errors.Join(err, err2, err3); err != nil {
			t.Fatal(err)
		}
		return p
	}
	const blocks = "deny_list positive quarantine "
	policies := []*policy.Policy{
		parse(`"max_dose_age_days":14`, blocks+"vaccinated recovered partly_vaccinated tested"),
		parse(`"max_dose_age_days":60`, blocks+"vaccinated recovered partly_vaccinated tested"),
		parse(`"max_dose_age_days":60,"recovered_days":400,"antigen_hours":24`, blocks+"recovered vaccinated tested"),
		parse(`"dose_days":0,"max_dose_age_days":180`, blocks+"vaccinated recovered tested partly_vaccinated"),
		parse(`"max_dose_age_days":0`, blocks+"recovered tested"),
	}
	days := []int{0, 1, 2, 13, 14, 15, 20, 28, 40, 59, 60, 61, 70, 100, 179, 180, 181, 200, 400}
	rng := rand.New(rand.NewPCG(1, 2))
	pick := func() gate.Day { return ago(days[rng.IntN(len(days))]) }
	noon := time.Unix(int64(asOf)*86400+5*3600, 0)
	people, extras, otherwise := 20_000, 0, 0
	for range people {
		var p Person
		of := 1 + rng.IntN(3)
		for n := range rng.IntN(5) {
			p.Doses = append(p.Doses, Dose{n + 1, max(of, n), pick()})
		}
		if rng.IntN(3) == 0 {
			p.Recovered = pick()
		}
		if rng.IntN(5) == 0 {
			p.Positive = pick()
		}
		if rng.IntN(3) == 0 {
			p.Tests = append(p.Tests, Test{Kind: gate.TestPCR + gate.TestKind(rng.IntN(2)), Sampled: noon.Add(-time.Duration(rng.IntN(100)) * time.Hour)})
		}
		if rng.IntN(5) == 0 {
			p.QuarantineUntil = asOf + gate.Day(rng.IntN(6)) - 2
		}
		kept := func(expire bool) gate.Facts {
			q := p
			q.Doses, q.Tests = slices.Clone(p.Doses), slices.Clone(p.Tests)
			var e gate.Extras
			f, _ := Rule{AsOf: asOf, Settle: DefaultSettle, DosesExpire: expire}.Reduce(&q, &e)
			return gate.Facts{Found: true, Word: f.Word(BaseDay(asOf)), Base: BaseDay(asOf), HasExtras: f.Extras, Extras: e}
		}
		all, short, shorter := whole(&p), kept(true), kept(false)
		if short.HasExtras {
			extras++
		}
		for later := range 8 {
			for i, pol := range policies {
				in := gate.Inputs{Now: noon.AddDate(0, 0, later).UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockNTP, DataAge: 60}
				decide := func(f gate.Facts) gate.Decision {
					in.Facts = f
					return pol.AtLevel(3).Decide(in)
				}
				want := decide(all)
				if got := decide(short); got.Verdict != want.Verdict || got.Class != want.Class || !slices.Equal(got.ReasonList(), want.ReasonList()) {
					t.Fatalf("policy %d, %d days later, %+v: kept %v %v %v, whole %v %v %v", i, later, p,
						got.Verdict, got.Class, got.ReasonList(), want.Verdict, want.Class, want.ReasonList())
				}
				if decide(shorter).Class != want.Class {
					otherwise++
				}
			}
		}
	}
	if extras == 0 || otherwise == 0 {
		t.Errorf("%d people have extras, and %d decisions need what is kept: nothing was tried", extras, otherwise)
	}
	t.Logf("%d people, %d with extras; %d of %d decisions would come out otherwise without", people, extras, otherwise, people*8*len(policies))
}
