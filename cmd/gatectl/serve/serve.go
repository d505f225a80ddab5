// Package serve answers gates that ask for chunks of large data sets: what a
// gate wants comes on `data/want`, each chunk goes back on a topic of that gate
// (DESIGN §4.3).
//
// It owns the order in which gates are served, the bounds of what is under
// way, and a link of its own. It trusts nobody and need not be trusted: a
// chunk is what its digest says, and a gate holds it to that. What it reads are
// the folders that cmd/gatectl/dataset writes; a version that is built while
// it runs is served without a word.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gateagent/agent/record"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/mqttlink"
	"gateagent/sync/pace"
	"gateagent/sync/wire"
)

// The bounds that a server has unless it is told otherwise.
const (
	// DefaultInFlight is how many bytes of answers are under way at most.
	DefaultInFlight = 32 << 20
	// perGate is how many chunks one gate may have waiting: what it asks for in
	// one message. It has four under way.
	perGate = wire.MaxWanted
	// maxGates bounds the gates that wait, and so the memory.
	maxGates = 20_000
	// senders is how many answers are written side by side.
	senders = 8
	// sendWithin bounds one answer: the gate asks again after 5 s.
	sendWithin = 10 * time.Second
)

// Source is a folder of chunks. The error of Chunk is fs.ErrNotExist for one
// that is not there.
type Source interface {
	Chunk(digest string) ([]byte, error)
}

// Link is how answers go out: [mqttlink.Link].
type Link interface {
	Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error
}

// Options of a server. Only Sources and Topics have no default.
type Options struct {
	Sources []Source
	Topics  wire.Topics
	// Sites limits whom it answers; empty: everybody.
	Sites []string
	// InFlight bounds the bytes of answers that are under way;
	// 0: DefaultInFlight.
	InFlight int64
	// Rate bounds the bytes that go out a second; 0: unbounded.
	Rate int64
}

// Stats counts what a server did.
type Stats struct {
	Wants     uint64 // messages in which chunks were asked for
	Chunks    uint64 // chunks asked for
	Sent      uint64 // chunks sent
	Bytes     uint64 // their bytes
	Again     uint64 // asked for while they were waiting to be sent already
	Unknown   uint64 // chunks that are in no folder
	Malformed uint64 // messages that are no wants
	Turned    uint64 // chunks turned away, because the gate or all gates have too many waiting
	Failed    uint64 // chunks that could not be read or sent
	Gates     int    // gates that were ever answered
	Waiting   int    // chunks that wait
}

// Server answers gates. Make it with [New] and call Run once.
type Server struct {
	o    Options
	link Link
	log  *slog.Logger
	pace *pace.Pacer

	mu      sync.Mutex // guards all following
	changed *sync.Cond
	queues  map[record.Origin]*queue
	ring    []*queue // gates with something waiting; the first is next
	flight  int64
	seen    map[record.Origin]struct{}
	told    map[string]time.Time // faults of folders, so that they do not fill the log
	ended   bool
	st      Stats
}

// queue is what one gate waits for.
type queue struct {
	to      record.Origin
	digests []string
}

// New makes a server.
func New(o Options, link Link, log *slog.Logger) *Server {
	if o.InFlight <= 0 {
		o.InFlight = DefaultInFlight
	}
	o.InFlight = max(o.InFlight, wire.MaxChunk)
	s := &Server{
		o: o, link: link, log: log, pace: pace.New(o.Rate),
		queues: make(map[record.Origin]*queue), seen: make(map[record.Origin]struct{}), told: make(map[string]time.Time),
	}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Filters gives what the server subscribes, for [Server.Deliver].
func (s *Server) Filters() []string {
	if len(s.o.Sites) == 0 {
		return []string{s.o.Topics.Filter(wire.KindWant)}
	}
	var out []string
	for _, site := range s.o.Sites {
		out = append(out, s.o.Topics.Wants(site))
	}
	return out
}

// Deliver takes a want. It only queues.
func (s *Server) Deliver(topic string, body []byte) {
	a, ok := s.o.Topics.Parse(topic)
	if !ok || a.Kind != wire.KindWant {
		return
	}
	w, err := wire.ParseWant(body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.st.Wants++
	if err != nil {
		s.st.Malformed++
		return
	}
	q := s.queues[a.Origin()]
	if q == nil {
		if len(s.queues) >= maxGates {
			s.st.Turned += uint64(len(w.Digests))
			return
		}
		q = &queue{to: a.Origin()}
		s.queues[a.Origin()] = q
	}
	for _, digest := range w.Digests {
		s.st.Chunks++
		s.add(q, digest)
	}
	if len(q.digests) == 0 {
		delete(s.queues, q.to)
	}
}

// add queues one chunk for a gate.
func (s *Server) add(q *queue, digest string) {
	if slices.Contains(q.digests, digest) {
		s.st.Again++
		return
	}
	if len(q.digests) >= perGate {
		s.st.Turned++
		return
	}
	if len(q.digests) == 0 {
		s.ring = append(s.ring, q)
	}
	q.digests = append(q.digests, digest)
	s.st.Waiting++
	s.changed.Signal()
}

// Run sends what is asked for until ctx ends. It gives nil then.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended = true
		s.changed.Broadcast()
	})
	defer stop()
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() { s.send(ctx) })
	}
	wg.Wait()
	return nil
}

