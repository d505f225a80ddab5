// Package presence says at the broker that this box is there and how it is,
// and greets central (DESIGN §4.3 `state`, `hello`). From central's answers
// come the believable time, the acknowledgement that is no replay, and the keys
// that central hands to this box.
//
// It owns the topics state and hello, the nonce under way, and the watch over
// what the broker makes of it: its own state must come back to it, and nobody
// else may write there. What a state says beyond its head is given to it.
package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/mqttlink"
	"gateagent/sync/sealed"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// The times of a presence.
const (
	stateGap    = 2 * time.Second  // between two states, at least
	twinGap     = 10 * time.Second // the same while somebody else writes there
	stateLook   = time.Minute      // a changed state goes out within
	statePeriod = 10 * time.Minute // an unchanged one too
	echoWithin  = 10 * time.Second // our own state must have come back
	muteAgain   = 30 * time.Second // while it does not, it is sent again after
	twinFor     = 15 * time.Minute // a twin is reported after it was seen last

	helloPeriod = 10 * time.Minute
	helloFirst  = time.Minute // an unanswered one is repeated after, doubling
	// replyWithin is how old an answer may be to tell the time.
	replyWithin = 30 * time.Second
	// askFirst lies between a hello and one that asks for what is missing,
	// doubling up to helloPeriod while it goes on missing.
	askFirst = 2 * time.Second

	publishWithin = time.Minute
	pauseFor      = 10 * time.Second // after the link took nothing
)

// Fault codes of a presence, as in agent/health.
const (
	FaultTwin = "twin_seen"   // another box writes this gate's state
	FaultMute = "broker_mute" // the broker takes our state and does not pass it on
)

// Fault is what is wrong; the zero Fault says that nothing is.
type Fault struct{ Code, Detail string }

// Status is a presence as it stands.
type Status struct {
	Central   bool          // central/state says online
	Answered  time.Time     // of central's last answer to a hello; zero: none
	RoundTrip time.Duration // of that answer
	States    uint64        // published
	Hellos    uint64        // published
	Refused   uint64        // answers that did not verify or were not ours
	Keys      uint64        // keys that came and opened
	Unopened  uint64        // keys that came and did not open
	Fault     Fault
}

// Journal says where the journal stands.
type Journal interface {
	Position() record.Position
	Acked() record.Position
}

// Publisher sends one message and waits for the broker to take it.
type Publisher interface {
	Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error
}

// Options of a presence. Open, Keys and OnFault may be nil.
type Options struct {
	Origin   record.Origin
	Topics   wire.Topics
	Boot     string // drawn at each start of the program, 16 to 64 hexadecimal digits
	Public   identity.Public
	Sign     wire.SignFunc
	Verifier *signed.Verifier
	Moment   func() signed.Moment
	// State gives what the state says; Online, Boot, ID and Sig are set here.
	State func() wire.State
	// Central is told central's time, roundTrip after it was asked.
	Central func(t time.Time, roundTrip time.Duration)
	// Replied is told what central has of this gate (zero: nothing it knows),
	// what was acknowledged when it was asked, and when it answered by its own
	// clock. It may block for the disk.
	Replied func(central, then record.Position, issued time.Time)
	// Open opens what central sealed to this box.
	Open func(l sealed.Label, b []byte) (gate.Key, error)
	// Keys is told the keys that an answer brought and that opened; those of
	// one set stand in their order of age, the newest last. The slice is only
	// good during the call. It is not called for an answer without keys.
	Keys func([]sealed.Secret)
	// OnFault is told when [Status.Fault] changes. It must not block and must
	// not call the presence.
	OnFault func(Fault)
}

// Will gives the last will that belongs to a presence of this boot.
func Will(o record.Origin, topics wire.Topics, boot string, sign wire.SignFunc) (*mqttlink.Will, error) {
	topic := topics.State(o)
	body, err := wire.SignBody(topic, wire.State{Boot: boot}, sign)
	if err != nil {
		return nil, err
	}
	return &mqttlink.Will{Topic: topic, Body: body, Retained: true}, nil
}

// Presence is made with [New].
type Presence struct {
	o       Options
	journal Journal
	link    Publisher
	log     *slog.Logger
	topic   string        // of our state
	wake    chan struct{} // holds one token

	mu    sync.Mutex // guards all following
	up    bool
	ups   int
	pause time.Time // nothing is sent before
	st    Status

	// state
	stateDue  bool
	stateAt   time.Time // of the last one sent
	looked    time.Time
	content   string    // of the last one sent, without its time
	body      []byte    // the last one sent
	first     int64     // its time (UTC ms by the box's clock) when first sent in this boot; 0: never
	awaited   bool      // the last one has not come back
	echoBy    time.Time // until when it must have; zero: no matter
	muted     bool
	twin      string
	twinUntil time.Time

	// hello
	helloDue bool
	helloAt  time.Time // next one, when nothing happens before
	unheard  int       // hellos in a row without an answer
	asked    *question
	held     *reply
	lack     string    // what is missing, as [Presence.Ask] was told last
	asks     int       // hellos since that is missing
	saidAt   time.Time // of the last hello
}

