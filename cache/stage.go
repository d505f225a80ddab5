package cache

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

const (
	// stageTx is how many bytes of values one transaction loads: STORE §2
	// measured 14 MB of heap for it at any size of the set.
	stageTx = 1 << 20
	// bytesPerPerson bounds a finished file: 7.83 were measured.
	bytesPerPerson = 8
	// maxSetFile32 bounds a file on a 32-bit machine, which maps it whole
	// (STORE §4).
	maxSetFile32 = 512 << 20
)

// stage is a generation being written; it satisfies gate.GenerationWriter.
type stage struct {
	sets *Sets
	set  *set
	info gate.Generation
	path string

	db     *bbolt.DB
	tx     *bbolt.Tx
	blocks *bbolt.Bucket
	// values of the transaction under way: bbolt keeps them until Commit
	arena []byte

	digest *block.Digest
	people uint64
	next   uint64 // lowest block number that may come
	err    error  // first failure; everything after it fails alike
	done   bool
}

// Stage begins to write a new generation of a set. At most one is written per
// set at a time; the caller must end it with Commit or Abort.
func (s *Sets) Stage(g gate.Generation) (gate.GenerationWriter, error) {
	w, err := s.stage(g)
	if err != nil {
		return nil, fmt.Errorf("stage version %d of data set %s: %w", g.Version, g.Set, err)
	}
	return w, nil
}

func (s *Sets) stage(g gate.Generation) (*stage, error) {
	t := s.byName(g.Set)
	size := int64(math.MaxInt64)
	if g.People <= block.MaxPeople {
		size = int64(g.People)*bytesPerPerson + int64(len(g.Manifest)) + 1<<20
	}
	switch {
	case t == nil:
		return nil, ErrUnknownSet
	case s.closed.Load():
		return nil, ErrClosed
	case g.Version == 0:
		return nil, errors.New("versions start at 1")
	case g.Width != block.Width:
		return nil, fmt.Errorf("records of %d bytes, this version reads %d", g.Width, block.Width)
	case g.People > block.MaxPeople:
		return nil, fmt.Errorf("%d people, at most %d fit", g.People, uint64(block.MaxPeople))
	case !block.Fits(g.People, g.Blocks):
		return nil, fmt.Errorf("%d blocks for %d people instead of about %d", g.Blocks, g.People, block.Blocks(g.People))
	case len(g.KeyID) > 255:
		return nil, fmt.Errorf("key id of %d bytes", len(g.KeyID))
	case strconv.IntSize == 32 && size > maxSetFile32:
		return nil, fmt.Errorf("about %d MiB, a 32-bit machine takes %d", size>>20, maxSetFile32>>20)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.staging {
		return nil, ErrStaging
	}
	if cur := t.current.Load(); cur != nil && (g.Version < cur.info.Version || g.Version == cur.info.Version && t.fault == nil) {
		return nil, fmt.Errorf("%w: %d", ErrNotNewer, cur.info.Version)
	}
	w := &stage{
		sets: s, set: t, info: g, digest: block.NewDigest(),
		path:  filepath.Join(t.stagingDir(), strconv.FormatUint(g.Version, 10)+".db"),
		arena: make([]byte, 0, stageTx+block.MaxRecords*block.Width),
	}
	if err := w.open(size); err != nil {
		return nil, err
	}
	t.staging = true
	return w, nil
}

func (w *stage) open(size int64) error {
	if err := emptyDir(w.set.stagingDir()); err != nil {
		return err
	}
	if ok, err := exists(w.set.quarantineDir()); err == nil && ok { // its room may be needed
		if err := emptyDir(w.set.quarantineDir()); err != nil {
			return err
		}
	}
	free, err := freeSpace(w.set.stagingDir())
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if free < size+w.sets.opts.Reserve {
		return fmt.Errorf("%d MiB are free, it takes %d MiB and %d MiB are left to the journal",
			free>>20, size>>20, w.sets.opts.Reserve>>20)
	}
	w.db, _, err = openBolt(w.path, bbolt.Options{
		NoSync: true, NoGrowSync: true, NoStatistics: true, // synced as a whole before it counts
		InitialMmapSize: int(min(size, maxSetFile32)),
	})
	if err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return errors.Join(err, w.discard())
	}
	return nil
}

func (w *stage) begin() (err error) {
	if w.tx, err = w.db.Begin(true); err != nil {
		return err
	}
	if w.blocks, err = w.tx.CreateBucketIfNotExists(bucketBlocks); err != nil {
		return err
	}
	w.blocks.FillPercent = 1.0 // the keys come sorted; it holds for this handle only
	return nil
}

func (w *stage) Block(no uint64, value, _ []byte) error {
	if w.err == nil {
		w.err = guard(func() error { return w.add(no, value) })
	}
	if w.err != nil {
		return fmt.Errorf("data set %s, block %d: %w", w.set.key.Name, no, w.err)
	}
	return nil
}

