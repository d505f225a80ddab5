package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/wire"
)

// everybody reads what a builder makes of its people.
func everybody(t testing.TB, b *Builder, blocks uint64) (all map[[2]uint64]entry, counts Counts) {
	t.Helper()
	src, err := b.place(blocks, &counts)
	if err != nil {
		t.Fatal(err)
	}
	all = map[[2]uint64]entry{}
	last := [2]uint64{}
	for {
		no, entries, ok, err := src.next()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return all, counts
		}
		for _, e := range entries {
			at := [2]uint64{no, e.rem}
			if len(all) > 0 && slices.Compare(at[:], last[:]) <= 0 {
				t.Fatalf("%v after %v", at, last)
			}
			last = at
			e.body = slices.Clone(e.body)
			all[at] = e
			counts.tally(e)
		}
	}
}

func TestTwiceAndContradicting(t *testing.T) {
	b := NewBuilder(options())
	defer b.Close()
	positive := people.Person{Number: number(1), Positive: asOf - 3}
	for _, p := range []people.Person{
		positive,
		{Number: number(2)},
		positive, positive,
		{Number: number(3), Recovered: asOf - 3},
		{Number: number(3)},
		{Number: number(4), Lists: []gate.Membership{{List: "staff"}}},
		{Number: number(4), Lists: []gate.Membership{{List: "staff"}}},
		{Number: number(5), Lists: []gate.Membership{{List: "staff"}}},
		{Number: number(5), Lists: []gate.Membership{{List: "deny"}}},
	} {
		if err := b.Add(&p); err != nil {
			t.Fatal(err)
		}
	}
	got, counts := everybody(t, b, 1)
	want := Counts{People: 5, Extras: 1, Unclear: 2, Duplicates: 3, Conflicts: 2}
	want.ByKind[gate.FactPositive], want.ByKind[gate.FactNothing] = 1, 2
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	mac := gate.NewPseudonymer(key)
	of := func(n int) entry {
		no, rem := block.Place(mac.Of(number(n)), 1)
		return got[[2]uint64{no, rem}]
	}
	if e := of(3); e.word != unclear || len(e.body) > 0 {
		t.Errorf("contradicting records give %#x and %d bytes, want the flag alone", e.word, len(e.body))
	}
	if e := of(1); e.word.Kind() != gate.FactPositive {
		t.Errorf("a record three times gives %v", e.word.Kind())
	}
	if err := b.Add(&positive); err == nil {
		t.Error("a person was taken after the end")
	}
}

// planted makes records without numbers.
func planted(t *testing.T, o Options, records ...record) *Builder {
	t.Helper()
	b := NewBuilder(o)
	t.Cleanup(func() { b.Close() })
	for i, r := range records {
		w := b.own
		if i%2 == 1 { // over several runs
			w = b.worker()
		}
		if err := w.run.add(r, nil); err != nil {
			t.Fatal(err)
		}
		b.counts.Read++
	}
	return b
}

