package cache_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

// grownSet makes a set of version 12 on base 1 with extras and lists and gives
// its directory and its log.
func grownSet(t *testing.T) (dir, log string) {
	t.Helper()
	dir = memDir(t)
	s := openFolding(t, dir, 1<<20)
	w := damageWorld()
	loadWorld(t, w, s)
	for range 11 {
		step(t, w, s)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, filepath.Join(dir, "vn", "delta.db")
}

func damageWorld() *cachetest.World {
	w := cachetest.NewWorld(2000, block.WidthCheck, 77)
	w.Steps = 300
	return w
}

// TestDamagedLogs damages a log in many ways. Whatever is found, the set answers
// as one version, the whole one or the base, says so when it is the base, and
// takes deltas again.
func TestDamagedLogs(t *testing.T) {
	dir, log := grownSet(t)
	whole, base := readFile(t, log), readFile(t, filepath.Join(dir, "vn", "1.db"))
	r := rand.New(rand.NewPCG(1, 2))
	cases := map[string]func([]byte) []byte{
		"whole":     func(b []byte) []byte { return b },
		"empty":     func([]byte) []byte { return nil },
		"half":      func(b []byte) []byte { return b[:len(b)/2/4096*4096] },
		"text":      func(b []byte) []byte { return bytes.Repeat([]byte("not a log\n"), len(b)/10) },
		"no meta":   func(b []byte) []byte { return append(make([]byte, 8192), b[8192:]...) },
		"a set":     func([]byte) []byte { return base },
		"no pages":  func(b []byte) []byte { return append(b[:8192:8192], make([]byte, len(b)-8192)...) },
		"ones":      func(b []byte) []byte { return append(b[:8192:8192], bytes.Repeat([]byte{0xff}, len(b)-8192)...) },
		"last page": func(b []byte) []byte { clear(b[len(b)-4096:]); return b },
	}
	step := 2 // each takes a child process
	if testing.Short() {
		step = 15
	}
	for page := 2; page*4096 < len(whole); page += step {
		cases["page "+sprint(uint64(page))+" zero"] = func(b []byte) []byte { clear(b[page*4096 : page*4096+4096]); return b }
		for range 4 {
			at := page*4096 + r.IntN(4096)
			if r.IntN(2) == 0 {
				at = page*4096 + r.IntN(200) // where bbolt keeps its own
			}
			bit := byte(1) << r.IntN(8)
			cases["bit "+sprint(uint64(at))] = func(b []byte) []byte { b[at] ^= bit; return b }
		}
	}
	maps.Copy(cases, loops(t, whole))
	fallen, later, runs := 0, 0, 0
	for i, name := range slices.Sorted(maps.Keys(cases)) {
		change := cases[name]
		for _, clean := range []bool{false, true} { // how the last run ended
			if !clean && testing.Short() && i%9 != 0 { // a child process
				continue
			}
			runs++
			fell, fellLater := openDamagedLog(t, fmt.Sprintf("%s, clean %v", name, clean), base, change(bytes.Clone(whole)), clean)
			fallen, later = fallen+fell, later+fellLater
		}
	}
	t.Logf("%d of %d fell back to the base, %d more after further deltas", fallen, runs, later)
	if fallen < runs/6 {
		t.Error("most of the damage was not seen")
	}
}

// loops are changes that send whoever follows a log's pages round for ever, or
// make him take all memory.
func loops(t *testing.T, log []byte) map[string]func([]byte) []byte {
	t.Helper()
	e := binary.NativeEndian
	out := make(map[string]func([]byte) []byte)
	for at := 8192; at < len(log); at += 4096 {
		page := e.Uint64(log[at:])
		switch e.Uint16(log[at+8:]) {
		case 1:
			for i := range int(e.Uint16(log[at+10:])) {
				out["page "+sprint(page)+" below itself at "+sprint(uint64(i))] = func(b []byte) []byte {
					e.PutUint64(b[at+16+16*i+8:], page)
					return b
				}
			}
		case 0x10:
			out["no end of free pages at "+sprint(page)] = func(b []byte) []byte {
				e.PutUint16(b[at+10:], 0xffff)
				e.PutUint64(b[at+16:], 1<<36)
				return b
			}
		}
	}
	if len(out) < 2 {
		t.Fatal("the log has no branches")
	}
	return out
}

// openDamagedLog opens a set with a damaged log.
func openDamagedLog(t *testing.T, name string, base, log []byte, clean bool) (fallen, later int) {
	t.Run(name, func(t *testing.T) {
		dir := memDir(t)
		if err := os.Mkdir(filepath.Join(dir, "vn"), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "vn", "1.db"), base)
		writeFile(t, filepath.Join(dir, "vn", "delta.db"), log)
		if !clean {
			writeFile(t, filepath.Join(dir, "vn", "delta.open"), nil)
		}
		w := damageWorld()
		o := cachetest.SetsOptions(dir)
		o.FoldBytes = 1 << 20
		s, err := cache.OpenSets(o, quiet)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		st := s.Status()[0]
		switch {
		case st.Fault != nil:
			t.Fatalf("status %+v", st)
		case st.Version == 12 && st.DeltaFault == nil:
		case st.Version == 1 && st.DeltaFault != nil:
			fallen++
		default:
			t.Fatalf("status %+v", st)
		}
		w.Advance(st.Version)
		if err := w.Compare(s, 5); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			d, changes := w.Step()
			if err := cachetest.Apply(s, d, changes); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, w, s, 5)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s2 := openFolding(t, dir, 1<<20)
		defer s2.Close()
		if st := s2.Status()[0]; st.DeltaFault != nil && st.Version == 1 {
			// Damage where no delta lies, such as in the list of free
			// pages, may show only after the log was written to.
			later++
			w = damageWorld()
		}
		if err := w.Compare(s2, 5); err != nil {
			t.Fatal(err)
		}
	})
	return fallen, later
}

