package soaktest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/brokertest"
	"gateagent/sync/central"
	"gateagent/sync/documents"
	"gateagent/sync/mqttlink"
	"gateagent/sync/outbox"
	"gateagent/sync/presence"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wantAll checks that central has every record once, in order, and every entry
// that was appended.
func wantAll(t *testing.T, o *office, b *box, entries int) {
	t.Helper()
	pos := b.journal.Position()
	if err := o.sink.audit(pos); err != nil {
		t.Error(err)
	}
	got := o.sink.entries(pos.Epoch)
	if len(got) != entries {
		t.Errorf("central has %d entries of %d", len(got), entries)
	}
	for i, lane := range got {
		if lane != fmt.Sprintf("n%d", i) {
			t.Fatalf("entry %d is %s", i, lane)
		}
	}
	for _, k := range []central.ReportKind{central.ReportFork, central.ReportSignature, central.ReportForeign, central.ReportTwin} {
		if n := o.reps.count(k); n != 0 {
			t.Errorf("%d reports of %s", n, k)
		}
	}
	if st := b.outbox.Status(); st.Fault != (outbox.Fault{}) {
		t.Errorf("outbox: %v", st.Fault)
	}
	if st := b.presence.Status(); st.Fault != (presence.Fault{}) {
		t.Errorf("presence: %v", st.Fault)
	}
	if st := b.docs.Status(); st.Trust.Fault != (documents.Fault{}) {
		t.Errorf("trust: %v", st.Trust.Fault)
	}
}

