package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/health"
	"gateagent/agent/policy"
	"gateagent/agent/record"
	"gateagent/agent/supervise"
	"gateagent/cache"
	"gateagent/sync/documents"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/outbox"
	"gateagent/sync/presence"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/snapshot"
	"gateagent/sync/wire"
)

// network is everything that talks to central. It is never on the path of a
// decision.
type network struct {
	box      *box
	id       *identity.Identity
	link     *mqttlink.Link
	presence *presence.Presence
	outbox   *outbox.Outbox // nil without a journal
	fetchers []*snapshot.Fetcher
}

// buildNetwork connects the box to central's broker. What keeps it from that is
// a fault; the gate works on without.
func (b *box) buildNetwork() {
	n := &network{box: b}
	log := b.part("sync")
	topics, verifier, err := n.buildDocuments(log)
	if err != nil {
		log.Error("no signed document can be taken: the built-in policy stays in force", "error", err)
		b.say("trust", health.Degraded, health.TrustMissing, err.Error())
		b.say("policy", health.Degraded, health.PolicyBuiltIn, "")
	}
	id, idErr := identity.Load(b.path("identity"))
	if idErr != nil {
		log.Error("no identity: nothing can be sent to central", "error", idErr)
		b.say("identity", health.Failed, health.IdentityFailed, idErr.Error())
		err = errors.New("not tried: this box has no identity")
	} else {
		b.ok("identity")
	}
	if err == nil {
		n.id = id
		err = n.build(topics, verifier, log)
	}
	if err != nil {
		log.Error("the way to central cannot be set up", "error", err)
		b.say("broker", health.Failed, health.BrokerUnreachable, err.Error())
		b.say("central", health.Degraded, health.CentralAway, "")
		return
	}
	b.net = n
}

// buildDocuments brings back the trust list and the policy that were in force.
// It comes before all that needs a network: a box that cannot reach central
// goes on with central's last word.
func (n *network) buildDocuments(log *slog.Logger) (topics wire.Topics, verifier *signed.Verifier, err error) {
	b := n.box
	if topics, err = wire.NewTopics(b.cfg.MQTT.Prefix); err != nil {
		return topics, nil, fmt.Errorf("mqtt.prefix: %w", err)
	}
	var roots []signed.Root
	for _, s := range b.cfg.Trust.RootKeys {
		root, err := signed.ParseRoot(s)
		if err != nil {
			return topics, nil, fmt.Errorf("trust.root_keys: %w", err)
		}
		roots = append(roots, root)
	}
	verifier = signed.NewVerifier(roots, b.cfg.Site.ID, b.cfg.Site.Gate)
	b.documents, err = documents.New(documents.Options{
		Dir: b.path("documents"), Roots: roots, Site: b.cfg.Site.ID, Gate: b.cfg.Site.Gate,
		Verifier: verifier, Moment: b.moment,
		Policy:     n.takePolicy,
		Revoked:    n.takeRevoked,
		OnTrust:    n.trustTaken,
		OnVerified: b.clock.Raise,
	}, log.With("part", "documents"))
	if err != nil {
		return topics, nil, err
	}
	b.documents.Restore()
	return topics, verifier, nil
}

func (n *network) build(topics wire.Topics, verifier *signed.Verifier, log *slog.Logger) error {
	b := n.box
	will, err := presence.Will(b.origin(), topics, b.boot, n.id.Sign)
	if err != nil {
		return err
	}
	o := mqttlink.Options{
		Broker: b.cfg.MQTT.Broker, ClientID: clientID(b.origin(), n.id), Username: b.cfg.MQTT.Username,
		KeepAlive: b.cfg.MQTT.KeepAlive, Will: will,
	}
	if file := b.cfg.MQTT.PasswordFile; file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("mqtt.password_file: %w", err)
		}
		o.Password = strings.TrimRight(string(text), "\r\n")
	}
	if n.link, err = mqttlink.New(o, log.With("part", "link")); err != nil {
		return err
	}
	var store snapshot.Store = noStore{}
	if b.sets != nil {
		store = keyedStore{b.sets, b.keys}
	}
	courier, err := n.courier(topics, log)
	if err != nil {
		return err
	}
	for _, s := range b.cfg.Sets {
		n.fetchers = append(n.fetchers, snapshot.New(snapshot.Options{
			Set: s.Name, Topics: topics, Verifier: verifier, Moment: b.moment, Store: store, Courier: courier,
			Dir:      b.path("sets", s.Name, "chunks"),
			OnSwitch: n.switched, OnVerified: b.clock.Raise, OnProgress: n.changed,
		}, n.link, log.With("part", "snapshot", "set", s.Name)))
	}
	var position presence.Journal = noPosition{}
	replied := func(_, _ record.Position, _ time.Time) {}
	if b.records != nil {
		n.outbox = outbox.New(outbox.Options{
			Origin: b.origin(), Topics: topics, Sign: n.id.Sign, Verifier: verifier, Moment: b.moment,
		}, b.records, n.link, log.With("part", "outbox"))
		position, replied = b.records, n.outbox.Replied
	}
	n.presence = presence.New(presence.Options{
		Origin: b.origin(), Topics: topics, Boot: b.boot, Public: n.id.Public(), Sign: n.id.Sign,
		Verifier: verifier, Moment: b.moment,
		State: n.state, Central: b.clock.Central, Replied: replied,
		Open: func(l sealed.Label, b []byte) (gate.Key, error) { return sealed.Open(n.id, l, b) },
		Keys: b.keys.take,
	}, position, n.link, log.With("part", "presence"))
	b.keys.came, b.keys.wanted = n.keysCame, n.askForKeys
	b.documents.Attach(n.link, topics)
	return nil
}

