package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/mqttlink"
	"gateagent/sync/pace"
	"gateagent/sync/wire"
)

const (
	// window is how many chunks are under way at once, of all sets together
	// (DESIGN §4.3).
	window = 4
	// chunkWithin is how long one may take; then it is asked for again.
	chunkWithin = 5 * time.Second
	// widenAfter is how many chunks in a row must come in time before a window
	// that was narrowed is widened by one.
	widenAfter = 16
)

var (
	// errWrongChunk is a chunk that is not the one it is said to be.
	errWrongChunk = errors.New("its digest is another")
	// errNobody is a chunk that was asked for in vain.
	errNobody = errors.New("nobody answers: is a chunk server running at central, and may it write to this gate?")
)

// Link is what the box's connection is used for. Errors wrap those of
// sync/mqttlink.
type Link interface {
	// Retained reads the message that the broker keeps on one full topic.
	Retained(ctx context.Context, topic string, within time.Duration) ([]byte, error)
	Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error
}

// CourierOptions say how chunks are brought.
type CourierOptions struct {
	Origin record.Origin
	Topics wire.Topics
	// Sign signs what the box asks for: [identity.Identity.Sign].
	Sign wire.SignFunc
	// Rate bounds the bytes of chunks a second; 0: unbounded.
	Rate int64
	// Web fetches chunks from the URLs that manifests name, before the broker
	// is asked; nil: they are not used.
	Web *Web
}

// CourierStatus counts what was brought, since the start.
type CourierStatus struct {
	Asked   uint64 // chunks asked for; each repeat counts
	Chunks  uint64 // chunks brought
	Bytes   uint64 // their bytes
	Wrong   uint64 // chunks that were not the ones they were said to be
	Unasked uint64 // answers that nobody waited for
	ByURL   uint64 // chunks that came from a URL
	Window  int    // chunks under way at most, now
}

// Courier brings chunks by digest, for all sets of a box: those that the broker
// keeps, those that are asked for, those that lie on a web server. It owns the
// window, the pace, and the one subscription on which answers come.
type Courier struct {
	o    CourierOptions
	link Link
	log  *slog.Logger
	gate *gateway
	pace *pace.Pacer
	urls urlHealth

	mu      sync.Mutex // guards all following
	waiting map[string][]*request
	lost    chan struct{} // closed when the present connection goes
	st      CourierStatus
}

// request is one wait for an answer.
type request struct {
	size  int
	body  chan []byte
	wrong bool // something else came under its name
}

// NewCourier makes a Courier and subscribes the answers. It belongs before the
// link's Run.
func NewCourier(o CourierOptions, link *mqttlink.Link, log *slog.Logger) *Courier {
	c := newCourier(o, link, log)
	if o.Sign != nil {
		link.Add(mqttlink.Subscription{
			Filter: o.Topics.GateChunk(o.Origin, "+"), QoS: 0, Once: true,
			Queue: 2 * window, Full: mqttlink.Wait, MaxBody: wire.MaxChunk,
			Handle: func(topic string, body []byte, _ bool) { c.deliver(topic, body) },
		})
	}
	link.OnDown(c.down)
	return c
}

func newCourier(o CourierOptions, link Link, log *slog.Logger) *Courier {
	return &Courier{
		o: o, link: link, log: log, gate: newGateway(window), pace: pace.New(o.Rate),
		waiting: make(map[string][]*request), lost: make(chan struct{}),
	}
}

// Status gives the counts.
func (c *Courier) Status() CourierStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.st
	st.Window = c.gate.most()
	return st
}

// parcel is a chunk as a document names it.
type parcel struct {
	digest string
	size   int
}

// way is how a chunk comes over the broker.
type way uint8

const (
	byTopic way = iota // it is kept on a topic of its own
	byAsking
)

func (w way) other() way { return 1 - w }

