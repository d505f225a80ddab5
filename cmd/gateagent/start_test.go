package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/signed"
)

// writeKey makes the file of a secret and gives its path.
func writeKey(t testing.TB, kid, set string, key gate.Key) string {
	t.Helper()
	text, err := signed.EncodeSecret(kid, set, key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), set+".key")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStartsWithoutAnything: no camera, no broker, no data. The agent starts,
// decides what it can, and says what is wrong and what to do about it.
func TestStartsWithoutAnything(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{
		setKey: writeKey(t, "vn-1", "vn", gate.Key{1}),
		lanes:  cameraLane("front") + serialLane("side", pty.Path),
	})
	a := b.start()
	a.until("the scanner is open", func() bool { return fault(a.status(), "scanner:side") == "" })
	pty.Send(t, "https://example.vn/checkin/1\r")
	a.waitEntries(1)
	pty.Send(t, someone(1).card()+"\r")
	events := a.waitEntries(2)

	for i, want := range []struct {
		verdict gate.Verdict
		kind    gate.CredentialKind
		reason  gate.Reason // the most important one
	}{
		{gate.Retry, gate.KindURL, gate.ReasonUnsupported},
		{gate.ManualCheck, gate.KindCCCD, gate.ReasonNoData},
	} {
		e, err := events[i].Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if e.Verdict != want.verdict || e.Credential != want.kind || e.Reasons[0] != want.reason || e.Lane != "side" {
			t.Errorf("entry %d: %v %v %v in %s, want %v", i, e.Verdict, e.Credential, e.Reasons, e.Lane, want)
		}
	}

	a.waitFault("scanner:front", "scanner_gone")
	a.waitFault("broker", "broker_unreachable")
	a.waitFault("data:vn", "data_missing")
	a.waitFault("policy", "policy_built_in")
	s := a.status()
	if !s.CanDecide || s.Policy.Level != 4 || !s.Policy.BuiltIn || s.Policy.ID != "vn-2021-default" {
		t.Errorf("can decide %v, policy %+v", s.CanDecide, s.Policy)
	}
	for _, c := range s.Components {
		if c.Fault != nil && (c.Fault.Cause.VI == "" || c.Fault.NextStep.VI == "" || c.Fault.NextStep.EN == "") {
			t.Errorf("%s: %s says neither cause nor next step", c.Name, c.Fault.Code)
		}
	}

	code, page := b.get("/")
	if code != 200 {
		t.Fatalf("page: %d %s", code, page)
	}
	for _, said := range []string{"scanner_gone", "broker_unreachable", "data_missing", "policy_built_in"} {
		if !strings.Contains(page, said) {
			t.Errorf("the page does not say %s", said)
		}
	}
	if code, body := b.get("/healthz"); code != 200 {
		t.Errorf("healthz: %d %s; one lane works", code, body)
	}
	if code, body := b.get("/metrics"); code != 200 || !strings.Contains(body, `verdict="RETRY"`) {
		t.Errorf("metrics: %d %s", code, body)
	}
	text, _, exit := b.do("status", "--config", b.config)
	if exit != 0 || !strings.Contains(text, "YES") || !strings.Contains(text, "hint:") || !strings.Contains(text, "level 4, built in") {
		t.Errorf("status: exit %d\n%s", exit, text)
	}
	all := a.events()
	wholeChain(t, all)
	if n := replay(t, all, rulesOf()); n != 2 {
		t.Errorf("%d entries judged again", n)
	}
	if out, _, exit := b.do("entries", "--verify", "--config", b.config); exit != 0 || !strings.Contains(out, "whole") {
		t.Errorf("entries --verify: exit %d: %s", exit, out)
	}
	for since, want := range map[string]int{"1h": 2, "2020-01-01": 2, "-1h": 0} {
		out, _, exit := b.do("entries", "--config", b.config, "--since="+since)
		if n := strings.Count(out, "RETRY ") + strings.Count(out, "MANUAL_CHECK "); exit != 0 || n != want {
			t.Errorf("entries --since %s: exit %d, %d entries, want %d\n%s", since, exit, n, want, out)
		}
	}
	a.stop()
	if out, hint, exit := b.do("status", "--config", b.config); exit != 2 || !strings.Contains(hint, "hint:") {
		t.Errorf("status after the end: exit %d, %q %q", exit, out, hint)
	}
}

// TestNoLaneCanDecide: with no scanner at all the gate says no, on the page,
// in status and in healthz.
func TestNoLaneCanDecide(t *testing.T) {
	t.Parallel()
	b := newBench(t, settings{lanes: cameraLane("main")})
	a := b.start()
	a.waitFault("scanner:main", "scanner_gone")
	if s := a.status(); s.CanDecide || s.Why.VI == "" || s.Why.EN == "" {
		t.Errorf("can decide %v: %v", s.CanDecide, s.Why)
	}
	if code, body := b.get("/healthz"); code != 503 || strings.TrimSpace(body) == "" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, _ := b.get("/"); code != 200 {
		t.Errorf("page: %d", code)
	}
	if out, _, exit := b.do("status", "--config", b.config); exit != 1 || !strings.Contains(out, "NO") {
		t.Errorf("status: exit %d\n%s", exit, out)
	}
	a.stop()
}

// TestStartToFirstAnswer measures what the issue bounds to 100 ms: from the
// start of the process to the answer to a code that waits on a serial scanner,
// with camera and broker absent. The bound here is five times that, because
// this machine is busy with other tests.
func TestStartToFirstAnswer(t *testing.T) {
	const starts, bar = 15, 100 * time.Millisecond
	first, again := make([]time.Duration, 0, starts), make([]time.Duration, 0, starts)
	for i := range starts {
		pty := drivertest.NewPTY(t)
		b := newBench(t, settings{
			setKey: writeKey(t, "vn-1", "vn", gate.Key{1}),
			lanes:  cameraLane("front") + serialLane("side", pty.Path),
		})
		answer := func(entries int) (*agent, time.Duration) {
			pty.Send(t, someone(i).card()+"\r")
			a := b.start()
			return a, a.answered(entries)
		}
		a, took := answer(1)
		first = append(first, took)
		a.stop() // so that the next start finds a journal that was closed
		a, took = answer(2)
		again = append(again, took)
		replay(t, a.events(), rulesOf())
		a.kill()
	}
	for _, m := range []struct {
		name string
		took []time.Duration
	}{{"first start", first}, {"every other start", again}} {
		slices.Sort(m.took)
		median := m.took[len(m.took)/2]
		t.Logf("%s to first answer: median %v of %d (fastest %v, slowest %v); the bar is %v",
			m.name, median.Round(time.Millisecond), len(m.took), m.took[0].Round(time.Millisecond),
			m.took[len(m.took)-1].Round(time.Millisecond), bar)
		if median > slow(bar) {
			t.Errorf("%s: %v is more than %v", m.name, median, slow(bar))
		}
	}
}

// answered waits until the journal has that many entries and says how long
// after the start of the process that was.
func (a *agent) answered(entries int) time.Duration {
	a.t.Helper()
	var after uint64
	n := 0
	a.until(fmt.Sprintf("%d entries", entries), func() bool {
		err := a.client().Entries(a.t.Context(), time.Time{}, after, func(line []byte) error {
			e, err := record.ParseEvent(line)
			if err != nil {
				return err
			}
			after = e.Link().Seq
			if e.Type() == record.TypeEntry {
				n++
			}
			return nil
		})
		return err == nil && n >= entries
	})
	return time.Since(a.began)
}
