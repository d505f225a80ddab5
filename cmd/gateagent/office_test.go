package main_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/passport/specimen"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/cache/block"
	"gateagent/sync/brokertest"
	"gateagent/sync/central"
	"gateagent/sync/mqttlink"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var quiet = slog.New(slog.DiscardHandler)

const site = "hn01"

// gateZone is where the gates of the tests stand: their days are counted there,
// wherever the tests run.
var gateZone = time.FixedZone("UTC+7", 7*60*60)

// office is central: its keys, its broker, what it has been sent.
type office struct {
	t      testing.TB
	broker *brokertest.Broker
	topics wire.Topics
	keys   map[signed.Role]signed.Signer
	health *specimen.Issuer // signs vaccine passports
	pins   *central.Pins
	ledger *ledger
	rules  *policy.Policy // as published
	// The key of the set vn, how boxes may hold it, and its version; the key of
	// the site's entries.
	vn, entry sealed.Secret
	hold      string
	version   uint64
	// hand says what central hands out; nil: nothing.
	hand func(record.Origin) ([]sealed.Secret, error)

	mu      sync.Mutex
	reports []central.Report // mu guards it
}

// newOffice starts a broker on which a trust list and a policy are retained.
// The policy is the built-in one, but it makes do with the clock of a machine
// that nobody has set: on which the tests run is not theirs to choose.
func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{
		t: t, broker: brokertest.Start(t), keys: make(map[signed.Role]signed.Signer), ledger: newLedger(),
		vn: newSecret("vn", "vn-1"), entry: newSecret(signed.EntrySet, "entry-1"), hold: wire.KeyHoldFile, version: 1,
	}
	var err error
	if o.topics, err = wire.NewTopics(wire.DefaultPrefix); err != nil {
		t.Fatal(err)
	}
	if o.pins, err = central.LoadPins("", true); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	trust := signed.Trust{Aud: site, Ver: 1, Iat: now.Unix(), Exp: now.Add(time.Hour).Unix()}
	for _, role := range []signed.Role{signed.RoleRoot, signed.RoleAck, signed.RolePolicy, signed.RoleSnapshot, signed.RolePass} {
		key, err := signed.NewSigner(string(role)+"-1", role)
		if err != nil {
			t.Fatal(err)
		}
		o.keys[role] = key
		if role != signed.RoleRoot {
			trust.Keys = append(trust.Keys, key.TrustKey())
		}
	}
	if o.health, err = specimen.NewIssuer(); err != nil {
		t.Fatal(err)
	}
	kid, spki := o.health.KID()
	trust.Keys = append(trust.Keys, signed.TrustKey{Kid: kid, Role: signed.RolePassport, Alg: signed.AlgES256, Key: spki})
	list, err := json.Marshal(trust)
	if err != nil {
		t.Fatal(err)
	}
	o.broker.Publish(o.topics.Trust(site), o.sign(signed.TypeTrust, signed.RoleRoot, list), true)

	o.publishPolicy(policy.MaxLevel, nil)
	return o
}

// publishPolicy publishes the policy, for a site at a level. change may alter
// its document; nil: as it is.
func (o *office) publishPolicy(level int, change func(doc map[string]any)) {
	o.t.Helper()
	now := time.Now()
	h := policy.Header{Audience: site, Version: 3, Issued: now, Expires: now.Add(time.Hour)}
	text, err := policy.Default().AtLevel(level).Marshal(h)
	if err != nil {
		o.t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(string(text), `"clock": "rtc"`, `"clock": "floor"`))
	if change != nil {
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			o.t.Fatal(err)
		}
		change(doc)
		if text, err = json.Marshal(doc); err != nil {
			o.t.Fatal(err)
		}
	}
	if o.rules, err = policy.Parse(text); err != nil {
		o.t.Fatal(err)
	}
	o.broker.Publish(o.topics.Policy(site), o.sign(signed.TypePolicy, signed.RolePolicy, text), true)
}

// newSecret draws a key.
func newSecret(set, kid string) sealed.Secret {
	s := sealed.Secret{Set: set, Kid: kid}
	rand.Read(s.Key[:]) //nolint:errcheck // never fails
	return s
}

