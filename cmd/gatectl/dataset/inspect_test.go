package dataset

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/sync/wire"
)

// TestViews: a folder and the file of a box say the same, and what the list
// says.
func TestViews(t *testing.T) {
	n := 6000
	if testing.Short() {
		n = 2000
	}
	f := NewFolder(t.TempDir())
	base(t, f, options(func(o *Options) { o.CheckBits = true }), 1, year(n, 1))
	m, changed := delta(t, f, year(n, 2))
	folder, err := f.View(m)
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t, f)
	b.base(m, b.sets.Stage)
	b.deltas(m, m.Ver)
	rebased, _, err := f.WriteRebase(t.Context(), head(0), m, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	put(t, f, rebased)
	if done, err := b.sets.Rebase(b.generation(rebased)); !done || err != nil {
		t.Fatal(done, err)
	}
	file, g, size, err := FileView(filepath.Join(b.dir, "vn", "2.db"))
	if err != nil || g.Version != 2 || size == 0 {
		t.Fatalf("%v, %+v, %d bytes", err, g, size)
	}
	x, err := folder.Histogram(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	y, err := file.Histogram(t.Context(), nil)
	if diff := cmp.Diff(x, y); diff != "" || err != nil {
		t.Errorf("%v (-folder +file):\n%s", err, diff)
	}
	c := changed.Counts
	if x.People != c.People || x.Extras != c.Extras || x.ByKind != c.ByKind || x.Cards != c.Cards {
		t.Errorf("counts %+v, want %+v", x.Counts, c)
	}
	months := [8]int{}
	for i, month := range x.Months {
		for kind, n := range month.Kinds {
			months[kind] += n
		}
		if i > 0 && (month.Year*12+month.Month <= x.Months[i-1].Year*12+x.Months[i-1].Month) {
			t.Errorf("month %d-%d is out of order", month.Year, month.Month)
		}
	}
	months[gate.FactNothing] = x.ByKind[gate.FactNothing]
	if months != x.ByKind {
		t.Errorf("the months hold %v, the kinds %v", months, x.ByKind)
	}
	if x.Tests == 0 || x.Windows == 0 || x.Others == 0 || x.Dates == 0 || x.Lists["staff"] == 0 || x.Lists["deny"] == 0 || x.Beyond > 0 {
		t.Errorf("extras %+v", x)
	}
	for i := range 200 {
		a, aCards, err := folder.Find(key, number(i))
		if err != nil {
			t.Fatal(err)
		}
		b, bCards, err := file.Find(key, number(i))
		if err != nil || a != b || aCards != bCards || a.Found == (i%97 == 2) || a.Found != aCards {
			t.Fatalf("person %d: %+v in the folder, %+v in the file, %v", i, a, b, err)
		}
	}
	if f, _, err := folder.Find(gate.Key{9}, number(1)); err != nil || f.Found {
		t.Errorf("found under another secret: %v, %v", f.Found, err)
	}
}

// TestDue: the folder tells when deltas are no longer worth it.
func TestDue(t *testing.T) {
	const n = 30_000 // fewer are never due
	f := NewFolder(t.TempDir())
	base(t, f, options(), 1, year(n, 1))
	if _, changed := delta(t, f, year(n, 2)); changed.Due != "" {
		t.Errorf("after one small delta: %s", changed.Due)
	}
	m, changed := delta(t, f, fictional(upTo(n), 99)) // everybody is another
	if changed.Due == "" || changed.Facts < n/2 {
		t.Errorf("after everybody has changed: %q, %+v", changed.Due, changed.Differences)
	}
	if _, changed := delta(t, f, fictional(upTo(n/2), 99)); changed.Due == "" {
		t.Error("half of the people are gone, and the blocks still fit")
	}
	m.Ver = m.Base.Version + wire.MaxDeltas
	if err := Extends(m); err == nil || hint.Of(err) == "" {
		t.Errorf("after %d deltas: %v", wire.MaxDeltas, err)
	}
}
