package policy_test

import (
	"os"
	"testing"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
)

type stated struct {
	rules  rules
	policy *policy.Policy
}

// statedPolicies are the policies for which there is a second statement: the
// built-in one, and one that uses everything there is, by day and by night.
func statedPolicies(t testing.TB) map[string]stated {
	t.Helper()
	doc, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(doc)
	if err != nil {
		t.Fatal(err)
	}
	open := everythingRules()
	shut := open
	shut.open = false
	closedDoc := edited(t, doc, map[string]any{"holidays": []string{"2021-12-17"}})
	closed, err := policy.ParseDraft(closedDoc)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]stated{
		"built in":              {defaultRules(), policy.Default()},
		"everything":            {open, p},
		"everything, a holiday": {shut, closed},
	}
}

// everythingRules states testdata/everything.json.
func everythingRules() rules {
	r := defaultRules()
	r.dose, r.oldest, r.recovered, r.pcr, r.antigen = 21, 365, 90, 72, 48
	r.soft, r.hard = 12*3600, 36*3600
	r.blocks, r.alerts, r.manual, r.notice = []string{"watch", "banned"}, []string{"deny"}, []string{"escort"}, []string{"press"}
	r.staff, r.staffClasses, r.staffLevels = "staff", []gate.Class{gate.Yellow, gate.Red, gate.Unknown}, []int{1, 2, 3}
	r.in, r.out, r.reentry, r.forgive, r.interval = notice, manual, manual, 60, 10
	r.doubtful, r.expired, r.qrqg, r.outside = notice, manual, manual, deny
	r.order = []gate.Reason{"quarantine", "positive", "deny_list", "recovered", "vaccinated", "tested", "partly_vaccinated"}
	r.bad[gate.ReasonPassForged], r.bad[gate.ReasonPassExpired] = alert, manual
	r.passes[gate.PassChild] = [4]int{allow, allow, allow, notice}
	r.table[gate.Block] = [4]int{deny, deny, deny, deny}
	return r
}
