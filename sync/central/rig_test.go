package central

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var (
	home  = record.Origin{Site: "hn01", Gate: "g1"}
	start = time.Date(2021, 10, 1, 0, 0, 0, 0, time.UTC)
	quiet = slog.New(slog.DiscardHandler)
)

// post is a link that keeps what was published.
type post struct {
	mu   sync.Mutex
	sent []sent // mu guards it
	fail bool   // mu guards it
}

type sent struct {
	topic    string
	body     []byte
	retained bool
}

func (p *post) Publish(_ context.Context, topic string, body []byte, retained bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail {
		return errors.New("not connected")
	}
	p.sent = append(p.sent, sent{topic, body, retained})
	return nil
}

// take gives what was published since the last time.
func (p *post) take() []sent {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.sent
	p.sent = nil
	return out
}

// memory is a sink that can fail.
type memory struct {
	held   []Held
	events map[record.Origin][]record.Event
	stores int
	err    error
}

func (m *memory) Held() []Held { return m.held }

func (m *memory) Store(_ context.Context, batches []Batch) error {
	if m.err != nil {
		return m.err
	}
	m.stores++
	if m.events == nil {
		m.events = map[record.Origin][]record.Event{}
	}
	for _, b := range batches {
		m.events[b.Origin] = append(m.events[b.Origin], b.Events...)
	}
	return nil
}

// bench is a central under test with everything around it.
type bench struct {
	t        testing.TB
	c        *Central
	topics   wire.Topics
	root     signed.Signer
	signer   signed.Signer
	post     *post
	pins     *Pins
	reports  []Report
	now      time.Time
	verifier map[record.Origin]*signed.Verifier
}

func newBench(t testing.TB, sink Sink, pins *Pins) *bench {
	t.Helper()
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, topics: topics, post: &post{}, pins: pins, now: start, verifier: map[record.Origin]*signed.Verifier{}}
	if b.root, err = signed.NewSigner("root-1", signed.RoleRoot); err != nil {
		t.Fatal(err)
	}
	if b.signer, err = signed.NewSigner("ack-1", signed.RoleAck); err != nil {
		t.Fatal(err)
	}
	b.restart(sink)
	return b
}

// restart is a new run of central over a sink.
func (b *bench) restart(sink Sink) {
	b.t.Helper()
	c, err := New(Options{
		Topics: b.topics, Signer: b.signer, Pins: b.pins, Sink: sink, Link: b.post, Boot: strings.Repeat("c", 16),
		Report: func(r Report) { b.reports = append(b.reports, r) },
		Now:    func() time.Time { return b.now },
	}, quiet)
	if err != nil {
		b.t.Fatal(err)
	}
	b.c = c
}

// feed delivers a message and works through the queue.
func (b *bench) feed(messages ...message) {
	b.t.Helper()
	for _, m := range messages {
		b.c.Deliver(m.topic, m.body)
	}
	for {
		select {
		case m := <-b.c.queue:
			b.c.round(b.t.Context(), m)
			continue
		default:
		}
		return
	}
}

func (b *bench) verify(o record.Origin, t signed.Type, doc []byte) []byte {
	b.t.Helper()
	v := b.verifier[o]
	if v == nil {
		v = signed.NewVerifier([]signed.Root{b.root.Root()}, o.Site, o.Gate)
		keys, err := json.Marshal(signed.Trust{
			Aud: o.Site, Ver: 1, Iat: start.Unix(), Exp: start.Unix() + 1, Keys: []signed.TrustKey{b.signer.TrustKey()},
		})
		if err != nil {
			b.t.Fatal(err)
		}
		list, err := b.root.Sign(signed.TypeTrust, keys)
		if err != nil {
			b.t.Fatal(err)
		}
		if _, err := v.RestoreTrust([]byte(list)); err != nil {
			b.t.Fatal(err)
		}
		b.verifier[o] = v
	}
	d, err := v.Verify(t, o.Site+"/"+o.Gate, doc, signed.Moment{Now: b.now, Level: gate.ClockCentral, Floor: start}, signed.Options{})
	if err != nil {
		b.t.Fatalf("a box would refuse it: %v", err)
	}
	return d.Payload
}

// answers gives what a gate was sent since the last time: the newest
// acknowledgement and the replies.
func (b *bench) answers(o record.Origin) (ack *record.Position, replies []wire.HelloReply) {
	b.t.Helper()
	for _, s := range b.post.take() {
		switch s.topic {
		case b.topics.EntryAck(o):
			a, err := wire.ParseAck(b.verify(o, signed.TypeAck, s.body))
			if err != nil || !s.retained {
				b.t.Fatalf("ack %v, retained %v", err, s.retained)
			}
			p := a.Record()
			ack = &p
		case b.topics.HelloReply(o):
			r, err := wire.ParseHelloReply(b.verify(o, signed.TypeHello, s.body))
			if err != nil || s.retained {
				b.t.Fatalf("reply %v, retained %v", err, s.retained)
			}
			replies = append(replies, r)
		}
	}
	return ack, replies
}