// bring fetches one chunk and holds it to its digest. It waits for its turn and
// for the pace first; the error of ctx is its cause.
func (c *Courier) bring(ctx context.Context, set string, p parcel, urls []string, w way) ([]byte, error) {
	if err := c.gate.enter(ctx); err != nil {
		return nil, err
	}
	defer c.gate.leave()
	if err := c.pace.Wait(ctx, p.size); err != nil {
		return nil, err
	}
	if c.o.Web != nil && len(urls) > 0 {
		if body, ok := c.byURL(ctx, p, urls); ok {
			return body, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	var body []byte
	var err error
	if w == byAsking && c.o.Sign != nil {
		body, err = c.ask(ctx, set, p)
	} else {
		body, err = c.read(ctx, set, p)
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		c.gate.inTime()
		c.count(func(st *CourierStatus) { st.Chunks++; st.Bytes += uint64(len(body)) })
	case errors.Is(err, errNobody):
		// A line too slow for so many at once looks just like this.
		c.gate.tooLate()
	}
	return body, err
}

// Ask brings one chunk by asking for it, held to its digest. It waits for its
// turn and for the pace, and then at most 5 s for the answer; whoever needs the
// chunk asks again.
func (c *Courier) Ask(ctx context.Context, set, digest string, size int) ([]byte, error) {
	return c.bring(ctx, set, parcel{digest, size}, nil, byAsking)
}

// read reads a chunk that the broker keeps.
func (c *Courier) read(ctx context.Context, set string, p parcel) ([]byte, error) {
	body, err := c.link.Retained(ctx, c.o.Topics.Chunk(set, p.digest), chunkWithin)
	if err != nil {
		return nil, err
	}
	if !p.is(body) {
		c.count(func(st *CourierStatus) { st.Wrong++ })
		return nil, errWrongChunk
	}
	return body, nil
}

// ask asks central for a chunk and waits for the answer. What comes under its
// name and is something else does not end the waiting: whoever sends it must
// not keep the right one out.
func (c *Courier) ask(ctx context.Context, set string, p parcel) ([]byte, error) {
	r := &request{size: p.size, body: make(chan []byte, 1)}
	lost := c.await(p.digest, r)
	defer c.forget(p.digest, r)
	topic := c.o.Topics.Want(c.o.Origin)
	body, err := wire.SignBody(topic, wire.Want{Set: set, Digests: []string{p.digest}}, c.o.Sign)
	if err != nil {
		return nil, fmt.Errorf("ask for a chunk: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, chunkWithin, errNobody)
	defer cancel()
	if err := c.link.Publish(ctx, topic, body, 1, false); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	c.count(func(st *CourierStatus) { st.Asked++ })
	select {
	case body := <-r.body:
		return body, nil
	case <-lost:
		return nil, fmt.Errorf("ask for a chunk: %w", mqttlink.ErrNotConnected)
	case <-ctx.Done():
		if err := context.Cause(ctx); !errors.Is(err, errNobody) {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if r.wrong {
			return nil, errWrongChunk
		}
		return nil, errNobody
	}
}

func (c *Courier) await(digest string, r *request) (lost <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[digest] = append(c.waiting[digest], r)
	return c.lost
}

func (c *Courier) forget(digest string, r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := c.waiting[digest][:0]
	for _, o := range c.waiting[digest] {
		if o != r {
			rest = append(rest, o)
		}
	}
	if len(rest) == 0 {
		delete(c.waiting, digest)
	} else {
		c.waiting[digest] = rest
	}
}

// deliver takes an answer. Nothing of it is kept unless it was asked for and is
// what it is said to be.
func (c *Courier) deliver(topic string, body []byte) {
	a, ok := c.o.Topics.Parse(topic)
	if !ok || a.Kind != wire.KindGateChunk || a.Origin() != c.o.Origin {
		return
	}
	c.mu.Lock()
	asked := len(c.waiting[a.Digest]) > 0
	if !asked {
		c.st.Unasked++
	}
	c.mu.Unlock()
	if !asked {
		return
	}
	right := parcel{a.Digest, len(body)}.is(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !right {
		c.st.Wrong++
	}
	for _, r := range c.waiting[a.Digest] {
		if !right || len(body) != r.size {
			r.wrong = true
			continue
		}
		select {
		case r.body <- body:
		default: // the first answer is enough
		}
	}
}

// down is told that the connection is gone, and with it every answer that was
// under way.
func (c *Courier) down() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.lost)
	c.lost = make(chan struct{})
}

func (c *Courier) count(change func(*CourierStatus)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.st)
}

// is says whether body is the chunk.
func (p parcel) is(body []byte) bool {
	sum := sha256.Sum256(body)
	return len(body) == p.size && hex.EncodeToString(sum[:]) == p.digest
}

// gateway lets so many through at once. It narrows when answers do not come in
// time, so that a slow line is not filled with what will be asked for again,
// and widens when they do.
type gateway struct {
	limit int

	mu      sync.Mutex // guards all following
	width   int
	inside  int
	streak  int
	waiting []chan struct{}
}

func newGateway(limit int) *gateway { return &gateway{limit: limit, width: limit} }

func (g *gateway) most() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.width
}

func (g *gateway) enter(ctx context.Context) error {
	g.mu.Lock()
	if g.inside < g.width && len(g.waiting) == 0 {
		g.inside++
		g.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		select {
		case <-turn: // it came at the same moment: hand it on
			g.inside--
		default:
			for i, w := range g.waiting {
				if w == turn {
					g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
					break
				}
			}
		}
		g.admit()
		return context.Cause(ctx)
	}
}

func (g *gateway) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.admit()
}

// admit lets in whoever waits. g.mu is held.
func (g *gateway) admit() {
	for len(g.waiting) > 0 && g.inside < g.width {
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
		g.inside++
	}
}

func (g *gateway) inTime() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.streak++; g.streak >= widenAfter && g.width < g.limit {
		g.width, g.streak = g.width+1, 0
		g.admit()
	}
}

func (g *gateway) tooLate() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.width, g.streak = max(1, g.width/2), 0
}
