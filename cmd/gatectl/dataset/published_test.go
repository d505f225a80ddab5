package dataset

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/sync/wire"
)

func TestWhatIsCleared(t *testing.T) {
	f := NewFolder(t.TempDir())
	if err := f.make(); err != nil {
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
	if exists(f.chunk(digest('a'))) {
		t.Error("the stale chunk's file is still there")
	}
	note(version(3, 'c', 'd'))
	note(version(3, 'e')) // as another base: what it no longer names waits for its turn
	note(version(4, 'f'), 'b')
	note(version(5, 'g'), 'e', 'c', 'd', 'b')
	all, err := f.Published()
	if err != nil || len(all) != 4 || all[0].Version != 5 || all[1].Version != 4 {
		t.Errorf("published %v, %v", all, err)
	}
}

func TestStaleDeltas(t *testing.T) {
	f := NewFolder(t.TempDir())
	for n := uint64(5); n < 9; n++ {
		all := []Publication{{Version: n, Deltas: []uint64{n}}, {Version: n - 1, Deltas: []uint64{n - 1, n - 2}}, {Version: n - 2, Deltas: []uint64{n - 2, n - 3}}}
		if err := f.writeNote(all); err != nil {
			t.Fatal(err)
		}
		stale, err := f.StaleDeltas()
		if diff := cmp.Diff([]uint64{n - 3}, stale); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	}
}

func TestChunkIsHeldToItsName(t *testing.T) {
	f := NewFolder(t.TempDir())
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("0", 64)
	if err := writeFile(f.chunk(name), []byte("something else")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Chunk(name); err == nil {
		t.Error("a chunk under another's name was given")
	}
	// What is there and does not hold is written again.
	if err := f.writeChunk(name, []byte("again")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.chunk(name)); err != nil || string(b) != "again" {
		t.Errorf("%q, %v", b, err)
	}
}

// TestOneWriter: the folder is written by one process at a time, and what one
// left behind goes.
func TestOneWriter(t *testing.T) {
	f := NewFolder(t.TempDir())
	if err := f.make(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.chunk(newName+"x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unlock, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if exists(f.chunk(newName + "x")) {
		t.Error("half a file stayed")
	}
	if _, err := f.Lock(); err == nil {
		t.Error("two hold the lock")
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	if unlock, err = f.Lock(); err != nil {
		t.Fatal(err)
	}
	unlock() //nolint:errcheck // the end of the test
}