func (o *office) sign(t signed.Type, role signed.Role, payload []byte) []byte {
	o.t.Helper()
	doc, err := o.keys[role].Sign(t, payload)
	if err != nil {
		o.t.Fatal(err)
	}
	return []byte(doc)
}

// settings are those of a box of this office, which uses the set vn.
func (o *office) settings(lanes string) settings {
	return settings{
		site: site, broker: o.broker.URL(), root: o.keys[signed.RoleRoot].Root().String(), lanes: lanes, rules: o.rules,
		setKey:   writeKey(o.t, o.vn.Kid, "vn", o.vn.Key),
		entryKey: writeKey(o.t, o.entry.Kid, signed.EntrySet, o.entry.Key),
	}
}

// memorySettings are those of a box that has the set vn and no key of it.
func (o *office) memorySettings(lanes string) settings {
	return settings{
		site: site, broker: o.broker.URL(), root: o.keys[signed.RoleRoot].Root().String(), lanes: lanes, rules: o.rules, keyless: true,
	}
}

// publishPeople publishes the set vn: people 1 to green completed their series
// long ago, nobody else is known.
func (o *office) publishPeople(green int) {
	o.t.Helper()
	now := time.Now()
	today := gate.DayOf(now.In(gateZone))
	base := today - 1000
	done, err := gate.NewWord(gate.FactCompleted, today-100, base, false)
	if err != nil {
		o.t.Fatal(err)
	}
	pseudo := gate.NewPseudonymer(o.vn.Key)
	rows := make([]block.Row, green)
	for i := range rows {
		rows[i] = block.Row{Person: pseudo.Of(someone(i + 1).number), Word: done}
	}
	if err := block.Sort(rows); err != nil {
		o.t.Fatal(err)
	}
	digest, blocks := block.NewDigest(), []wire.Block(nil)
	for no, value := range block.Pack(rows, block.Width) {
		digest.Add(no, value)
		blocks = append(blocks, wire.Block{No: no, Value: slices.Clone(value)})
	}
	chunk, err := wire.EncodeChunk(wire.CodingColumns, block.Width, blocks)
	if err != nil {
		o.t.Fatal(err)
	}
	sum, all := sha256.Sum256(chunk), digest.Sum()
	name := hex.EncodeToString(sum[:])
	manifest, err := wire.Manifest{
		Aud: "vn", Ver: o.version, Iat: now.Unix(), Exp: now.Add(time.Hour).Unix(), Coding: wire.CodingColumns, KeyHold: o.hold,
		Base: wire.Base{
			Version: o.version, People: uint64(green), Blocks: block.Blocks(uint64(green)), Width: block.Width,
			BaseDay: base.String(), KeyID: o.vn.Kid, Digest: hex.EncodeToString(all[:]),
		},
		Chunks: []wire.Chunk{{
			Digest: name, Size: len(chunk), First: blocks[0].No, Last: blocks[len(blocks)-1].No, People: uint64(green),
		}},
	}.Marshal()
	if err != nil {
		o.t.Fatal(err)
	}
	o.broker.Publish(o.topics.Chunk("vn", name), chunk, true)
	o.broker.Publish(o.topics.Manifest("vn"), o.sign(signed.TypeManifest, signed.RoleSnapshot, manifest), true)
}

// subject names the n-th person as entries of the site do.
func (o *office) subject(n int) gate.Pseudonym {
	return gate.NewPseudonymer(o.entry.Key).Of(someone(n).number)
}

// equipped waits until an agent has trust list, policy and people.
func (o *office) equipped(a *agent) {
	a.t.Helper()
	a.until("trust, policy and data are in force", func() bool {
		s := a.status()
		return s.Trust.Version == 1 && s.Policy.Version == 3 && len(s.Sets) == 1 && s.Sets[0].Version == 1
	})
}

