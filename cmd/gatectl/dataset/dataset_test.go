package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/people"
	"gateagent/sync/wire"
)

var (
	key  = gate.Key{1, 2, 3}
	asOf = gate.Date{Year: 2021, Month: 12, DayOfMonth: 17}.Day()
	rule = people.Rule{AsOf: asOf, Settle: people.DefaultSettle}
)

func number(n int) gate.Number { return gate.Number(fmt.Sprintf("0010900%05d", n)) }

// build takes people and gives the rows.
func build(t *testing.T, all ...people.Person) (map[gate.Pseudonym]gate.Word, Counts) {
	t.Helper()
	b := NewBuilder(rule, key)
	for i := range all {
		if err := b.Add(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
	rows, counts, err := b.Rows()
	if err != nil {
		t.Fatal(err)
	}
	out := map[gate.Pseudonym]gate.Word{}
	for _, r := range rows {
		out[r.Person] = r.Word
	}
	if len(out) != len(rows) || counts.People != len(rows) {
		t.Fatalf("%d rows, %d different, %d counted", len(rows), len(out), counts.People)
	}
	return out, counts
}

func TestTwiceAndContradicting(t *testing.T) {
	positive := people.Person{Number: number(1), Positive: asOf - 3}
	got, counts := build(t,
		positive, people.Person{Number: number(2)}, positive, positive,
		people.Person{Number: number(3), Recovered: asOf - 3}, people.Person{Number: number(3)},
		people.Person{Number: number(4), Lists: []string{"staff"}},
	)
	want := Counts{Read: 7, People: 4, Extras: 2, Duplicates: 2, Conflicts: 1}
	want.ByKind[gate.FactPositive], want.ByKind[gate.FactNothing] = 1, 1
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("counts (-want +got):\n%s", diff)
	}
	mac := gate.NewPseudonymer(key)
	if w := got[mac.Of(number(3))]; w != 1<<15 {
		t.Errorf("contradicting records give %#x, want the extras flag alone", w)
	}
	if w := got[mac.Of(number(1))]; w.Kind() != gate.FactPositive {
		t.Errorf("a record three times gives %v", w.Kind())
	}
}

func TestCollisions(t *testing.T) {
	b := NewBuilder(rule, key)
	// The same pseudonym for two numbers, and two pseudonyms that share block
	// and remainder: they differ in the bits below the 40 that are kept.
	b.rows = []row{
		{person: 1 << 60, rest: 1<<16 | 7},
		{person: 1 << 60, rest: 2<<16 | 7},
		{person: 1 << 50, rest: 3 << 16},
		{person: 1<<50 + 1, rest: 4 << 16},
		{person: 1 << 61, rest: 5 << 16},
	}
	rows, counts, err := b.Rows()
	if err != nil {
		t.Fatal(err)
	}
	if counts.Collisions != 2 || counts.People != 3 || counts.Extras != 2 {
		t.Errorf("counts %+v", counts)
	}
	for _, r := range rows {
		if want := r.Person != 1<<61; r.Word.Extras() != want {
			t.Errorf("%v: extras %v, want %v", r.Person, r.Word.Extras(), want)
		}
	}
}

// TestFolderHoldsEverybody reads back, as a box would, what was written.
func TestFolderHoldsEverybody(t *testing.T) {
	for _, n := range []int{0, 1, 62, 63, 100_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			b := NewBuilder(rule, key)
			for i := range n {
				p := people.Person{Number: gate.Number(fmt.Sprintf("%012d", i)), Positive: asOf - gate.Day(i%300)}
				if err := b.Add(&p); err != nil {
					t.Fatal(err)
				}
			}
			rows, _, err := b.Rows()
			if err != nil {
				t.Fatal(err)
			}
			f := NewFolder(filepath.Join(t.TempDir(), "vn"))
			m, err := f.WriteChunks(rows, Head{
				Set: "vn", Version: 3, KeyID: "k1", KeyHold: wire.KeyHoldFile, BaseDay: b.BaseDay(),
				Issued: time.Unix(1_700_000_000, 0), Expires: time.Unix(1_700_600_000, 0),
			})
			if err != nil {
				t.Fatal(err)
			}
			payload, err := m.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if m, err = wire.ParseManifest(payload); err != nil {
				t.Fatal(err)
			}
			blocks := map[uint64][]byte{}
			digest := block.NewDigest()
			for _, c := range m.Chunks {
				body, err := f.Chunk(c.Digest)
				if err != nil {
					t.Fatal(err)
				}
				if err := wire.DecodeChunk(m.Coding, m.Base.Width, body, func(no uint64, value, _ []byte) error {
					blocks[no] = append([]byte(nil), value...)
					digest.Add(no, value)
					return block.Check(value, block.Width)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if sum := digest.Sum(); fmt.Sprintf("%x", sum) != m.Base.Digest {
				t.Error("the digest is another")
			}
			mac := gate.NewPseudonymer(key)
			for i := range n {
				no, rem := block.Place(mac.Of(gate.Number(fmt.Sprintf("%012d", i))), m.Base.Blocks)
				w, _, ok := block.Search(blocks[no], block.Width, rem)
				if got := (gate.Facts{Found: ok, Word: w, Base: b.BaseDay()}); !ok || got.Day() != asOf-gate.Day(i%300) {
					t.Fatalf("person %d: found %v, day %v", i, ok, got.Day())
				}
			}
			if n == 100_000 && len(m.Chunks) > 4 {
				t.Errorf("%d chunks for 100,000 people", len(m.Chunks))
			}
		})
	}
}

func TestAddAllBoundsProblems(t *testing.T) {
	list := "id\n" + strings.Repeat("1\n", 200) + "001090000001\n"
	src, err := people.Open(strings.NewReader(list), people.CSV)
	if err != nil {
		t.Fatal(err)
	}
	b := NewBuilder(rule, key)
	bad, err := b.AddAll(src, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, counts, err := b.Rows()
	if err != nil || len(bad) != MaxProblems || counts.Bad != 200 || counts.Read != 1 {
		t.Errorf("%v, %d kept, counts %+v", err, len(bad), counts)
	}
}

func TestWhatIsCleared(t *testing.T) {
	f := NewFolder(t.TempDir())
	if err := os.MkdirAll(f.chunks(), 0o755); err != nil {
		t.Fatal(err)
	}
	digest := func(c byte) string { return strings.Repeat(string(c), 64) }
	version := func(v uint64, digests ...byte) wire.Manifest {
		m := wire.Manifest{Ver: v}
		for _, d := range digests {
			m.Chunks = append(m.Chunks, wire.Chunk{Digest: digest(d)})
			if err := writeFile(f.chunk(digest(d)), []byte{d}); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}
	note := func(m wire.Manifest, want ...byte) []string {
		t.Helper()
		stale, err := f.Note(m)
		if err != nil {
			t.Fatal(err)
		}
		var wanted []string
		for _, d := range want {
			wanted = append(wanted, digest(d))
		}
		if diff := cmp.Diff(wanted, stale); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", m.Ver, diff)
		}
		return stale
	}
	note(version(1, 'a', 'b'))
	note(version(2, 'b', 'c'))
	note(version(2, 'b', 'c')) // published again
	note(version(3, 'c', 'd'), 'a')
	note(version(3, 'c', 'd'), 'a') // not cleared yet: still stale
	if err := f.Cleared(version(3, 'c', 'd')); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.chunk(digest('a'))); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stale chunk's file: %v", err)
	}
	note(version(3, 'c', 'd'))
	all, err := f.Published()
	if err != nil || len(all) != 2 || all[0].Version != 3 || all[1].Version != 2 {
		t.Errorf("published %v, %v", all, err)
	}
}

func TestChunkIsHeldToItsName(t *testing.T) {
	f := NewFolder(t.TempDir())
	if err := os.MkdirAll(f.chunks(), 0o755); err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("0", 64)
	if err := writeFile(f.chunk(name), []byte("something else")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Chunk(name); err == nil {
		t.Error("a chunk under another's name was given")
	}
}
