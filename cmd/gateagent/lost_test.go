package main_test

import (
	"os"
	"strings"
	"testing"

	"gateagent/driver/drivertest"
	"gateagent/sync/central"
)

// TestJournalLost: the journal's file is gone. The box begins a new epoch and
// says so; central keeps what it has, takes the new epoch from its first
// record, and says which records may be missing.
func TestJournalLost(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(100)
	_, closeOffice := o.open()
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("main", pty.Path)))

	a := b.start()
	o.equipped(a)
	for n := range 5 {
		pty.Send(t, someone(1+n).card()+"\r")
		a.waitEntries(n + 1)
	}
	o.delivered(a)
	// Three people pass while central is away, and the broker loses what it
	// takes for it: nobody but the box has them.
	o.broker.Mute(func(_, topic string) bool { return strings.HasSuffix(topic, "/entry") })
	closeOffice()
	_, held := o.ledger.count()
	for n := range 3 {
		pty.Send(t, someone(10+n).card()+"\r")
		a.waitEntries(6 + n)
	}
	a.stop()
	old := b.start()
	lost := old.status().Journal
	before := old.events()
	old.stop()
	o.broker.Mute(nil)

	if err := os.Remove(b.storage("journal", "journal.db")); err != nil {
		t.Fatal(err)
	}
	a = b.start()
	s := a.status()
	if s.Journal.Epoch == lost.Epoch || s.Journal.Epoch == "" {
		t.Errorf("epoch %q after %q", s.Journal.Epoch, lost.Epoch)
	}
	a.waitFault("journal", "journal_new_epoch")
	a.until("the gate can decide", func() bool { return a.status().CanDecide })
	pty.Send(t, someone(20).card()+"\r")
	a.waitEntries(1)
	o.open()
	o.delivered(a)
	o.wantSame(a.events())

	kept := o.ledger.of(before[0].Epoch())
	wholeChain(t, kept)
	if len(kept) != held {
		t.Errorf("central has %d records of the old epoch, had %d", len(kept), held)
	}
	reports := o.reported(central.ReportEpoch)
	if len(reports) != 2 {
		t.Fatalf("central reports %d epochs: %+v", len(reports), reports)
	}
	r := reports[1]
	if r.Epoch.String() != s.Journal.Epoch || r.Known.Seq != uint64(held) || r.Declared.Epoch.String() != lost.Epoch {
		t.Errorf("report %+v; %d records are kept of epoch %s", r, held, lost.Epoch)
	}
	if r.From != uint64(held)+1 || r.To < uint64(held)+3 || !strings.Contains(r.Text, "missing") {
		t.Errorf("report says that %d to %d may be missing (%s); the box had at least 3 more than %d", r.From, r.To, r.Text, held)
	}
	a.stop()
}

// TestTwin: a second box has the same names. Central keeps to the first and
// reports the other; both boxes say it on their page, and go on deciding.
func TestTwin(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(100)
	o.open()
	var boxes []*agent
	var ptys []*drivertest.PTY
	for range 2 {
		pty := drivertest.NewPTY(t)
		a := newBench(t, o.settings(serialLane("main", pty.Path))).start()
		ptys = append(ptys, pty)
		boxes = append(boxes, a)
		o.equipped(a)
		if len(boxes) == 1 {
			pty.Send(t, someone(1).card()+"\r")
			a.waitEntries(1)
			o.delivered(a)
		}
	}
	first, twin := boxes[0], boxes[1]
	for _, a := range boxes {
		c := a.waitFault("identity", "twin_seen")
		if c.Level != "failed" || c.Fault.NextStep.EN == "" {
			t.Errorf("identity: %+v", c)
		}
		if code, page := a.get("/"); code != 200 || !strings.Contains(page, "twin_seen") {
			t.Errorf("page: %d", code)
		}
	}
	first.until("central refuses the other identity", func() bool { return len(o.reported(central.ReportForeign)) > 0 })
	for i, a := range boxes {
		pty := ptys[i]
		before := len(a.entries())
		pty.Send(t, someone(50+i).card()+"\r")
		a.waitEntries(before + 1)
	}
	o.delivered(first)
	o.wantSame(first.events())
	if n := twin.status().Journal.Acked; n != 0 {
		t.Errorf("%d records of the twin are acknowledged", n)
	}
	if epochs, _ := o.ledger.count(); epochs != 1 {
		t.Errorf("central keeps %d epochs", epochs)
	}
	for _, a := range boxes {
		a.stop()
	}
}

// TestIdentityDamaged: a box whose keys cannot be read says so, sends nothing,
// and goes on with the policy that central signed last.
func TestIdentityDamaged(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(100)
	o.open()
	pty := drivertest.NewPTY(t)
	b := newBench(t, o.settings(serialLane("main", pty.Path)))
	a := b.start()
	o.equipped(a)
	want := a.status().Policy.Version
	a.stop()

	if err := os.WriteFile(b.storage("identity", "keys.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	a = b.start()
	a.waitFault("identity", "identity_failed")
	a.waitFault("broker", "broker_unreachable")
	a.waitFault("central", "central_away")
	if p := a.status().Policy; p.Version != want || p.BuiltIn {
		t.Errorf("policy %+v, want version %d", p, want)
	}
	pty.Send(t, someone(1).card()+"\r")
	a.waitEntries(1)
	a.stop()
}
