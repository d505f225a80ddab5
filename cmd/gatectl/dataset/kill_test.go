package dataset

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// killFolder names, to a child of TestKill, the folder it writes to.
const killFolder = "DATASET_TEST_KILL_FOLDER"

const killPeople = 3000

// killList is the list that a version is made of.
func killList(version uint64) string { return year(killPeople, int(version%7)+1) }

// TestKillChild writes one version after another until it is killed: bases,
// deltas, and bases of what deltas made, sorted on the disk.
func TestKillChild(t *testing.T) {
	dir := os.Getenv(killFolder)
	if dir == "" {
		t.Skip("runs as a child of TestKill")
	}
	f := NewFolder(dir)
	for {
		unlock, err := f.Lock()
		if err != nil {
			t.Fatal(err)
		}
		small := func(o *Options) { o.Memory, o.Temp = 1, dir }
		switch m, err := f.Newest(); {
		case errors.Is(err, fs.ErrNotExist):
			base(t, f, options(small), 1, killList(1))
		case err != nil:
			t.Fatal(err)
		case m.Ver-m.Base.Version < 2:
			delta(t, f, killList(m.Ver+1), small)
		case m.Ver%2 == 0:
			next, _, err := f.WriteRebase(t.Context(), head(0), m, func(Progress) {})
			if err != nil {
				t.Fatal(err)
			}
			put(t, f, next)
		default:
			base(t, f, options(small), m.Ver+1, killList(m.Ver+1))
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKill: whenever a build is killed, the folder holds a whole version, and
// the next one removes what was left.
func TestKill(t *testing.T) {
	kills := 100
	if testing.Short() {
		kills = 10
	}
	dir := filepath.Join(t.TempDir(), "vn")
	f, rnd := NewFolder(dir), rand.New(rand.NewPCG(3, 1))
	versions := map[uint64]bool{}
	most := 300 * time.Millisecond // as long as this machine needs to get anywhere
	for i := range kills {
		child := exec.Command(os.Args[0], "-test.run=^TestKillChild$")
		child.Env = append(os.Environ(), killFolder+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(most))))
		if err := child.Process.Kill(); err != nil {
			t.Fatalf("it ended by itself: %v", err)
		}
		if err := child.Wait(); err != nil && child.ProcessState.Exited() {
			t.Fatalf("it ended by itself: %v", err)
		}
		m, err := f.Newest()
		if versions[m.Ver] || errors.Is(err, fs.ErrNotExist) {
			most = min(most*5/4, 10*time.Second)
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue // not one version yet
		}
		if err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
		versions[m.Ver] = true
		if i%5 == 0 || i == kills-1 {
			same(t, f, m, killList(m.Ver))
		} else if _, err := f.Digests(m); err != nil {
			t.Fatalf("kill %d: %v", i, err)
		}
	}
	if len(versions) < 3 {
		t.Errorf("only the versions %v were seen", versions)
	}
	unlock, err := f.Lock()
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), newName) || strings.HasPrefix(d.Name(), tempName) {
			t.Errorf("%s was left", d.Name())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