// courier brings the chunks of all data sets.
func (n *network) courier(topics wire.Topics, log *slog.Logger) (*snapshot.Courier, error) {
	b := n.box
	o := snapshot.CourierOptions{Origin: b.origin(), Topics: topics, Sign: n.id.Sign, Rate: b.cfg.Sync.MaxRate()}
	if b.cfg.Sync.URLs {
		var roots []byte
		if file := b.cfg.Sync.URLsCA; file != "" {
			var err error
			if roots, err = os.ReadFile(file); err != nil {
				return nil, fmt.Errorf("sync.urls_ca: %w", err)
			}
		}
		var err error
		if o.Web, err = snapshot.NewWeb(roots); err != nil {
			return nil, fmt.Errorf("sync.urls_ca: %s: %w", b.cfg.Sync.URLsCA, err)
		}
	}
	return snapshot.NewCourier(o, n.link, log.With("part", "courier")), nil
}

// clientID is unique to this box, so that a twin with its name is seen by its
// state and not thrown off by the broker for ever.
func clientID(o record.Origin, id *identity.Identity) string {
	return o.Site + "-" + o.Gate + "-" + id.Public().Ed25519.String()[:8]
}

// keyedStore is the box's store, which takes no version whose key is missing in
// place of one that can be read.
type keyedStore struct {
	*cache.Sets
	keys *keys
}

// Stage begins to write a newer version.
func (s keyedStore) Stage(g gate.Generation) (gate.GenerationWriter, error) {
	if err := s.keys.ready(g); err != nil {
		return nil, err
	}
	return s.Sets.Stage(g)
}

// StageBack begins to write an older version.
func (s keyedStore) StageBack(g gate.Generation) (gate.GenerationWriter, error) {
	if err := s.keys.ready(g); err != nil {
		return nil, err
	}
	return s.Sets.StageBack(g)
}

// askForKeys has central greeted when a key is missing that it could hand out.
func (n *network) askForKeys() { n.presence.Ask(n.box.keys.lack()) }

// keysCame goes on with versions that waited for their keys.
func (n *network) keysCame() {
	n.askForKeys()
	for _, f := range n.fetchers {
		f.Up()
	}
	n.changed()
}

// noStore refuses data where there is no place for it.
type noStore struct{}

var errNoStore = errors.New("no data sets on this box")

func (noStore) Generation(string) (gate.Generation, bool)     { return gate.Generation{}, false }
func (noStore) Base(string) (uint64, [32]byte, bool)          { return 0, [32]byte{}, false }
func (noStore) Vouch(gate.Generation) error                   { return errNoStore }
func (noStore) Rebase(gate.Generation) (done bool, err error) { return false, errNoStore }
func (noStore) Stage(gate.Generation) (gate.GenerationWriter, error) {
	return nil, errNoStore
}

func (noStore) StageBack(gate.Generation) (gate.GenerationWriter, error) {
	return nil, errNoStore
}

func (noStore) Apply(gate.Delta, func(func(gate.Change) error) error) error {
	return errNoStore
}

// noPosition stands where there is no journal.
type noPosition struct{}

func (noPosition) Position() record.Position { return record.Position{} }
func (noPosition) Acked() record.Position    { return record.Position{} }

