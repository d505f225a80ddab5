package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// generation is one open, immutable set file. It is counted: one reference for
// being in force and one for each lookup under way. When none is left it is
// drained and whoever took it out of force closes it.
type generation struct {
	info gate.Generation // Issued and Manifest: see vouched
	path string
	size int64

	db     *bbolt.DB
	tx     *bbolt.Tx // held while open: the file never changes, so it blocks nobody
	blocks *bbolt.Bucket
	key    *gate.Key // nil when the set's key is missing or is another one

	vouched atomic.Pointer[vouch]

	refs    atomic.Int64
	drained chan struct{}

	mu   sync.Mutex
	free []*lookup // idle lookups; one exists per lane that ever asked at once
}

// vouch is central's newest word that a version is still the right one.
type vouch struct {
	Issued   int64  `json:"issued_ms"` // UTC milliseconds
	Manifest []byte `json:"manifest"`
}

// lookup is what one search needs, kept so that searching allocates nothing.
type lookup struct {
	cursor *bbolt.Cursor
	pseudo *gate.Pseudonymer
	key    [4]byte
}

// openGeneration opens the set file at path and checks that it is what its name
// says. It reads no block: see verify.
func openGeneration(path, set string, version uint64, key SetKey) (*generation, error) {
	head, err := readHeader(path)
	if err != nil {
		return nil, err
	}
	db, _, err := openBolt(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	g := &generation{path: path, size: head.pages * pageSize, db: db, drained: make(chan struct{})}
	g.refs.Store(1)
	err = guard(func() error {
		if g.tx, err = db.Begin(false); err != nil {
			return err
		}
		g.info, err = readGeneration(g.tx)
		g.blocks = g.tx.Bucket(bucketBlocks)
		return err
	})
	switch {
	case err != nil:
	case g.info.Set != set || g.info.Version != version:
		err = fmt.Errorf("%w: it holds version %d of set %q", ErrDamaged, g.info.Version, g.info.Set)
	case g.blocks == nil:
		err = fmt.Errorf("%w: no blocks", ErrDamaged)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), g.close())
	}
	if key.HasKey && key.KeyID == g.info.KeyID {
		g.key = &key.Key
	}
	g.vouched.Store(&vouch{Issued: g.info.Issued.UnixMilli(), Manifest: g.info.Manifest})
	if newer, ok := readVouch(vouchPath(path)); ok && newer.Issued > g.info.Issued.UnixMilli() {
		g.vouched.Store(&newer)
	}
	return g, nil
}

// readGeneration reads the meta bucket of a set file.
func readGeneration(tx *bbolt.Tx) (gate.Generation, error) {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return gate.Generation{}, err
	case kind != kindSet:
		return gate.Generation{}, fmt.Errorf("%w: it is a %q, no data set", ErrDamaged, kind)
	case schema > setSchema:
		return gate.Generation{}, fmt.Errorf("schema %d: %w", schema, ErrNewerSchema)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	g := gate.Generation{
		Set:      f.text("set"),
		Version:  f.u64("version"),
		People:   f.u64("people"),
		Blocks:   f.u64("blocks"),
		Width:    int(f.u32("width")),
		KeyID:    f.text("key_id"),
		BaseDay:  gate.Day(int32(f.u32("base_day"))),
		Issued:   time.UnixMilli(int64(f.u64("issued"))).UTC(),
		Manifest: f.bytes("manifest", -1),
	}
	copy(g.Digest[:], f.bytes("digest", len(g.Digest)))
	if f.err == nil && (g.Width != block.Width || !block.Fits(g.People, g.Blocks)) {
		f.err = fmt.Errorf("%w: %d people in %d blocks, records of %d bytes", ErrDamaged, g.People, g.Blocks, g.Width)
	}
	return g, f.err
}

// putGeneration writes the meta bucket of a set file.
func putGeneration(tx *bbolt.Tx, g gate.Generation) error {
	b, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		key   string
		value []byte
	}{
		{"kind", []byte(kindSet)},
		{"schema", be32(setSchema)},
		{"set", []byte(g.Set)},
		{"version", be64(g.Version)},
		{"people", be64(g.People)},
		{"blocks", be64(g.Blocks)},
		{"width", be32(uint32(g.Width))},
		{"key_id", []byte(g.KeyID)},
		{"base_day", be32(uint32(int32(g.BaseDay)))},
		{"issued", be64(uint64(g.Issued.UnixMilli()))},
		{"digest", g.Digest[:]},
		{"manifest", g.Manifest},
	} {
		if err := b.Put([]byte(f.key), f.value); err != nil {
			return err
		}
	}
	return nil
}

