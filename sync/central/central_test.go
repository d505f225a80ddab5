package central

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func TestEntriesAreKeptOnceAndAcknowledged(t *testing.T) {
	m := &memory{}
	b := newBench(t, m, learning(t))
	x := b.box(home)
	x.scan(9)
	b.feed(x.hello())
	_, replies := b.answers(home)
	if len(replies) != 1 || replies[0].Ack != nil || replies[0].Nonce != fmt.Sprintf("%032x", x.nonces) || replies[0].Time != start.UnixMilli() {
		t.Fatalf("%+v", replies)
	}
	b.wantReports(ReportPinned)
	b.feed(x.send(1, 4))
	b.wantAck(home, x.position(4))
	b.wantReports(ReportEpoch)
	b.feed(x.send(5, 5), x.send(6, 8)) // waiting together: one Store, one ack
	if got := len(b.post.take()); got != 1 || m.stores != 2 {
		t.Errorf("%d answers after %d stores", got, m.stores)
	}
	b.feed(x.send(2, 3)) // a duplicate: the newest ack again
	b.wantAck(home, x.position(8))
	b.feed(x.send(3, 10)) // half of it a duplicate
	b.wantAck(home, x.position(10))
	b.feed(x.hello())
	if _, replies = b.answers(home); len(replies) != 1 || replies[0].Ack == nil || replies[0].Ack.Record() != x.last() {
		t.Errorf("%+v", replies)
	}
	b.feed(x.state(3)) // a state whose acked is behind
	b.wantAck(home, x.position(10))
	b.feed(x.state(10))
	if ack, _ := b.answers(home); ack != nil {
		t.Error("an acknowledgement that nobody waits for")
	}
	b.wantReports()
	var seqs []uint64
	for _, ev := range m.events[home] {
		seqs = append(seqs, ev.Link().Seq)
	}
	if !slices.Equal(seqs, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("kept %v", seqs)
	}
	st := b.c.Stats()
	if st.Stored != 10 || st.Duplicates != 8 || st.Refused != 0 || st.Replies != 2 || st.Acks != 5 {
		t.Errorf("%+v", st)
	}
}

func TestGapIsNotKept(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(9)
	b.feed(x.hello(), x.send(1, 3))
	b.wantAck(home, x.position(3))
	b.wantReports(ReportPinned, ReportEpoch)
	b.feed(x.send(5, 7))
	b.wantAck(home, x.position(3)) // it asks by what it has
	if r := b.wantReports(ReportGap); len(r) == 1 && (r[0].From != 4 || r[0].To != 4) {
		t.Errorf("%+v", r[0])
	}
	b.feed(x.send(8, 10), x.send(4, 7)) // out of order in one round
	b.wantAck(home, x.position(7))
	b.feed(x.send(8, 10))
	b.wantAck(home, x.position(10))
	if st := b.c.Stats(); st.Stored != 10 || st.Gaps != 2 {
		t.Errorf("%+v", st)
	}
}

// A box that believes more acknowledged than central has, for example because
// an acknowledgement from before a restore reached it late, is called to say
// hello again: by its state, or by a gap that stays.
func TestBoxThatBelievesTooMuchIsCalled(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(9)
	calls := func() (n int) {
		for _, s := range b.post.take() {
			if st, err := wire.ParseCentralState(s.body); s.topic == b.topics.CentralState() && err == nil && st.Online {
				n++
			}
		}
		return n
	}
	b.feed(x.hello(), x.send(1, 4), x.send(6, 7), x.send(8, 8))
	if n := calls(); n != 0 {
		t.Errorf("called %d times for mere disorder", n)
	}
	b.now = b.now.Add(gapStays)
	b.feed(x.send(6, 8), x.send(9, 9))
	if n := calls(); n != 1 {
		t.Errorf("called %d times for a gap that stays", n)
	}
	b.now = b.now.Add(callEvery / 2)
	b.feed(x.send(6, 8))
	if n := calls(); n != 0 {
		t.Error("called again too soon")
	}
	b.now = b.now.Add(callEvery / 2)
	b.feed(x.hello())
	if n := calls(); n != 1 {
		t.Errorf("what was due was called %d times", n)
	}
	b.now = b.now.Add(callEvery)
	b.feed(x.state(4))
	if n := calls(); n != 0 {
		t.Error("called without need")
	}
	b.feed(x.state(5))
	if n := calls(); n != 1 {
		t.Errorf("called %d times for a state that says too much", n)
	}
	x.begin(record.Position{}, "x")
	x.scan(2)
	b.now = b.now.Add(callEvery)
	b.feed(x.state(2)) // of an epoch that is not known at all
	if n := calls(); n != 1 {
		t.Errorf("called %d times for an unknown epoch", n)
	}
	if st := b.c.Stats(); st.Calls != 4 {
		t.Errorf("%+v", st)
	}
}

