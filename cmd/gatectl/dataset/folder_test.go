package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/wire"
)

// box is the data store of a gate.
type box struct {
	t    testing.TB
	sets *cache.Sets
	f    Folder
	dir  string
}

// unchanged makes a delta of a list that is in force, which must leave everything
// as it is.
func unchanged(t *testing.T, f Folder, m wire.Manifest, list string) {
	t.Helper()
	o := options()
	o.CheckBits = m.Base.Width == 9
	var err error
	if o.BaseDay, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		t.Fatal(err)
	}
	if o.Lists, err = f.Lists(m); err != nil {
		t.Fatal(err)
	}
	before := files(t, f.Dir())
	_, counted, err := f.WriteDelta(t.Context(), read(t, o, list), head(0), m, signDelta)
	if !errors.Is(err, ErrNoChanges) || counted.Changes() != 0 || counted.Counts.People == 0 {
		t.Errorf("the same list again: %v, %+v", err, counted)
	}
	if diff := gocmp.Diff(before, files(t, f.Dir())); diff != "" {
		t.Errorf("something was written: %s", diff)
	}
}

func newBox(t testing.TB, f Folder) *box {
	t.Helper()
	dir := t.TempDir()
	sets, err := cache.OpenSets(cache.SetsOptions{
		Dir: dir, Sets: []cache.SetKey{{Name: "vn", KeyID: "k1", Key: key, HasKey: true}}, Reserve: 1,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sets.Close(); err != nil {
			t.Error(err)
		}
	})
	return &box{t, sets, f, dir}
}

func (b *box) generation(m wire.Manifest) gate.Generation {
	b.t.Helper()
	compact, err := b.f.Manifest()
	if err != nil {
		b.t.Fatal(err)
	}
	g, err := m.Generation(compact)
	if err != nil {
		b.t.Fatal(err)
	}
	return g
}

// base takes the base of a manifest from its chunks.
func (b *box) base(m wire.Manifest, stage func(gate.Generation) (gate.GenerationWriter, error)) {
	b.t.Helper()
	w, err := stage(b.generation(m))
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range m.Chunks {
		body, err := b.f.Chunk(c.Digest)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := wire.DecodeChunk(m.Coding, m.Base.Width, body, w.Block); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := w.Commit(); err != nil {
		b.t.Fatal(err)
	}
}

// deltas takes the deltas that are missing, up to a version.
func (b *box) deltas(m wire.Manifest, upTo uint64) {
	b.t.Helper()
	for _, ref := range m.Deltas {
		g, _ := b.sets.Generation("vn")
		if ref.N <= g.Version || ref.N > upTo {
			continue
		}
		doc, err := b.f.deltaDoc(ref)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.sets.Apply(doc.Domain(), func(each func(gate.Change) error) error { return doc.Changes(b.f.piece, each) }); err != nil {
			b.t.Fatalf("delta %d: %v", ref.N, err)
		}
	}
}

// normal puts lists and others into one order.
func normal(e gate.Extras) gate.Extras {
	slices.SortFunc(e.Lists[:e.ListN], func(a, b gate.Membership) int { return cmp.Compare(a.List, b.List) })
	slices.SortFunc(e.Others[:e.OtherN], func(a, b gate.Other) int { return cmp.Compare(a.Provider, b.Provider) })
	return e
}

// holds compares what the box says with the list, person by person.
func (b *box) holds(list string, cards bool) {
	b.t.Helper()
	src, err := people.Open(strings.NewReader(list), people.Options{Cards: true})
	if err != nil {
		b.t.Fatal(err)
	}
	g, _ := b.sets.Generation("vn")
	n, wrong := uint64(0), 0
	for batch, parser := new(people.Batch), src.Parser(); src.Next(batch) == nil; {
		for p, problem := range parser.People(batch) {
			if problem != nil {
				b.t.Fatal(problem)
			}
			n++
			var e gate.Extras
			fact, _ := rule.Reduce(p, &e)
			card := credential.CardText(p.Name, p.Born, p.Issued)
			got, _, err := b.sets.Facts(p.Number, card)
			if err != nil {
				b.t.Fatal(err)
			}
			if !got.Found || got.Word != fact.Word(got.Base) || got.HasExtras != fact.Extras || got.CardMismatch {
				b.t.Fatalf("person %d: %+v, want %+v", n, got, fact)
			}
			if e, x := normal(e), normal(got.Extras); e != x {
				b.t.Fatalf("person %d: extras (-want +got):\n%s", n, gocmp.Diff(e, x))
			}
			other, _, err := b.sets.Facts(p.Number, credential.CardText("Trần Thị Khác", p.Born, p.Issued))
			if err != nil {
				b.t.Fatal(err)
			}
			if other.CardMismatch != cards {
				wrong++
			}
		}
	}
	if g.People != n {
		b.t.Errorf("%d people, want %d", g.People, n)
	}
	if wrong > 10 { // two cards share their check bits once in 65,536 times
		b.t.Errorf("another's card was noticed, or not: wrong %d times", wrong)
	}
	for i := range 1000 {
		if f, _, err := b.sets.Facts(gate.Number(fmt.Sprintf("9990900%05d", i)), ""); err != nil || f.Found {
			b.t.Fatalf("a stranger: %+v, %v", f, err)
		}
	}
}

// TestFolderHoldsEverybody reads back, as a box does, what was written.
func TestFolderHoldsEverybody(t *testing.T) {
	most := 40_000
	if testing.Short() {
		most = 2_500
	}
	for _, n := range []int{0, 1, 62, 63, most} {
		for _, cards := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d people, check bits %v", n, cards), func(t *testing.T) {
				f := NewFolder(t.TempDir())
				list := fictional(upTo(n), 1)
				m, counts := base(t, f, options(func(o *Options) { o.CheckBits = cards }), 3, list)
				if counts.People != n || n > 1000 && counts.Extras < n/10 {
					t.Errorf("counts %+v", counts)
				}
				b := newBox(t, f)
				b.base(m, b.sets.Stage)
				b.holds(list, cards)
			})
		}
	}
}