// New makes a presence and subscribes what it needs to hear. It belongs before
// the link's Run; the link's will should be that of [Will].
func New(o Options, j Journal, link *mqttlink.Link, log *slog.Logger) *Presence {
	p := newPresence(o, j, link, log)
	link.Add(mqttlink.Subscription{
		Filter: p.topic, QoS: 1, MaxBody: wire.MaxState,
		Handle: func(_ string, body []byte, retained bool) { p.sawState(body, retained) },
	})
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.HelloReply(o.Origin), QoS: 1, Once: true, MaxBody: signed.MaxSize(signed.TypeHello),
		Handle: func(_ string, body []byte, _ bool) { p.takeReply(body) },
	})
	link.Add(mqttlink.Subscription{
		Filter: o.Topics.CentralState(), QoS: 1, MaxBody: wire.MaxCentralState,
		Handle: func(_ string, body []byte, retained bool) {
			if st, err := wire.ParseCentralState(body); err == nil {
				p.sawCentral(st.Online, !retained)
			}
		},
	})
	link.OnUp(p.linkUp)
	link.OnDown(p.linkDown)
	return p
}

func newPresence(o Options, j Journal, link Publisher, log *slog.Logger) *Presence {
	return &Presence{o: o, journal: j, link: link, log: log, topic: o.Topics.State(o.Origin), wake: make(chan struct{}, 1)}
}

// Changed asks for a new state soon: something in it has changed.
func (p *Presence) Changed() {
	p.note(func() { p.stateDue = true })
}

// Ask says what is missing that an answer of central may bring, in any words of
// its own; "" says that nothing is. While something is, central is greeted
// again and again, less often each time; something else starts at once.
func (p *Presence) Ask(lack string) {
	p.mu.Lock()
	same := p.lack == lack
	p.mu.Unlock()
	if !same {
		p.note(func() { p.lack, p.asks = lack, 0 })
	}
}

// askAt gives when central is greeted for what is missing. mu is held.
func (p *Presence) askAt() time.Time {
	at := p.saidAt.Add(min(askFirst<<min(p.asks, 12), helloPeriod))
	if answerBy := p.saidAt.Add(replyWithin); p.asked != nil && at.Before(answerBy) {
		return answerBy // a new nonce would make the answer void
	}
	return at
}

// Status gives the presence as it stands.
func (p *Presence) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.st
}

// Run publishes states and hellos until ctx ends. It gives nil then.
func (p *Presence) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		do, wait := p.plan(time.Now())
		if do != nil {
			do(ctx)
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	return nil
}

// plan gives what to do now, or how long there is nothing to do.
func (p *Presence) plan(now time.Time) (do func(context.Context), wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := now.Add(time.Hour)
	due := func(at time.Time) bool {
		if at.After(now) {
			if at.Before(next) {
				next = at
			}
			return false
		}
		return true
	}
	if !p.echoBy.IsZero() && due(p.echoBy) {
		p.echoBy, p.muted = time.Time{}, true
	}
	if p.twin != "" && due(p.twinUntil) {
		p.twin = ""
	}
	p.judge()
	if !p.up || !due(p.pause) {
		return nil, next.Sub(now)
	}
	gap := stateGap
	if p.twin != "" {
		gap = twinGap
	}
	look := p.looked.Add(stateLook)
	if p.muted {
		look = p.stateAt.Add(muteAgain)
	}
	switch {
	case p.stateDue && due(p.stateAt.Add(gap)), due(p.stateAt.Add(statePeriod)), p.muted && due(look):
		return func(ctx context.Context) { p.sendState(ctx, true) }, 0
	case !p.muted && due(look):
		return func(ctx context.Context) { p.sendState(ctx, false) }, 0
	case p.helloDue, due(p.helloAt), p.lack != "" && due(p.askAt()):
		return p.sendHello, 0
	}
	return nil, next.Sub(now)
}

// note changes something and has Run look at it.
func (p *Presence) note(change func()) {
	p.mu.Lock()
	change()
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Presence) linkUp() {
	p.note(func() {
		p.up, p.pause = true, time.Time{}
		p.ups++
		p.stateDue, p.stateAt = true, time.Time{}
		p.helloDue = true
	})
}

func (p *Presence) linkDown() {
	p.note(func() { p.up, p.echoBy = false, time.Time{} })
}

func (p *Presence) sawCentral(online, live bool) {
	p.note(func() {
		if online && (live || !p.st.Central) {
			p.helloDue = true
		}
		p.st.Central = online
	})
}

// publish sends one message. ok is false when the link did not take it; then
// nothing more is tried before it comes up, or pauseFor.
func (p *Presence) publish(ctx context.Context, topic string, body []byte, retained bool) (ok bool) {
	p.mu.Lock()
	ups := p.ups
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	if err := p.link.Publish(ctx, topic, body, 1, retained); err != nil {
		p.log.Debug("presence: not taken", "topic", topic, "error", err)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.ups == ups {
			p.pause = time.Now().Add(pauseFor)
		}
		return false
	}
	return true
}

// judge works out the present fault. mu is held.
func (p *Presence) judge() {
	var f Fault
	switch {
	case p.twin != "":
		f = Fault{FaultTwin, p.twin}
	case p.muted:
		f = Fault{FaultMute, "our own state does not come back: check access list, certificate name and size limits of the broker"}
	}
	if f == p.st.Fault {
		return
	}
	p.st.Fault = f
	if f.Code != "" {
		p.log.Warn("presence: fault", "code", f.Code, "detail", f.Detail)
	}
	if p.o.OnFault != nil {
		p.o.OnFault(f)
	}
}