// A central that has nothing of an epoch says so in hello/reply, and takes the
// epoch from its first record alone.
func TestUnknownEpochFromTheMiddle(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(5)
	b.feed(x.hello(), x.send(3, 6))
	ack, replies := b.answers(home)
	if ack != nil || len(replies) != 1 || replies[0].Ack != nil {
		t.Errorf("ack %+v, replies %+v", ack, replies)
	}
	b.wantReports(ReportPinned, ReportGap)
	b.feed(x.send(1, 6))
	b.wantAck(home, x.position(6))
	b.wantReports(ReportEpoch)
}

func TestNewEpochSaysWhatMayBeMissing(t *testing.T) {
	for name, tc := range map[string]struct {
		last     func(x *box) record.Position
		want     string
		from, to uint64
	}{
		"all kept": {func(x *box) record.Position { return x.position(6) }, "all 6 records", 7, 0},
		"fewer readable than kept": {
			func(x *box) record.Position { return x.position(4) }, "all 4 records", 7, 0,
		},
		"some not sent":     {func(x *box) record.Position { return x.position(9) }, "records 7 to 9 of the one before are missing", 7, 9},
		"nothing readable":  {func(*box) record.Position { return record.Position{} }, "could not read the one before", 7, 0},
		"an epoch unheard":  {func(*box) record.Position { return record.Position{Epoch: record.Epoch{9}, Seq: 5} }, "of which nothing is kept here", 1, 5},
		"another last head": {func(x *box) record.Position { p := x.position(6); p.Head[0] ^= 1; return p }, "is another on the box", 6, 6},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, &memory{}, learning(t))
			x := b.box(home)
			x.scan(9)
			b.feed(x.hello(), x.send(1, 6))
			b.answers(home)
			old := x.position(6)
			b.wantReports(ReportPinned, ReportEpoch)
			last := tc.last(x)
			oldSend := x.send(7, 8)
			x.begin(last, "damaged")
			x.scan(2)
			b.feed(x.send(1, 3))
			b.wantAck(home, x.last())
			r := b.wantReports(ReportEpoch)
			if len(r) != 1 {
				return
			}
			if !strings.Contains(r[0].Text, tc.want) || !strings.Contains(r[0].Text, "damaged") ||
				r[0].From != tc.from || r[0].To != tc.to || r[0].Known != old || r[0].Declared != last || r[0].Epoch != x.epoch {
				t.Errorf("%+v", r[0])
			}
			// What still comes of the old epoch is kept all the same.
			b.feed(oldSend)
			if ack, _ := b.answers(home); ack == nil || ack.Seq != 8 || ack.Epoch != old.Epoch {
				t.Errorf("%+v", ack)
			}
		})
	}
}

func TestEpochMustBeginProperly(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(2)
	first := x.links
	x.epoch = record.NewEpoch()
	x.links = nil
	x.scan(2) // record 1 is an entry
	b.feed(x.hello(), x.send(1, 2))
	b.wantReports(ReportPinned, ReportFork)
	x.links, x.epoch = first, epochOf(t, first[0].Record)
	again, err := record.FromEvent(home, x.epoch, 4, record.FirstEvent(start, record.Position{}, "x"))
	x.append(again, err)
	b.now = b.now.Add(quietFor)
	b.feed(x.send(1, 4)) // an epoch begun in the middle of one
	b.wantReports(ReportFork)
	if ack, _ := b.answers(home); ack != nil {
		t.Errorf("acknowledged %+v", ack)
	}
}

func TestForkIsRefused(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(4)
	twin := *x
	twin.links = slices.Clone(x.links[:3])
	twin.scan(4)
	b.feed(x.hello(), x.send(1, 5))
	b.wantAck(home, x.last())
	b.wantReports(ReportPinned, ReportEpoch)
	b.feed(twin.send(4, 7)) // holds another record 5
	b.wantAck(home, x.last())
	b.wantReports(ReportFork)
	b.now = b.now.Add(quietFor)
	b.feed(twin.send(6, 7)) // follows another record 5
	b.wantAck(home, x.last())
	b.wantReports(ReportFork)
	b.now = b.now.Add(quietFor)
	twin.links = twin.links[:5]
	b.feed(twin.hello())
	b.wantReports(ReportFork)
}

