package cache

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
)

// generation is one open, immutable version of a set: one file, or several
// parts. It is counted: one reference for being in force and one for each
// lookup under way. When none is left it is drained and whoever took it out of
// force closes it.
type generation struct {
	info  setInfo // Issued and Manifest: see vouched and describe
	path  string  // of part 0
	size  int64   // of all parts
	parts []part  // in ascending order of their blocks; part 0 is the last

	key     atomic.Pointer[heldKey] // nil while the box does not hold it
	vouched atomic.Pointer[vouch]
	grown   atomic.Pointer[grown] // the version in force; never nil once open

	refs    atomic.Int64
	drained chan struct{}

	mu   sync.Mutex
	free []*lookup // idle lookups; one exists per lane that ever asked at once
}

// part is one open file of a generation.
type part struct {
	path   string
	size   int64
	first  uint64 // lowest number of its blocks
	db     *bbolt.DB
	file   *os.File  // db's
	tx     *bbolt.Tx // held while open: the file never changes, so it blocks nobody
	blocks *bbolt.Bucket
	extras *bbolt.Bucket // nil when nobody has any
	// where deltas were folded into the file: who is not in the base
	added, addedExtras *bbolt.Bucket
	content            [32]byte // see setInfo
}

// vouch is central's newest word that a version is still the right one.
type vouch struct {
	Issued   int64  `json:"issued_ms"` // UTC milliseconds
	Manifest []byte `json:"manifest"`  // nil: the one in the file
	// Version is the one that it vouches for: the file's or one that deltas
	// made of it. Should they be lost, it says nothing about what is left.
	Version uint64 `json:"version,omitempty"`
	// KeyHold is how that manifest lets the key be held; "" as the file says.
	KeyHold string `json:"key_hold,omitempty"`
}

// openGeneration opens the set file at path, with the parts beside it, and
// checks that it is what its name says. It reads no block: see verify.
func openGeneration(path, set string, version uint64) (*generation, error) {
	g := &generation{path: path, drained: make(chan struct{})}
	g.refs.Store(1)
	if err := g.open(set, version); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), g.close())
	}
	g.grown.Store(&grown{version: g.info.Version, people: g.info.People, extras: g.info.Extras, lists: g.info.Lists})
	g.vouched.Store(&vouch{Issued: g.info.Issued.UnixMilli()})
	if newer, ok := readVouch(vouchPath(path)); ok && newer.Issued > g.info.Issued.UnixMilli() {
		g.vouched.Store(&newer)
	}
	return g, nil
}

func (g *generation) open(set string, version uint64) (err error) {
	last, info, err := openPart(g.path)
	if err != nil {
		return err
	}
	g.info, g.size = info, last.size
	g.parts = make([]part, len(info.parts), len(info.parts)+1)
	defer func() { g.parts = append(g.parts, last) }()
	switch {
	case info.Set != set || info.Version != version:
		return fmt.Errorf("%w: it holds version %d of set %q", ErrDamaged, info.Version, info.Set)
	case info.part != 0:
		return fmt.Errorf("%w: it is part %d of a version", ErrDamaged, info.part)
	}
	for i, first := range info.parts {
		p, other, err := openPart(partPath(g.path, info.partName(i+1)))
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: part %d is missing", ErrDamaged, i+1)
		}
		if err != nil {
			return fmt.Errorf("part %d: %w", i+1, err)
		}
		g.parts[i] = p
		g.size += p.size
		end := info.first
		if i+1 < len(info.parts) {
			end = info.parts[i+1]
		}
		if !other.partOf(&info, i+1, first, end) {
			return fmt.Errorf("%w: part %d belongs to something else", ErrDamaged, i+1)
		}
	}
	return nil
}

func (i *setInfo) partOf(whole *setInfo, number int, first, end uint64) bool {
	return i.Set == whole.Set && i.Version == whole.Version && i.Digest == whole.Digest &&
		i.Base == whole.Base && i.BaseDigest == whole.BaseDigest &&
		i.Blocks == whole.Blocks && i.Width == whole.Width &&
		i.part == uint32(number) && i.first == first && i.end == end
}

