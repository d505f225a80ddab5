package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/passport/specimen"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/intake"
	"gateagent/cmd/gatectl/people"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/central"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// validFor is how long the demo's documents may be taken into force.
const validFor = 24 * time.Hour

// world is everything outside the box: the broker, and central with its keys.
type world struct {
	url   string
	dir   string
	quiet *slog.Logger

	embedded *mochi.Server // nil when another broker is used
	signers  map[signed.Role]signed.Signer
	health   *specimen.Issuer // signs vaccine passports
	set      sealed.Secret
	entry    sealed.Secret
	session  *publish.Session

	cancel context.CancelFunc
	ended  chan error
	sink   *central.JSONL
	sinkAt string

	mu     sync.Mutex
	stored map[uint64]record.Event // guarded by mu: what central keeps, by sequence number
	policy uint64                  // guarded by mu: version that the gate's state names
	news   chan struct{}           // one token: something above has changed
}

func (d *demo) startWorld(ctx context.Context) (err error) {
	w := &world{
		url: d.Broker, dir: d.dir, quiet: slog.New(slog.DiscardHandler), signers: map[signed.Role]signed.Signer{},
		stored: map[uint64]record.Event{}, news: make(chan struct{}, 1), ended: make(chan error, 1), sinkAt: d.path("central.jsonl"),
	}
	d.world = w
	if w.url == "" {
		if err := w.startBroker(); err != nil {
			return err
		}
	}
	if err := w.makeKeys(); err != nil {
		return err
	}
	if err := w.startCentral(ctx); err != nil {
		return err
	}
	w.session, err = publish.Connect(ctx, w.broker("demo-publish"), w.quiet, func(l *mqttlink.Link, t wire.Topics) {
		l.Subscribe(t.State(origin()), func(_ string, body []byte, _ bool) { w.sawState(body) })
	})
	return err
}

func origin() record.Origin { return record.Origin{Site: site, Gate: gateID} }

func (w *world) broker(client string) publish.Broker {
	return publish.Broker{URL: w.url, Prefix: wire.DefaultPrefix, ClientID: client}
}

// startBroker runs mochi on a free port of the loopback. At its own log level
// it would print whole packets, so it is silent.
func (w *world) startBroker() error {
	s := mochi.New(&mochi.Options{Logger: w.quiet})
	if err := s.AddHook(new(letIn), nil); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	l := listeners.NewTCP(listeners.Config{ID: "demo", Address: "127.0.0.1:0"})
	if err := s.AddListener(l); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	if err := s.Serve(); err != nil {
		return fmt.Errorf("start the broker: %w", err)
	}
	w.embedded, w.url = s, "mqtt://"+l.Address()
	return nil
}

// letIn lets everybody do everything: the broker is on the loopback and dies
// with the demo.
type letIn struct{ mochi.HookBase }

// Provides says which questions are answered here.
func (*letIn) Provides(b byte) bool { return b == mochi.OnConnectAuthenticate || b == mochi.OnACLCheck }

// OnConnectAuthenticate lets a client in.
func (*letIn) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }

// OnACLCheck lets a client read or write a topic.
func (*letIn) OnACLCheck(*mochi.Client, string, bool) bool { return true }

// makeKeys draws all keys. The private ones of a real central lie under a
// passphrase (gatectl keygen); those of the demo die with it. The secrets of set
// and entries are written nowhere: central hands them to the gate, which holds
// them in memory.
func (w *world) makeKeys() error {
	for _, role := range []signed.Role{signed.RoleRoot, signed.RoleSnapshot, signed.RolePolicy, signed.RoleAck, signed.RolePass} {
		s, err := signed.NewSigner("demo-"+string(role), role)
		if err != nil {
			return err
		}
		w.signers[role] = s
	}
	var err error
	if w.health, err = specimen.NewIssuer(); err != nil {
		return err
	}
	for _, secret := range []*sealed.Secret{&w.set, &w.entry} {
		key, err := newKey()
		if err != nil {
			return err
		}
		secret.Key = key
	}
	w.set.Set, w.set.Kid = setName, "demo-"+setName
	w.entry.Set, w.entry.Kid = signed.EntrySet, "demo-"+signed.EntrySet
	return nil
}

// equip signs what visitors show that is signed: a passport of the whole
// series, and a pass for one entry at this gate. Whoever shows one again shows
// one that has been used: in the first round the same, later one of the first.
func (w *world) equip(rounds [][]visitor) error {
	now := time.Now().Truncate(time.Minute)
	var used []string
	for round, come := range rounds {
		again := 0
		for i := range come {
			text := ""
			for _, v := range come[i].shows() {
				var err error
				switch v.row.show {
				case vaccinePass:
					text, err = w.health.Vaccination(specimen.Vaccination{
						Family: v.family, Given: v.given, Born: v.born, Dose: 2, Of: 2,
						On: now.AddDate(0, 0, -60), From: now.Add(-time.Hour), To: now.Add(validFor),
					})
				case visitorPass:
					switch {
					case text == "":
						text, err = pass.Issue(w.signers[signed.RolePass].Key, pass.Claims{
							Kind: gate.PassVisitor, Name: v.family + " " + v.given, Host: "Phòng Ví Dụ",
							Site: site, Gates: []string{gateID}, Single: true, From: now.Add(-time.Hour), To: now.Add(validFor),
						})
						if round == 0 {
							used = append(used, text)
						}
					case round > 0:
						text = used[again%len(used)]
						again++
					}
				default:
					continue
				}
				if err != nil {
					return err
				}
				v.payload = text
			}
		}
	}
	return nil
}

// handOut gives the keys that the gate may have.
func (w *world) handOut(record.Origin) ([]sealed.Secret, error) {
	return []sealed.Secret{w.set, w.entry}, nil
}