func (w *stage) add(no uint64, value []byte) error {
	n := uint64(len(value) / block.Width)
	switch {
	case w.done:
		return ErrClosed
	case no >= w.info.Blocks:
		return fmt.Errorf("%w: there are %d blocks", block.ErrMalformed, w.info.Blocks)
	case no < w.next:
		return fmt.Errorf("%w: block %d came before it", block.ErrMalformed, w.next-1)
	case w.people+n > w.info.People:
		return fmt.Errorf("%w: more than the promised %d people", block.ErrMalformed, w.info.People)
	}
	if err := block.Check(value, w.info.Width); err != nil {
		return err
	}
	if len(w.arena) >= stageTx {
		if err := w.tx.Commit(); err != nil {
			return err
		}
		w.arena = w.arena[:0]
		if err := w.begin(); err != nil {
			return err
		}
	}
	from := len(w.arena)
	w.arena = append(w.arena, value...)
	var key [4]byte
	if err := w.blocks.Put(block.PutKey(&key, no, w.info.Blocks), w.arena[from:len(w.arena):len(w.arena)]); err != nil {
		return err
	}
	w.digest.Add(no, value)
	w.people += n
	w.next = no + 1
	return nil
}

// Commit makes the generation durable, reads it back whole and switches to it.
// The one that was in force is closed and removed once its last lookup is done.
func (w *stage) Commit() error {
	if w.done {
		return fmt.Errorf("commit data set %s: %w", w.set.key.Name, ErrClosed)
	}
	err := w.err
	if err == nil {
		err = guard(w.finish)
	}
	if err == nil {
		err = w.publish()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("commit version %d of data set %s: %w", w.info.Version, w.set.key.Name, err), w.Abort())
	}
	return nil
}

// finish writes the last transaction, syncs and closes the file.
func (w *stage) finish() error {
	switch {
	case w.people != w.info.People:
		return fmt.Errorf("%d people came, %d were promised", w.people, w.info.People)
	case w.digest.Sum() != w.info.Digest:
		return errors.New("the blocks do not have the promised digest")
	}
	if err := putGeneration(w.tx, w.info); err != nil {
		return err
	}
	if err := w.tx.Commit(); err != nil {
		return err
	}
	w.tx = nil
	if err := w.db.Sync(); err != nil {
		return err
	}
	db := w.db
	w.db = nil
	return db.Close()
}

// publish reads the finished file back, gives it its name and puts it in force.
func (w *stage) publish() error {
	t := w.set
	g, err := openGeneration(w.path, t.key.Name, w.info.Version, t.key)
	if err != nil {
		return err
	}
	if err := g.verify(); err != nil {
		return errors.Join(err, g.close())
	}
	old, err := w.replace(g)
	if err != nil {
		return errors.Join(err, g.close())
	}
	if old == nil {
		return nil
	}
	err = old.retire()
	if old.path != g.path {
		err = errors.Join(err, removeGeneration(old.path))
	}
	if err != nil { // the new one is in force all the same
		w.sets.log.Warn("cannot remove the version before", "set", t.key.Name, "version", old.info.Version, "err", err)
	}
	return nil
}

func (w *stage) replace(g *generation) (old *generation, err error) {
	t := w.set
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.sets.closed.Load() {
		return nil, ErrClosed
	}
	final := t.path(w.info.Version)
	if err := errors.Join(removeIfThere(vouchPath(final)), removeIfThere(suspectPath(final))); err != nil {
		return nil, err
	}
	if err := os.Rename(w.path, final); err != nil {
		return nil, err
	}
	g.path = final
	if err := syncDir(t.dir); err != nil {
		return nil, errors.Join(err, os.Remove(final))
	}
	old = t.current.Swap(g)
	t.fault, t.staging, w.done = nil, false, true
	w.sets.log.Info("data set in force", "set", t.key.Name, "version", g.info.Version, "people", g.info.People, "has_key", g.key != nil)
	return old, nil
}

// Abort throws the staging away; after Commit or Abort it does nothing.
func (w *stage) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.discard()
	w.set.mu.Lock()
	w.set.staging = false
	w.set.mu.Unlock()
	if err != nil {
		return fmt.Errorf("abort data set %s: %w", w.set.key.Name, err)
	}
	return nil
}

// discard closes and removes the file being written.
func (w *stage) discard() error {
	err := guard(func() error {
		if w.db == nil {
			return nil
		}
		if w.tx != nil {
			_ = w.tx.Rollback() // closed already when its commit failed
		}
		return w.db.Close()
	})
	w.db, w.tx = nil, nil
	return errors.Join(err, removeIfThere(w.path))
}