// openPart opens one file. It reads the root pages of its buckets once, so that
// the first person at the gate need not wait for them.
func openPart(path string) (p part, info setInfo, err error) {
	head, err := readHeader(path)
	if err != nil {
		return p, info, err
	}
	db, file, err := openBolt(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		return p, info, err
	}
	p = part{path: path, size: head.pages * pageSize, db: db, file: file}
	err = guard(func() error {
		if p.tx, err = db.Begin(false); err != nil {
			return err
		}
		info, err = readSet(p.tx)
		p.first = info.first
		p.blocks, p.extras = p.tx.Bucket(bucketBlocks), p.tx.Bucket(bucketExtras)
		p.added, p.addedExtras = p.tx.Bucket(bucketAdded), p.tx.Bucket(bucketAddedExtras)
		p.content = info.content
		return err
	})
	if err == nil && p.blocks == nil {
		err = fmt.Errorf("%w: no blocks", ErrDamaged)
	}
	for _, b := range []*bbolt.Bucket{p.blocks, p.extras, p.added, p.addedExtras} {
		if err == nil && b != nil && b.Root() != 0 { // a small bucket has no page of its own
			err = readTop(file, b)
		}
	}
	if err != nil {
		return part{}, info, errors.Join(err, p.close())
	}
	return p, info, nil
}

// readTop reads the root page of a bucket into the kernel's memory, and the
// pages below it where the root has so few that it hardly tells them apart.
func readTop(file *os.File, b *bbolt.Bucket) error {
	const (
		most = 2
		// of bbolt's pages (its internal/common): flags and count of elements
		// in the head, number of the page below in an element
		flagsAt, countAt, headSize = 8, 10, 16
		branchFlag                 = 1
		elementSize, pageAt        = 16, 8
	)
	var page [pageSize]byte
	read := func(no uint64) error {
		_, err := file.ReadAt(page[:], int64(no)*pageSize)
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: it ends before the page of a bucket", ErrDamaged)
		}
		return err
	}
	if err := read(uint64(b.Root())); err != nil {
		return err
	}
	var below []uint64
	n := binary.NativeEndian.Uint16(page[countAt:])
	if binary.NativeEndian.Uint16(page[flagsAt:])&branchFlag != 0 && n <= most {
		for i := range int(n) {
			below = append(below, binary.NativeEndian.Uint64(page[headSize+i*elementSize+pageAt:]))
		}
	}
	for _, no := range below {
		if no >= 1<<31 {
			return fmt.Errorf("%w: a bucket lies beyond its file", ErrDamaged)
		}
		if err := read(no); err != nil {
			return err
		}
	}
	return nil
}

func (p *part) close() error {
	return guard(func() error {
		if p.tx != nil {
			if err := p.tx.Rollback(); err != nil {
				return err
			}
		}
		if p.db == nil {
			return nil
		}
		return p.db.Close()
	})
}

// partWith gives the place of the part that has block no.
func (g *generation) partWith(no uint64) int {
	i := len(g.parts) - 1
	for i > 0 && g.parts[i].first > no {
		i--
	}
	return i
}

// asOf is when central last said of the version in force that it is the right
// one, in UTC milliseconds.
func (g *generation) asOf(now *grown) int64 {
	at := max(g.info.Issued.UnixMilli(), now.issued)
	if v := g.vouched.Load(); v.Version <= now.version {
		at = max(at, v.Issued)
	}
	return at
}

// lineage gives the whole version that the one in force has grown from.
func (g *generation) lineage() lineage { return lineage{g.info.Base, g.info.BaseDigest} }

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
// way and closes the files.
func (g *generation) retire() error {
	g.release()
	<-g.drained
	return g.close()
}

func (g *generation) close() error {
	var errs []error
	for i := range g.parts {
		errs = append(errs, g.parts[i].close())
	}
	return errors.Join(errs...)
}

// describe gives the generation with the newest manifest that vouches for it.
// The caller makes sure that it stays open.
func (g *generation) describe() gate.Generation {
	info, v, now := g.info.Generation, g.vouched.Load(), g.grown.Load()
	info.Version, info.People, info.Extras, info.Lists = now.version, now.people, now.extras, now.lists
	info.Digest, info.Manifest, info.KeyInMemory = g.info.BaseDigest, nil, g.inMemory()
	info.Issued = time.UnixMilli(g.asOf(now)).UTC()
	if v.Version <= now.version {
		info.Manifest = v.Manifest
	}
	if info.Manifest == nil {
		// A page of it that cannot be read leaves it out: whoever wants to
		// verify it again then asks central for a new one.
		_ = guard(func() error {
			info.Manifest = append([]byte(nil), manifestIn(g.parts[len(g.parts)-1].tx)...)
			return nil
		})
	}
	return info
}

// inMemory says whether the newest manifest lets the key be in memory only.
func (g *generation) inMemory() bool {
	switch v := g.vouched.Load(); {
	case v.KeyHold == holdMemory:
		return true
	case v.KeyHold == holdFile && v.Version <= g.grown.Load().version:
		return false
	}
	return g.info.KeyInMemory
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
	return durable.WriteFile(path, data, fileMode)
}
