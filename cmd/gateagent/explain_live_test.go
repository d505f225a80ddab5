package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/signed"
)

// TestExplainsByThePolicyOfThen: what a gate decided is explained by the policy
// that it had then, also when another has come into force; and nothing in it
// says who it was.
func TestExplainsByThePolicyOfThen(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(3)
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("main", pty.Path)))
	a := b.start()
	o.equipped(a)
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	pty.Send(t, someone(900).card()+"\r")
	entries := a.waitEntries(2)
	green, unknown := entries[0].Position().Seq, entries[1].Position().Seq

	// Another policy, by which nothing is decided any more.
	now := time.Now()
	text, err := policy.Default().AtLevel(2).Marshal(policy.Header{Audience: site, Version: 4, Issued: now, Expires: now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	o.broker.Publish(o.topics.Policy(site), o.sign(signed.TypePolicy, signed.RolePolicy, text), true)
	a.until("the other policy is in force", func() bool { return a.status().Policy.Version == 4 })

	explain := func(seq uint64, more ...string) string {
		t.Helper()
		out, said, exit := b.do(append([]string{"explain", fmt.Sprint(seq), "--config", b.config}, more...)...)
		if exit != 0 {
			t.Fatalf("explain %d: exit %d: %s", seq, exit, said)
		}
		return out
	}
	has := func(text string, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not said:\n%s", want, text)
			}
		}
	}
	has(explain(green), "Chính sách vn-2021-default phiên bản 3", "Policy vn-2021-default version 3, site at level 4",
		"Row 3 decided: fully vaccinated", "100 days before", "Data asked: vn version 1", "The gate was opened.",
		"Another policy is in force by now: vn-2021-default version 4")
	has(explain(unknown, "--lang", "en"), "Row 8 decided: not on record", "sent to the guard")
	has(explain(green, "--json"), `"kept":true,"same":true`, `"kind":"completing_dose"`)
	for _, what := range (tainted{someone(1), someone(900)}).find([]byte(explain(green) + explain(unknown) + explain(green, "--json"))) {
		t.Errorf("explain holds %s", what)
	}
	for _, e := range entries {
		entry, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if name := fmt.Sprintf("%016x", uint64(entry.Subject)); !entry.HasSubject || strings.Contains(explain(e.Position().Seq, "--json"), name) {
			t.Errorf("explain gives the pseudonym %s", name)
		}
	}

	// What is no entry, and what is not there.
	for _, tt := range []struct {
		seq  uint64
		want string
	}{
		{1, "is no entry and has nothing to explain: it is a gate.event.v1"},
		{1 << 40, "the journal has not come as far"},
	} {
		if _, said, exit := b.do("explain", fmt.Sprint(tt.seq), "--config", b.config); exit != 1 || !strings.Contains(said, tt.want) || !strings.Contains(said, "hint: ") {
			t.Errorf("explain %d: exit %d: %s", tt.seq, exit, said)
		}
	}
	passage := passageOf(t, a, green)
	if _, said, exit := b.do("explain", fmt.Sprint(passage), "--config", b.config); exit != 1 || !strings.Contains(said, fmt.Sprintf("hint: gateagent explain %d\n", green)) {
		t.Errorf("explain %d, a passage: exit %d: %s", passage, exit, said)
	}
	a.stop()
	if _, said, exit := b.do("explain", fmt.Sprint(green), "--config", b.config); exit != 2 || !strings.Contains(said, "hint: ") {
		t.Errorf("explain after the end: exit %d: %s", exit, said)
	}
}

// passageOf gives the number of the passage that followed an entry.
func passageOf(t *testing.T, a *agent, seq uint64) (number uint64) {
	t.Helper()
	a.until("the passage is recorded", func() bool {
		events, err := a.read()
		if err != nil {
			return false
		}
		for _, e := range events {
			if e.Type() != record.TypePassage {
				continue
			}
			var p gate.Passage
			if p, err = e.Link().Record.Passage(); err == nil && p.Ref == seq {
				number = e.Position().Seq
			}
		}
		return number > 0
	})
	return number
}