// pins lists the identity of the gate, as its technician would have told it to
// central: the box makes it at its first start, here a moment before.
func (w *world) pins() (*central.Pins, error) {
	id, err := identity.Load(w.dir + "/box/identity")
	if err != nil {
		return nil, err
	}
	pins, err := central.LoadPins("", false)
	if err != nil {
		return nil, err
	}
	return pins, pins.Pin(origin(), id.Public())
}

// subject is the pseudonym by which entries name a person.
func (w *world) subject(n gate.Number) string {
	return gate.NewPseudonymer(w.entry.Key).Of(n).String()
}

func (w *world) startCentral(ctx context.Context) error {
	pins, err := w.pins()
	if err != nil {
		return err
	}
	if w.sink, err = central.OpenJSONL(w.sinkAt, w.quiet); err != nil {
		return err
	}
	ctx, w.cancel = context.WithCancel(ctx)
	go func() {
		_, err := intake.Run(ctx, w.broker("demo-central"), central.Options{
			Signer: w.signers[signed.RoleAck], Pins: pins, Sink: w.sink, Stored: w.sawStored, Keys: w.handOut,
		}, w.quiet)
		w.ended <- err
	}()
	return nil
}

func (w *world) sawStored(b central.Batch) {
	w.mu.Lock()
	for _, e := range b.Events {
		w.stored[e.Link().Seq] = e
	}
	w.mu.Unlock()
	w.wake()
}

func (w *world) sawState(body []byte) {
	s, err := wire.ParseState(body)
	if err != nil || s.Policy == nil {
		return // a will, or somebody else's
	}
	w.mu.Lock()
	w.policy = s.Policy.Ver
	w.mu.Unlock()
	w.wake()
}

func (w *world) wake() {
	select {
	case w.news <- struct{}{}:
	default:
	}
}

// until waits until done says so, looking again after each piece of news.
func (w *world) until(ctx context.Context, within time.Duration, what string, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		w.mu.Lock()
		ok := done()
		w.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-w.news:
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("not within %v: %s", within, what)
		}
	}
}

func (w *world) publishRules(ctx context.Context) error {
	now := time.Now()
	list := signed.Trust{Aud: site, Ver: 1, Iat: now.Unix(), Exp: now.Add(validFor).Unix()}
	for _, role := range []signed.Role{signed.RoleSnapshot, signed.RolePolicy, signed.RoleAck, signed.RolePass} {
		list.Keys = append(list.Keys, w.signers[role].TrustKey())
	}
	kid, spki := w.health.KID()
	list.Keys = append(list.Keys, signed.TrustKey{Kid: kid, Role: signed.RolePassport, Alg: signed.AlgES256, Key: spki})
	compact, err := publish.SignTrust(w.signers[signed.RoleRoot], list)
	if err != nil {
		return err
	}
	if err := w.session.Retained(ctx, w.session.Topics.Trust(site), []byte(compact)); err != nil {
		return err
	}
	return w.publishPolicy(ctx, 3, 1)
}

func (w *world) publishPolicy(ctx context.Context, level int, version uint64) error {
	now := time.Now()
	compact, err := publish.SignPolicy(w.signers[signed.RolePolicy], policy.Default().AtLevel(level), policy.Header{
		Audience: site, Version: version, Issued: now, Expires: now.Add(validFor),
	})
	if err != nil {
		return err
	}
	return w.session.Retained(ctx, w.session.Topics.Policy(site), []byte(compact))
}

// raiseLevel publishes the next policy and waits until the gate says that it is
// in force.
func (w *world) raiseLevel(ctx context.Context, level int) error {
	const version = 2
	if err := w.publishPolicy(ctx, level, version); err != nil {
		return err
	}
	return w.until(ctx, 30*time.Second, "the gate's state names the new policy", func() bool { return w.policy == version })
}

func (w *world) publishPeople(ctx context.Context, seed uint64, today time.Time, come []visitor) error {
	in, out := io.Pipe()
	go func() {
		_, err := writePeople(out, seed, today, come)
		out.CloseWithError(err)
	}()
	defer in.Close()
	list, err := people.Open(in, people.Options{Format: people.CSV})
	if err != nil {
		return err
	}
	builder := dataset.NewBuilder(dataset.Options{
		Rule: people.Rule{AsOf: gate.DayOf(today), Settle: people.DefaultSettle}, Key: w.set.Key,
	})
	defer builder.Close() //nolint:errcheck // nothing of it is on the disk
	bad, err := builder.ReadAll(ctx, list, 0)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return fmt.Errorf("the fictional list has a bad line: %v", bad[0])
	}
	folder := dataset.NewFolder(w.dir + "/set")
	m, _, err := folder.WriteBase(ctx, builder, dataset.Head{
		Set: setName, Version: 1, KeyID: w.set.Kid, KeyHold: wire.KeyHoldMemory,
		Issued: today, Expires: today.Add(validFor),
	}, nil)
	if err != nil {
		return err
	}
	compact, err := publish.SignManifest(w.signers[signed.RoleSnapshot], m)
	if err != nil {
		return err
	}
	if err := folder.WriteManifest(compact); err != nil {
		return err
	}
	return w.session.Snapshot(ctx, folder, []byte(compact), m, nil)
}

func (w *world) stop() error {
	var errs []error
	if w.session != nil {
		errs = append(errs, w.session.Close())
	}
	if w.cancel != nil {
		w.cancel()
		errs = append(errs, <-w.ended, w.sink.Close())
	}
	if w.embedded != nil {
		errs = append(errs, w.embedded.Close())
	}
	return errors.Join(errs...)
}

// freeAddress finds a port on the loopback that nobody uses, the usual one if
// it can be had.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return "", fmt.Errorf("find a port for the page: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
