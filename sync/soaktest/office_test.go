package soaktest

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/central"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var discard = slog.New(slog.DiscardHandler)

// office is everything at central but the broker: keys, a sink, and the
// programs that come and go.
type office struct {
	t      *testing.T
	url    string
	topics wire.Topics
	root   signed.Signer
	keys   map[signed.Role]signed.Signer
	pins   *central.Pins
	sink   *sink
	reps   reports
}

func newOffice(t *testing.T, url string) *office {
	t.Helper()
	o := &office{t: t, url: url, keys: make(map[signed.Role]signed.Signer), sink: newSink()}
	for _, role := range []signed.Role{signed.RoleRoot, signed.RoleAck, signed.RolePolicy, signed.RoleSnapshot} {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		o.keys[role] = signed.Signer{Kid: string(role) + "-1", Role: role, Key: key}
	}
	o.root = o.keys[signed.RoleRoot]
	var err error
	if o.topics, err = wire.NewTopics("gate/v1"); err != nil {
		t.Fatal(err)
	}
	if o.pins, err = central.LoadPins("", true); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *office) roots() []signed.Root {
	return []signed.Root{{Kid: o.root.Kid, Key: o.root.Key.Public().(ed25519.PublicKey)}}
}

// trust is the signed trust list of a site.
func (o *office) trust(site string) []byte {
	now := time.Now().Unix()
	list := signed.Trust{Aud: site, Ver: 1, Iat: now, Exp: now + 86400}
	for _, role := range slices.Sorted(maps.Keys(o.keys)) {
		if s := o.keys[role]; role != signed.RoleRoot {
			list.Keys = append(list.Keys, signed.TrustKey{
				Kid: s.Kid, Role: role, Alg: signed.AlgEdDSA, Key: signed.Bytes(s.Key.Public().(ed25519.PublicKey)),
			})
		}
	}
	return o.sign(signed.RoleRoot, signed.TypeTrust, list)
}

func (o *office) sign(role signed.Role, t signed.Type, v any) []byte {
	o.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		o.t.Fatal(err)
	}
	out, err := o.keys[role].Sign(t, b)
	if err != nil {
		o.t.Fatal(err)
	}
	return []byte(out)
}

// publish brings retained messages to the broker and waits for it.
func (o *office) publish(messages map[string][]byte) {
	o.t.Helper()
	link, err := mqttlink.New(mqttlink.Options{Broker: o.url, ClientID: "publisher"}, discard)
	if err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = link.Run(ctx) })
	defer wg.Wait()
	defer cancel()
	eventually(o.t, 20*time.Second, "publisher connected", link.Connected)
	for topic, body := range messages {
		if err := link.Publish(ctx, topic, body, 1, true); err != nil {
			o.t.Fatal(err)
		}
	}
}

// program is one run of central's ingest.
type program struct {
	c    *central.Central
	link *mqttlink.Link
	stop func()
}

// start runs central on the sink as it stands.
func (o *office) start() *program {
	o.t.Helper()
	p := &program{}
	var err error
	p.c, err = central.New(central.Options{
		Topics: o.topics, Signer: o.keys[signed.RoleAck], Pins: o.pins, Sink: o.sink,
		Link: lateLink{&p.link}, Boot: "00112233aabbccdd", Report: o.reps.add,
	}, discard)
	if err != nil {
		o.t.Fatal(err)
	}
	topic, body := p.c.Will()
	p.link, err = mqttlink.New(mqttlink.Options{
		Broker: o.url, ClientID: "central", Persistent: true,
		Will: &mqttlink.Will{Topic: topic, Body: body, Retained: true},
	}, discard)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range p.c.Filters() {
		p.link.Add(mqttlink.Subscription{
			Filter: f, QoS: 1, Once: true, Full: mqttlink.Wait, Queue: 256,
			Handle: func(topic string, body []byte, _ bool) { p.c.Deliver(topic, body) },
		})
	}
	up := make(chan struct{}, 1)
	p.link.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.link.Run(ctx) })
	wg.Go(func() { _ = p.c.Run(ctx) })
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-up:
				_ = p.c.Online(ctx) // a new connection brings a new call
			}
		}
	})
	var once sync.Once
	p.stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	o.t.Cleanup(p.stop)
	return p
}