// 1,000 entries and more; the broker is killed and restarted three times;
// central is restarted once, and once restored from an older copy.
func TestBrokerKilledCentralRestored(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	o := newOffice(t, m.URL())
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	b := startBox(t, o, t.TempDir(), "a")
	c := o.start()

	const entries = 1200
	var backup *sink
	for n := range entries {
		switch n {
		case 200, 500, 800:
			m.Kill()
			time.AfterFunc(300*time.Millisecond, m.Restart)
		case 350:
			c.stop()
			c = o.start()
		case 600:
			eventually(t, time.Minute, "a good part is kept", func() bool { return o.sink.count(b.journal.Position().Epoch) > 300 })
			backup = o.sink.copy()
		case 1000:
			eventually(t, time.Minute, "more is acknowledged than the copy has", func() bool {
				return b.journal.Acked().Seq > backup.count(b.journal.Position().Epoch)+100
			})
			c.stop()
			o.sink = backup
			c = o.start()
		}
		b.append(n)
		time.Sleep(5 * time.Millisecond)
	}
	eventually(t, time.Minute, "central has everything again", func() bool {
		return b.delivered() && o.sink.count(b.journal.Position().Epoch) == b.journal.Position().Seq
	})
	wantAll(t, o, b, entries)
	st := b.outbox.Status()
	if st.Rewinds == 0 {
		t.Error("central went back and nobody noticed")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.answers == 0 || b.central > time.Second {
		t.Errorf("central's time came %d times, off by %v", b.answers, b.central)
	}
	t.Logf("%d records: %d sent, %d of them again, in %d messages; %d acknowledgements, %d stale, %d rewinds; %d sessions",
		st.Position.Seq, st.Sent, st.Resent, st.Batches, st.Acks, st.Stale, st.Rewinds, b.link.Status().Sessions)
}

// A box that is restarted goes on where it was; one whose journal is gone
// begins a new epoch, and central keeps both and says so.
func TestBoxRestartedAndJournalLost(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	o := newOffice(t, m.URL())
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	o.start()
	dir := t.TempDir()
	var epochs []record.Epoch
	for run, boot := range []string{"a", "b", "c"} {
		if run == 2 {
			loseJournal(t, dir)
		}
		b := startBox(t, o, dir, boot)
		for n := range 50 {
			b.append(n)
		}
		eventually(t, time.Minute, "delivered", b.delivered)
		if err := o.sink.audit(b.journal.Position()); err != nil {
			t.Error(err)
		}
		epochs = append(epochs, b.journal.Position().Epoch)
		b.stop()
	}
	if epochs[0] != epochs[1] || epochs[1] == epochs[2] {
		t.Errorf("epochs %v", epochs)
	}
	if n := o.sink.count(epochs[0]); n != 101 {
		t.Errorf("of the first epoch %d records are kept", n)
	}
	if n := o.reps.count(central.ReportEpoch); n != 2 {
		t.Errorf("%d epochs were reported", n)
	}
}

// A twin with the same name and other keys is noticed by both boxes, and
// central keeps to the keys it knows.
func TestTwin(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	o := newOffice(t, m.URL())
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	o.start()
	first := startBox(t, o, t.TempDir(), "a")
	first.append(0)
	eventually(t, time.Minute, "delivered", first.delivered)
	twin := startBox(t, o, t.TempDir(), "b")
	twin.append(0)
	eventually(t, time.Minute, "both notice", func() bool {
		return first.presence.Status().Fault.Code == presence.FaultTwin && twin.presence.Status().Fault.Code == presence.FaultTwin
	})
	eventually(t, time.Minute, "central refuses the other keys", func() bool { return o.reps.count(central.ReportForeign) > 0 })
	if twin.journal.Acked().Seq != 0 || o.sink.count(twin.journal.Position().Epoch) != 0 {
		t.Error("the twin's records were kept")
	}
	first.append(1)
	eventually(t, time.Minute, "the first goes on", first.delivered)
}

// A copied card: two boxes with one name, one identity, one client id and one
// epoch. They throw each other out, both say so, central keeps one history
// whole, and the box whose history it is not keeps all it has.
func TestCopiedCard(t *testing.T) {
	m := brokertest.StartMosquitto(t)
	o := newOffice(t, m.URL())
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	o.start()
	dir, copied := t.TempDir(), t.TempDir()
	b := startBoxAs(t, o, dir, "a", "g1")
	for n := range 20 {
		b.append(n)
	}
	eventually(t, time.Minute, "delivered", b.delivered)
	b.stop()
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	boxes := []*box{startBoxAs(t, o, dir, "b", "g1"), startBoxAs(t, o, copied, "c", "g1")}
	for n := range 20 {
		for _, b := range boxes {
			b.append(100 + n)
		}
	}
	eventually(t, 2*time.Minute, "both notice", func() bool {
		for _, b := range boxes {
			if b.link.Status().Fault.Code != mqttlink.FaultTaken && b.presence.Status().Fault.Code != presence.FaultTwin {
				return false
			}
		}
		return true
	})
	winner := -1
	eventually(t, 2*time.Minute, "one history is kept", func() bool {
		for i, b := range boxes {
			if b.delivered() && boxes[1-i].outbox.Status().Fault.Code == outbox.FaultMismatch {
				winner = i
				return true
			}
		}
		return false
	})
	if err := o.sink.audit(boxes[winner].journal.Position()); err != nil {
		t.Error(err)
	}
	if st := boxes[1-winner].outbox.Status(); st.Queue() < 20 {
		t.Errorf("the other box has only %d records left", st.Queue())
	}
	if o.reps.count(central.ReportFork) == 0 {
		t.Error("central did not report two histories")
	}
}

// A broker that loses, doubles and reorders what it has acknowledged.
func TestLyingBroker(t *testing.T) {
	m := brokertest.Start(t)
	o := newOffice(t, m.URL())
	o.publish(map[string][]byte{o.topics.Trust(origin.Site): o.trust(origin.Site)})
	b := startBox(t, o, t.TempDir(), "a")
	c := o.start()
	eventually(t, time.Minute, "greeted", func() bool { return !b.presence.Status().Answered.IsZero() })
	entry := o.topics.Entry(origin)
	m.Lie(brokertest.Lies{
		On:   func(topic string) bool { return topic == entry },
		Drop: 0.05, Twice: 0.2, Late: 0.1, Seed: 7,
	})
	const entries = 600
	for n := range entries {
		b.append(n)
		if n%40 == 0 { // central says that it is there: the box need not wait 30 s
			if err := c.c.Online(t.Context()); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(2 * time.Millisecond)
	}
	lied := m.Lied()
	m.Lie(brokertest.Lies{})
	if err := c.c.Online(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, time.Minute, "delivered", b.delivered)
	wantAll(t, o, b, entries)
	if lied.Dropped == 0 || lied.Twice == 0 || lied.Late == 0 {
		t.Errorf("the broker hardly lied: %+v", lied)
	}
	t.Logf("the broker lied: %+v; %+v", lied, c.c.Stats())
}