func TestSeveralGates(t *testing.T) {
	m := &memory{}
	b := newBench(t, m, learning(t))
	var boxes []*box
	var all []message
	for i := range 5 {
		x := b.box(record.Origin{Site: "hn01", Gate: fmt.Sprintf("g%d", i)})
		x.scan(i + 3)
		boxes = append(boxes, x)
		all = append(all, x.hello())
	}
	for _, x := range boxes {
		all = append(all, x.send(1, 2))
	}
	for _, x := range boxes {
		all = append(all, x.send(3, len(x.links)))
	}
	b.feed(all...)
	acks := map[string]int{}
	for _, s := range b.post.sent {
		acks[s.topic]++
	}
	for _, x := range boxes {
		if acks[b.topics.EntryAck(x.o)] != 1 || acks[b.topics.HelloReply(x.o)] != 1 || len(m.events[x.o]) != len(x.links) {
			t.Errorf("%s: %d acks, %d events of %d", x.o.Gate, acks[b.topics.EntryAck(x.o)], len(m.events[x.o]), len(x.links))
		}
	}
	if m.stores != 1 {
		t.Errorf("%d stores for what waited together", m.stores)
	}
	// One gate's records on another's topic.
	msg := boxes[0].send(1, 2)
	msg.topic = b.topics.Entry(boxes[1].o)
	b.reports = nil
	b.feed(msg)
	b.wantReports(ReportFork)
}

