package cache

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cache/overlay"
)

// errOtherDigest is what a version that was built from deltas may end with.
var errOtherDigest = errors.New("the blocks do not have the promised digest")

const (
	// A person costs no more than this in a file: 7.83 bytes were measured for
	// records of 7 bytes, 10.1 for 9, and about 20 for an extras entry.
	overhead       = 1.13
	bytesPerExtras = 32
)

// stage is a generation being written; it satisfies gate.GenerationWriter.
type stage struct {
	sets *Sets
	set  *set
	info setInfo
	back bool // it may replace a newer version
	held bool // whoever ends it holds set.grow

	build          *builder
	digest         *block.Digest
	people, extras uint64
	next           uint64 // lowest block number that may come
	err            error  // first failure; everything after it fails alike
	done           bool
}

// Stage begins to write a new generation of a set, whole as central published
// it. It must be newer than the one in force, or the same where that one
// faulted. At most one is written per set at a time; the caller must end it with
// Commit or Abort.
func (s *Sets) Stage(g gate.Generation) (gate.GenerationWriter, error) { return s.begin(g, false) }

// StageBack is [Sets.Stage] for a version that may be older than the one in
// force, which then goes for good: after any crash either the newer one is in
// force, as before Commit, or the older.
func (s *Sets) StageBack(g gate.Generation) (gate.GenerationWriter, error) { return s.begin(g, true) }

func (s *Sets) begin(g gate.Generation, back bool) (gate.GenerationWriter, error) {
	info := wholeInfo(g)
	w, err := s.stage(info, expectedSize(&info), back)
	if err != nil {
		return nil, fmt.Errorf("stage version %d of data set %s: %w", g.Version, g.Set, err)
	}
	return w, nil
}

// wholeInfo describes a file that holds a whole version as central published it.
func wholeInfo(g gate.Generation) setInfo {
	return setInfo{Generation: g, Base: g.Version, BaseDigest: g.Digest}
}

func (s *Sets) stage(g setInfo, size int64, back bool) (*stage, error) {
	t := s.byName(g.Set)
	switch {
	case t == nil:
		return nil, ErrUnknownSet
	case s.closed.Load():
		return nil, ErrClosed
	}
	if err := storable(&g); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.staging {
		return nil, ErrStaging
	}
	if cur := t.current.Load(); cur != nil {
		if err := t.follows(&g.Generation, cur, back); err != nil {
			return nil, err
		}
	}
	if err := s.makeRoom(t, size); err != nil {
		return nil, err
	}
	t.staging = true
	return &stage{
		sets: s, set: t, info: g, back: back, digest: block.NewDigest(),
		build: newBuilder(t.stagingDir(), g, s.opts.MaxFile, size),
	}, nil
}

// follows says whether a file of version g may come after cur. The caller holds
// t.mu.
func (t *set) follows(g *gate.Generation, cur *generation, back bool) error {
	now := cur.grown.Load().version
	oldest := now
	switch {
	case back:
		oldest = 1
	case t.fault != nil: // the base again, from which deltas lead on
		oldest = cur.info.Base
	case now == cur.info.Base: // as a whole, and sound
		oldest = now + 1
	}
	if g.Version < oldest || back && g.Version == now && now == cur.info.Base && t.fault == nil {
		return fmt.Errorf("%w: %d", ErrNotNewer, now)
	}
	return nil
}

// storable says whether the store can hold what a generation describes.
func storable(g *setInfo) error {
	switch {
	case g.Version == 0:
		return errors.New("versions start at 1")
	case !block.ValidWidth(g.Width):
		return fmt.Errorf("records of %d bytes, this version reads %d and %d", g.Width, block.Width, block.WidthCheck)
	case g.People > block.MaxPeople:
		return fmt.Errorf("%d people, at most %d fit", g.People, uint64(block.MaxPeople))
	case g.Extras > g.People:
		return fmt.Errorf("%d people, %d of them with extras", g.People, g.Extras)
	case !g.folded() && !block.Fits(g.People, g.Blocks):
		return fmt.Errorf("%d blocks for %d people instead of about %d", g.Blocks, g.People, block.Blocks(g.People))
	case len(g.KeyID) > maxKeyID:
		return fmt.Errorf("key id of %d bytes", len(g.KeyID))
	case len(g.Lists) > gate.MaxListNames:
		return fmt.Errorf("%d lists, at most %d can be named", len(g.Lists), gate.MaxListNames)
	}
	for _, name := range g.Lists {
		if name == "" || len(name) > 255 {
			return fmt.Errorf("the name of a list has %d bytes", len(name))
		}
	}
	return nil
}