// open runs central until close is called or the test ends.
func (o *office) open() (c *central.Central, closeOffice func()) {
	o.t.Helper()
	var link *mqttlink.Link
	c, err := central.New(central.Options{
		Topics: o.topics, Signer: o.keys[signed.RoleAck], Pins: o.pins, Sink: o.ledger, Boot: "00112233aabbccdd",
		Keys: o.hand, HandLearned: true,
		Link: publisher(func(ctx context.Context, topic string, body []byte, retained bool) error {
			return link.Publish(ctx, topic, body, 1, retained)
		}),
		Report: func(r central.Report) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.reports = append(o.reports, r)
		},
	}, quiet)
	if err != nil {
		o.t.Fatal(err)
	}
	topic, will := c.Will()
	link, err = mqttlink.New(mqttlink.Options{
		Broker: o.broker.URL(), ClientID: "central", Persistent: true, Will: &mqttlink.Will{Topic: topic, Body: will, Retained: true},
	}, quiet)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, f := range c.Filters() {
		link.Add(mqttlink.Subscription{
			Filter: f, QoS: 1, Once: true, Full: mqttlink.Wait, Queue: 256,
			Handle: func(topic string, body []byte, _ bool) { c.Deliver(topic, body) },
		})
	}
	up := make(chan struct{}, 1)
	link.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	var parts sync.WaitGroup
	parts.Go(func() { _ = link.Run(ctx) })
	parts.Go(func() { _ = c.Run(ctx) })
	parts.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-up:
				_ = c.Online(ctx) // the next connection brings the next call
			}
		}
	})
	closeOffice = func() {
		cancel()
		parts.Wait()
	}
	o.t.Cleanup(closeOffice)
	return c, closeOffice
}

// runLink runs a link until the test ends.
func runLink(t testing.TB, l *mqttlink.Link) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = l.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	for end := time.Now().Add(slow(2 * time.Second)); !l.Connected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no connection to the broker")
		}
	}
}

// publisher is a link as central.Central wants it.
type publisher func(ctx context.Context, topic string, body []byte, retained bool) error

func (p publisher) Publish(ctx context.Context, topic string, body []byte, retained bool) error {
	return p(ctx, topic, body, retained)
}

// reported gives the reports of a kind.
func (o *office) reported(kind central.ReportKind) (out []central.Report) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.reports {
		if r.Kind == kind {
			out = append(out, r)
		}
	}
	return out
}

// delivered waits until central has acknowledged all of an agent's journal.
func (o *office) delivered(a *agent) {
	a.t.Helper()
	a.until("everything is acknowledged", func() bool {
		s := a.status()
		return s.Journal.Seq > 0 && s.Journal.Acked == s.Journal.Seq
	})
}

// ledger keeps events in memory and is the referee over what central keeps:
// each epoch from its first record, without gap, repeat or break.
type ledger struct {
	mu     sync.Mutex // guards the following
	order  []record.Epoch
	epochs map[record.Epoch][]record.Event
	wrong  []string
}

func newLedger() *ledger { return &ledger{epochs: make(map[record.Epoch][]record.Event)} }

func (l *ledger) Held() (out []central.Held) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.order {
		events := l.epochs[e]
		last := events[len(events)-1]
		out = append(out, central.Held{Origin: last.Origin(), Position: last.Position()})
	}
	return out
}

func (l *ledger) Store(_ context.Context, batches []central.Batch) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range batches {
		for _, ev := range b.Events {
			have := l.epochs[ev.Epoch()]
			var at record.Position
			if len(have) == 0 {
				l.order = append(l.order, ev.Epoch())
			} else {
				at = have[len(have)-1].Position()
			}
			if link := ev.Link(); link.Seq != at.Seq+1 || link.Prev != at.Head {
				l.wrong = append(l.wrong, fmt.Sprintf("record %d of %s after record %d", link.Seq, ev.Epoch(), at.Seq))
			}
			l.epochs[ev.Epoch()] = append(have, ev)
		}
	}
	return nil
}

// of gives what is kept of one epoch.
func (l *ledger) of(e record.Epoch) []record.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.epochs[e])
}

// count gives the number of epochs and of all records.
func (l *ledger) count() (epochs, records int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for events := range maps.Values(l.epochs) {
		records += len(events)
	}
	return len(l.epochs), records
}

// wantSame holds central to having the very journal that the box has.
func (o *office) wantSame(events []record.Event) {
	o.t.Helper()
	at := wholeChain(o.t, events)
	kept := o.ledger.of(at.Epoch)
	if len(kept) != len(events) || kept[len(kept)-1].Position() != at {
		o.t.Errorf("central has %d records, the box %d, or another chain", len(kept), len(events))
	}
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	for _, w := range o.ledger.wrong {
		o.t.Error(w)
	}
}
