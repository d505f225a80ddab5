package main_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/cache/cachetest"
	"gateagent/driver/drivertest"
)

// TestNobodyComesInTwice: the power goes just after somebody went in, and they
// show their card again as soon as the gate takes cards, while the journal of a
// busy day is still being read back. A hard rule does not let them in again.
func TestNobodyComesInTwice(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, func(doc map[string]any) {
		doc["passback"] = map[string]any{"in": "hard", "forgive_minutes": 24 * 60}
	})
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(quickLane("main", pty.Path)))
	b.survive(pty)
	a := b.start()
	o.inForce(a)
	pty.Send(t, someone(1).card()+"\r")
	if got := outcome(t, a.waitEntries(1)[0]); got != "cccd ALLOW vaccinated" {
		t.Fatal(got)
	}
	a.kill()
	records := 20_000
	if testing.Short() || raceDetector {
		records = 10_000
	}
	busyDay(t, b, records)

	restart := time.Now()
	a = b.start()
	after := func() (out []record.Event) {
		_ = a.client().Entries(t.Context(), restart.Add(-time.Second), 0, func(line []byte) error { // it may not listen yet
			e, err := record.ParseEvent(bytes.Clone(line))
			if err == nil && e.Type() == record.TypeEntry {
				out = append(out, e)
			}
			return err
		})
		return out
	}
	tally := map[string]int{}
	a.until("the passage is known again", func() bool {
		pty.Send(t, someone(1).card()+"\r")
		clear(tally)
		for _, e := range after() {
			v, err := e.Link().Record.Entry()
			if err != nil {
				t.Fatal(err)
			}
			if !v.Time.Before(restart) && v.HasSubject && v.Subject == o.subject(1) {
				tally[outcome(t, e)]++
				if v.Verdict.Opens() {
					t.Fatalf("let in again: %s, %v after the start", outcome(t, e), v.Time.Sub(restart))
				}
				if slices.Contains(v.Reasons, gate.ReasonPassagesUnknown) != v.Inputs.Passages.Unknown {
					t.Errorf("%v by %+v", v.Reasons, v.Inputs.Passages)
				}
			}
		}
		time.Sleep(20 * time.Millisecond)
		return tally["cccd MANUAL_CHECK anti_passback vaccinated"] > 0
	})
	t.Logf("%d records; %v", records, tally)
	if n := replay(t, after(), b.rules); n == 0 {
		t.Error("nothing was judged again")
	}
	a.until("all is read back", func() bool { return a.status().Policy.Passed == 1 })
	pty.Send(t, someone(2).card()+"\r")
	a.until("somebody else comes in", func() bool {
		all := after()
		return outcome(t, all[len(all)-1]) == "cccd ALLOW vaccinated"
	})
	a.kill()
}

// busyDay fills the journal of a box that does not run with entries that let
// nobody in.
func busyDay(t *testing.T, b *bench, n int) {
	t.Helper()
	j, err := cache.OpenJournal(cache.JournalOptions{
		Dir: b.storage("journal"), Origin: record.Origin{Site: site, Gate: "g1"},
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	receipts := make(chan *gate.Receipt, 500)
	done := make(chan error)
	go func() {
		var failed error
		for r := range receipts {
			if _, err := r.Wait(); err != nil {
				failed = err
			}
		}
		done <- failed
	}()
	for i := range n {
		e := cachetest.Entry(i)
		e.Time, e.Verdict, e.Ref, e.Shadow = time.Now(), gate.ManualCheck, 0, nil
		e.Reasons = []gate.Reason{gate.ReasonStoreFault}
		receipts <- j.Append(e)
	}
	close(receipts)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