func expectedSize(g *setInfo) int64 {
	size := float64(g.People)*float64(g.Width)*overhead + float64(g.Extras)*bytesPerExtras
	return int64(min(size, math.MaxInt64/2)) + int64(len(g.Manifest)) + 1<<20
}

// makeRoom clears the staging and sees that size bytes fit on the disk. The
// caller holds t.mu.
func (s *Sets) makeRoom(t *set, size int64) error {
	if err := emptyDir(t.stagingDir()); err != nil {
		return err
	}
	if ok, err := exists(t.quarantineDir()); err == nil && ok { // its room may be needed
		if err := emptyDir(t.quarantineDir()); err != nil {
			return err
		}
	}
	free, err := freeSpace(t.stagingDir())
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if free-s.opts.Reserve < size {
		return fmt.Errorf("%w: %d MiB are free, it takes %d MiB and %d MiB are left to the journal",
			syscall.ENOSPC, free>>20, size>>20, s.opts.Reserve>>20)
	}
	return nil
}

func (w *stage) Block(no uint64, value, extras []byte) error {
	if w.err == nil {
		w.err = guard(func() error { return w.add(no, overlay.Block{Value: value, Extras: extras}) })
	}
	if w.err != nil {
		return fmt.Errorf("data set %s, block %d: %w", w.set.name, no, w.err)
	}
	return nil
}

func (w *stage) add(no uint64, b overlay.Block) error {
	switch {
	case w.done:
		return ErrClosed
	case no >= w.info.Blocks:
		return fmt.Errorf("%w: there are %d blocks", block.ErrMalformed, w.info.Blocks)
	case no < w.next:
		return fmt.Errorf("%w: block %d came before it", block.ErrMalformed, w.next-1)
	}
	folded := w.info.folded()
	pairs := [...][2][]byte{{b.Value, b.Extras}, {b.Added, b.AddedExtras}}
	for i, pair := range pairs {
		if len(pair[0]) == 0 && (folded || i == 1) {
			continue
		}
		entries, err := block.CheckPair(pair[0], w.info.Width, pair[1], folded)
		if err != nil {
			return err
		}
		w.people += present(pair[0], &w.info)
		w.extras += uint64(entries)
	}
	switch {
	case w.people > w.info.People:
		return fmt.Errorf("%w: more than the promised %d people", block.ErrMalformed, w.info.People)
	case w.extras > w.info.Extras:
		return fmt.Errorf("%w: more than the promised %d people with extras", block.ErrMalformed, w.info.Extras)
	}
	if err := w.build.put(no, b); err != nil {
		return err
	}
	if !folded {
		w.digest.Add(no, b.Value)
		w.digest.AddExtras(no, b.Extras)
	}
	w.next = no + 1
	return nil
}

// Commit makes the generation durable, reads it back whole and switches to it.
// The one that was in force is closed and removed once its last lookup is done.
func (w *stage) Commit() error {
	if w.done {
		return fmt.Errorf("commit data set %s: %w", w.set.name, ErrClosed)
	}
	err := w.err
	if err == nil {
		err = w.complete()
	}
	var path string
	if err == nil {
		err = guard(func() error {
			path, err = w.build.finish()
			return err
		})
	}
	if err == nil {
		err = w.publish(path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("commit version %d of data set %s: %w", w.info.Version, w.set.name, err), w.Abort())
	}
	return nil
}

// complete says whether all came that was promised.
func (w *stage) complete() error {
	switch {
	case w.people != w.info.People:
		return fmt.Errorf("%d people came, %d were promised", w.people, w.info.People)
	case w.extras != w.info.Extras:
		return fmt.Errorf("%d people with extras came, %d were promised", w.extras, w.info.Extras)
	case !w.info.folded() && w.digest.Sum() != w.info.Digest:
		return errOtherDigest
	}
	return nil
}

