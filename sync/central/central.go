// Package central is central's side of the journal: it takes what gates send,
// keeps it once and in order, and acknowledges it (DESIGN §4.3).
//
// It owns the checks (whose key, which place in which chain), the pins of the
// gates' identities, and what is answered: `entry/ack`, `hello/reply` with the
// keys that the gate may have, `central/state`. Where records are kept is a
// [Sink]; which keys there are says [Options].Keys; how messages travel is
// a [Publisher] and [Central.Deliver], so that a real link, a test and a
// simulator can all drive it. It never acknowledges what its sink has not made
// durable.
package central

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Publisher sends one message at QoS 1 and returns when the broker has it. It
// is safe for concurrent use.
type Publisher interface {
	Publish(ctx context.Context, topic string, body []byte, retained bool) error
}

// Sink keeps the events.
type Sink interface {
	// Held gives what the sink has, as it stood when it was opened or last
	// stored to: per gate the epochs in the order they were begun, the current
	// one last.
	Held() []Held
	// Store makes batches durable, all of them or none; when it fails they
	// will come again. The events of a batch follow what Held says.
	Store(ctx context.Context, batches []Batch) error
}

// Held is how far a sink has one epoch of a gate.
type Held struct {
	Origin   record.Origin
	Position record.Position
}

// Batch is a piece of one gate's chain.
type Batch struct {
	Origin record.Origin
	Events []record.Event
}

// Options of a [Central].
type Options struct {
	Topics wire.Topics
	// Signer has the role ack.
	Signer signed.Signer
	Pins   *Pins
	Sink   Sink
	Link   Publisher
	// Boot names this run of central in central/state, 16 hexadecimal digits.
	Boot string
	// Report is told what an operator should know; nil means the log alone.
	// It is called on Run's goroutine and must not block.
	Report func(Report)
	// Stored is told what was kept, after it is durable; nil for nobody. It
	// is called on Run's goroutine and must not block.
	Stored func(Batch)
	// Keys gives the secrets that a gate may have, of each set the newest last;
	// nil hands out none. They go, sealed, into the answers to its hellos, but
	// never to a gate of which two copies are at work, nor, unless HandLearned,
	// to one whose identity was learnt in this run. It is called on Run's
	// goroutine.
	Keys        func(o record.Origin) ([]sealed.Secret, error)
	HandLearned bool
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Limits of what waits between the link and Run.
const (
	queueMessages = 4096
	queueBytes    = 64 << 20
	roundMessages = 256 // messages that share one Store
	answersAtOnce = 16
)

// sinkPause is the wait after the sink has failed.
const sinkPause = time.Second

// A gap that stays for gapStays is no disorder of the broker; boxes are called
// at most once in callEvery.
const (
	gapStays  = 10 * time.Second
	callEvery = 30 * time.Second
)

// publishWithin bounds one answer.
const publishWithin = 30 * time.Second

// Stats counts what a Central has done since it was made.
type Stats struct {
	Messages   uint64 // taken from the queue
	Dropped    uint64 // arrived while the queue was full; gates send again
	Stored     uint64 // events kept
	Duplicates uint64 // events that were kept already
	Gaps       uint64 // batches that began behind what is held
	Refused    uint64 // messages that were not believed or not understood
	Acks       uint64 // acknowledgements published
	Replies    uint64 // hellos answered
	Keys       uint64 // keys sealed into these
	Calls      uint64 // times that boxes were called because one believed too much
	Unsent     uint64 // answers that the link did not take
	SinkErrors uint64
}

// Central takes in what gates send. Make it with [New].
type Central struct {
	o     Options
	log   *slog.Logger
	queue chan message
	bytes atomic.Int64 // in queue

	// Of Run's goroutine alone:
	gates   map[record.Origin]*gateState
	said    map[saying]time.Time
	waiting waiting
	callDue bool
	called  time.Time // of the last call

	mu sync.Mutex // guards st
	st Stats
}

type message struct {
	topic string
	body  []byte
}

// New makes a Central that continues where its sink stands.
func New(o Options, log *slog.Logger) (*Central, error) {
	if o.Signer.Role != signed.RoleAck {
		return nil, fmt.Errorf("central: key %s has role %q; acknowledgements need role %s", o.Signer.Kid, o.Signer.Role, signed.RoleAck)
	}
	if o.Pins == nil || o.Sink == nil || o.Link == nil {
		return nil, errors.New("central: pins, sink and link are needed")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Central{
		o: o, log: log.With("component", "central"), queue: make(chan message, queueMessages),
		gates: map[record.Origin]*gateState{}, said: map[saying]time.Time{},
	}
	for _, h := range o.Sink.Held() {
		c.gate(h.Origin).hold(h.Position)
	}
	return c, nil
}

// Filters gives the topics to subscribe to, on every connect and before
// [Central.Online].
func (c *Central) Filters() []string {
	return []string{c.o.Topics.Filter(wire.KindState), c.o.Topics.Filter(wire.KindHello), c.o.Topics.Filter(wire.KindEntry)}
}

// Deliver queues one message from the link and never blocks. When the queue is
// full the message is dropped: its gate sends it again.
func (c *Central) Deliver(topic string, body []byte) {
	size := int64(len(topic) + len(body))
	if c.bytes.Add(size) <= queueBytes {
		select {
		case c.queue <- message{topic, body}:
			return
		default:
		}
	}
	c.bytes.Add(-size)
	c.count(func(s *Stats) { s.Dropped++ })
}

// Run works through the queue until ctx ends. It gives nil then.
func (c *Central) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case m := <-c.queue:
			c.round(ctx, m)
		}
	}
}