// lateLink is a link that is made after who uses it.
type lateLink struct{ l **mqttlink.Link }

func (l lateLink) Publish(ctx context.Context, topic string, body []byte, retained bool) error {
	if *l.l == nil {
		return mqttlink.ErrNotConnected
	}
	return (*l.l).Publish(ctx, topic, body, 1, retained)
}

// sink keeps events in memory and is the referee: it fails on a repeat, a gap
// or a broken chain.
type sink struct {
	mu     sync.Mutex
	epochs map[record.Epoch][]record.Event
	order  []record.Epoch
	wrong  []string
}

func newSink() *sink { return &sink{epochs: make(map[record.Epoch][]record.Event)} }

// copy is a backup.
func (s *sink) copy() *sink {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := newSink()
	c.order = slices.Clone(s.order)
	for e, events := range s.epochs {
		c.epochs[e] = slices.Clone(events)
	}
	return c
}

func (s *sink) Held() []central.Held {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []central.Held
	for _, e := range s.order {
		last := s.epochs[e][len(s.epochs[e])-1]
		out = append(out, central.Held{Origin: last.Origin(), Position: last.Position()})
	}
	return out
}

func (s *sink) Store(_ context.Context, batches []central.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range batches {
		for _, ev := range b.Events {
			e := ev.Epoch()
			have := s.epochs[e]
			if len(have) == 0 {
				s.order = append(s.order, e)
			}
			if l := ev.Link(); l.Seq != uint64(len(have))+1 {
				s.wrong = append(s.wrong, fmt.Sprintf("record %d after %d", l.Seq, len(have)))
			} else if len(have) > 0 && have[len(have)-1].Position().Head != l.Prev {
				s.wrong = append(s.wrong, fmt.Sprintf("record %d breaks the chain", l.Seq))
			}
			s.epochs[e] = append(have, ev)
		}
	}
	return nil
}

func (s *sink) count(e record.Epoch) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return uint64(len(s.epochs[e]))
}

// audit gives what is wrong with the sink as the copy of the journal at pos.
func (s *sink) audit(pos record.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, w := range s.wrong {
		errs = append(errs, errors.New(w))
	}
	have := s.epochs[pos.Epoch]
	if uint64(len(have)) != pos.Seq {
		return errors.Join(append(errs, fmt.Errorf("%d records of %d", len(have), pos.Seq))...)
	}
	if have[len(have)-1].Position() != pos {
		errs = append(errs, errors.New("the head is another"))
	}
	return errors.Join(errs...)
}

// entries gives the lanes of the entries kept, in order: the tests number them.
func (s *sink) entries(e record.Epoch) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, ev := range s.epochs[e] {
		if v, err := ev.Link().Record.Entry(); err == nil {
			out = append(out, v.Lane)
		}
	}
	return out
}

type reports struct {
	mu   sync.Mutex
	list []central.Report
}

func (r *reports) add(rep central.Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rep)
}

func (r *reports) count(k central.ReportKind) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rep := range r.list {
		if rep.Kind == k {
			n++
		}
	}
	return n
}

func eventually(t *testing.T, within time.Duration, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not within %v: %s", within, what)
}

// entry is a fictional decision, numbered in its lane.
func entry(n int) gate.Entry {
	return gate.Entry{
		Time: time.Now(), Lane: fmt.Sprintf("n%d", n), Verdict: gate.Allow, Class: gate.Green,
		Reasons: []gate.Reason{gate.ReasonUnreadable}, DataAge: 60, Clock: gate.ClockNTP,
		Subject: gate.Pseudonym(n), HasSubject: true, Policy: gate.PolicyRef{ID: "soak", Version: 1},
	}
}