// publish reads the finished files back, gives them their names and puts them
// in force.
func (w *stage) publish(path string) error {
	g, err := openGeneration(path, w.set.name, w.info.Version)
	if err != nil {
		return err
	}
	if err := g.verify(); err != nil {
		return errors.Join(err, g.close())
	}
	if !w.held {
		w.set.grow.Lock()
		defer w.set.grow.Unlock()
	}
	old, err := w.replace(g)
	if err != nil {
		return errors.Join(err, g.close())
	}
	if g.grown.Load().overlay != nil {
		w.sets.log.Info("the deltas go on", "set", w.set.name, "version", g.grown.Load().version)
	} else if err := w.set.dropLog(); err != nil { // what it holds is in this file, or of another base
		w.sets.log.Warn("cannot remove the delta log", "set", w.set.name, "err", err)
	}
	if old == nil {
		return nil
	}
	if err := w.set.remove(old, g); err != nil { // the new one is in force all the same
		w.sets.log.Warn("cannot remove the version before", "set", w.set.name, "version", old.info.Version, "err", err)
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
	old = t.current.Load()
	if old != nil { // deltas may have come since it was begun
		if err := t.follows(&g.info.Generation, old, w.back); err != nil {
			return nil, err
		}
		if t.fault != nil && !w.back && old.info.Version == g.info.Version && old.lineage() == g.lineage() {
			g.grown.Store(old.grown.Load()) // a sound copy of the same file
		}
	}
	if err := t.install(g); err != nil {
		return nil, err
	}
	if old != nil && old.info.Version > g.info.Version {
		if err := t.withdraw(old); err != nil {
			return nil, errors.Join(err, removeGeneration(g.path))
		}
	}
	g.useKey(t.held(g.info.KeyID))
	t.current.Store(g)
	t.fault, t.deltaFault, t.staging, w.done = nil, nil, false, true
	w.sets.logInForce(t, g)
	return old, nil
}

// install gives the files of a finished version their names, durably: first the
// parts, last the one that counts. The caller holds t.mu.
func (t *set) install(g *generation) error {
	final := t.path(g.info.Version)
	if err := errors.Join(removeIfThere(vouchPath(final)), removeIfThere(suspectPath(final))); err != nil {
		return err
	}
	last := len(g.parts) - 1
	for i := range g.parts {
		to := partPath(final, g.info.partName(i+1))
		if i == last {
			to = final
			if last > 0 {
				if err := durable.SyncDir(t.dir); err != nil {
					return errors.Join(err, t.uninstall(g, i))
				}
			}
		}
		if err := os.Rename(g.parts[i].path, to); err != nil {
			return errors.Join(err, t.uninstall(g, i))
		}
		g.parts[i].path = to
	}
	g.path = final
	if err := durable.SyncDir(t.dir); err != nil {
		return errors.Join(err, t.uninstall(g, len(g.parts)))
	}
	return nil
}

// uninstall removes the first n of the parts that got their names, the one that
// counts first.
func (t *set) uninstall(g *generation, n int) error {
	var errs []error
	for i := n - 1; i >= 0; i-- {
		errs = append(errs, removeIfThere(g.parts[i].path))
	}
	return errors.Join(errs...)
}

// withdraw takes the name from a newer version, durably, so that it is not in
// force again after a crash; whoever reads it goes on reading. On an error it
// has its name as before. The caller holds t.mu.
func (t *set) withdraw(g *generation) error {
	aside := filepath.Join(t.stagingDir(), "withdrawn")
	if err := os.Rename(g.path, aside); err != nil {
		return err
	}
	err := durable.SyncDir(t.dir)
	if err != nil {
		return errors.Join(err, os.Rename(aside, g.path))
	}
	return nil
}

// remove closes a version that was in force before next and removes its files.
func (t *set) remove(old, next *generation) error {
	err := old.retire()
	if old.path != next.path {
		return errors.Join(err, removeIfThere(filepath.Join(t.stagingDir(), "withdrawn")), removeGeneration(old.path))
	}
	for _, p := range old.parts { // the same version again, in fewer parts
		if !next.has(p.path) {
			err = errors.Join(err, removeIfThere(p.path))
		}
	}
	return err
}

func (g *generation) has(path string) bool {
	for i := range g.parts {
		if g.parts[i].path == path {
			return true
		}
	}
	return false
}

// Abort throws the staging away; after Commit or Abort it does nothing.
func (w *stage) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	err := w.build.discard()
	w.set.mu.Lock()
	w.set.staging = false
	w.set.mu.Unlock()
	if err != nil {
		return fmt.Errorf("abort data set %s: %w", w.set.name, err)
	}
	return nil
}
