package policy_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

// differs gives the first situation that two policies judge differently.
func differs(p, q *policy.Policy) (policy.Situation, bool) {
	for s := range policy.Situations(p, q) {
		if s.Decide(p) != s.Decide(q) {
			return s, true
		}
	}
	return policy.Situation{}, false
}

// TestSituationsTellPoliciesApart changes a policy in one place after another:
// whatever changes a decision anywhere is seen among the situations.
func TestSituationsTellPoliciesApart(t *testing.T) {
	doc, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(doc)
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := differs(p, p); ok {
		t.Errorf("a policy differs from itself: %s", s.What)
	}
	before, err := p.Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	mutants(doc, func(what string, doc []byte) {
		q, err := policy.ParseDraft(doc)
		if err != nil {
			return
		}
		after, err := q.Marshal(policy.Header{})
		if err != nil {
			t.Fatal(err)
		}
		if string(after) == string(before) || strings.HasPrefix(what, ".texts") || strings.Contains(what, "note") || strings.HasPrefix(what, ".id") || what == " without texts" {
			return
		}
		if _, ok := differs(p, q); ok {
			seen++
			return
		}
		t.Errorf("%s: no situation shows it", what)
	})
	if seen < 100/(2*stride()) {
		t.Errorf("only %d changes were tried", seen)
	}
}

// TestSituationsAreReadable: each is described, none twice at one level, and
// all groups are there.
func TestSituationsAreReadable(t *testing.T) {
	p := statedPolicies(t)["everything"].policy
	type key struct {
		group, what string
		level       int
	}
	seen := map[key]gate.Inputs{}
	groups := map[string]int{}
	for s := range policy.Situations(p, policy.Default()) {
		k := key{s.Group, s.What, s.Level}
		if was, ok := seen[k]; ok && was != s.In || s.What == "" {
			t.Fatalf("%+v stands for two situations", k)
		}
		seen[k] = s.In
		groups[s.Group]++
	}
	if len(groups) != 11 || len(seen) < 3000 {
		t.Errorf("%d situations in %v", len(seen), groups)
	}
	n := 0
	for range policy.Situations(p, nil) {
		if n++; n == 10 {
			break // whoever has seen enough may go
		}
	}
	for range policy.Situations(&policy.Policy{}, nil) {
		n++
	}
	t.Logf("%d situations in %v", len(seen), groups)
}

// TestSituationsShowPassportsAndPasses: what a policy says of these alone is
// seen among their own situations.
func TestSituationsShowPassportsAndPasses(t *testing.T) {
	doc, err := policy.Default().Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	p := policy.Default()
	for _, tt := range []struct{ group, path, value string }{
		{"passports", "credentials.dcc", `"retry"`},
		{"passports", "passport.lifts", `["RED", "UNKNOWN"]`},
		{"passports", "passport.lifts", `["YELLOW", "RED"]`},
		{"passports", "passport.lifts", `["YELLOW", "UNKNOWN"]`},
		{"passports", "params.dose_days", `21`},
		{"passports", "params.max_dose_age_days", `365`},
		{"passports", "params.recovered_days", `181`},
		{"passports", "params.pcr_hours", `48`},
		{"passports", "params.antigen_hours", `24`},
		{"passports", "actions.YELLOW.4", `"DENY"`},
		{"passes", "credentials.pass", `"retry"`},
		{"passes", "passes.clock", `"ntp"`},
		{"passes", "passes.actions.visitor.3", `"ALLOW"`},
		{"passes", "passes.actions.child.4", `"DENY"`},
		{"passes", "passes.actions.paper.4", `"ALLOW_NOTICE"`},
		{"passes", "passes.actions.staff.1", `"MANUAL_CHECK"`},
		{"passes", "passes.bad.pass_malformed", `"DENY"`},
		{"passes", "passes.bad.pass_unknown", `"DENY"`},
		{"passes", "passes.bad.pass_forged", `"DENY_ALERT"`},
		{"passes", "passes.bad.pass_early", `"DENY"`},
		{"passes", "passes.bad.pass_expired", `"MANUAL_CHECK"`},
		{"passes", "passes.bad.pass_revoked", `"DENY_ALERT"`},
		{"passes", "passes.bad.pass_spent", `"MANUAL_CHECK"`},
		{"passes", "passes.bad.pass_elsewhere", `"MANUAL_CHECK"`},
		{"hours", "hours", `{"open": [{"from": "08:00", "to": "17:00"}], "outside": {"PASS": "DENY"}}`},
	} {
		var value any
		if err := json.Unmarshal([]byte(tt.value), &value); err != nil {
			t.Fatal(err)
		}
		q, err := policy.ParseDraft(edited(t, doc, map[string]any{tt.path: value}))
		if err != nil && strings.HasPrefix(tt.path, "passes.actions.") { // no level laxer than the one below it
			row, _, _ := strings.Cut(strings.TrimPrefix(tt.path, "passes.actions."), ".")
			all := map[string]any{}
			for _, level := range []string{"1", "2", "3", "4"} {
				all[level] = value
			}
			q, err = policy.ParseDraft(edited(t, doc, map[string]any{"passes.actions." + row: all}))
		}
		if err != nil {
			t.Errorf("%s = %s: %v", tt.path, tt.value, err)
			continue
		}
		seen := false
		for s := range policy.Situations(p, q) {
			if was, is := s.Decide(p), s.Decide(q); s.Group == tt.group && was.Verdict != is.Verdict {
				seen = true
				break
			}
		}
		if !seen {
			t.Errorf("%s = %s: no situation of %s shows it", tt.path, tt.value, tt.group)
		}
	}
}