// TestLogOfSomethingElse: entries of another base are not applied.
func TestLogOfSomethingElse(t *testing.T) {
	dir, log := grownSet(t)
	old := readFile(t, log)
	s := openFolding(t, dir, 1<<20)
	w := damageWorld()
	w.Advance(12)
	loadWorld(t, w, s)
	if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a whole version left the log: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writeFile(t, log, old) // as if the agent had been killed before it was removed
	s = openFolding(t, dir, 1<<20)
	compare(t, w, s, 3)
	if _, err := os.Stat(log); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a log of no use was left: %v", err)
	}
	step(t, w, s)
	compare(t, w, s, 3)
}

// TestLogOfANewerAgent: it is left alone, the set falls back to its file and
// says why.
func TestLogOfANewerAgent(t *testing.T) {
	dir, log := grownSet(t)
	db, err := bbolt.Open(log, 0o600, &bbolt.Options{Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte{0, 0, 0, 9})
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := readFile(t, log)
	s := openFolding(t, dir, 1<<20)
	if st := s.Status()[0]; st.Version != 1 || !errors.Is(st.DeltaFault, cache.ErrNewerSchema) || st.Fault != nil {
		t.Errorf("status %+v", st)
	}
	w := damageWorld()
	d, changes := w.Step()
	if err := cachetest.Apply(s, d, changes); !errors.Is(err, cache.ErrNewerSchema) {
		t.Errorf("applied to it: %v", err)
	}
	if !bytes.Equal(readFile(t, log), before) {
		t.Error("it was changed")
	}
}

// TestLogIsWrittenAnew: a log that goes bad or away under the running process
// costs no delta.
func TestLogIsWrittenAnew(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, log string){
		"gone":   func(t *testing.T, log string) { os.Remove(log) },
		"zeroed": func(t *testing.T, log string) { writeFile(t, log, make([]byte, 8192)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, log := grownSet(t)
			s := openFolding(t, dir, 1<<20) // the log is not open yet
			w := damageWorld()
			w.Advance(12)
			harm(t, log)
			step(t, w, s)
			step(t, w, s)
			compare(t, w, s, 3)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openFolding(t, dir, 1<<20)
			compare(t, w, s, 3)
			if err := cache.CheckFile(log); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDeltasOnAFullDisk: what was in force stays, through restarts, and with
// room again the same delta is taken; so with folding and rebasing.
func TestDeltasOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("needs root to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := openFolding(t, dir, 1<<20)
	w := cachetest.NewWorld(30_000, block.Width, 9)
	w.Extras, w.Steps = 0, 20_000
	loadWorld(t, w, s)
	step(t, w, s)
	ballast := filepath.Join(dir, "ballast")
	fill := func(leave int64) {
		t.Helper()
		var st syscall.Statfs_t
		if err := syscall.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		writeFile(t, ballast, make([]byte, int64(st.Bavail)*int64(st.Bsize)-leave)) //nolint:unconvert // 32 bits wide on some machines
	}
	empty := func() {
		t.Helper()
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
	for _, leave := range []int64{0, 16 << 10, 120 << 10} {
		held := w.Version
		d, changes := w.Step()
		for len(changes) < 3000 { // large enough not to fit
			held = w.Version
			if err := cachetest.Apply(s, d, changes); err != nil {
				t.Fatal(err)
			}
			d, changes = w.Step()
		}
		fill(leave)
		taken := s.Apply(d, func(each func(gate.Change) error) error {
			for i, c := range changes {
				if i == len(changes)/2 && leave > 100<<10 { // it fills up in the middle
					empty()
					fill(8 << 10)
				}
				if err := each(c); err != nil {
					return err
				}
			}
			return nil
		})
		if taken == nil {
			t.Fatalf("with %d bytes free it was taken", leave)
		}
		if leave > 100<<10 && !errors.Is(taken, syscall.ENOSPC) && !strings.Contains(taken.Error(), "free") {
			t.Errorf("got %v", taken)
		}
		if st := s.Status()[0]; st.Version != held || st.Fault != nil {
			t.Fatalf("after it: %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openFolding(t, dir, 1<<20)
		switch st := s.Status()[0]; {
		case st.DeltaFault != nil || st.Fault != nil:
			t.Fatalf("after a restart: %+v", st)
		case st.Version == d.N: // it was whole after all
			empty()
		case st.Version != held:
			t.Fatalf("after a restart: %+v", st)
		default:
			if done, err := s.Rebase(w.Generation()); done {
				t.Fatalf("rebased without room: %v", err)
			}
			empty()
			if err := cachetest.Apply(s, d, changes); err != nil {
				t.Fatal(err)
			}
		}
		compare(t, w, s, 11)
	}
}

// TestFoldsInParts: a folded file lies in parts like any other, and a rebase of
// the very version that was folded takes its place.
func TestFoldsInParts(t *testing.T) {
	dir := memDir(t)
	o := cachetest.SetsOptions(dir)
	o.MaxFile, o.FoldBytes = 1<<20, 1
	people := 400_000
	if testing.Short() {
		people, o.MaxFile = people/4, o.MaxFile/4
	}
	s, err := cache.OpenSets(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	w := cachetest.NewWorld(people, block.Width, 13)
	w.Steps = 2000
	loadWorld(t, w, s)
	for round := range 3 {
		step(t, w, s)
		compare(t, w, s, 997)
		st := s.Status()[0]
		if st.Files < 3 || st.Deltas == 0 || st.Overlay != 0 {
			t.Fatalf("status %+v", st)
		}
		path := filepath.Join(dir, "vn", sprint(w.Version)+".db")
		if err := cache.CheckFile(path); err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = cache.OpenSets(o, quiet); err != nil {
				t.Fatal(err)
			}
			compare(t, w, s, 997)
		}
		if round > 0 {
			if done, err := s.Rebase(w.Generation()); !done || err != nil {
				t.Fatalf("rebase: %v, %v", done, err)
			}
			w.Rebase()
			compare(t, w, s, 997)
			if err := cache.CheckFile(path); err != nil {
				t.Fatal(err)
			}
		}
		files, err := filepath.Glob(filepath.Join(dir, "vn", "*.db"))
		if err != nil || len(files) != s.Status()[0].Files {
			t.Errorf("left: %v", files)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzDeltaHead(f *testing.F) {
	f.Add(cache.SomeHead())
	f.Add(cache.SomeHead("staff", "visitors"))
	f.Add(cache.SomeHead(""))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		again, err := cache.HeadAgain(data)
		if err != nil {
			if !errors.Is(err, cache.ErrDamaged) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(again, data) {
			t.Errorf("%x was read and is written as %x", data, again)
		}
	})
}
