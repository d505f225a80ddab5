package policy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gateagent/agent/policy"

	"github.com/google/go-cmp/cmp"
)

// changed gives the built-in policy with parts of its document replaced.
func changed(t *testing.T, part string) *policy.Policy {
	t.Helper()
	b, err := policy.Default().Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	var doc, with map[string]any
	if err := json.Unmarshal(b, &doc); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(part), &with); err != nil {
		t.Fatal(err)
	}
	var merge func(into, from map[string]any)
	merge = func(into, from map[string]any) {
		for k, v := range from {
			inner, ok := v.(map[string]any)
			had, has := into[k].(map[string]any)
			if ok && has {
				merge(had, inner)
				continue
			}
			into[k] = v
		}
	}
	merge(doc, with)
	if b, err = json.Marshal(doc); err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(b)
	if err != nil {
		t.Fatalf("%s: %v", part, err)
	}
	return p
}

func TestFindings(t *testing.T) {
	for _, tt := range []struct {
		name, part string
		want       []string
	}{
		{"the built-in policy", `{}`, nil},
		{"no test counts", `{"params":{"pcr_hours":0}}`, []string{"unreachable: order: tested never decides: pcr_hours and antigen_hours are 0"}},
		{
			"a row is left out", `{"order":["deny_list","positive","quarantine","vaccinated","partly_vaccinated","tested"]}`,
			[]string{"gap: order: leaves out recovered: whoever has nothing else comes out RED"},
		},
		{
			"ages", `{"params":{"soft_age_hours":72}}`,
			[]string{"unreachable: params.soft_age_hours: is never noted: data of that age are too old already (hard_age_hours)"},
		},
		{"doubts", `{"params":{"doubts":9}}`, []string{
			"unreachable: params.doubts: 9 is never reached: all weights in hints come to 4",
		}},
		{
			"a passport that helps nobody", `{"passport":{"lifts":[]}}`,
			[]string{"contradiction: passport.lifts: is empty, so that a passport helps nobody, and credentials.dcc asks for the card beside it"},
		},
		{
			"a passport that betters RED and not YELLOW", `{"passport":{"lifts":["RED"]}}`,
			[]string{"contradiction: passport.lifts: names RED and not YELLOW: with a passport a first dose on record is worse than none"},
		},
		{"UNKNOWN as RED", `{"actions":{"UNKNOWN":{"1":"ALLOW_NOTICE"}}}`, nil},
		{
			"UNKNOWN better off than RED", `{"actions":{"UNKNOWN":{"1":"ALLOW","2":"ALLOW_NOTICE"}}}`,
			[]string{
				"contradiction: actions.UNKNOWN.1: ALLOW is laxer than RED's ALLOW_NOTICE: whoever is not on record, or of whom the gate cannot tell all, is better off than who is",
				"contradiction: actions.UNKNOWN.2: ALLOW_NOTICE is laxer than RED's MANUAL_CHECK: whoever is not on record, or of whom the gate cannot tell all, is better off than who is",
			},
		},
		{
			"a list for the unknown", `{"lists":{"staff":{"effect":"allow","classes":["YELLOW","RED","UNKNOWN"]}}}`,
			[]string{
				"unreachable: lists.staff.classes: names UNKNOWN, whom a list lets in never: who is on one is on record, and of whom there is more to know than the gate can tell sees the guard",
			},
		},
		{"a list that watches", `{"lists":{"watch":{"effect":"manual"}}}`, nil},
		{
			"lists", `{"lists":{"guests":{"effect":"none"},"staff":{"effect":"allow","classes":["GREEN"]},"night":{"effect":"allow","classes":["RED"]},"watch":{"effect":"notice","hours":[{"from":"08:00","to":"17:00"}]}}}`,
			[]string{
				"unreachable: lists.guests: has the effect none: being on the list changes nothing",
				"contradiction: lists.night.classes: lets RED in and not YELLOW, who are better off",
				"unreachable: lists.staff: never changes a verdict",
				"contradiction: lists.watch.effect: lets pass with notice, and lists of that name block by themselves",
				"contradiction: lists.watch: holds in its hours only; at other times whoever is on it is judged as if they were not",
			},
		},
		{
			"nobody opens the house", `{"hours":{"open":[{"from":"08:00","to":"17:00"}],"holidays":"closed"}}`,
			[]string{
				"gap: lists: no list lets anybody in outside the hours: those who open the house are shut out too",
				"gap: holidays: names no day, and rules ask for holidays",
			},
		},
		{
			"a calendar that is over", `{"hours":{"holidays":"closed"},"holidays":["2022-01-01"],"lists":{"staff":{"effect":"allow","classes":[]}}}`,
			[]string{"gap: holidays: ends on 2022-01-01: every day since is a working day"},
		},
		{
			"hours that shut nobody out", `{"hours":{"open":[{"from":"08:00","to":"17:00"}],"outside":{"GREEN":"ALLOW","YELLOW":"ALLOW","RED":"ALLOW","UNKNOWN":"ALLOW","PASS":"ALLOW"}},"holidays":["2023-01-01"]}`,
			[]string{
				"unreachable: hours.outside: lets everybody in: the hours shut nobody out",
				"unreachable: holidays: no rule asks for them: hours.holidays and those of the lists are open",
			},
		},
		{
			"hours against the classes", `{"hours":{"open":[{"from":"08:00","to":"17:00"}],"outside":{"GREEN":"DENY","YELLOW":"DENY","RED":"ALLOW_NOTICE"}}}`,
			[]string{"contradiction: hours.outside: is laxer for RED than for YELLOW"},
		},
		{
			"levels and dates", `{"levels":[{"from":"2022-02-01T00:00:00+07:00","level":4},{"from":"2022-07-01T00:00:00+07:00","level":2}],"valid_to":"2022-06-01T00:00:00+07:00"}`,
			[]string{
				"unreachable: levels[0]: changes nothing: the site is at level 4 already",
				"unreachable: levels[1]: comes when the policy is over (valid_to)",
				"gap: valid_to: is over: gates send everybody to the guard whom nothing blocks",
			},
		},
		{
			"a sentence", `{"texts":{"ALLOW/positive":{"vi":"Mời qua.","en":"Please pass."}}}`,
			[]string{"unreachable: texts.ALLOW/positive: is never shown: nobody meets that outcome"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, f := range changed(t, tt.part).Findings(time.Date(2022, 6, 2, 0, 0, 0, 0, time.UTC)) {
				// That a sentence is never shown follows from some of the rest.
				if f.Kind == policy.Unreachable && strings.HasPrefix(f.Path, "texts.") && tt.name != "a sentence" {
					continue
				}
				got = append(got, f.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if f := (*policy.Policy)(nil).Findings(time.Time{}); f != nil {
		t.Errorf("no policy: %v", f)
	}
}
