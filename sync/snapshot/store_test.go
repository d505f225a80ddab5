package snapshot

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
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
	gen     *gate.Generation // Version counts deltas
	base    gate.Generation
	blocks  map[uint64][]byte // of the base
	over    map[place]entry
	staging bool
	damaged bool
	refuse  error // what Stage answers
	refuses error // what Apply answers
	vouches int
	applied []uint64
	rebased int
}

// place is where a record lies, entry what a delta made of it.
type place struct{ no, rem uint64 }

type entry struct {
	word gate.Word
	gone bool
}

func (s *memStore) Generation(string) (gate.Generation, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == nil || s.damaged {
		return gate.Generation{}, false
	}
	return *s.gen, true
}

func (s *memStore) Base(string) (uint64, [32]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == nil || s.damaged {
		return 0, [32]byte{}, false
	}
	return s.base.Version, s.base.Digest, true
}

func (s *memStore) Vouch(g gate.Generation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen == nil || s.gen.Version != g.Version || s.base.Digest != g.Digest {
		return errors.New("not in force")
	}
	s.gen.Issued, s.gen.Manifest = g.Issued, g.Manifest
	s.vouches++
	return nil
}

func (s *memStore) Stage(g gate.Generation) (gate.GenerationWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen != nil && !s.damaged && (g.Version < s.gen.Version || g.Version == s.base.Version) {
		return nil, fmt.Errorf("version %d after version %d of base %d", g.Version, s.gen.Version, s.base.Version)
	}
	return s.stage(g)
}

func (s *memStore) StageBack(g gate.Generation) (gate.GenerationWriter, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage(g)
}

func (s *memStore) stage(g gate.Generation) (gate.GenerationWriter, error) {
	if s.refuse != nil {
		return nil, s.refuse
	}
	if s.staging {
		return nil, errors.New("staging already")
	}
	s.staging = true
	return &memWriter{s: s, g: g, blocks: make(map[uint64][]byte), d: block.NewDigest()}, nil
}

func (s *memStore) Apply(d gate.Delta, changes func(func(gate.Change) error) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gen == nil || s.damaged || s.base.Version != d.Base || s.base.Digest != d.BaseDigest:
		return errors.New("another base")
	case d.N != s.gen.Version+1:
		return fmt.Errorf("delta %d on version %d", d.N, s.gen.Version)
	case s.staging:
		s.t.Error("a delta while a version is being written")
	case s.refuses != nil:
		return s.refuses
	}
	over := maps.Clone(s.over)
	var n uint64
	err := changes(func(c gate.Change) error {
		n++
		rem := c.Rem
		if c.Place >= 0 {
			if c.Place*block.Width >= len(s.blocks[c.Block]) {
				return errors.New("no such place")
			}
			rem, _, _ = block.At(s.blocks[c.Block], block.Width, c.Place)
		}
		over[place{c.Block, rem}] = entry{c.Word, c.Gone}
		return nil
	})
	if err != nil {
		return err
	}
	if n != d.Changes {
		return fmt.Errorf("%d changes of %d", n, d.Changes)
	}
	s.over = over
	s.gen.Version = d.N
	if d.Issued.After(s.gen.Issued) {
		s.gen.Issued = d.Issued
	}
	s.applied = append(s.applied, d.N)
	return nil
}

// content gives the blocks as they are in force.
func (s *memStore) content() (blocks map[uint64][]byte, digest [32]byte) {
	words := make(map[place]gate.Word)
	for no, value := range s.blocks {
		for i := range len(value) / block.Width {
			rem, w, _ := block.At(value, block.Width, i)
			words[place{no, rem}] = w
		}
	}
	for at, e := range s.over {
		if e.gone {
			delete(words, at)
		} else {
			words[at] = e.word
		}
	}
	all := slices.SortedFunc(maps.Keys(words), func(a, b place) int {
		return cmp.Or(cmp.Compare(a.no, b.no), cmp.Compare(a.rem, b.rem))
	})
	blocks = make(map[uint64][]byte)
	for _, at := range all {
		blocks[at.no] = block.AppendRecord(blocks[at.no], block.Width, at.rem, words[at], 0)
	}
	d := block.NewDigest()
	for _, no := range slices.Sorted(maps.Keys(blocks)) {
		d.Add(no, blocks[no])
	}
	return blocks, d.Sum()
}