// TestSituationsShowALevelWhereTheHouseIsShut: a level that begins at night is
// seen on those who come in when the house is open again, and on the holidays
// not before they are over.
func TestSituationsShowALevelWhereTheHouseIsShut(t *testing.T) {
	doc, err := policy.Default().Marshal(policy.Header{})
	if err != nil {
		t.Fatal(err)
	}
	parse := func(levels string) *policy.Policy {
		t.Helper()
		var whole map[string]any
		if err := json.Unmarshal(doc, &whole); err != nil {
			t.Fatal(err)
		}
		whole["level"] = 2
		whole["hours"] = json.RawMessage(`{"open":[{"weekdays":["tue","wed","sun"],"from":"08:30","to":"17:30"},{"weekdays":["fri"],"from":"22:00","to":"02:00"}],
			"holidays":"closed","outside":{"GREEN":"DENY","YELLOW":"DENY","RED":"DENY","UNKNOWN":"DENY","PASS":"MANUAL_CHECK"}}`)
		whole["holidays"] = []string{"2027-04-13", "2027-04-14"}
		whole["levels"] = json.RawMessage(levels)
		b, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.ParseDraft(b)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := parse(`[]`)
	for _, tt := range []struct{ name, from, seen string }{
		{"a day on which the house is shut", "2027-03-15T00:00:00+07:00", "YELLOW, 2027-03-16 08:30:00"},
		{"in the evening", "2027-03-16T17:30:00+07:00", "YELLOW, 2027-03-17 08:30:00"},
		{"while it is open", "2027-03-16T12:00:00+07:00", "YELLOW, 2027-03-16 12:00:00"},
		{"after midnight of an open night", "2027-03-13T01:00:00+07:00", "YELLOW, 2027-03-13 01:00:00"},
		{"before holidays", "2027-04-12T00:00:00+07:00", "YELLOW, 2027-04-16 22:00:00"},
	} {
		q := parse(`[{"from":"` + tt.from + `","level":3}]`)
		var seen []string
		for s := range policy.Situations(p, q) {
			if s.Decide(p).Verdict == gate.Allow && s.Decide(q).Verdict == gate.AllowNotice && strings.HasPrefix(s.What, "YELLOW, ") &&
				!strings.HasSuffix(s.What, "on the way out") {
				seen = append(seen, s.What)
			}
		}
		if len(seen) != 1 || seen[0] != tt.seen {
			t.Errorf("%s: seen by %q, want %q", tt.name, seen, tt.seen)
		}
	}
}
