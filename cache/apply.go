package cache

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cache/overlay"
)

// Bounds of what is kept in memory. Folding begins at the first; where it is
// not possible, deltas are refused at the second.
const (
	foldBytes  = 8 << 20
	maxOverlay = 2 * foldBytes
	// foldShare is the part of the people whose change makes folding due, in
	// sets so large that a file is worth it.
	foldShare   = 50
	foldRecords = 1000
	maxListName = 255
)

// grown is what the deltas have made of a set file. It never changes; a
// generation in force points to the newest one, and a lookup reads that pointer
// once.
type grown struct {
	version uint64
	people  uint64
	extras  uint64
	issued  int64 // UTC milliseconds: of the newest delta; 0: none in memory
	lists   []string
	overlay *overlay.Overlay
}

// Apply puts version d.N in force, the change of the version in force that d
// describes. changes is called once and hands over the changes in ascending
// order of their blocks, which are those of d.Base.
//
// It refuses a change of another base ([ErrOtherBase]), one that does not
// follow on the version in force ([ErrGap], [ErrNotNewer]) and one that does
// not say what holds, as a whole. When it returns nil the change is durable;
// when it fails, the version before is in force, and at the next start either
// that or the whole of the new one. Lookups go on meanwhile and see the one or
// the other. What the changes need in memory is about 12 bytes each.
//
// When much has changed since the set file was built, Apply also folds it into
// a new file (see fold); should that fail, it is tried again later.
func (s *Sets) Apply(d gate.Delta, changes func(each func(gate.Change) error) error) error {
	t := s.byName(d.Set)
	if t == nil {
		return fmt.Errorf("delta %d of data set %s: %w", d.N, d.Set, ErrUnknownSet)
	}
	t.grow.Lock()
	defer t.grow.Unlock()
	if err := s.apply(t, d, changes); err != nil {
		return fmt.Errorf("delta %d of data set %s: %w", d.N, d.Set, err)
	}
	if err := s.foldIfDue(t); err != nil && !errors.Is(err, ErrStaging) && !errors.Is(err, ErrClosed) {
		s.log.Warn("cannot fold the changes of a data set into its file", "set", d.Set, "err", err)
	}
	return nil
}

// apply is Apply but for folding. The caller holds t.grow.
func (s *Sets) apply(t *set, d gate.Delta, changes func(each func(gate.Change) error) error) error {
	if s.closed.Load() {
		return ErrClosed
	}
	g := t.inForce()
	if g == nil {
		return fmt.Errorf("%w: there is none", ErrOtherBase)
	}
	defer g.release()
	now := g.grown.Load()
	if err := followsOn(d, g, now); err != nil {
		return err
	}
	r := resolver{g: g, now: now, blocks: g.reader(), bound: s.maxOverlay(), delta: overlay.NewBuilder(g.info.Width), people: now.people, extras: now.extras}
	if err := r.run(d, changes); err != nil {
		if r.fault != nil {
			s.faulted(t, g, r.fault)
		}
		return err
	}
	run := r.delta.Overlay()
	next := &grown{
		version: d.N, people: r.people, extras: r.extras, lists: now.lists,
		issued: max(now.issued, d.Issued.UnixMilli()), overlay: now.overlay.Merge(run),
	}
	head := logHead{
		base: g.lineage(), from: now.version, issued: next.issued,
		people: next.people, extras: next.extras, width: g.info.Width,
	}
	if len(d.Lists) > 0 {
		next.lists = slices.Clone(d.Lists)
		head.lists = next.lists
	}
	if err := s.keep(t, g, next, head, run); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.current.Load() != g {
		return fmt.Errorf("%w: another file came into force meanwhile", ErrOtherBase)
	}
	g.grown.Store(next)
	t.deltaFault = nil
	return nil
}

// followsOn judges what a delta says about itself.
func followsOn(d gate.Delta, g *generation, now *grown) error {
	base := g.lineage()
	switch {
	case d.Base != base.Version || d.BaseDigest != base.Digest:
		return fmt.Errorf("%w: of version %d, the one in force grew from %d", ErrOtherBase, d.Base, base.Version)
	case d.N <= now.version:
		return fmt.Errorf("%w: %d", ErrNotNewer, now.version)
	case d.N != now.version+1:
		return fmt.Errorf("%w: %d is in force", ErrGap, now.version)
	case d.Issued.UnixMilli() < 0 || d.Issued.UnixMilli() > maxIssued:
		return fmt.Errorf("issued at %v", d.Issued)
	case len(d.Lists) > 0 && !extends(d.Lists, now.lists):
		return errors.New("its list names do not begin with those in force, to which entries refer by their place")
	}
	return nil
}