func TestIdentities(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gates.json")
	pins, err := LoadPins(path, true)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	b := newBench(t, m, pins)
	x := b.box(home)
	b.feed(x.send(1, 1)) // not known yet: kept until it is
	b.wantReports()
	stranger := b.box(home)
	stolen := stranger.hello()
	stolen.body = []byte(strings.Replace(string(stolen.body), stranger.id.Public().Ed25519.String(), x.id.Public().Ed25519.String(), 1))
	b.feed(stolen) // names a key it does not have
	b.wantReports(ReportSignature)
	b.feed(x.state(0))
	b.wantReports(ReportPinned, ReportEpoch)
	b.wantAck(home, x.position(1))

	stranger.scan(3)
	b.feed(stranger.hello(), stranger.state(0))
	if r := b.wantReports(ReportForeign); len(r) == 1 && !strings.Contains(r[0].Text, stranger.id.Public().Ed25519.String()) {
		t.Errorf("%+v", r[0])
	}
	b.now = b.now.Add(quietFor)
	b.feed(stranger.send(1, 4))
	b.wantReports(ReportSignature)
	if ack, replies := b.answers(home); ack != nil || replies != nil {
		t.Errorf("a stranger was answered: %+v %+v", ack, replies)
	}

	// The pins outlive central, also where nothing is learnt any more.
	again, err := LoadPins(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := again.Get(home); !ok || id != x.id.Public() || again.Len() != 1 {
		t.Errorf("%+v", id)
	}
	b.pins = again
	b.restart(&memory{})
	y := b.box(record.Origin{Site: "hn01", Gate: "g2"})
	b.feed(y.hello(), y.send(1, 1))
	b.wantReports(ReportUnknown)
	b.feed(x.hello())
	if _, replies := b.answers(home); len(replies) != 1 {
		t.Errorf("%+v", replies)
	}
	// A box is replaced on purpose.
	if err := again.Pin(home, stranger.id.Public()); err != nil {
		t.Fatal(err)
	}
	b.feed(stranger.hello())
	if _, replies := b.answers(home); len(replies) != 1 {
		t.Errorf("%+v", replies)
	}
}

// Entries that overtake their gate's first hello wait for it, within bounds.
func TestEntriesBeforeHello(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	x.scan(9)
	b.feed(x.send(1, 4), x.send(5, 10))
	if st := b.c.Stats(); st.Stored != 0 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	b.feed(x.hello())
	b.wantAck(home, x.last())
	b.wantReports(ReportPinned, ReportEpoch)
	if b.c.waiting.bytes != 0 || len(b.c.waiting.messages) != 0 {
		t.Errorf("%d bytes still wait", b.c.waiting.bytes)
	}
	other := b.topics.Entry(record.Origin{Site: "hn01", Gate: "g9"})
	for range 100 {
		b.feed(message{other, make([]byte, 60<<10)})
	}
	if st := b.c.Stats(); b.c.waiting.bytes > maxWaitingGate || st.Refused < 80 {
		t.Errorf("%d bytes wait, %d refused", b.c.waiting.bytes, st.Refused)
	}
	b.wantReports(ReportUnknown)
}

func TestPinsFile(t *testing.T) {
	dir := t.TempDir()
	if _, err := LoadPins(filepath.Join(dir, "none"), false); err == nil {
		t.Error("a missing list was taken")
	}
	id := identity.Public{Ed25519: identity.Key{1}, X25519: identity.Key{2}}
	for name, content := range map[string]string{
		"bad name":   `{"gates":{"hn01/G1":{"ed25519":"` + id.Ed25519.String() + `","x25519":"` + id.X25519.String() + `"}}}`,
		"no gate":    `{"gates":{"hn01":{"ed25519":"` + id.Ed25519.String() + `","x25519":"` + id.X25519.String() + `"}}}`,
		"misspelt":   `{"gate":{}}`,
		"short key":  `{"gates":{"hn01/g1":{"ed25519":"AAAA","x25519":"AAAA"}}}`,
		"no JSON":    `gates`,
		"twice":      `{"gates":{},"gates":{}}`,
		"empty file": ``,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadPins(path, true); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	// A pin that cannot be written is not pinned.
	p, err := LoadPins(filepath.Join(dir, "gone", "gates.json"), true)
	if err != nil {
		t.Fatal(err)
	}
	if p.Pin(home, id) == nil || p.Len() != 0 {
		t.Error("a pin was kept in memory alone")
	}
}

func TestTwin(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	b.feed(x.state(0), x.hello())
	b.wantReports(ReportPinned)
	stale := []message{x.state(0), x.hello()}
	for i := range 20 { // a box that restarts over and over is no twin
		x.boot = fmt.Sprintf("%016x", i)
		b.feed(x.state(0), x.hello())
	}
	b.feed(stale[0], x.hello(), stale[0]) // nor is a message that was held up
	b.wantReports()
	b.now = b.now.Add(2 * twinWithin)
	twin := *x
	twin.boot = strings.Repeat("d", 16)
	twin.nonces = 1000
	for range 3 {
		b.feed(x.hello(), twin.state(0), twin.hello())
	}
	if r := b.wantReports(ReportTwin); len(r) == 1 && r[0].Origin != home {
		t.Errorf("%+v", r[0])
	}
	// Retained and repeated messages alone prove nothing.
	c := newBench(t, &memory{}, learning(t))
	y := c.box(home)
	first := []message{y.state(0), y.hello()}
	y.boot = strings.Repeat("e", 16)
	second := []message{y.state(0), y.hello()}
	for range 5 {
		c.feed(first...)
		c.feed(second...)
	}
	c.wantReports(ReportPinned)
}

func TestNothingIsAcknowledgedThatIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b := newBench(t, m, learning(t))
		x := b.box(home)
		x.scan(5)
		b.feed(x.hello(), x.send(1, 2))
		b.wantAck(home, x.position(2))
		b.wantReports(ReportPinned, ReportEpoch)
		m.err = errors.New("disk full")
		b.feed(x.send(3, 4), x.hello())
		ack, replies := b.answers(home)
		if ack == nil || *ack != x.position(2) || len(replies) != 1 || replies[0].Ack.Record() != x.position(2) {
			t.Errorf("ack %+v, replies %+v", ack, replies)
		}
		y := b.box(record.Origin{Site: "hn01", Gate: "g2"})
		b.feed(y.hello(), y.send(1, 1))
		if ack, replies := b.answers(y.o); ack != nil || len(replies) != 1 || replies[0].Ack != nil {
			t.Errorf("ack %+v, replies %+v", ack, replies)
		}
		b.wantReports(ReportSink, ReportPinned)
		m.err = nil
		b.feed(x.send(3, 6), y.send(1, 1))
		b.wantAck(home, x.position(6))
		if st := b.c.Stats(); st.SinkErrors != 2 || st.Stored != 7 {
			t.Errorf("%+v", st)
		}
	})
}

