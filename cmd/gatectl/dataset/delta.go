package dataset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/sync/wire"
)

// SignDelta signs a delta and gives its compact form.
type SignDelta func(wire.DeltaDoc) (string, error)

// Differences is how two versions differ, in people.
type Differences struct {
	Same, New, Gone int
	// Facts counts people whose word or extras are other ones; Cards those of
	// whom only the check bits are.
	Facts, Cards int
	// Kinds counts the people of Facts by their kind before and after.
	Kinds [8][8]int
}

// Changes counts the people about whom anything differs.
func (d Differences) Changes() int { return d.New + d.Gone + d.Facts + d.Cards }

func (d *Differences) add(before, after *entry) {
	switch {
	case before == nil:
		d.New++
	case after == nil:
		d.Gone++
	case before.same(*after):
		d.Same++
	case before.word == after.word && string(before.body) == string(after.body):
		d.Cards++
	default:
		d.Facts++
		d.Kinds[before.word.Kind()][after.word.Kind()]++
	}
}

// Changed is what became of a new delta.
type Changed struct {
	Counts Counts
	Differences
	Size int64 // bytes of the delta
	// Total and Base are the bytes of all deltas since the base, and of the
	// base.
	Total, Base int64
	// Due says why a new base should be built; empty: it need not.
	Due string
}

// changesAtATime bounds the changes that are held in memory before they are
// coded.
const changesAtATime = 1 << 19

// ErrDue is given where no delta can lead on from the version in the folder.
var ErrDue = errors.New("a new base is due")

// ErrNoChanges is given where the list says what the version in the folder says.
var ErrNoChanges = errors.New("no changes")

// Extends says whether a delta can lead on from a version, and why not.
func Extends(m wire.Manifest) error {
	advice := "gatectl snapshot build makes a new base"
	switch {
	case m.BackFrom > m.Ver:
		return hint.Wrap(fmt.Errorf("the set went back from version %d to %d: gates that have not would take a delta for theirs: %w", m.BackFrom, m.Ver, ErrDue), advice)
	case m.Ver-m.Base.Version >= wire.MaxDeltas:
		return hint.Wrap(fmt.Errorf("%d deltas lead on from version %d, and no manifest names more: %w", m.Ver-m.Base.Version, m.Base.Version, ErrDue),
			"gatectl snapshot delta --rebase makes one of what is in force; gates need not fetch it")
	}
	return nil
}

// WriteDelta ends the list of a builder and writes the delta that leads from
// the version that m tells of to the list. The builder must have been made with
// the base day, the check bits and the lists of that version ([Folder.Lists]).
// It gives the manifest that names the delta, not yet signed. Where nothing has
// changed it writes nothing, unless the head says so, and the error is
// [ErrNoChanges]; what was counted is given all the same.
func (f Folder) WriteDelta(ctx context.Context, b *Builder, h Head, m wire.Manifest, sign SignDelta) (wire.Manifest, Changed, error) {
	var out Changed
	if err := Extends(m); err != nil {
		return m, out, err
	}
	if b.Width() != m.Base.Width || b.BaseDay().String() != m.Base.BaseDay {
		return m, out, errors.New("the list was read for records of another form than the version has")
	}
	out.Counts = b.counts
	doc := wire.DeltaDoc{
		Aud: m.Aud, N: m.Ver + 1, Iat: h.Issued.Unix(), Exp: h.Expires.Unix(),
		Base: m.Base.Version, BaseDigest: m.Base.Digest,
	}
	before, err := f.Lists(m)
	if err != nil {
		return m, out, err
	}
	if lists := b.Lists(); !slices.Equal(lists, before) {
		if len(lists) < len(before) || !slices.Equal(lists[:len(before)], before) {
			return m, out, errors.New("the list was read for other names of lists than the version has")
		}
		doc.Lists = lists
	}
	d := differ{folder: f, width: m.Base.Width, out: &out, tick: func(people int) {
		b.opts.Progress(Progress{Stage: Writing, People: people, Done: int64(people), Total: int64(b.counts.Read)})
	}}
	after, err := b.place(m.Base.Blocks, &out.Counts)
	if err != nil {
		return m, out, err
	}
	if err := d.run(ctx, f, m, after); err != nil {
		return m, out, err
	}
	if out.Changes() == 0 && doc.Lists == nil && !h.Empty {
		return m, out, ErrNoChanges
	}
	doc.People = uint64(out.Counts.People)
	for i, body := range doc.PutChanges(d.pieces, uint64(out.Changes())) {
		if err := f.writeChunk(doc.Chunks[i].Digest, body); err != nil {
			return m, out, err
		}
		if err := syncFile(f.chunk(doc.Chunks[i].Digest)); err != nil {
			return m, out, err
		}
	}
	if len(doc.Chunks) > wire.MaxDeltaPieces {
		return m, out, hint.Wrap(fmt.Errorf("the list differs in %s people from version %d, more than a delta can say: %w", thousands(out.Changes()), m.Ver, ErrDue),
			"gatectl snapshot build makes a new base")
	}
	compact, err := sign(doc)
	if err != nil {
		return m, out, err
	}
	ref, err := f.writeDelta(doc.N, doc.Base, compact)
	if err != nil {
		return m, out, err
	}
	next := m
	next.Ver, next.Iat, next.Exp, next.BackFrom = doc.N, doc.Iat, doc.Exp, 0
	next.Deltas = append(slices.Clone(m.Deltas), ref)
	if over := len(next.Deltas) - wire.MaxDeltas; over > 0 {
		next.Deltas = next.Deltas[over:]
	}
	out.Size = deltaSize(doc) + int64(ref.Size)
	if err := f.weigh(next, &out); err != nil {
		return m, out, err
	}
	if !fits(doc.People, m.Base.Blocks) {
		out.Due = fmt.Sprintf("%s people do not fit the %s blocks of the base any more", thousands(int(doc.People)), thousands(int(m.Base.Blocks)))
	}
	return next, out, next.Check()
}

