package policy_test

import (
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