// same says whether two versions hold the same people, by the places of the
// base of the first.
func same(t *testing.T, f Folder, m wire.Manifest, list string) {
	t.Helper()
	got, err := f.open(m, m.Ver)
	if err != nil {
		t.Fatal(err)
	}
	defer got.close()
	lists, err := f.Lists(m)
	if err != nil {
		t.Fatal(err)
	}
	o := options(func(o *Options) { o.Lists, o.CheckBits = lists, m.Base.Width == 9 })
	if o.BaseDay, err = gate.ParseDay(m.Base.BaseDay); err != nil {
		t.Fatal(err)
	}
	want, err := read(t, o, list).place(m.Base.Blocks, new(Counts))
	if err != nil {
		t.Fatal(err)
	}
	err = walk(t.Context(), got, want, func(no uint64, a, b []entry) error {
		a = slices.DeleteFunc(slices.Clone(a), func(e entry) bool { return e.gone })
		if !slices.EqualFunc(a, b, func(x, y entry) bool { return x.rem == y.rem && x.same(y) }) {
			return fmt.Errorf("block %d: %d people, want %d, or others", no, len(a), len(b))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// year gives a list in which some people are new, some gone and some other
// than the year before.
func year(n, y int) string {
	var b strings.Builder
	b.WriteString(heads)
	for i := range n {
		switch {
		case i%97 == y%97: // not there this year
		case i%41 < y:
			b.WriteString(line(i, y))
		default:
			b.WriteString(line(i, 1))
		}
	}
	return b.String()
}

// TestDeltas: boxes follow by deltas, one after another; one that comes late
// takes the base and what it misses; a new base is made of what is in force
// without a chunk.
func TestDeltas(t *testing.T) {
	n := 9000
	if testing.Short() {
		n = 1500
	}
	f := NewFolder(t.TempDir())
	m, _ := base(t, f, options(func(o *Options) { o.CheckBits = true }), 7, year(n, 1))
	early, behind := newBox(t, f), newBox(t, f)
	early.base(m, early.sets.Stage)
	behind.base(m, behind.sets.Stage)
	for y := 2; y <= 6; y++ {
		var changed Changed
		m, changed = delta(t, f, year(n, y), func(o *Options) { o.Memory, o.Temp = 1, t.TempDir() })
		if m.Ver != uint64(6+y) || m.Base.Version != 7 || changed.New == 0 || changed.Gone == 0 || changed.Facts == 0 {
			t.Fatalf("version %d on %d, %+v", m.Ver, m.Base.Version, changed.Differences)
		}
		same(t, f, m, year(n, y))
		early.deltas(m, m.Ver)
		early.holds(year(n, y), true)
	}
	late := newBox(t, f)
	late.base(m, late.sets.Stage)
	late.deltas(m, m.Ver)
	late.holds(year(n, 6), true)

	// The list of the last delta again changes nothing, and makes no version
	// unless that is asked for.
	unchanged(t, f, m, year(n, 6))
	m, changed := delta(t, f, year(n, 6))
	if changed.Changes() != 0 {
		t.Errorf("the same list again: %+v", changed.Differences)
	}
	// A base of the same content, under the same number.
	rebased, counts, err := f.WriteRebase(t.Context(), head(0), m, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, rebased)
	if rebased.Ver != m.Ver || rebased.Base.Version != m.Ver || len(rebased.Deltas) != 6 || uint64(counts.People) != rebased.Base.People {
		t.Errorf("the new base %d of version %d, %d deltas, %+v", rebased.Base.Version, rebased.Ver, len(rebased.Deltas), counts)
	}
	// It is what a build of the same list is.
	o := options(func(o *Options) { o.CheckBits, o.Lists = true, rebased.Base.Lists })
	built, _, err := NewFolder(t.TempDir()).WriteBase(t.Context(), read(t, o, year(n, 6)), head(99), &m)
	if err != nil || built.Base.Digest != rebased.Base.Digest {
		t.Errorf("%v; the digest is another", err)
	}
	behind.deltas(rebased, rebased.Ver)
	for _, b := range []*box{early, behind} {
		b.deltas(rebased, rebased.Ver)
		if done, err := b.sets.Rebase(b.generation(rebased)); err != nil || !done {
			t.Fatalf("the new base is not made of what is there: %v, %v", done, err)
		}
		b.holds(year(n, 6), true)
	}
	// And it goes on from there.
	m, _ = delta(t, f, year(n, 8))
	if m.Base.Version != rebased.Ver || m.Ver != rebased.Ver+1 {
		t.Errorf("version %d on base %d", m.Ver, m.Base.Version)
	}
	same(t, f, m, year(n, 8))
	early.deltas(m, m.Ver)
	early.holds(year(n, 8), true)
	if _, _, err := f.WriteRebase(t.Context(), head(0), rebased, nil); err == nil {
		t.Error("a base was made a base")
	}
}

// TestBack: the set goes back, and no delta leads on from there.
func TestBack(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 1000
	}
	f := NewFolder(t.TempDir())
	m, _ := base(t, f, options(), 1, year(n, 1))
	b := newBox(t, f)
	b.base(m, b.sets.Stage)
	for y := 2; y <= 4; y++ {
		delta(t, f, year(n, y))
	}
	m, _ = base(t, f, options(), 5, fictional(upTo(10), 1)) // cut off
	b.base(m, b.sets.Stage)
	if _, err := f.Back(9); err == nil {
		t.Error("back to what is not yet")
	}
	back, err := f.Back(3)
	if err != nil {
		t.Fatal(err)
	}
	if back.Ver != 3 || back.BackFrom != 5 || back.Base.Version != 1 || len(back.Deltas) != 2 {
		t.Errorf("back to %d from %d, base %d, %d deltas", back.Ver, back.BackFrom, back.Base.Version, len(back.Deltas))
	}
	put(t, f, back)
	b.base(back, b.sets.StageBack)
	b.deltas(back, back.Ver)
	b.holds(year(n, 3), false)
	if err := Extends(back); !errors.Is(err, ErrDue) {
		t.Errorf("a delta may lead on: %v", err)
	}
	if _, _, err := f.WriteRebase(t.Context(), head(0), back, nil); !errors.Is(err, ErrDue) {
		t.Errorf("it became a base: %v", err)
	}
	m, _ = base(t, f, options(), 6, year(n, 5))
	b.base(m, b.sets.Stage)
	b.holds(year(n, 5), false)
}

// TestBasesKept: the folder keeps the last bases and what they need, no more.
func TestBasesKept(t *testing.T) {
	f := NewFolder(t.TempDir())
	for v := uint64(1); v <= 9; v += 2 {
		base(t, f, options(), v, year(500, int(v)))
		delta(t, f, year(500, int(v)+1))
	}
	all, err := f.Bases()
	if err != nil || len(all) != KeepBases || all[0].Ver != 10 || all[2].Base.Version != 5 {
		t.Fatalf("%v, %d bases", err, len(all))
	}
	want := 0
	for _, m := range all {
		digests, err := f.Digests(m)
		if err != nil {
			t.Fatal(err)
		}
		want += len(digests)
		same(t, f, m, year(500, int(m.Ver)))
	}
	chunks := 0
	for name := range files(t, f.Dir()) {
		if strings.HasPrefix(name, "chunks/") {
			chunks++
		}
	}
	if numbers, err := numbered(f.deltas()); err != nil || len(numbers) != KeepBases || chunks != want {
		t.Errorf("%v, deltas %v, %d chunks, want %d", err, numbers, chunks, want)
	}
	if _, err := f.Back(4); err == nil {
		t.Error("back to what is no longer kept")
	}
}

// TestCompare: the differences are the same whatever base and blocks say.
func TestCompare(t *testing.T) {
	const n = 5000
	a, b := NewFolder(t.TempDir()), NewFolder(t.TempDir())
	am, _ := base(t, a, options(), 1, year(n, 1))
	_, changed := delta(t, a, year(n, 2))
	bm, _ := base(t, b, options(), 1, year(n, 2))
	for name, other := range map[string]func() wire.Manifest{
		"the same base day and blocks": func() wire.Manifest { return bm },
		"another base day": func() wire.Manifest {
			m, _ := base(t, b, options(func(o *Options) { o.BaseDay = people.BaseDay(asOf) + 365 }), 2, year(n, 2))
			return m
		},
		"other blocks, other places of lists, check bits": func() wire.Manifest {
			o := options(func(o *Options) { o.Lists, o.CheckBits = []string{"visitors", "unused"}, true })
			before := wire.Manifest{Base: wire.Base{Blocks: bm.Base.Blocks + 5}}
			m, _, err := b.WriteBase(t.Context(), read(t, o, year(n, 2)), head(3), &before)
			if err != nil || m.Base.Blocks == am.Base.Blocks {
				t.Fatal(err, m.Base.Blocks)
			}
			put(t, b, m)
			return m
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := Compare(t.Context(), a, am, b, other())
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(changed.Differences, d); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	bm.Base.KeyID = "k2"
	if _, err := Compare(t.Context(), a, am, b, bm); err == nil {
		t.Error("versions under two secrets were compared")
	}
}