// verify reads every block and compares count and digest with the meta bucket.
func (g *generation) verify() error {
	err := guard(func() error { return verifyBlocks(g.blocks, g.info) })
	if err != nil {
		return fmt.Errorf("%s: %w", g.path, err)
	}
	return nil
}

func verifyBlocks(b *bbolt.Bucket, want gate.Generation) error {
	digest, people := block.NewDigest(), uint64(0)
	err := b.ForEach(func(k, v []byte) error {
		no, err := block.ParseKey(k, want.Blocks)
		if err == nil {
			err = block.Check(v, want.Width)
		}
		if err != nil {
			return fmt.Errorf("%w: block %x: %w", ErrDamaged, k, err)
		}
		digest.Add(no, v)
		people += uint64(len(v) / block.Width)
		return nil
	})
	switch {
	case err != nil:
		return err
	case people != want.People:
		return fmt.Errorf("%w: %d people instead of %d", ErrDamaged, people, want.People)
	case digest.Sum() != want.Digest:
		return fmt.Errorf("%w: its digest is not the one promised", ErrDamaged)
	}
	return nil
}

// acquire takes a reference. It fails when none is left, because the file is
// then being closed: the caller looks again what is in force.
func (g *generation) acquire() bool {
	for {
		n := g.refs.Load()
		if n == 0 {
			return false
		}
		if g.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *generation) release() {
	if g.refs.Add(-1) == 0 {
		close(g.drained)
	}
}

// retire gives up the reference for being in force, waits for the lookups under
// way and closes the file.
func (g *generation) retire() error {
	g.release()
	<-g.drained
	return g.close()
}

func (g *generation) close() error {
	return guard(func() error {
		if g.tx != nil {
			if err := g.tx.Rollback(); err != nil {
				return err
			}
		}
		return g.db.Close()
	})
}

// find looks one person up. The caller holds a reference and has seen that the
// key is there. It allocates nothing once as many lookups exist as callers.
func (g *generation) find(n gate.Number) (w gate.Word, found bool, err error) {
	l := g.take()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil { // l is not put back: its cursor stands anywhere
			err = fmt.Errorf("%s: %w: %v", g.path, ErrDamaged, p)
		}
	}()
	no, rem := block.Place(l.pseudo.Of(n), g.info.Blocks)
	key := block.PutKey(&l.key, no, g.info.Blocks)
	k, v := l.cursor.Seek(key)
	if bytes.Equal(k, key) {
		if len(v)%block.Width != 0 {
			err = fmt.Errorf("%s: %w: block %d has %d bytes", g.path, ErrDamaged, no, len(v))
		} else {
			w, _, found = block.Search(v, block.Width, rem)
		}
	}
	g.put(l)
	return w, found, err
}

func (g *generation) take() *lookup {
	g.mu.Lock()
	defer g.mu.Unlock()
	if n := len(g.free); n > 0 {
		l := g.free[n-1]
		g.free = g.free[:n-1]
		return l
	}
	return &lookup{cursor: g.blocks.Cursor(), pseudo: gate.NewPseudonymer(*g.key)}
}

func (g *generation) put(l *lookup) {
	g.mu.Lock()
	g.free = append(g.free, l)
	g.mu.Unlock()
}

// describe gives the generation with the newest manifest that vouches for it.
func (g *generation) describe() gate.Generation {
	info, v := g.info, g.vouched.Load()
	info.Issued, info.Manifest = time.UnixMilli(v.Issued).UTC(), v.Manifest
	return info
}

func vouchPath(db string) string   { return strings.TrimSuffix(db, ".db") + ".vouch" }
func suspectPath(db string) string { return strings.TrimSuffix(db, ".db") + ".suspect" }

func readVouch(path string) (v vouch, ok bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return vouch{}, false
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return vouch{}, false // written whole or not at all; the manifest inside the file still stands
	}
	return v, true
}

func writeVouch(path string, v vouch) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, data)
}

// removeGeneration removes a set file and what lies beside it.
func removeGeneration(path string) error {
	err := errors.Join(removeIfThere(vouchPath(path)), removeIfThere(suspectPath(path)), removeIfThere(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