func (n *network) tasks() []supervise.Task {
	tasks := []supervise.Task{{Name: "presence", Run: n.presence.Run}}
	if n.outbox != nil {
		tasks = append(tasks, supervise.Task{Name: "outbox", Run: n.sendEntries})
	}
	for _, f := range n.fetchers {
		tasks = append(tasks, supervise.Task{Name: "data:" + f.Status().Set, Run: f.Run})
	}
	// The link comes last: all filters are there when it connects, and its
	// goodbye is said before anything else is taken down.
	return append(tasks,
		supervise.Task{Name: "news", Run: n.tellNews},
		supervise.Task{Name: "link", Run: n.link.Run},
	)
}

// sendEntries runs the outbox and says in the end what it did.
func (n *network) sendEntries(ctx context.Context) error {
	err := n.outbox.Run(ctx)
	s := n.outbox.Status()
	n.box.part("sync").Info("entries sent", "records", s.Sent, "resent", s.Resent, "acknowledgements", s.Acks,
		"rewinds", s.Rewinds, "waiting", s.Queue())
	return err
}

// tellNews asks for a new state whenever the health of the box has changed.
func (n *network) tellNews(ctx context.Context) error {
	for {
		changed := n.box.health.Changed()
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			n.presence.Changed()
		}
	}
}

// takePolicy reads a policy whose signature holds.
func (n *network) takePolicy(d signed.Document) (apply func(), err error) {
	p, err := policy.Parse(d.Payload)
	if err != nil {
		return nil, err
	}
	return func() {
		b := n.box
		was := b.rules.Load()
		b.useRules(&rules{Policy: p, issued: d.Iat})
		b.log.Info("policy in force", "id", p.Ref().ID, "version", p.Ref().Version, "level", p.Level())
		b.event(gate.EventPolicy, map[string]any{
			"id": p.Ref().ID, "ver": p.Ref().Version, "was": was.Ref().Version, "state": "in_force", "kid": d.Kid,
		})
		n.changed()
	}, nil
}

// takeRevoked reads a list of what is revoked whose signature holds.
func (n *network) takeRevoked(d signed.Document) (apply func(), err error) {
	list, err := wire.ParseRevoked(d.Payload)
	if err != nil {
		return nil, err
	}
	set := list.Set()
	return func() {
		was := n.box.proofs.revokedVersion.Swap(list.Ver)
		n.box.proofs.revoked.Store(set)
		n.box.log.Info("list of what is revoked in force", "version", list.Ver,
			"passes", len(list.Passes), "spent", len(list.Spent), "passports", len(list.Passports))
		n.box.event(gate.EventTrust, map[string]any{
			"document": string(signed.TypeRevoked), "ver": list.Ver, "was": was, "state": "in_force", "kid": d.Kid,
			"count": len(list.Passes) + len(list.Spent) + len(list.Passports),
		})
		n.changed()
	}, nil
}

func (n *network) trustTaken(t signed.Trust) {
	if t.Floor > 0 {
		n.box.clock.Set(time.Unix(t.Floor, 0))
	}
	n.box.proofs.trust(t)
	n.box.event(gate.EventTrust, map[string]any{"ver": t.Ver, "state": "in_force"})
	for _, f := range n.fetchers {
		f.Retry()
	}
	if n.outbox != nil {
		n.outbox.Retry()
	}
	if n.presence != nil { // not yet, when the list was restored at the start
		n.presence.Retry()
	}
	n.changed()
}

// switched is told that a version of a data set came into force.
func (n *network) switched(g gate.Generation) {
	n.box.log.Info("data in force", "set", g.Set, "version", g.Version, "people", g.People)
	n.box.event(gate.EventData, map[string]any{
		"set": g.Set, "ver": g.Version, "people": g.People, "state": "in_force", "kid": g.KeyID,
	})
	n.box.keys.settle()
	n.changed()
}

func (n *network) changed() {
	if n.presence != nil {
		n.presence.Changed()
	}
}

// data gives how the fetching of a set stands.
func (n *network) data(set string) snapshot.Status {
	for _, f := range n.fetchers {
		if s := f.Status(); s.Set == set {
			return s
		}
	}
	return snapshot.Status{}
}

// lookAtDocuments brings the figures of the signed documents to the registry.
func (b *box) lookAtDocuments() {
	if b.documents == nil {
		return // said once, at the start
	}
	docs := b.documents.Status()
	document := func(name string, s documents.State, missing health.Level) {
		switch {
		case s.Fault.Code == "":
			b.ok(name)
		case s.Version == 0:
			b.say(name, missing, s.Fault.Code, s.Fault.Detail)
		default:
			b.say(name, health.Degraded, s.Fault.Code, s.Fault.Detail)
		}
	}
	document("trust", docs.Trust, health.Degraded)
	document("policy", docs.Policy, health.Degraded)
	document("revoked", docs.Revoked, health.Degraded)
}