func (b *bench) wantAck(o record.Origin, want record.Position) {
	b.t.Helper()
	ack, _ := b.answers(o)
	switch {
	case ack == nil:
		b.t.Errorf("no acknowledgement; want %d", want.Seq)
	case *ack != want:
		b.t.Errorf("acknowledged %d of %s, want %d of %s", ack.Seq, ack.Epoch, want.Seq, want.Epoch)
	}
}

func (b *bench) wantReports(kinds ...ReportKind) []Report {
	b.t.Helper()
	got := b.reports
	b.reports = nil
	have := make([]string, len(got))
	for i, r := range got {
		have[i] = string(r.Kind)
		if r.Text == "" {
			b.t.Errorf("report %s says nothing", r.Kind)
		}
	}
	want := make([]string, len(kinds))
	for i, k := range kinds {
		want[i] = string(k)
	}
	if strings.Join(have, " ") != strings.Join(want, " ") {
		b.t.Errorf("reports %v, want %v", have, want)
	}
	return got
}

// box is a gate as far as central can see it.
type box struct {
	b      *bench
	o      record.Origin
	id     *identity.Identity
	boot   string
	links  []record.Link // of the present epoch
	epoch  record.Epoch
	nonces int
}

func (b *bench) box(o record.Origin) *box {
	b.t.Helper()
	id, err := identity.New()
	if err != nil {
		b.t.Fatal(err)
	}
	x := &box{b: b, o: o, id: id, boot: strings.Repeat("b", 16)}
	x.begin(record.Position{}, "first_start")
	return x
}

// begin starts a new epoch.
func (x *box) begin(last record.Position, cause string) {
	x.b.t.Helper()
	x.epoch, x.links = record.NewEpoch(), nil
	r, err := record.FromEvent(x.o, x.epoch, 1, record.FirstEvent(start, last, cause))
	x.append(r, err)
}

func (x *box) append(r record.Record, err error) {
	x.b.t.Helper()
	if err != nil {
		x.b.t.Fatal(err)
	}
	x.links = append(x.links, record.Link{Seq: uint64(len(x.links) + 1), Prev: x.position(len(x.links)).Head, Record: r})
}

// scan adds n entries.
func (x *box) scan(n int) {
	x.b.t.Helper()
	for range n {
		r, err := record.FromEntry(x.o, x.epoch, uint64(len(x.links)+1), gate.Entry{Time: start, Lane: "main", Verdict: gate.Allow, HasSubject: true})
		x.append(r, err)
	}
}

// position gives the place of record seq.
func (x *box) position(seq int) record.Position {
	p := record.Position{Epoch: x.epoch, Seq: uint64(seq)}
	if seq > 0 {
		p.Head = x.links[seq-1].Hash()
	}
	return p
}

func (x *box) last() record.Position { return x.position(len(x.links)) }

// send gives the records from..to as one message.
func (x *box) send(from, to int) message {
	x.b.t.Helper()
	topic := x.b.topics.Entry(x.o)
	body, n, err := wire.EncodeBatch(topic, x.links[from-1:to], x.id.Sign)
	if err != nil || n != to-from+1 {
		x.b.t.Fatalf("%d of %d records in a batch: %v", n, to-from+1, err)
	}
	return message{topic, body}
}

func (x *box) hello() message {
	x.b.t.Helper()
	x.nonces++
	p := x.last()
	topic := x.b.topics.Hello(x.o)
	body, err := wire.SignBody(topic, wire.Hello{
		Nonce: fmt.Sprintf("%032x", x.nonces), Boot: x.boot, Epoch: p.Epoch, Seq: p.Seq, Head: p.Head, ID: x.id.Public(),
	}, x.id.Sign)
	if err != nil {
		x.b.t.Fatal(err)
	}
	return message{topic, body}
}

func (x *box) state(acked uint64) message {
	x.b.t.Helper()
	x.nonces++
	topic := x.b.topics.State(x.o)
	body, err := wire.SignBody(topic, wire.State{
		Online: true, Boot: x.boot, Time: start.UnixMilli() + int64(x.nonces), ID: x.id.Public(),
		Journal: &wire.JournalState{Epoch: x.epoch, Seq: uint64(len(x.links)), Acked: acked},
	}, x.id.Sign)
	if err != nil {
		x.b.t.Fatal(err)
	}
	return message{topic, body}
}

func learning(t testing.TB) *Pins {
	t.Helper()
	p, err := LoadPins("", true)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// epochOf gives the epoch that a record says.
func epochOf(t testing.TB, r record.Record) record.Epoch {
	t.Helper()
	h, err := r.Header()
	if err != nil {
		t.Fatal(err)
	}
	return h.Epoch
}
