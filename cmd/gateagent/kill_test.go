package main_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"gateagent/agent/localapi"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/central"
)

// TestKilledWhileScanning kills the agent 30 times while people come every few
// milliseconds. The journal opens each time, in one epoch; nothing that the
// relay was told or that central acknowledged is missing; there is no gap and
// no repeat.
func TestKilledWhileScanning(t *testing.T) {
	t.Parallel()
	const kills, people = 30, 5000
	o := newOffice(t)
	o.publishPeople(people)
	o.open()
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("main", pty.Path)))

	var epoch string
	var told []localapi.Decision // what the relay was told to open
	next := 0
	acked := uint64(0)
	for run := range kills {
		a := b.start()
		s := a.status()
		if epoch == "" {
			o.equipped(a)
			epoch = a.status().Journal.Epoch
		}
		if s.Journal.Epoch != "" && s.Journal.Epoch != epoch {
			t.Fatalf("run %d begins epoch %s, after %s\n%s", run, s.Journal.Epoch, epoch, a.logText())
		}
		if s.Journal.Seq < acked {
			t.Fatalf("run %d: %d records, of which central acknowledged %d", run, s.Journal.Seq, acked)
		}
		decisions := a.watch()
		for end := time.Now().Add(20*time.Millisecond + rand.N(60*time.Millisecond)); time.Now().Before(end); time.Sleep(time.Duration(rand.N(4)) * time.Millisecond) {
			next++
			pty.Send(t, someone(1+next%people).card()+"\r")
		}
		if run%3 == 0 {
			acked = a.status().Journal.Acked
		}
		a.kill()
		for _, d := range decisions() {
			if d.Opened {
				told = append(told, d)
			}
		}
	}

	a := b.start()
	a.status()
	events := a.events()
	wholeChain(t, events)
	if got := events[0].Epoch().String(); got != epoch {
		t.Errorf("epoch %s, want %s", got, epoch)
	}
	for _, d := range told {
		if d.Seq == 0 || d.Seq > uint64(len(events)) {
			t.Fatalf("the gate was opened for record %d, which is not among the %d that are left", d.Seq, len(events))
		}
		e, err := events[d.Seq-1].Link().Record.Entry()
		if err != nil || e.Verdict.String() != d.Verdict || !e.Verdict.Opens() || e.Subject.String() != d.Subject {
			t.Errorf("the gate was opened for record %d, %s %s; the journal has %v %s (%v)", d.Seq, d.Verdict, d.Subject, e.Verdict, e.Subject, err)
		}
	}
	if len(told) < kills {
		t.Errorf("the gate was opened only %d times", len(told))
	}
	entries := 0
	for _, e := range events {
		if e.Type() == record.TypeEntry {
			entries++
		}
	}
	if n := replay(t, events, rulesOf(o.rules)); n != entries {
		t.Errorf("%d of %d entries judged again", n, entries)
	}
	if out, _, exit := b.do("entries", "--verify", "--config", b.config); exit != 0 {
		t.Errorf("entries --verify: exit %d: %s", exit, out)
	}
	o.delivered(a)
	o.wantSame(a.events())
	for _, kind := range []central.ReportKind{central.ReportFork, central.ReportSignature, central.ReportForeign, central.ReportTwin} {
		if r := o.reported(kind); len(r) > 0 {
			t.Errorf("central reports %v", r)
		}
	}
	a.stop()
	t.Logf("%d kills, %d presented, %d records, %d entries, relay told %d times", kills, next, len(events), entries, len(told))
}