// TestCollisions: the same pseudonym for two numbers, and two pseudonyms that
// share block and remainder, wherever they were sorted.
func TestCollisions(t *testing.T) {
	records := []record{
		{person: 1 << 60, tag: 1, word: 7},
		{person: 1 << 60, tag: 2, word: 7},
		{person: 1 << 50, tag: 3, check: 5},
		{person: 1<<50 + 1, tag: 4},
		{person: 1<<50 + 2, tag: 9},
		{person: 1 << 61, tag: 5, check: 6},
		{person: 1 << 61, tag: 5},
		{person: 1 << 61, tag: 5, check: 6},
		{person: 1 << 62, tag: 6, check: 6},
		{person: 1 << 62, tag: 6, check: 7},
		{person: 1 << 62, tag: 6, check: 6},
	}
	for name, o := range map[string]Options{
		"in memory":   options(func(o *Options) { o.CheckBits = true }),
		"on the disk": options(func(o *Options) { o.CheckBits, o.Temp, o.Memory = true, t.TempDir(), 1 }),
	} {
		t.Run(name, func(t *testing.T) {
			b := planted(t, o, records...)
			f := NewFolder(filepath.Join(t.TempDir(), "vn"))
			m, counts, err := f.WriteBase(t.Context(), b, head(1), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := Counts{Read: 11, People: 4, Unclear: 2, Cards: 1, Duplicates: 4, CardTwice: 1, Collisions: 3}
			want.ByKind[gate.FactNothing] = 2
			if diff := cmp.Diff(want, counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
			if m.Base.People != 4 || m.Base.Extras != 0 || m.Base.Width != block.WidthCheck {
				t.Errorf("base %+v", m.Base)
			}
			got, _ := everybody(t, b, 1)
			for at, e := range got {
				if clear := at[1] == 1<<61>>24 || at[1] == 1<<62>>24; clear == (e.word == unclear) {
					t.Errorf("%#x: word %#x", at[1], e.word)
				}
			}
		})
	}
}

// TestSameWhateverTheMemory: the bytes of a version depend on the people alone.
func TestSameWhateverTheMemory(t *testing.T) {
	n := 60_000
	if testing.Short() {
		n = 6_000
	}
	who := upTo(n)
	rand.New(rand.NewPCG(1, 1)).Shuffle(n, func(i, j int) { who[i], who[j] = who[j], who[i] })
	who = append(who, who[:500]...) // again, in other batches
	list := fictional(who, 1)
	var want map[string]string
	var wanted Counts
	for _, c := range []struct {
		name    string
		memory  int64
		workers int
		list    string
	}{
		{"all in memory, one worker", 1 << 30, 1, list},
		{"all in memory, four workers", 1 << 30, 4, list},
		{"tiny memory, one worker", 1, 1, list},
		{"tiny memory, three workers", 1, 3, list},
		{"a little memory, two workers", 4 << 20, 2, list},
		{"in the order of the numbers", 4 << 20, 2, fictional(append(upTo(n), who[:500]...), 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp, dir := t.TempDir(), t.TempDir()
			o := options(func(o *Options) { o.Memory, o.Workers, o.Temp, o.CheckBits = c.memory, c.workers, temp, true })
			m, counts := base(t, NewFolder(dir), o, 1, c.list)
			if m.Base.People != uint64(n) || counts.Duplicates != 500 || m.Base.Extras == 0 || counts.Cards != n {
				t.Errorf("%d people, %d with extras, counts %+v", m.Base.People, m.Base.Extras, counts)
			}
			got := files(t, dir)
			got["digest"], got["lists"] = m.Base.Digest, fmt.Sprint(m.Base.Lists)
			if want == nil {
				want, wanted = got, counts
			}
			if diff := cmp.Diff(want, got); diff != "" || len(got) < 3 {
				t.Errorf("%d files, and not the same", len(got))
			}
			if diff := cmp.Diff(wanted, counts); diff != "" {
				t.Errorf("counts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyRuns: more runs than are merged at a time.
func TestManyRuns(t *testing.T) {
	temp := t.TempDir()
	s := newSorter(temp, 1, 1)
	r, want := s.run(), map[gate.Pseudonym][]byte{}
	rnd := rand.New(rand.NewPCG(7, 7))
	const runs = 2*mergeFan + 7
	for i := range runs {
		for range 20 {
			rec, body := record{person: gate.Pseudonym(rnd.Uint64())}, make([]byte, rnd.IntN(256))
			for i := range body {
				body[i] = byte(rnd.Uint32())
			}
			want[rec.person] = body
			if err := r.add(rec, body); err != nil {
				t.Fatal(err)
			}
		}
		if i < runs-1 {
			r.end()
			if err := r.spill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 2 { // it can be done again
		sources, err := s.sources()
		if err != nil {
			t.Fatal(err)
		}
		if len(sources) > mergeFan+1 {
			t.Errorf("%d sources", len(sources))
		}
		m, err := newMerge(sources)
		if err != nil {
			t.Fatal(err)
		}
		last, n := gate.Pseudonym(0), 0
		for {
			it, ok, err := m.next()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if it.person < last || string(want[it.person]) != string(it.body) {
				t.Fatalf("record %d is out of order, or another", n)
			}
			last = it.person
			n++
		}
		if n != len(want) {
			t.Fatalf("%d of %d records", n, len(want))
		}
	}
	left, err := filepath.Glob(filepath.Join(temp, tempName+"*", "*"))
	if err != nil || len(left) > mergeFan+1 {
		t.Errorf("%v, %d files at the end", err, len(left))
	}
	for _, file := range left {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v, %d left", err, len(left))
	}
}

// TestWhatTheDeadLeft: directories of processes that died go, those of living
// ones stay.
func TestWhatTheDeadLeft(t *testing.T) {
	in := t.TempDir()
	dead := filepath.Join(in, tempName+"dead")
	if err := os.Mkdir(dead, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dead, "1"), []byte("pseudonyms"), 0o600); err != nil {
		t.Fatal(err)
	}
	first, err := newTempDir(in)
	if err != nil {
		t.Fatal(err)
	}
	second, err := newTempDir(in)
	if err != nil {
		t.Fatal(err)
	}
	if exists(dead) || !exists(first.path) || !exists(second.path) {
		t.Error("the dead stayed, or the living went")
	}
	if err := errors.Join(first.remove(), second.remove()); err != nil {
		t.Error(err)
	}
}

// TestFullDisk: the error tells what it is, and nothing stays behind.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	temp := t.TempDir()
	b := NewBuilder(options(func(o *Options) { o.Temp, o.Memory = temp, 1 }))
	b.sort.create = func(d *tempDir) (*os.File, error) {
		path := filepath.Join(d.path, "full")
		if err := os.Symlink("/dev/full", path); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, err
		}
		return os.OpenFile(path, os.O_RDWR, 0)
	}
	list := fictional(upTo(5*minSlab), 1)
	src, err := people.Open(strings.NewReader(list), people.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAll(t.Context(), src, 0); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk gives %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v, %d left", err, len(left))
	}
}

func TestReadAllBoundsProblems(t *testing.T) {
	wrong := 300_000
	if testing.Short() {
		wrong = 50_000
	}
	list := "id\n" + strings.Repeat("1\n", wrong) + "001090000001\n"
	for _, workers := range []int{1, 3} {
		src, err := people.Open(strings.NewReader(list), people.Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := NewBuilder(options(func(o *Options) { o.Workers = workers }))
		bad, err := b.ReadAll(t.Context(), src, 0)
		if err != nil || len(bad) != MaxProblems || b.Bad() != wrong || b.counts.Read != 1 {
			t.Errorf("%v, %d kept, counts %+v", err, len(bad), b.counts)
		}
		for i, p := range bad {
			if p.Line != i+2 {
				t.Errorf("problem %d is of line %d", i, p.Line)
			}
		}
		b.Close()
	}
}

// TestInterrupted: whoever gives up leaves nothing behind.
func TestInterrupted(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	temp := t.TempDir()
	b := NewBuilder(options(func(o *Options) {
		o.Temp, o.Memory = temp, 1
	}))
	ctx, cancel := context.WithCancel(t.Context())
	reads := 0
	src, err := people.Open(io.MultiReader(strings.NewReader("id\n"), readerFunc(func(p []byte) (int, error) {
		if reads++; reads == 100 {
			cancel()
		}
		return copy(p, fmt.Sprintf("%012d\n", reads)), nil
	})), people.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadAll(ctx, src, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	dir := filepath.Join(t.TempDir(), "vn")
	if _, _, err := NewFolder(dir).WriteBase(ctx, b, head(1), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a version was written: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%v, %d left", err, len(left))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestKeyHold: the key of a large set is held in memory unless told otherwise.
func TestKeyHold(t *testing.T) {
	for _, c := range []struct {
		asked  string
		people uint64
		want   string
	}{
		{"", MemoryAbove, wire.KeyHoldFile},
		{"", MemoryAbove + 1, wire.KeyHoldMemory},
		{wire.KeyHoldFile, MemoryAbove + 1, wire.KeyHoldFile},
		{wire.KeyHoldMemory, 1, wire.KeyHoldMemory},
	} {
		if got := (Head{KeyHold: c.asked}).keyHold(c.people); got != c.want {
			t.Errorf("%d people, asked for %q: %s", c.people, c.asked, got)
		}
	}
}

func TestTooManyLists(t *testing.T) {
	var list strings.Builder
	list.WriteString("id,lists\n")
	for i := range gate.MaxListNames + 1 {
		fmt.Fprintf(&list, "%s,l%d\n", string(number(i)), i)
	}
	src, err := people.Open(strings.NewReader(list.String()), people.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(options())
	defer b.Close()
	if bad, err := b.ReadAll(t.Context(), src, 0); !errors.Is(err, ErrLists) {
		t.Errorf("%v, %v", err, bad)
	}
}

func TestBlocksAreKeptWhileTheyFit(t *testing.T) {
	thousand := 1000
	if testing.Short() {
		thousand = 100
	}
	f := NewFolder(t.TempDir())
	m, _ := base(t, f, options(), 1, fictional(upTo(62*thousand), 1))
	for i, c := range []struct {
		people int
		kept   bool
	}{{66 * thousand, true}, {57 * thousand, true}, {75 * thousand, false}} {
		next, _ := base(t, f, options(), uint64(2+i), fictional(upTo(c.people), 1))
		if kept := next.Base.Blocks == m.Base.Blocks; kept != c.kept {
			t.Errorf("%d people: %d blocks, before %d", c.people, next.Base.Blocks, m.Base.Blocks)
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, memory := range []int64{1 << 30, 16 << 20} {
		b.Run(fmt.Sprintf("memory=%dMiB", memory>>20), func(b *testing.B) {
			const n = 500_000
			var list strings.Builder
			list.WriteString("id,doses\n")
			for i := range n {
				fmt.Fprintf(&list, "%012d,1/2@2021-06-01;2/2@2021-08-10\n", i*1237)
			}
			b.SetBytes(int64(list.Len()))
			for b.Loop() {
				dir := b.TempDir()
				o := options(func(o *Options) { o.Memory, o.Temp = memory, dir })
				if _, _, err := NewFolder(dir).WriteBase(b.Context(), read(b, o, list.String()), head(1), nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "people/s")
		})
	}
}
