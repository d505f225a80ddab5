package brokertest

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Lies are what real brokers do to messages that they have acknowledged with
// a PUBACK (BROKERS.md). Each is a probability from 0 to 1.
type Lies struct {
	// On chooses the topics that are lied about; nil means all.
	On func(topic string) bool
	// Drop loses the message: a forbidden topic, a full queue, a crash.
	Drop float64
	// Twice delivers it twice: a cluster's failover.
	Twice float64
	// Late holds it back until after the next message on any chosen topic.
	Late float64
	Seed uint64
}

// Lied counts what happened.
type Lied struct{ Dropped, Twice, Late int }

// Lie makes the broker lie from now on; a zero Lies makes it honest again.
func (b *Broker) Lie(l Lies) {
	h := b.hook
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lies = l
	h.rnd = rand.New(rand.NewPCG(l.Seed, 1))
}

// Lied says how often the broker has lied.
func (b *Broker) Lied() Lied {
	b.hook.mu.Lock()
	defer b.hook.mu.Unlock()
	return b.hook.lied
}

// Mute acknowledges and throws away what clients publish on topics that f
// names, as Mosquitto does with topics that its access list forbids; nil
// mutes nobody.
func (b *Broker) Mute(f func(client, topic string) bool) {
	b.hook.mu.Lock()
	defer b.hook.mu.Unlock()
	b.hook.mute = f
}

// Refuse answers the CONNECT of such clients with a CONNACK code 4.
func (b *Broker) Refuse(f func(client string) bool) {
	b.hook.mu.Lock()
	defer b.hook.mu.Unlock()
	b.hook.refuse = f
}

// Forbid answers SUBSCRIBE for such filters with 0x80.
func (b *Broker) Forbid(f func(client, filter string) bool) {
	b.hook.mu.Lock()
	defer b.hook.mu.Unlock()
	b.hook.forbid = f
}

// hook is where mochi asks us.
type hook struct {
	mochi.HookBase
	server atomic.Pointer[mochi.Server]

	mu     sync.Mutex // guards the following
	lies   Lies
	rnd    *rand.Rand
	lied   Lied
	held   []packets.Packet
	mute   func(client, topic string) bool
	refuse func(client string) bool
	forbid func(client, filter string) bool
}

func newHook() *hook { return &hook{rnd: rand.New(rand.NewPCG(1, 1))} }

func (*hook) ID() string { return "brokertest" }

func (*hook) Provides(b byte) bool {
	switch b {
	case mochi.OnConnectAuthenticate, mochi.OnACLCheck, mochi.OnPublish, mochi.OnPublished:
		return true
	}
	return false
}

func (h *hook) OnConnectAuthenticate(cl *mochi.Client, _ packets.Packet) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refuse == nil || !h.refuse(cl.ID)
}

func (h *hook) OnACLCheck(cl *mochi.Client, topic string, write bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return write || h.forbid == nil || !h.forbid(cl.ID, topic)
}

// OnPublish decides about one message that a client has sent. mochi
// acknowledges it whatever we say with CodeSuccessIgnore.
func (h *hook) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mute != nil && h.mute(cl.ID, pk.TopicName) {
		return pk, packets.CodeSuccessIgnore
	}
	if h.lies.On != nil && !h.lies.On(pk.TopicName) {
		return pk, nil
	}
	switch p := h.rnd.Float64(); {
	case p < h.lies.Drop:
		h.lied.Dropped++
		return pk, packets.CodeSuccessIgnore
	case p < h.lies.Drop+h.lies.Late:
		h.lied.Late++
		h.held = append(h.held, pk.Copy(false))
		return pk, packets.CodeSuccessIgnore
	case p < h.lies.Drop+h.lies.Late+h.lies.Twice:
		h.lied.Twice++
		h.held = append(h.held, pk.Copy(false))
	}
	return pk, nil
}

// OnPublished runs after a message has gone out: what was held follows it.
func (h *hook) OnPublished(cl *mochi.Client, pk packets.Packet) {
	if cl.Net.Inline || pk.Ignore {
		return
	}
	h.mu.Lock()
	held := h.held
	h.held = nil
	h.mu.Unlock()
	s := h.server.Load()
	for _, p := range held {
		_ = s.Publish(p.TopicName, p.Payload, p.FixedHeader.Retain, p.FixedHeader.Qos)
	}
}
