package cache_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

// openFolding opens sets that fold when the changes take that many bytes.
func openFolding(t testing.TB, dir string, foldBytes int) *cache.Sets {
	t.Helper()
	o := cachetest.SetsOptions(dir)
	o.FoldBytes = foldBytes
	s, err := cache.OpenSets(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func loadWorld(t testing.TB, w *cachetest.World, s *cache.Sets) {
	t.Helper()
	if err := w.Load(s); err != nil {
		t.Fatal(err)
	}
}

// step applies the world's next version.
func step(t testing.TB, w *cachetest.World, s *cache.Sets) {
	t.Helper()
	d, changes := w.Step()
	if err := cachetest.Apply(s, d, changes); err != nil {
		t.Fatal(err)
	}
}

func compare(t testing.TB, w *cachetest.World, s *cache.Sets, every int) {
	t.Helper()
	if err := w.Compare(s, every); err != nil {
		t.Fatal(err)
	}
	want := w.Generation()
	g, ok := s.Generation(cachetest.SetName)
	if !ok || g.Version != w.Version || g.People != want.People || g.Extras != want.Extras || !slices.Equal(g.Lists, want.Lists) {
		t.Fatalf("version %d is described as %+v, %v; want %+v", w.Version, g, ok, want)
	}
	if !g.Issued.Equal(cachetest.Issued(w.Version)) || g.Digest != w.Base().Digest {
		t.Fatalf("version %d is of %v with digest %x", w.Version, g.Issued, g.Digest)
	}
	version, digest, ok := s.Base(cachetest.SetName)
	if base := w.Base(); !ok || version != base.Version || digest != base.Digest {
		t.Fatalf("version %d grew from %d, %v; want %d", w.Version, version, ok, base.Version)
	}
	st := s.Status()[0]
	if st.Version != w.Version || st.Base != version || st.Deltas != w.Version-version || st.People != want.People || st.Fault != nil || st.DeltaFault != nil {
		t.Fatalf("status %+v", st)
	}
}

// TestDeltasAgainstAWorld lets a world change, with folds, rebases, whole
// versions and restarts between, and asks for everybody.
func TestDeltasAgainstAWorld(t *testing.T) {
	for _, width := range []int{block.Width, block.WidthCheck} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprintf("width %d, seed %d", width, seed), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(seed, 99))
				dir := memDir(t)
				w := cachetest.NewWorld(1500, width, 20+seed)
				fold := []int{0, 1000, 1, 1 << 20}[seed]
				s := openFolding(t, dir, fold)
				loadWorld(t, w, s)
				folds, rebases := 0, 0
				for range 70 {
					d, changes := w.Step()
					if err := cachetest.Apply(s, d, changes); err != nil {
						t.Fatal(err)
					}
					if st := s.Status()[0]; st.Overlay == 0 && d.Changes > 0 {
						folds++
					}
					switch r.IntN(12) {
					case 0:
						if err := s.Close(); err != nil {
							t.Fatal(err)
						}
						s = openFolding(t, dir, fold)
					case 1:
						g := w.Generation()
						g.Digest[3]++
						if done, err := s.Rebase(g); done || err != nil {
							t.Fatalf("another digest: %v, %v", done, err)
						}
					case 2, 3:
						done, err := s.Rebase(w.Generation())
						if !done || err != nil {
							t.Fatalf("rebase: %v, %v", done, err)
						}
						w.Rebase()
						rebases++
						if st := s.Status()[0]; st.Deltas != 0 || st.Overlay != 0 {
							t.Fatalf("after a rebase: %+v", st)
						}
					case 4:
						loadWorld(t, w, s) // the same version, whole
					}
					compare(t, w, s, 7)
				}
				compare(t, w, s, 1)
				if rebases == 0 || (folds > 0) != (fold == 1000 || fold == 1) {
					t.Errorf("%d folds, %d rebases", folds, rebases)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				files, err := filepath.Glob(filepath.Join(dir, "vn", "*"))
				if err != nil || len(files) > 4 { // file, vouch, log, staging
					t.Errorf("left: %v", files)
				}
				for _, f := range files {
					if strings.HasSuffix(f, ".db") {
						if err := cache.CheckFile(f); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
	}
}

func TestApplyRefuses(t *testing.T) {
	s := openFolding(t, memDir(t), 0)
	w := cachetest.NewWorld(400, block.Width, 3)
	if err := s.Apply(gate.Delta{Set: "vn", N: 1}, nil); !errors.Is(err, cache.ErrOtherBase) {
		t.Errorf("without a base: %v", err)
	}
	loadWorld(t, w, s)
	step(t, w, s)
	var there, gone *cachetest.Citizen
	for i := range w.People() {
		if c := &w.People()[i]; c.In {
			there = c
		} else {
			gone = c
		}
	}
	base := w.Base()
	at := func(c *cachetest.Citizen) gate.Change {
		no, rem := block.Place(c.Person, base.Blocks)
		return gate.Change{Block: no, Place: -1, Rem: rem, Word: 7}
	}
	people := w.Generation().People
	good := gate.Delta{
		Set: "vn", N: w.Version + 1, Base: base.Version, BaseDigest: base.Digest,
		Issued: cachetest.Issued(w.Version + 1), Changes: 1, People: people,
	}
	leaves := func(c gate.Change) gate.Change { c.Gone = true; return c }
	place := func(c gate.Change, place int) gate.Change { c.Place = place; return c }
	word := func(c gate.Change, word gate.Word) gate.Change { c.Word = word; return c }
	extras := func(c gate.Change, body ...byte) gate.Change { c.Word |= 1 << 15; c.Extras = body; return c }
	for name, c := range map[string]struct {
		delta   func(*gate.Delta)
		changes []gate.Change
		want    error
	}{
		"unknown set":     {func(d *gate.Delta) { d.Set = "other" }, []gate.Change{at(there)}, cache.ErrUnknownSet},
		"other base":      {func(d *gate.Delta) { d.Base++ }, []gate.Change{at(there)}, cache.ErrOtherBase},
		"other digest":    {func(d *gate.Delta) { d.BaseDigest[0]++ }, []gate.Change{at(there)}, cache.ErrOtherBase},
		"gap":             {func(d *gate.Delta) { d.N++ }, []gate.Change{at(there)}, cache.ErrGap},
		"again":           {func(d *gate.Delta) { d.N-- }, []gate.Change{at(there)}, cache.ErrNotNewer},
		"more changes":    {nil, []gate.Change{at(there), at(gone)}, nil},
		"fewer changes":   {nil, nil, nil},
		"fewer people":    {func(d *gate.Delta) { d.People-- }, []gate.Change{at(there)}, nil},
		"comes uncounted": {nil, []gate.Change{at(gone)}, nil},
		"goes uncounted":  {nil, []gate.Change{leaves(at(there))}, nil},
		"goes unknown":    {func(d *gate.Delta) { d.People-- }, []gate.Change{leaves(at(gone))}, nil},
		"twice":           {func(d *gate.Delta) { d.Changes = 2 }, []gate.Change{at(there), at(there)}, nil},
		"no such block":   {nil, []gate.Change{{Block: base.Blocks, Place: 0, Word: 1}}, nil},
		"no such place":   {nil, []gate.Change{place(at(there), 255)}, nil},
		"negative place":  {nil, []gate.Change{place(at(there), -2)}, nil},
		"tombstone":       {nil, []gate.Change{word(at(there), block.Tombstone)}, nil},
		"flag alone":      {nil, []gate.Change{extras(at(there))}, nil},
		"malformed body":  {nil, []gate.Change{extras(at(there), 0x0f)}, nil},
		"long body":       {nil, []gate.Change{extras(at(there), make([]byte, 300)...)}, nil},
		"remainder":       {func(d *gate.Delta) { d.People++ }, []gate.Change{{Place: -1, Rem: 1 << 40}}, nil},
		"lists replaced":  {func(d *gate.Delta) { d.Lists = []string{"visitors", "staff"} }, []gate.Change{at(there)}, nil},
		"endless list":    {func(d *gate.Delta) { d.Lists = []string{"staff", strings.Repeat("x", 256)} }, []gate.Change{at(there)}, nil},
		"backwards":       {func(d *gate.Delta) { d.Changes = 2 }, backwards(w, base.Blocks), nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := good
			if c.delta != nil {
				c.delta(&d)
			}
			if err := cachetest.Apply(s, d, c.changes); err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			compare(t, w, s, 3)
		})
	}
	t.Run("the source fails", func(t *testing.T) {
		broken := errors.New("the network")
		if err := s.Apply(good, func(each func(gate.Change) error) error {
			return errors.Join(each(at(there)), broken)
		}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		compare(t, w, s, 3)
	})
	if err := cachetest.Apply(s, good, []gate.Change{at(there)}); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

// backwards gives two changes of different blocks in the wrong order.
func backwards(w *cachetest.World, blocks uint64) []gate.Change {
	var out []gate.Change
	for _, c := range w.People() {
		if no, rem := block.Place(c.Person, blocks); c.In && (len(out) == 0 || no != out[0].Block) {
			out = append(out, gate.Change{Block: no, Place: -1, Rem: rem, Word: 7})
		}
		if len(out) == 2 {
			break
		}
	}
	slices.Reverse(out)
	return out
}

func TestRebaseRefuses(t *testing.T) {
	s := openFolding(t, memDir(t), 0)
	w := cachetest.NewWorld(400, block.Width, 3)
	loadWorld(t, w, s)
	if done, err := s.Rebase(w.Generation()); !done || err != nil {
		t.Errorf("what is in force as a whole: %v, %v", done, err)
	}
	step(t, w, s)
	good := w.Generation()
	for name, change := range map[string]func(*gate.Generation){
		"digest":   func(g *gate.Generation) { g.Digest[0]++ },
		"blocks":   func(g *gate.Generation) { g.Blocks++ },
		"people":   func(g *gate.Generation) { g.People++ },
		"extras":   func(g *gate.Generation) { g.Extras++ },
		"width":    func(g *gate.Generation) { g.Width = block.WidthCheck },
		"key":      func(g *gate.Generation) { g.KeyID = "k2" },
		"base day": func(g *gate.Generation) { g.BaseDay++ },
		"lists":    func(g *gate.Generation) { g.Lists = []string{"other"} },
		"newer":    func(g *gate.Generation) { g.Version++ },
	} {
		g := good
		change(&g)
		if done, err := s.Rebase(g); done || err != nil {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		compare(t, w, s, 3)
	}
	unknown := good
	unknown.Set = "other"
	if _, err := s.Rebase(unknown); !errors.Is(err, cache.ErrUnknownSet) {
		t.Errorf("unknown set: %v", err)
	}
	if done, err := s.Rebase(good); !done || err != nil {
		t.Errorf("the good one: %v, %v", done, err)
	}
	w.Rebase()
	compare(t, w, s, 1)
	step(t, w, s)
	compare(t, w, s, 1)
}

// TestOverlayLookupAllocatesNothing: people of the file, changed ones with and
// without extras, new ones and those who are gone.
func TestOverlayLookupAllocatesNothing(t *testing.T) {
	for _, fold := range []int{1 << 20, 1} {
		s := openFolding(t, memDir(t), fold)
		w := cachetest.NewWorld(3000, block.WidthCheck, 5)
		w.Extras, w.Steps = 50, 1000
		loadWorld(t, w, s)
		for range 4 {
			step(t, w, s)
		}
		i := 0
		if n := testing.AllocsPerRun(2000, func() {
			c := &w.People()[i]
			i++
			if f, _, err := s.Facts(c.Number, "card"); err != nil || f.Found != c.In || f.HasExtras != (c.Body != nil) {
				t.Fatalf("%+v, %v", f, err)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// TestDeltasUnderReaders: each version changes everybody's word to its number, so
// an answer that is not of the version it names would be half a delta.
func TestDeltasUnderReaders(t *testing.T) {
	const versions, readers, n = 120, 4, 400
	dir := memDir(t)
	s := openFolding(t, dir, 3000) // everybody takes 3.6 KB
	people := cachetest.VersionPeople(1, n)
	put(t, s, 1, people)
	g, _ := s.Generation("vn")
	var stop atomic.Bool
	var lookups, wrong atomic.Int64
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			last := uint64(0)
			for i := r; !stop.Load(); i++ {
				f, st, err := s.Facts(people[i%n].Number, "")
				v := st.Sets[0].Version
				if err != nil || !f.Found || uint64(f.Word) != v || v < last || st.AsOf != cachetest.Issued(v).UnixMilli() {
					wrong.Add(1)
				}
				last = v
				lookups.Add(1)
			}
		})
	}
	base, folds := g, 0
	for v := uint64(2); v < versions+2; v++ {
		rows := cachetest.Rows(t, cachetest.Key(1), cachetest.VersionPeople(v, n))
		changes := make([]gate.Change, 0, n)
		for i, row := range rows {
			no, rem := block.Place(row.Person, base.Blocks)
			change := gate.Change{Block: no, Place: -1, Rem: rem, Word: row.Word}
			if i%2 == 0 {
				change.Place = slices.IndexFunc(rows, func(r block.Row) bool {
					other, _ := block.Place(r.Person, base.Blocks)
					return other == no
				})
				change.Place = i - change.Place
			}
			changes = append(changes, change)
		}
		d := gate.Delta{
			Set: "vn", N: v, Base: base.Version, BaseDigest: base.Digest,
			Issued: cachetest.Issued(v), Changes: n, People: n,
		}
		if err := cachetest.Apply(s, d, changes); err != nil {
			t.Fatal(err)
		}
		if s.Status()[0].Overlay == 0 {
			folds++
		}
		if v%10 == 0 {
			whole := cachetest.Describe("vn", v, cachetest.SetKeyID, rows)
			if done, err := s.Rebase(whole); !done || err != nil {
				t.Fatalf("rebase: %v, %v", done, err)
			}
			base = whole
		}
	}
	stop.Store(true)
	wg.Wait()
	t.Logf("%d lookups during %d versions, %d of them folded", lookups.Load(), versions, folds)
	if wrong.Load() != 0 || lookups.Load() < versions || folds < 10 {
		t.Errorf("%d of %d answers wrong, %d folds", wrong.Load(), lookups.Load(), folds)
	}
	if open := openFiles(t, dir); open > 2 {
		t.Errorf("%d files are open", open)
	}
}

// TestFaultingBase: the base is fetched again under its deltas, which go on.
func TestFaultingBase(t *testing.T) {
	dir := memDir(t)
	s := openFolding(t, dir, 1<<20)
	w := cachetest.NewWorld(40_000, block.Width, 31)
	loadWorld(t, w, s)
	for range 4 {
		step(t, w, s)
	}
	again := cachetest.NewWorld(40_000, block.Width, 31)
	if err := again.Load(s); !errors.Is(err, cache.ErrNotNewer) {
		t.Errorf("the base in place of a sound version: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, "vn", "1.db"), 8192); err != nil {
		t.Fatal(err)
	}
	for i := 0; s.Status()[0].Fault == nil && i < 1000; i++ {
		s.Facts(w.People()[i].Number, "")
	}
	if s.Status()[0].Fault == nil {
		t.Skip("the kernel kept the pages")
	}
	if done, err := s.Rebase(w.Generation()); done || err != nil {
		t.Errorf("rebased on a damaged file: %v, %v", done, err)
	}
	if err := again.Load(s); err != nil {
		t.Fatal(err)
	}
	compare(t, w, s, 7)
	step(t, w, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFolding(t, dir, 1<<20)
	compare(t, w, s, 7)
}

// TestDeltasOvertakeAFile: a whole version that was begun before deltas went
// beyond it does not put them back.
func TestDeltasOvertakeAFile(t *testing.T) {
	s := openFolding(t, memDir(t), 1<<20)
	w := cachetest.NewWorld(500, block.Width, 31)
	loadWorld(t, w, s)
	whole := cachetest.NewWorld(500, block.Width, 31)
	whole.Advance(2)
	g := whole.Generation()
	writer, err := s.Stage(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := whole.Pack(g.Blocks, writer.Block); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		step(t, w, s)
	}
	if err := writer.Commit(); !errors.Is(err, cache.ErrNotNewer) {
		t.Errorf("got %v", err)
	}
	compare(t, w, s, 7)
}

// TestVouchCountsForItsVersion: what central said about a version does not make
// an older one look fresh.
func TestVouchCountsForItsVersion(t *testing.T) {
	dir := memDir(t)
	s := openFolding(t, dir, 0)
	w := cachetest.NewWorld(300, block.Width, 3)
	loadWorld(t, w, s)
	step(t, w, s)
	v, _ := s.Generation("vn")
	v.Issued = v.Issued.Add(time.Hour)
	v.Manifest = []byte("later")
	if err := s.Vouch(v); err != nil {
		t.Fatal(err)
	}
	_, st, err := s.Facts(w.People()[0].Number, "")
	if err != nil || st.AsOf != v.Issued.UnixMilli() {
		t.Errorf("as of %d, %v", st.AsOf, err)
	}
	older := v
	older.Version--
	if err := s.Vouch(older); err == nil {
		t.Error("vouched for a version that is not in force")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFolding(t, dir, 0)
	if _, st, err = s.Facts(w.People()[0].Number, ""); err != nil || st.AsOf != v.Issued.UnixMilli() {
		t.Errorf("after a restart as of %d, %v", st.AsOf, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "vn", "delta.db")); err != nil {
		t.Fatal(err)
	}
	s = openFolding(t, dir, 0)
	if _, st, err = s.Facts(w.People()[0].Number, ""); err != nil || st.AsOf != cachetest.Issued(1).UnixMilli() || st.Sets[0].Version != 1 {
		t.Errorf("without the delta: %+v, %v", st, err)
	}
}