// extends says whether lists are those in force and perhaps further ones.
func extends(lists, inForce []string) bool {
	if len(lists) > gate.MaxListNames || len(lists) < len(inForce) {
		return false
	}
	for _, name := range lists {
		if len(name) > maxListName {
			return false
		}
	}
	return slices.Equal(lists[:len(inForce)], inForce)
}

// keep makes the changes durable.
func (s *Sets) keep(t *set, g *generation, next *grown, head logHead, run *overlay.Overlay) error {
	if size := next.overlay.Bytes(); size > s.maxOverlay() {
		return fmt.Errorf("%w: %d KiB since version %d was built", ErrTooMany, size>>10, g.info.Version)
	}
	free, err := freeSpace(t.dir)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if need := int64(run.Bytes())*3/2 + 1<<16 + s.opts.Reserve; free < need {
		return fmt.Errorf("%w: %d KiB are free, %d must stay free for the journal", syscall.ENOSPC, free>>10, s.opts.Reserve>>10)
	}
	err = s.append(t, g, next.version, head, run)
	if errors.Is(err, ErrDamaged) && head.from != g.info.Version {
		// The log is lost, but not what it said: all since the file goes into
		// a new one.
		s.log.Warn("the delta log is damaged and is written anew", "set", t.name, "err", err)
		head.from, head.lists = g.info.Version, next.lists
		err = s.append(t, g, next.version, head, next.overlay)
	}
	if err != nil {
		return fmt.Errorf("delta log: %w", err)
	}
	return nil
}