// look brings the figures of the network parts to the registry.
func (n *network) look() {
	b := n.box
	n.askForKeys()
	link, here := n.link.Status(), n.presence.Status()
	switch {
	case link.Fault.Code == mqttlink.FaultTaken:
		b.say("identity", health.Failed, health.TwinSeen, link.Fault.Detail)
	case here.Fault.Code == presence.FaultTwin:
		b.say("identity", health.Failed, health.TwinSeen, here.Fault.Detail)
	default:
		b.ok("identity")
	}
	mute := here.Fault.Code == presence.FaultMute
	detail := here.Fault.Detail
	var queue outbox.Status
	if n.outbox != nil {
		if queue = n.outbox.Status(); queue.Fault.Code == outbox.FaultMute {
			mute, detail = true, queue.Fault.Detail
		}
	}
	switch {
	case link.Fault.Code == mqttlink.FaultRefused, link.Fault.Code == mqttlink.FaultSubscribe:
		b.say("broker", health.Degraded, health.BrokerRefused, link.Fault.Detail)
	case !link.Connected:
		b.say("broker", health.Degraded, health.BrokerUnreachable, link.LastError)
	case mute:
		b.say("broker", health.Degraded, health.BrokerMute, detail)
	default:
		b.ok("broker")
	}
	switch {
	case queue.Fault.Code == outbox.FaultMismatch:
		b.say("central", health.Degraded, health.AckMismatch, queue.Fault.Detail)
	case !link.Connected || !here.Central && here.Answered.IsZero():
		b.say("central", health.Degraded, health.CentralAway, "")
	case queue.Fault.Code == outbox.FaultAway:
		b.say("central", health.Degraded, health.CentralAway, queue.Fault.Detail)
	default:
		b.ok("central")
	}
}

// describe adds what the network knows to the view of the box.
func (n *network) describe(v *health.Box) {
	s := n.link.Status()
	v.Link = health.LinkState{
		Broker: s.Broker, Connected: s.Connected, Since: s.Since, Central: n.presence.Status().Answered,
	}
	if t := n.box.documents.Status().Trust; t.Version > 0 {
		v.Trust = health.DocumentState{Version: t.Version, Issued: t.Issued}
	}
	if r := n.box.documents.Status().Revoked; r.Version > 0 {
		v.Proofs.Revoked = health.DocumentState{Version: r.Version, Issued: r.Issued}
	}
	for i := range v.Sets {
		if st := n.data(v.Sets[i].Set); st.Target > 0 {
			v.Sets[i].Fetch = health.Fetch{
				Version: st.Target, Bytes: st.Bytes, Of: st.OfBytes, Rate: st.Rate, Left: st.Left,
			}
		} else if st.Waits > 0 {
			v.Sets[i].Fetch = health.Fetch{Version: st.Waits, At: st.From, Left: time.Until(st.From)}
		}
	}
}

// state is the body of the box's `state`.
func (n *network) state() wire.State {
	v := n.box.view()
	s := wire.State{
		Time: v.Now.UnixMilli(), Version: v.Version, Decides: v.CanDecide, Clock: v.Clock.String(), Trust: v.Trust.Version,
		Revoked: v.Proofs.Revoked.Version,
		Policy:  &wire.PolicyState{ID: v.Policy.ID, Ver: v.Policy.Version},
		Data:    map[string]wire.SetState{},
	}
	for _, c := range v.Components {
		if c.Level == health.OK {
			continue
		}
		s.Health = append(s.Health, wire.Component{
			Name: c.Name, Level: c.Level.String(), Code: string(c.Fault.Code), Since: c.Since.UnixMilli(),
		})
		if !v.CanDecide && s.Why == "" && c.Need != health.Aside && c.Level == health.Failed {
			s.Why = string(c.Fault.Code)
		}
	}
	if b := n.box; b.records != nil {
		j := b.records.Status()
		s.Journal = &wire.JournalState{
			Epoch: j.Position.Epoch, Seq: j.Position.Seq, Acked: j.Acked.Seq, Queued: j.Unacked,
		}
	}
	for _, d := range v.Sets {
		set := wire.SetState{Ver: d.Version, Keys: d.KeyID}
		if !d.Issued.IsZero() {
			set.AsOf = d.Issued.UnixMilli()
		}
		st := n.data(d.Set)
		set.Base, set.Refused = st.Base, st.Fault.Reason
		if st.Target > 0 {
			set.Fetching = &wire.Fetching{Ver: st.Target, Done: st.Done, Of: st.Chunks}
		}
		s.Data[d.Set] = set
	}
	return s
}
