package cache

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cache/overlay"
)

// reader reads whole blocks of a generation, for one goroutine. The caller holds
// a reference and guards.
type reader struct {
	g     *generation
	parts []cursors
}

func (g *generation) reader() reader {
	r := reader{g: g, parts: make([]cursors, len(g.parts))}
	for i := range g.parts {
		r.parts[i] = g.parts[i].cursors()
	}
	return r
}

// block gives what the file has of a block, in mapped memory; nothing of one
// that is empty.
func (r *reader) block(no uint64) (b overlay.Block, err error) {
	var buf [4]byte
	c, key := &r.parts[r.g.partWith(no)], block.PutKey(&buf, no, r.g.info.Blocks)
	b.Value, _ = get(c.blocks, key)
	b.Extras, _ = get(c.extras, key)
	b.Added, _ = get(c.added, key)
	b.AddedExtras, _ = get(c.addedExtras, key)
	if width := r.g.info.Width; len(b.Value)%width != 0 || len(b.Added)%width != 0 {
		err = fmt.Errorf("%s: %w: block %d is no whole number of records", r.g.path, ErrDamaged, no)
	}
	return b, err
}

// rewrite writes the version in force as a new file: with whole true as central
// publishes it, otherwise with the places of the base. It gives the finished
// stage, not committed. The caller holds t.grow and a reference to g.
func (s *Sets) rewrite(t *set, g *generation, now *grown, info setInfo, whole bool) (*stage, error) {
	w, err := s.stage(info, g.size+3*int64(now.overlay.Bytes())+int64(len(info.Manifest))+1<<20, false)
	if err != nil {
		return nil, err
	}
	w.held = true
	if now.overlay.Bytes() > 1<<20 {
		debug.FreeOSMemory() // what Apply left, before as much is needed again; it is rare
	}
	var fault error
	err = guard(func() error {
		in, folder := g.reader(), overlay.NewFolder(info.Width)
		walk := now.overlay.Cursor()
		next, more := walk.Next()
		var changes []overlay.Entry
		for no := range info.Blocks {
			if no%1024 == 0 && s.closed.Load() {
				return ErrClosed
			}
			changes = changes[:0]
			for more && next.Block == no {
				changes = append(changes, next)
				next, more = walk.Next()
			}
			b, err := in.block(no)
			if err != nil {
				fault = err
				return err
			}
			if whole {
				b = folder.Whole(b, changes)
			} else {
				b = folder.Fold(b, changes)
			}
			if len(b.Value) == 0 && len(b.Added) == 0 {
				continue
			}
			if err := w.add(no, b); err != nil {
				return fmt.Errorf("block %d: %w", no, err)
			}
		}
		return nil
	})
	if err == nil {
		return w, nil
	}
	if fault == nil && errors.Is(err, ErrDamaged) { // a page that cannot be read
		fault = err
	}
	if fault != nil {
		s.faulted(t, g, fault)
	}
	return nil, errors.Join(err, w.Abort())
}

// fold writes the version in force into a new file of the same base and block
// numbers, puts that in force and drops the log. After a crash the old file and
// the log are in force, or the new file: the same version. It gives up the
// reference to g. The caller holds t.grow.
func (s *Sets) fold(t *set, g *generation, now *grown) error {
	info := setInfo{Generation: g.describe(), Base: g.info.Base, BaseDigest: g.info.BaseDigest}
	info.Digest = foldedDigest(g.lineage(), now.version)
	w, err := s.rewrite(t, g, now, info, false)
	g.release()
	if err != nil {
		return err
	}
	return w.Commit()
}

// foldedDigest names the version of a file into which deltas were folded.
func foldedDigest(base lineage, version uint64) [sha256.Size]byte {
	return sha256.Sum256(append(base.Digest[:], be64(version)...))
}

// Base gives the whole version that the version in force of a set has grown
// from, to which its deltas refer; without deltas it is the version itself. It
// gives false when none is in force.
func (s *Sets) Base(set string) (version uint64, digest [32]byte, ok bool) {
	t := s.byName(set)
	if t == nil {
		return 0, digest, false
	}
	g := t.current.Load()
	if g == nil {
		return 0, digest, false
	}
	return g.info.Base, g.info.BaseDigest, true
}

// Rebase brings the whole version g into force without fetching it: when g.Version
// is in force by deltas, it builds the whole version from base and deltas and
// compares the digest. From then on deltas refer to g, and g.Manifest and
// g.Issued are those in force.
//
// It gives false when that cannot be done: another version is in force, g lies
// in other blocks or under another key, or what comes out is not g, so that g
// must be fetched. What is in force then stays.
func (s *Sets) Rebase(g gate.Generation) (bool, error) {
	t := s.byName(g.Set)
	if t == nil {
		return false, fmt.Errorf("rebase data set %s: %w", g.Set, ErrUnknownSet)
	}
	t.grow.Lock()
	defer t.grow.Unlock()
	done, err := s.rebase(t, g)
	if err != nil {
		return false, fmt.Errorf("rebase data set %s to version %d: %w", g.Set, g.Version, err)
	}
	return done, nil
}

func (s *Sets) rebase(t *set, g gate.Generation) (bool, error) {
	if s.closed.Load() {
		return false, ErrClosed
	}
	from := t.inForce()
	if from == nil {
		return false, nil
	}
	now := from.grown.Load()
	t.mu.Lock()
	sound := t.fault == nil
	t.mu.Unlock()
	have := from.describe()
	if !sound || !alike(&g, &have) {
		from.release()
		return false, nil
	}
	if now.version == from.info.Base && !from.info.folded() { // whole already
		from.release()
		if g.Digest != have.Digest {
			return false, nil
		}
		return true, s.Vouch(g)
	}
	w, err := s.rewrite(t, from, now, wholeInfo(g), true)
	from.release()
	if err == nil {
		err = w.Commit()
	}
	if errors.Is(err, errOtherDigest) {
		s.log.Warn("a version that was built from deltas is not the one that central published",
			"set", g.Set, "version", g.Version)
		return false, nil
	}
	return err == nil, err
}

// alike says whether g can be what is in force by what it says of itself, but
// for the digest.
func alike(g, have *gate.Generation) bool {
	return g.Version == have.Version && g.People == have.People && g.Extras == have.Extras && g.Blocks == have.Blocks &&
		g.Width == have.Width && g.KeyID == have.KeyID && g.BaseDay == have.BaseDay && slices.Equal(g.Lists, have.Lists)
}