func TestHostileMessages(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	x := b.box(home)
	b.feed(x.hello())
	b.answers(home)
	b.reports = nil
	state, hello, entry := b.topics.State(home), b.topics.Hello(home), b.topics.Entry(home)
	forged := x.hello()
	forged.body = []byte(strings.Replace(string(forged.body), `"seq":1`, `"seq":2`, 1))
	moved := x.hello()
	moved.topic = state
	will, err := wire.SignBody(state, wire.State{Boot: x.boot}, b.box(home).id.Sign)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for name, m := range map[string]message{
		"state no JSON": {state, []byte("x")}, "hello no JSON": {hello, []byte("{")}, "entry no JSON": {entry, []byte("[")},
		"huge": {entry, make([]byte, 1<<20)}, "forged": forged, "moved": moved, "foreign will": {state, will},
		"deep": {hello, []byte(strings.Repeat("[", 2000))},
	} {
		before := b.c.Stats().Refused
		b.feed(m)
		if b.c.Stats().Refused != before+1 {
			t.Errorf("%s was not refused", name)
		}
		refused++
	}
	own, err := wire.SignBody(state, wire.State{Boot: x.boot}, x.id.Sign)
	if err != nil {
		t.Fatal(err)
	}
	b.feed(message{state, own}, message{state, nil}, message{"gate/v1/central/state", []byte("x")}, message{"other/topic", []byte("x")},
		message{b.topics.EntryAck(home), []byte("x")}, message{"gate/v1/data/g1/hello", []byte("x")})
	if got := b.c.Stats().Refused; got != uint64(refused) {
		t.Errorf("%d refused, want %d", got, refused)
	}
	if len(b.post.take()) != 0 {
		t.Error("something hostile was answered")
	}
}

func TestCentralStateAndRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		b := newBench(t, m, learning(t))
		topic, body := b.c.Will()
		will, err := wire.ParseCentralState(body)
		if err != nil || will.Online || topic != "gate/v1/central/state" {
			t.Errorf("%s %+v %v", topic, will, err)
		}
		if err := b.c.Online(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range b.post.take() {
			st, err := wire.ParseCentralState(s.body)
			if err != nil || !st.Online || st.Since != start.UnixMilli() || !s.retained || s.topic != topic {
				t.Errorf("%+v %v", st, err)
			}
		}
		b.post.fail = true
		if b.c.Online(t.Context()) == nil {
			t.Error("a link that took nothing went unnoticed")
		}
		if got := b.c.Filters(); len(got) != 3 {
			t.Errorf("%v", got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.c.Run(ctx) }()
		x := b.box(home)
		for _, msg := range []message{x.hello(), x.send(1, 1)} {
			b.c.Deliver(msg.topic, msg.body)
		}
		synctest.Wait()
		if st := b.c.Stats(); st.Stored != 1 || st.Unsent != 2 || st.Acks != 0 {
			t.Errorf("%+v", st)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestQueueIsBounded(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	big := make([]byte, 1<<20)
	for range 100 {
		b.c.Deliver("t", big)
	}
	if st := b.c.Stats(); st.Dropped < 30 || len(b.c.queue) > queueBytes>>20 {
		t.Errorf("%+v, %d wait", st, len(b.c.queue))
	}
	b.feed()
	if b.c.bytes.Load() != 0 {
		t.Errorf("%d bytes are counted in an empty queue", b.c.bytes.Load())
	}
	for range queueMessages + 10 {
		b.c.Deliver("t", nil)
	}
	if got := len(b.c.queue); got != queueMessages {
		t.Errorf("%d wait", got)
	}
}

func TestNewRefuses(t *testing.T) {
	signer, err := signed.NewSigner("p", signed.RolePolicy)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Signer: signer, Pins: learning(t), Sink: &memory{}, Link: &post{}}, quiet); err == nil {
		t.Error("a key of another role was taken")
	}
	signer.Role = signed.RoleAck
	if _, err := New(Options{Signer: signer}, quiet); err == nil {
		t.Error("central without a sink")
	}
}

func TestReportsAreNotRepeated(t *testing.T) {
	b := newBench(t, &memory{}, learning(t))
	for range 10 {
		b.c.report(Report{Kind: ReportGap, Origin: home, Text: "x"})
		b.c.report(Report{Kind: ReportGap, Text: "x"})
	}
	b.wantReports(ReportGap, ReportGap)
	b.now = b.now.Add(quietFor)
	b.c.report(Report{Kind: ReportGap, Origin: home, Text: "x"})
	b.wantReports(ReportGap)
	for i := range maxSayings + 5 {
		b.c.report(Report{Kind: ReportGap, Origin: record.Origin{Gate: fmt.Sprint(i)}, Text: "x"})
	}
	if len(b.c.said) > maxSayings {
		t.Errorf("%d sayings are remembered", len(b.c.said))
	}
}