// weigh holds the deltas since the base against the base.
func (f Folder) weigh(m wire.Manifest, out *Changed) error {
	for _, c := range m.Chunks {
		out.Base += int64(c.Size)
	}
	for _, ref := range m.Deltas {
		if ref.N <= m.Base.Version {
			continue
		}
		doc, err := f.deltaDoc(ref)
		if err != nil {
			return err
		}
		out.Total += deltaSize(doc) + int64(ref.Size)
	}
	// Small sets take a few deltas of a KiB without a thought.
	const small = 64 << 10
	switch left := wire.MaxDeltas - (m.Ver - m.Base.Version); {
	case out.Total > out.Base/3 && out.Total > small:
		out.Due = fmt.Sprintf("the deltas since version %d are larger than a third of it", m.Base.Version)
	case left < wire.MaxDeltas/10:
		out.Due = fmt.Sprintf("after %d more deltas no manifest can name them all", left)
	}
	return nil
}

// differ finds the changes from one version to another.
type differ struct {
	folder  Folder
	width   int
	out     *Changed
	tick    func(people int)
	changes []gate.Change
	bodies  []byte // of changes
	pieces  [][]byte
	size    int
}

func (d *differ) run(ctx context.Context, f Folder, m wire.Manifest, after blocks) error {
	if err := f.make(); err != nil {
		return err
	}
	before, err := f.open(m, m.Ver)
	if err != nil {
		return err
	}
	defer before.close()
	told := 0
	err = walk(ctx, before, after, func(no uint64, old, now []entry) error {
		d.block(no, old, now)
		if d.out.Counts.People-told >= tickPeople {
			told = d.out.Counts.People
			d.tick(told)
		}
		if len(d.changes) >= changesAtATime {
			return d.encode()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return d.encode()
}

// walk goes through two versions with the same number of blocks side by side.
func walk(ctx context.Context, a, b blocks, each func(no uint64, a, b []entry) error) error {
	type side struct {
		src     blocks
		no      uint64
		entries []entry
		ok      bool
	}
	x, y := side{src: a}, side{src: b}
	step := func(s *side) (err error) {
		s.no, s.entries, s.ok, err = s.src.next()
		return err
	}
	if err := errors.Join(step(&x), step(&y)); err != nil {
		return err
	}
	for n := 0; x.ok || y.ok; n++ {
		if n%packedBlocks == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		no := y.no
		if !y.ok || x.ok && x.no < no {
			no = x.no
		}
		var old, now []entry
		if x.ok && x.no == no {
			old = x.entries
		}
		if y.ok && y.no == no {
			now = y.entries
		}
		if err := each(no, old, now); err != nil {
			return err
		}
		if old != nil {
			if err := step(&x); err != nil {
				return err
			}
		}
		if now != nil {
			if err := step(&y); err != nil {
				return err
			}
		}
	}
	return nil
}

// block finds the changes of one block.
func (d *differ) block(no uint64, old, now []entry) {
	from := len(d.changes)
	for len(old) > 0 || len(now) > 0 {
		var before, after *entry
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].rem < now[0].rem:
			before, old = &old[0], old[1:]
		case len(old) == 0 || now[0].rem < old[0].rem:
			after, now = &now[0], now[1:]
		default:
			before, after, old, now = &old[0], &now[0], old[1:], now[1:]
		}
		c := gate.Change{Block: no, Place: -1, Gone: after == nil}
		if before != nil {
			c.Place, c.Rem = before.place, before.rem
			if before.gone {
				before = nil
			}
		}
		if after != nil {
			d.out.Counts.tally(*after)
			c.Rem, c.Word, c.Check = after.rem, after.word, after.check
			c.Extras = after.body
		}
		if before == nil && after == nil {
			continue // gone before, and still
		}
		d.out.add(before, after)
		if before != nil && after != nil && before.same(*after) {
			continue
		}
		if c.Place >= 0 {
			c.Rem = 0
		}
		if len(c.Extras) > 0 {
			at := len(d.bodies)
			d.bodies = append(d.bodies, c.Extras...)
			c.Extras = d.bodies[at:len(d.bodies):len(d.bodies)]
		}
		d.changes = append(d.changes, c)
	}
	slices.SortFunc(d.changes[from:], wire.CompareChanges)
}

// encode writes the changes so far.
func (d *differ) encode() error {
	if len(d.changes) == 0 {
		return nil
	}
	pieces, err := wire.EncodeChanges(d.changes, d.width)
	if err != nil {
		return err
	}
	d.changes, d.bodies = d.changes[:0], d.bodies[:0]
	for _, p := range pieces {
		d.size += len(p)
	}
	// They stay in memory until the document tells whether it holds them
	// itself: 64 MiB are the most that one can name.
	if d.pieces = append(d.pieces, pieces...); d.size > wire.MaxDeltaPieces*wire.MaxChunk {
		return hint.Wrap(fmt.Errorf("the list differs from the version in more people than a delta can say: %w", ErrDue), "gatectl snapshot build makes a new base")
	}
	return nil
}

// WriteRebase writes the version in force as a new base, under the same number:
// a gate that came to it by deltas makes the new base of what it has, and
// fetches nothing. It gives the manifest, not yet signed.
func (f Folder) WriteRebase(ctx context.Context, h Head, m wire.Manifest, tick func(Progress)) (wire.Manifest, Counts, error) {
	var counts Counts
	if m.Ver == m.Base.Version {
		return m, counts, fmt.Errorf("version %d is a base already", m.Ver)
	}
	if m.BackFrom > m.Ver {
		return m, counts, Extends(m)
	}
	lists, err := f.Lists(m)
	if err != nil {
		return m, counts, err
	}
	src, err := f.open(m, m.Ver)
	if err != nil {
		return m, counts, err
	}
	defer src.close()
	next := m
	next.Coding = wire.CodingColumns
	next.Iat, next.Exp, next.SpreadS = h.Issued.Unix(), h.Expires.Unix(), h.SpreadS
	next.Base.Version, next.Base.Lists = m.Ver, lists
	next.Deltas = slices.DeleteFunc(slices.Clone(m.Deltas), func(r wire.DeltaRef) bool { return r.Base != m.Base.Version })
	w := blockWriter{folder: f, counts: &counts, span: span(&m, m.Base.Blocks), tick: func(people int) {
		tick(Progress{Stage: Writing, People: people, Done: int64(people), Total: int64(m.Base.People)})
	}}
	if err := w.write(ctx, src, &next); err != nil {
		return m, counts, err
	}
	if !fits(next.Base.People, next.Base.Blocks) {
		return m, counts, hint.Wrap(fmt.Errorf("%s people do not fit the %s blocks of the base any more: %w",
			thousands(int(next.Base.People)), thousands(int(next.Base.Blocks)), ErrDue), "gatectl snapshot build makes a base with another number of blocks")
	}
	return next, counts, next.Check()
}