// append appends to the log, or begins one with the first entry since the file.
func (s *Sets) append(t *set, g *generation, n uint64, head logHead, run *overlay.Overlay) (err error) {
	if head.from == g.info.Version { // whatever lies there has not come into force
		return s.beginLog(t, n, head, run)
	}
	if t.log == nil {
		l, err := openLog(filepath.Join(t.dir, logName), t.name, false)
		if errors.Is(err, os.ErrNotExist) {
			err = fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err != nil {
			return err
		}
		if err := l.holds(head.from, head.base); err != nil {
			return errors.Join(err, l.close())
		}
		t.log = l
	}
	if err := t.log.add(n, head, run); err != nil {
		return errors.Join(err, t.closeLog()) // what bbolt holds in memory may not be what the file holds
	}
	return nil
}

func (s *Sets) beginLog(t *set, n uint64, head logHead, run *overlay.Overlay) error {
	if errors.Is(t.deltaFault, ErrNewerSchema) {
		return t.deltaFault
	}
	tmp := newLogPath(t.dir)
	if err := errors.Join(t.closeLog(), removeIfThere(tmp)); err != nil {
		return err
	}
	s.markLog(t)
	l, err := openLog(tmp, t.name, true)
	if err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	err = l.add(n, head, run)
	if err == nil {
		err = os.Rename(tmp, filepath.Join(t.dir, logName))
	}
	if err != nil {
		return errors.Join(err, l.close(), removeIfThere(tmp))
	}
	t.log = l
	return durable.SyncDir(t.dir)
}

// closeLog closes the log; it is opened again when it is needed. The caller
// holds t.grow.
func (t *set) closeLog() error {
	if t.log == nil {
		return nil
	}
	l := t.log
	t.log = nil
	return l.close()
}

// endLog closes the log for good. The caller holds t.grow.
func (t *set) endLog() error {
	err := t.closeLog()
	if err == nil && t.logMarked {
		err = removeIfThere(t.logMark())
	}
	return err
}

// dropLog removes the log, whose entries are all in the file in force or of
// another base. The caller holds t.grow.
func (t *set) dropLog() error {
	t.foldAgain = 0
	return errors.Join(t.closeLog(), removeLog(t.dir))
}

// resolver turns the changes of a delta into records: it looks up in the base
// who stands at a place, and whether the person is there.
type resolver struct {
	g     *generation
	now   *grown
	delta *overlay.Builder
	bound int   // bytes that the delta may take
	fault error // set when the file cannot be read

	changes        uint64
	people, extras uint64 // after the changes so far

	blocks  reader
	begun   bool
	no      uint64        // block under way
	in      overlay.Block // what the file has of it
	waiting []overlay.Entry
	bodies  []byte // extras of the waiting ones
	entry   []byte // scratch
}

func (r *resolver) run(d gate.Delta, changes func(each func(gate.Change) error) error) error {
	if err := changes(r.take); err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	switch {
	case r.changes != d.Changes:
		return fmt.Errorf("%d changes came, %d were promised", r.changes, d.Changes)
	case r.people != d.People:
		return fmt.Errorf("it leaves %d people, %d were promised", r.people, d.People)
	}
	return nil
}

// take takes the next change.
func (r *resolver) take(c gate.Change) error {
	if !r.begun || c.Block != r.no {
		if r.begun && c.Block < r.no {
			return fmt.Errorf("a change of block %d comes after one of block %d", c.Block, r.no)
		}
		if err := r.flush(); err != nil {
			return err
		}
		if c.Block >= r.g.info.Blocks {
			return fmt.Errorf("there is no block %d", c.Block)
		}
		r.begun, r.no = true, c.Block
		if r.fault = guard(func() (err error) { r.in, err = r.blocks.block(c.Block); return err }); r.fault != nil {
			return r.fault
		}
	}
	if len(r.waiting) == 2*block.MaxRecords {
		return fmt.Errorf("too many changes of block %d", c.Block)
	}
	r.changes++
	e := overlay.Entry{Block: c.Block, Rem: c.Rem, Word: c.Word, Gone: c.Gone}
	switch width := r.g.info.Width; {
	case c.Place < -1 || c.Place >= len(r.in.Value)/width:
		return fmt.Errorf("block %d has no place %d", c.Block, c.Place)
	case c.Place >= 0:
		if r.fault = guard(func() error { e.Rem, _, _ = block.At(r.in.Value, width, c.Place); return nil }); r.fault != nil {
			return r.fault
		}
	}
	if c.Gone {
		e.Word = 0
	} else {
		if r.g.info.Width == block.WidthCheck {
			e.Check = c.Check
		}
		if len(c.Extras) > 0 {
			if len(c.Extras) > block.MaxExtrasBody {
				return fmt.Errorf("extras of %d bytes in block %d", len(c.Extras), c.Block)
			}
			r.entry = block.AppendExtras(r.entry[:0], 0, c.Extras)
			if err := block.CheckExtras(r.entry); err != nil {
				return fmt.Errorf("block %d: %w", c.Block, err)
			}
			from := len(r.bodies)
			r.bodies = append(r.bodies, c.Extras...)
			e.Extras = r.bodies[from:len(r.bodies):len(r.bodies)]
		}
	}
	r.waiting = append(r.waiting, e)
	return nil
}

// flush counts the changes of the block under way and takes them over.
func (r *resolver) flush() error {
	slices.SortFunc(r.waiting, func(a, b overlay.Entry) int { return cmp.Compare(a.Rem, b.Rem) })
	for _, e := range r.waiting {
		var was gate.Word
		var there bool
		if r.fault = guard(func() error { was, there = r.was(e.Rem); return nil }); r.fault != nil {
			return r.fault
		}
		switch {
		case e.Gone && !there:
			return fmt.Errorf("somebody of block %d goes who is not there", e.Block)
		case e.Gone:
			r.people--
		case !there:
			r.people++
		}
		if there && was.Extras() {
			r.extras--
		}
		if !e.Gone && e.Word.Extras() {
			r.extras++
		}
		if err := r.delta.Add(e); err != nil {
			return err
		}
	}
	r.waiting, r.bodies = r.waiting[:0], r.bodies[:0]
	if size := r.delta.Bytes(); size > r.bound {
		return fmt.Errorf("%w: over %d KiB in one", ErrTooMany, size>>10)
	}
	return nil
}

// was gives what holds about somebody in the block under way.
func (r *resolver) was(rem uint64) (w gate.Word, there bool) {
	if e, ok := r.now.overlay.Find(r.no, rem); ok {
		return e.Word, !e.Gone
	}
	width := r.g.info.Width
	if w, _, ok := block.Search(r.in.Value, width, rem); ok {
		return w, w != block.Tombstone
	}
	w, _, there = block.Search(r.in.Added, width, rem)
	return w, there
}

// foldIfDue folds the changes into a new file when there are many. The caller
// holds t.grow.
func (s *Sets) foldIfDue(t *set) error {
	g := t.inForce()
	if g == nil {
		return nil
	}
	now := g.grown.Load()
	bytes, share := s.foldAt(now)
	due := now.overlay.Bytes() > bytes || uint64(now.overlay.Len()) > share
	if !due || now.overlay.Bytes() < t.foldAgain {
		g.release()
		return nil
	}
	// It is written as a whole, so after a failure some more are waited for.
	t.foldAgain = now.overlay.Bytes() + now.overlay.Bytes()/8
	if err := s.fold(t, g, now); err != nil { // releases g
		return err
	}
	t.foldAgain = 0
	return nil
}

func (s *Sets) foldAt(now *grown) (bytes int, records uint64) {
	if s.opts.FoldBytes > 0 {
		return s.opts.FoldBytes, math.MaxUint64
	}
	return foldBytes, max(now.people/foldShare, foldRecords)
}

func (s *Sets) maxOverlay() int {
	return max(maxOverlay, 2*s.opts.FoldBytes)
}
