package soaktest

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/sync/documents"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/outbox"
	"gateagent/sync/presence"
	"gateagent/sync/signed"
	"gateagent/sync/snapshot"
	"gateagent/sync/wire"
)

var origin = record.Origin{Site: "hn01", Gate: "g1"}

// box is the network side of one gate, put together as the agent does it.
type box struct {
	t        *testing.T
	journal  *cache.Journal
	sets     *cache.Sets
	link     *mqttlink.Link
	outbox   *outbox.Outbox
	presence *presence.Presence
	docs     *documents.Keeper
	fetcher  *snapshot.Fetcher
	stop     func()

	mu      sync.Mutex
	central time.Duration // how far off central's time was
	answers int
}

// startBox runs a box on dir. boot names this run.
func startBox(t *testing.T, o *office, dir, boot string) *box {
	t.Helper()
	return startBoxAs(t, o, dir, boot, "g1-"+boot)
}

// startBoxAs does so under a client id.
func startBoxAs(t *testing.T, o *office, dir, boot, client string) *box {
	t.Helper()
	b := &box{t: t}
	id, err := identity.Load(filepath.Join(dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	b.journal, err = cache.OpenJournal(cache.JournalOptions{Dir: filepath.Join(dir, "journal"), Origin: origin}, discard)
	if err != nil {
		t.Fatal(err)
	}
	b.sets, err = cache.OpenSets(cache.SetsOptions{
		Dir: filepath.Join(dir, "sets"), Reserve: 1,
		Sets: []cache.SetKey{{Name: "vn", KeyID: "vn-1", Key: gate.Key{1}, HasKey: true}},
	}, discard)
	if err != nil {
		t.Fatal(err)
	}
	verifier := signed.NewVerifier(o.roots(), origin.Site, origin.Gate)
	moment := func() signed.Moment { return signed.Moment{Now: time.Now(), Level: gate.ClockNTP} }
	boot = strings.Repeat(boot, 16)
	will, err := presence.Will(origin, o.topics, boot, id.Sign)
	if err != nil {
		t.Fatal(err)
	}
	b.link, err = mqttlink.New(mqttlink.Options{Broker: o.url, ClientID: client, KeepAlive: 10 * time.Second, Will: will}, discard)
	if err != nil {
		t.Fatal(err)
	}
	b.docs, err = documents.New(documents.Options{
		Dir: filepath.Join(dir, "documents"), Roots: o.roots(), Site: origin.Site, Gate: origin.Gate,
		Verifier: verifier, Moment: moment,
		Policy:  func(signed.Document) (func(), error) { return func() {}, nil },
		OnTrust: func(signed.Trust) { b.outbox.Retry(); b.presence.Retry(); b.fetcher.Retry() },
	}, discard)
	if err != nil {
		t.Fatal(err)
	}
	b.fetcher = snapshot.New(snapshot.Options{
		Set: "vn", Topics: o.topics, Verifier: verifier, Moment: moment, Store: b.sets, Reserve: 1,
		Dir:     filepath.Join(dir, "sets", "vn", "chunks"),
		Courier: snapshot.NewCourier(snapshot.CourierOptions{Origin: origin, Topics: o.topics, Sign: id.Sign}, b.link, discard),
	}, b.link, discard)
	b.outbox = outbox.New(outbox.Options{
		Origin: origin, Topics: o.topics, Sign: id.Sign, Verifier: verifier, Moment: moment,
	}, b.journal, b.link, discard)
	b.presence = presence.New(presence.Options{
		Origin: origin, Topics: o.topics, Boot: boot, Public: id.Public(), Sign: id.Sign, Verifier: verifier, Moment: moment,
		State: b.state, Central: b.tell, Replied: b.outbox.Replied,
	}, b.journal, b.link, discard)
	b.docs.Attach(b.link, o.topics)
	b.docs.Restore()

	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, run := range []func(context.Context) error{b.outbox.Run, b.presence.Run, b.fetcher.Run, b.link.Run} {
		wg.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	var once sync.Once
	b.stop = func() {
		once.Do(func() {
			cancel()
			wg.Wait()
			if err := b.journal.Close(); err != nil {
				t.Error(err)
			}
			if err := b.sets.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(b.stop)
	return b
}

func (b *box) state() wire.State {
	p, a := b.journal.Position(), b.journal.Acked()
	return wire.State{Time: time.Now().UnixMilli(), Decides: true, Journal: &wire.JournalState{
		Epoch: p.Epoch, Seq: p.Seq, Acked: a.Seq, Queued: p.Seq - a.Seq,
	}}
}

func (b *box) tell(at time.Time, _ time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.central = time.Since(at).Abs()
	b.answers++
}

// append decides one fictional scan and waits until it is durable.
func (b *box) append(n int) {
	b.t.Helper()
	if _, err := b.journal.Append(entry(n)).Wait(); err != nil {
		b.t.Fatal(err)
	}
}

// delivered says whether central has acknowledged everything.
func (b *box) delivered() bool {
	return b.journal.Acked() == b.journal.Position()
}