// send answers one chunk after the other.
func (s *Server) send(ctx context.Context) {
	for {
		to, digest, ok := s.take()
		if !ok {
			return
		}
		s.answer(ctx, to, digest)
		s.mu.Lock()
		s.flight -= wire.MaxChunk
		s.changed.Signal()
		s.mu.Unlock()
	}
}

// take waits for a turn: of the gate that has waited longest since its last.
func (s *Server) take() (to record.Origin, digest string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.ended && (len(s.ring) == 0 || s.flight+wire.MaxChunk > s.o.InFlight) {
		s.changed.Wait()
	}
	if s.ended {
		return record.Origin{}, "", false
	}
	q := s.ring[0]
	s.ring = s.ring[1:]
	digest = q.digests[0]
	q.digests = q.digests[1:]
	if len(q.digests) > 0 {
		s.ring = append(s.ring, q)
	} else {
		delete(s.queues, q.to)
	}
	s.st.Waiting--
	s.flight += wire.MaxChunk // it is not known yet how large it is
	return q.to, digest, true
}

// answer reads one chunk and sends it. A failure is not repeated: the gate asks
// again.
func (s *Server) answer(ctx context.Context, to record.Origin, digest string) {
	body, err := s.read(digest)
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if errors.Is(err, fs.ErrNotExist) {
			s.st.Unknown++
			s.warn("a gate asks for a chunk that is in no folder", "gate", to.Source())
			return
		}
		s.st.Failed++
		s.warn("a chunk cannot be read", "error", err)
		return
	}
	if s.pace.Wait(ctx, len(body)) != nil {
		return
	}
	pctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	err = s.link.Publish(pctx, s.o.Topics.GateChunk(to, digest), body, 0, false)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.st.Failed++
		if ctx.Err() == nil && !errors.Is(err, mqttlink.ErrNotConnected) {
			s.warn("a chunk was not sent; the gate will ask again", "error", err)
		}
		return
	}
	s.st.Sent++
	s.st.Bytes += uint64(len(body))
	if len(s.seen) < maxGates {
		s.seen[to] = struct{}{}
	}
}

// read looks for a chunk in the folders.
func (s *Server) read(digest string) ([]byte, error) {
	for _, src := range s.o.Sources {
		body, err := src.Chunk(digest)
		switch {
		case err == nil && len(body) > wire.MaxChunk:
			return nil, fmt.Errorf("chunk %s has %d bytes", digest, len(body))
		case err == nil:
			return body, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return nil, fs.ErrNotExist
}

// warnEvery is how often the same trouble is said.
const warnEvery = time.Minute

// warn says what is wrong, not too often. s.mu is held.
func (s *Server) warn(what string, args ...any) {
	if now := time.Now(); now.Sub(s.told[what]) >= warnEvery {
		s.told[what] = now
		s.log.Warn(what, args...)
	}
}

// Stats gives the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.st
	st.Gates = len(s.seen)
	return st
}

// Run serves on a link of its own until ctx ends. every, when set, is told the
// counts once a second. Topics of o are set here.
func Run(ctx context.Context, to publish.Broker, o Options, every func(Stats, mqttlink.Status), log *slog.Logger) (Stats, error) {
	link, topics, err := publish.NewLink(to, log)
	if err != nil {
		return Stats{}, err
	}
	o.Topics = topics
	s := New(o, link, log)
	for _, filter := range s.Filters() {
		link.Add(mqttlink.Subscription{
			Filter: filter, QoS: 1, Queue: 4096, Once: true, MaxBody: wire.MaxWant,
			Handle: func(topic string, body []byte, _ bool) { s.Deliver(topic, body) },
		})
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 2)
	for _, run := range []func(context.Context) error{link.Run, s.Run} {
		go func() { ended <- run(ctx) }()
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if every != nil {
				every(s.Stats(), link.Status())
			}
		case err := <-ended:
			cancel()
			err = errors.Join(err, <-ended)
			return s.Stats(), err
		}
	}
}
