package snapshot

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/mqttlink"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// memStore keeps one version in memory and holds its caller to the contract.
type memStore struct {
	t       testing.TB
	mu      sync.Mutex
	gen     *gate.Generation
	blocks  map[uint64][]byte
	staging bool
	damaged bool
	refuse  error // what Stage answers
	vouches int
}

func (s *memStore) Generation(string) (gate.Generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == nil || s.damaged {
		return gate.Generation{}, false
	}
	return *s.gen, true
}

func (s *memStore) Vouch(g gate.Generation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == nil || s.gen.Version != g.Version || s.gen.Digest != g.Digest {
		return errors.New("not in force")
	}
	s.gen.Issued, s.gen.Manifest = g.Issued, g.Manifest
	s.vouches++
	return nil
}

func (s *memStore) Stage(g gate.Generation) (gate.GenerationWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return nil, s.refuse
	}
	if s.staging || (s.gen != nil && !s.damaged && g.Version <= s.gen.Version) {
		return nil, fmt.Errorf("staging %t, version %d", s.staging, g.Version)
	}
	s.staging = true
	return &memWriter{s: s, g: g, blocks: make(map[uint64][]byte), d: block.NewDigest()}, nil
}

type memWriter struct {
	s      *memStore
	g      gate.Generation
	blocks map[uint64][]byte
	d      *block.Digest
	last   uint64
	done   bool
}

func (w *memWriter) Block(no uint64, value, _ []byte) error {
	if len(w.blocks) > 0 && no <= w.last {
		w.s.t.Errorf("block %d after %d", no, w.last)
	}
	w.last = no
	w.blocks[no] = append([]byte(nil), value...)
	w.d.Add(no, value)
	return nil
}

func (w *memWriter) Commit() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.d.Sum() != w.g.Digest {
		return errors.New("digest does not fit")
	}
	w.done, w.s.staging, w.s.damaged = true, false, false
	w.s.gen, w.s.blocks = &w.g, w.blocks
	return nil
}

func (w *memWriter) Abort() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.done {
		w.done, w.s.staging = true, false
	}
	return nil
}

// memBroker answers Retained from memory.
type memBroker struct {
	mu      sync.Mutex
	down    bool
	kept    map[string][]byte
	reads   map[string]int
	atOnce  int
	most    int
	latency time.Duration
}

func (b *memBroker) Retained(ctx context.Context, topic string, within time.Duration) ([]byte, error) {
	b.mu.Lock()
	b.reads[topic]++
	b.atOnce++
	b.most = max(b.most, b.atOnce)
	b.mu.Unlock()
	defer func() { b.mu.Lock(); b.atOnce--; b.mu.Unlock() }()
	time.Sleep(b.latency)
	b.mu.Lock()
	defer b.mu.Unlock()
	body, ok := b.kept[topic]
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case b.down:
		return nil, fmt.Errorf("read: %w", mqttlink.ErrNotConnected)
	case !ok:
		return nil, fmt.Errorf("read: %w", mqttlink.ErrNothingRetained)
	}
	return body, nil
}

// press makes signed versions of a set of fictional people.
type press struct {
	t        testing.TB
	root     signed.Signer
	snap     signed.Signer
	topics   wire.Topics
	verifier *signed.Verifier
}

var issued = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func newPress(t testing.TB, trusted bool) *press {
	p := &press{t: t}
	for s, role := range map[*signed.Signer]signed.Role{&p.root: signed.RoleRoot, &p.snap: signed.RoleSnapshot} {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		*s = signed.Signer{Kid: string(role) + "1", Role: role, Key: key}
	}
	var err error
	if p.topics, err = wire.NewTopics("p"); err != nil {
		t.Fatal(err)
	}
	p.verifier = signed.NewVerifier([]signed.Root{{Kid: p.root.Kid, Key: p.root.Key.Public().(ed25519.PublicKey)}}, "hn01", "g1")
	if trusted {
		p.trust()
	}
	return p
}

func (p *press) moment() signed.Moment {
	return signed.Moment{Now: issued.Add(time.Minute), Level: gate.ClockNTP, Floor: issued}
}

func (p *press) trust() {
	p.t.Helper()
	doc := p.sign(p.root, signed.TypeTrust, signed.Trust{
		Aud: "hn01", Ver: 1, Iat: issued.Unix(), Exp: issued.Unix() + 86400,
		Keys: []signed.TrustKey{{Kid: p.snap.Kid, Role: p.snap.Role, Alg: signed.AlgEdDSA, Key: signed.Bytes(p.snap.Key.Public().(ed25519.PublicKey))}},
	})
	if _, err := p.verifier.TakeTrust(doc, p.moment()); err != nil {
		p.t.Fatal(err)
	}
}

// edition is one version: its manifest, and its chunks by topic.
type edition struct {
	m        wire.Manifest
	manifest []byte
	chunks   map[string][]byte
	topics   []string
}

// print makes a version with n people, a chunk for each few blocks.
func (p *press) print(ver uint64, n int, change func(*wire.Manifest)) edition {
	p.t.Helper()
	rnd := rand.New(rand.NewPCG(ver, 1))
	blocks := block.Blocks(uint64(n))
	rows := make([]block.Row, n)
	for i := range rows {
		rows[i] = block.Row{Person: gate.Pseudonym(rnd.Uint64()), Word: gate.Word(rnd.IntN(1 << 15))}
	}
	if err := block.Sort(rows); err != nil {
		p.t.Fatal(err)
	}
	e := edition{chunks: make(map[string][]byte)}
	digest := block.NewDigest()
	var run []wire.Block
	people := 0
	flush := func() {
		if len(run) == 0 {
			return
		}
		body, err := wire.EncodeChunk(wire.CodingBlocks, block.Width, run)
		if err != nil {
			p.t.Fatal(err)
		}
		sum := sha256.Sum256(body)
		name := hex.EncodeToString(sum[:])
		topic := p.topics.Chunk("vn", name)
		e.chunks[topic] = body
		e.topics = append(e.topics, topic)
		e.m.Chunks = append(e.m.Chunks, wire.Chunk{Digest: name, Size: len(body), First: run[0].No, Last: run[len(run)-1].No, People: uint64(people)})
		run, people = nil, 0
	}
	for no, value := range block.Pack(rows, block.Width) {
		value = append([]byte(nil), value...)
		digest.Add(no, value)
		run = append(run, wire.Block{No: no, Value: value})
		if people += len(value) / block.Width; len(run) == 5 {
			flush()
		}
	}
	flush()
	sum := digest.Sum()
	e.m.Aud, e.m.Ver, e.m.Iat, e.m.Exp = "vn", ver, issued.Unix(), issued.Unix()+3600
	e.m.Coding, e.m.KeyHold = wire.CodingBlocks, wire.KeyHoldFile
	e.m.Base = wire.Base{
		Version: ver, People: uint64(n), Blocks: blocks, Width: block.Width,
		BaseDay: "2021-01-01", KeyID: "vn-1", Digest: hex.EncodeToString(sum[:]),
	}
	if change != nil {
		change(&e.m)
	}
	e.manifest = p.reprint(e.m)
	return e
}

// reprint signs a manifest.
func (p *press) reprint(m wire.Manifest) []byte {
	p.t.Helper()
	return p.sign(p.snap, signed.TypeManifest, m)
}

func (p *press) sign(s signed.Signer, t signed.Type, v any) []byte {
	p.t.Helper()
	b, err := jsonOf(v)
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := s.Sign(t, b)
	if err != nil {
		p.t.Fatal(err)
	}
	return []byte(out)
}
