package main_test

import (
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
	"gateagent/agent/record"
	"gateagent/driver/drivertest"
	"gateagent/sync/central"
)

// TestKilledWhileScanning kills the agent 30 times while people come every few
// milliseconds on two lanes. The journal opens each time, in one epoch; nothing
// that a relay was told or that central acknowledged is missing; there is no
// gap and no repeat.
//
// Every third time a single person comes to a third lane, and the agent is
// killed in the very moment in which that relay has been told.
func TestKilledWhileScanning(t *testing.T) {
	t.Parallel()
	const kills, people = 30, 5000
	o := newOffice(t)
	o.publishPeople(people)
	o.open()
	in, out, side := drivertest.NewPTY(t), drivertest.NewPTY(t), drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("in", in.Path)+serialLane("side", side.Path)+
		strings.Replace(serialLane("out", out.Path), "name", "direction = \"out\"\nname", 1)))
	b.survive(in, out, side)

	var epoch string
	var told []localapi.Decision // what the relays were told, as the agent said
	var let []gate.Pseudonym     // who was let in, by what the relay said
	next, acked := 0, uint64(0)
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
		if run%3 == 2 {
			next++
			side.Send(t, someone(next).card()+"\r")
			for end := time.Now().Add(slow(time.Second)); !a.saysOpened("side"); time.Sleep(100 * time.Microsecond) {
				if time.Now().After(end) {
					t.Fatalf("run %d: the relay is not told\n%s", run, a.logText())
				}
			}
			a.kill()
			let = append(let, o.subject(next))
		} else {
			for end := time.Now().Add(20*time.Millisecond + rand.N(60*time.Millisecond)); time.Now().Before(end); time.Sleep(time.Duration(rand.N(4)) * time.Millisecond) {
				next++
				in.Send(t, someone(next).card()+"\r")
				next++
				out.Send(t, someone(next).card()+"\r")
			}
			acked = max(acked, a.status().Journal.Acked)
			a.kill()
		}
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
	entries, all, twice := map[gate.Pseudonym]gate.Entry{}, 0, 0
	for _, e := range events {
		if e.Type() != record.TypeEntry {
			continue
		}
		v, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if all++; !v.HasSubject { // torn by a kill between the halves of a code
			continue
		}
		if _, again := entries[v.Subject]; again {
			twice++
		}
		entries[v.Subject] = v
	}
	if twice > 0 {
		t.Errorf("%d people came once and have several entries", twice)
	}
	for _, d := range told {
		if d.Seq == 0 || d.Seq > uint64(len(events)) {
			t.Fatalf("the gate was opened for record %d, which is not among the %d that are left", d.Seq, len(events))
		}
		e, err := events[d.Seq-1].Link().Record.Entry()
		if err != nil || e.Verdict.String() != d.Verdict || !e.Verdict.Opens() || e.Subject.String() != d.Subject || e.Lane != d.Lane {
			t.Errorf("the gate was opened for record %d, %s %s; the journal has %v %s (%v)", d.Seq, d.Verdict, d.Subject, e.Verdict, e.Subject, err)
		}
	}
	for i, who := range let {
		if e, ok := entries[who]; !ok || !e.Verdict.Opens() {
			t.Errorf("the %d-th who was let in alone has no entry (%v)", i, e.Verdict)
		}
	}
	if len(told) < kills || len(let) != kills/3 {
		t.Errorf("the gate was opened only %d times, and %d alone", len(told), len(let))
	}
	if n := replay(t, events, rulesOf(o.rules)); n != all {
		t.Errorf("%d of %d entries judged again", n, all)
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
	t.Logf("%d kills, %d presented, %d records, %d entries, relays told %d times", kills, next, len(events), all, len(told))
}

// saysOpened says whether a dry relay has written that it would open.
func (a *agent) saysOpened(lane string) bool {
	for line := range strings.Lines(a.logText()) {
		if strings.Contains(line, "dry relay: would open the gate") && strings.Contains(line, "lane="+lane) {
			return true
		}
	}
	return false
}

// TestKilledWhileStarting kills the agent 30 times on its first milliseconds,
// and asks it 10 times to end. Whatever was half made does no harm: the box
// keeps one identity and one epoch, and starts.
func TestKilledWhileStarting(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	b := newBench(t, settings{lanes: serialLane("main", pty.Path)})
	b.survive(pty)
	for range 30 {
		a := b.start()
		time.Sleep(rand.N(25 * time.Millisecond))
		a.kill()
	}
	for range 10 {
		a := b.start()
		time.Sleep(5*time.Millisecond + rand.N(25*time.Millisecond))
		if err := a.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		select {
		case <-a.exited:
		case <-time.After(slow(2 * time.Second)):
			t.Fatalf("the agent does not end\n%s", a.logText())
		}
	}
	a := b.start()
	a.status()
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	events := a.events()
	wholeChain(t, events)
	first, err := events[0].Link().Record.Event()
	if err != nil || first.Details["cause"] != "first_start" {
		t.Errorf("the journal begins with %v (%v)", first.Details, err)
	}
	if c := component(a.status(), "identity"); c.Level != "ok" {
		t.Errorf("identity: %+v", c)
	}
	a.stop()
}