func (s *memStore) Rebase(g gate.Generation) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gen.Version != g.Version {
		return false, fmt.Errorf("version %d is in force", s.gen.Version)
	}
	blocks, digest := s.content()
	if g.Blocks != s.base.Blocks || digest != g.Digest {
		return false, nil
	}
	s.put(g, blocks)
	s.rebased++
	return true, nil
}

func (s *memStore) put(g gate.Generation, blocks map[uint64][]byte) {
	now := g
	s.gen, s.base, s.blocks, s.over = &now, g, blocks, make(map[place]entry)
	s.damaged = false
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
	w.done, w.s.staging = true, false
	w.s.put(w.g, w.blocks)
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

// memBroker answers Retained and wants from memory.
type memBroker struct {
	mu      sync.Mutex
	down    bool
	kept    map[string][]byte
	served  map[string][]byte // by digest: what the chunk server has
	answer  func(digest string, body []byte) [][]byte
	courier *Courier
	reads   map[string]int
	wants   map[string]int // by digest
	atOnce  int
	most    int
	latency time.Duration
}

func (b *memBroker) enter() (leave func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.atOnce++
	b.most = max(b.most, b.atOnce)
	return func() { b.mu.Lock(); b.atOnce--; b.mu.Unlock() }
}

func (b *memBroker) Retained(ctx context.Context, topic string, within time.Duration) ([]byte, error) {
	defer b.enter()()
	b.mu.Lock()
	b.reads[topic]++
	_, ok := b.kept[topic]
	wait := b.latency
	if !ok {
		wait = within
	}
	if b.down {
		wait = 0
	}
	b.mu.Unlock()
	if wait > 0 { // a timer that is due at once ends the race detector's bubble
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch body, ok := b.kept[topic]; {
	case b.down:
		return nil, fmt.Errorf("read: %w", mqttlink.ErrNotConnected)
	case !ok:
		return nil, fmt.Errorf("read: %w", mqttlink.ErrNothingRetained)
	default:
		return body, nil
	}
}

func (b *memBroker) Publish(_ context.Context, topic string, body []byte, _ byte, retained bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return fmt.Errorf("publish: %w", mqttlink.ErrNotConnected)
	}
	w, err := wire.ParseWant(body)
	if err != nil || retained {
		panic(fmt.Sprint("a want that is none: ", err))
	}
	for _, digest := range w.Digests {
		b.wants[digest]++
		chunk, ok := b.served[digest]
		if !ok {
			continue
		}
		answers := [][]byte{chunk}
		if b.answer != nil {
			answers = b.answer(digest, chunk)
		}
		to := b.courier.o.Topics.GateChunk(b.courier.o.Origin, digest)
		time.AfterFunc(b.latency, func() {
			for _, a := range answers {
				b.courier.deliver(to, a)
			}
		})
	}
	return nil
}

// press makes signed versions of a set of fictional people.
type press struct {
	t        testing.TB
	root     signed.Signer
	snap     signed.Signer
	topics   wire.Topics
	verifier *signed.Verifier
	span     uint64 // blocks a chunk
}

var issued = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func newPress(t testing.TB, trusted bool) *press {
	p := &press{t: t, span: 5}
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
	values   map[uint64][]byte // blocks
	rows     []block.Row       // sorted
}

// people draws n fictional people.
func people(seed uint64, n int) []block.Row {
	rnd := rand.New(rand.NewPCG(seed, 1))
	rows := make([]block.Row, n)
	for i := range rows {
		rows[i] = block.Row{Person: gate.Pseudonym(rnd.Uint64()), Word: gate.Word(rnd.IntN(1 << 15))}
	}
	return rows
}

// print makes a version with n people, a chunk for each few blocks.
func (p *press) print(ver uint64, n int, change func(*wire.Manifest)) edition {
	p.t.Helper()
	return p.printRows(ver, people(ver, n), change)
}

func (p *press) printRows(ver uint64, rows []block.Row, change func(*wire.Manifest)) edition {
	p.t.Helper()
	rows = slices.Clone(rows)
	n := len(rows)
	blocks := block.Blocks(uint64(n))
	if err := block.Sort(rows); err != nil {
		p.t.Fatal(err)
	}
	e := edition{chunks: make(map[string][]byte), values: make(map[uint64][]byte), rows: rows}
	digest := block.NewDigest()
	cw := wire.NewChunkWriter(wire.CodingColumns, block.Width, blocks, p.span, func(c wire.Chunk, body []byte) error {
		topic := p.topics.Chunk("vn", c.Digest)
		e.chunks[topic] = body
		e.topics = append(e.topics, topic)
		e.m.Chunks = append(e.m.Chunks, c)
		return nil
	})
	for no, value := range block.Pack(rows, block.Width) {
		digest.Add(no, value)
		e.values[no] = append([]byte(nil), value...)
		if err := cw.Block(no, value, nil); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := cw.Close(); err != nil {
		p.t.Fatal(err)
	}
	sum := digest.Sum()
	e.m.Aud, e.m.Ver, e.m.Iat, e.m.Exp = "vn", ver, issued.Unix(), issued.Unix()+3600
	e.m.Coding, e.m.KeyHold = wire.CodingColumns, wire.KeyHoldFile
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

// leaf is a delta: its document, and its chunks by topic.
type leaf struct {
	doc    wire.DeltaDoc
	ref    wire.DeltaRef
	signed []byte
	chunks map[string][]byte
	rows   []block.Row // after it
}

// delta makes delta n on e: some of the people of rows get another word, one
// goes, one comes.
func (p *press) delta(e edition, n uint64, rows []block.Row, changed int, change func(*wire.DeltaDoc)) leaf {
	p.t.Helper()
	rnd := rand.New(rand.NewPCG(n, 2))
	next := slices.Clone(rows)
	var changes []gate.Change
	say := func(who gate.Pseudonym, w gate.Word, gone bool) {
		no, rem := block.Place(who, e.m.Base.Blocks)
		c := gate.Change{Block: no, Place: -1, Rem: rem, Word: w, Gone: gone}
		if at, ok := block.Find(e.values[no], block.Width, rem); ok {
			c.Place, c.Rem = at, 0
		}
		changes = append(changes, c)
	}
	for i := range changed {
		at := i * len(next) / changed
		next[at].Word = gate.Word(rnd.IntN(1 << 15))
		say(next[at].Person, next[at].Word, false)
	}
	gone := next[len(next)-1].Person
	say(gone, 0, true)
	next[len(next)-1] = block.Row{Person: gate.Pseudonym(rnd.Uint64()), Word: 7}
	say(next[len(next)-1].Person, 7, false)
	slices.SortFunc(changes, wire.CompareChanges)
	pieces, err := wire.EncodeChanges(changes, block.Width)
	if err != nil {
		p.t.Fatal(err)
	}
	l := leaf{rows: next, chunks: make(map[string][]byte)}
	l.doc = wire.DeltaDoc{
		Aud: "vn", N: n, Iat: issued.Unix() + int64(n), Exp: issued.Unix() + 3600 + int64(n),
		Base: e.m.Base.Version, BaseDigest: e.m.Base.Digest, People: e.m.Base.People,
	}
	for _, body := range l.doc.PutChanges(pieces, uint64(len(changes))) {
		sum := sha256.Sum256(body)
		l.chunks[p.topics.Chunk("vn", hex.EncodeToString(sum[:]))] = body
	}
	if change != nil {
		change(&l.doc)
	}
	l.signed = p.sign(p.snap, signed.TypeDelta, l.doc)
	sum := sha256.Sum256(l.signed)
	l.ref = wire.DeltaRef{N: l.doc.N, Base: l.doc.Base, Size: len(l.signed), Digest: hex.EncodeToString(sum[:])}
	return l
}

// deltas makes deltas on e up to version to, one after the other.
func (p *press) deltas(e edition, to uint64) []leaf {
	p.t.Helper()
	var out []leaf
	rows := e.rows
	for n := e.m.Base.Version + 1; n <= to; n++ {
		l := p.delta(e, n, rows, 20, nil)
		rows = l.rows
		out = append(out, l)
	}
	return out
}

// with gives the manifest of e that names deltas as well, issued later.
func (p *press) with(e edition, deltas []leaf, later int64, change func(*wire.Manifest)) edition {
	p.t.Helper()
	e.m.Deltas = nil
	for _, l := range deltas {
		e.m.Deltas = append(e.m.Deltas, l.ref)
	}
	e.m.Ver = max(e.m.Base.Version, deltas[len(deltas)-1].doc.N)
	e.m.Iat += later
	e.m.Exp += later
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