// Will gives the last will: a retained central/state that says offline. A link
// that ends in order publishes it by hand.
func (c *Central) Will() (topic string, body []byte) {
	body, err := wire.CentralState{Online: false, Boot: c.o.Boot}.Marshal()
	if err != nil {
		panic(err) // three plain fields
	}
	return c.o.Topics.CentralState(), body
}

// Online publishes that central is there. It belongs after each connect, when
// the subscriptions are in place: gates answer it with hello and with all that
// is not acknowledged.
func (c *Central) Online(ctx context.Context) error {
	body, err := wire.CentralState{Online: true, Boot: c.o.Boot, Since: c.o.Now().UnixMilli()}.Marshal()
	if err != nil {
		return err
	}
	if err := c.o.Link.Publish(ctx, c.o.Topics.CentralState(), body, true); err != nil {
		return fmt.Errorf("central: publish central/state: %w", err)
	}
	return nil
}

// Stats gives the counts.
func (c *Central) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.st
}

func (c *Central) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.st)
}

// round takes m and what waits behind it, stores all of it at once and then
// answers.
func (c *Central) round(ctx context.Context, m message) {
	r := round{}
	for n := 1; ; n++ {
		c.bytes.Add(-int64(len(m.topic) + len(m.body)))
		c.count(func(s *Stats) { s.Messages++ })
		c.take(&r, m)
		if n == roundMessages {
			break
		}
		select {
		case m = <-c.queue:
			continue
		default:
		}
		break
	}
	kept := c.store(ctx, &r)
	c.answer(ctx, &r) // also when nothing could be kept: it says what is held
	if !kept {
		select {
		case <-ctx.Done():
		case <-time.After(sinkPause):
		}
	}
}

// store makes the round durable; only then is it held.
func (c *Central) store(ctx context.Context, r *round) bool {
	if len(r.batches) == 0 {
		return true
	}
	err := c.o.Sink.Store(ctx, r.batches)
	if err != nil {
		for _, b := range r.batches {
			c.gate(b.Origin).tentative = nil
		}
		c.count(func(s *Stats) { s.SinkErrors++ })
		c.report(Report{Kind: ReportSink, Text: "nothing is acknowledged: " + err.Error()})
		return false
	}
	for _, rep := range r.reports {
		c.report(rep)
	}
	for _, b := range r.batches {
		g := c.gate(b.Origin)
		g.hold(b.Events[len(b.Events)-1].Position())
		g.tentative = nil
		c.count(func(s *Stats) { s.Stored += uint64(len(b.Events)) })
		if c.o.Stored != nil {
			c.o.Stored(b)
		}
	}
	return true
}

// answer publishes what the round owes: one acknowledgement a gate, one reply
// a hello. A few go out side by side, for each waits for the broker.
func (c *Central) answer(ctx context.Context, r *round) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, answersAtOnce)
	send := func(topic string, t signed.Type, retained bool, payload marshaler, count func(*Stats)) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if c.publish(ctx, topic, t, retained, payload) {
				c.count(count)
			}
		})
	}
	for _, due := range r.acks {
		p, ok := c.gate(due.origin).epochs[due.epoch]
		if !ok {
			continue // it has nothing of that epoch; hello/reply says so
		}
		now := c.o.Now()
		send(c.o.Topics.EntryAck(due.origin), signed.TypeAck, true, wire.Ack{
			Aud: audience(due.origin), Iat: now.Unix(), Time: now.UnixMilli(), Position: wire.Position(p),
		}, func(s *Stats) { s.Acks++ })
	}
	for _, h := range r.hellos {
		now := c.o.Now()
		reply := wire.HelloReply{Aud: audience(h.origin), Iat: now.Unix(), Nonce: h.nonce, Time: now.UnixMilli()}
		if p, ok := c.gate(h.origin).epochs[h.epoch]; ok {
			reply.Ack = (*wire.Position)(&p)
		}
		reply.Keys = c.keysFor(h)
		send(c.o.Topics.HelloReply(h.origin), signed.TypeHello, false, reply, func(s *Stats) { s.Replies++ })
	}
	wg.Wait()
	c.call(ctx)
}

// call says again that central is there when a box believes that central has
// more than it has: the boxes answer with hello, and the reply puts it right.
// It reaches all boxes, so it is not done often.
func (c *Central) call(ctx context.Context) {
	if !c.callDue || c.o.Now().Sub(c.called) < callEvery {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := c.Online(ctx); err != nil {
		c.log.Warn("boxes were not called", "error", err)
		return
	}
	c.callDue, c.called = false, c.o.Now()
	c.count(func(s *Stats) { s.Calls++ })
}

type marshaler interface{ Marshal() ([]byte, error) }

func audience(o record.Origin) string { return o.Site + "/" + o.Gate }

func (c *Central) publish(ctx context.Context, topic string, t signed.Type, retained bool, payload marshaler) bool {
	b, err := payload.Marshal()
	var doc string
	if err == nil {
		doc, err = c.o.Signer.Sign(t, b)
	}
	if err == nil {
		pctx, cancel := context.WithTimeout(ctx, publishWithin)
		err = c.o.Link.Publish(pctx, topic, []byte(doc), retained)
		cancel()
	}
	if err != nil {
		c.count(func(s *Stats) { s.Unsent++ })
		c.log.Warn("answer not sent; the gate will ask again", "topic", topic, "error", err)
		return false
	}
	return true
}
