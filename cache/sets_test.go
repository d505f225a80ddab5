package cache_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

func openSets(t testing.TB, dir string, keys ...cache.SetKey) *cache.Sets {
	t.Helper()
	o := cachetest.SetsOptions(dir)
	if keys != nil {
		o.Sets = keys
	}
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

func TestSetsSuite(t *testing.T) {
	cachetest.TestStore(t, func(t *testing.T, set, keyID string, key gate.Key) cachetest.Store {
		return openSets(t, memDir(t), cache.SetKey{Name: set, KeyID: keyID, Key: key, HasKey: true})
	})
}

// put makes a version in force and gives its people.
func put(t testing.TB, s *cache.Sets, version uint64, people []cachetest.Person) {
	t.Helper()
	rows := cachetest.Rows(t, cachetest.Key(1), people)
	if err := cachetest.Load(s, cachetest.Describe(cachetest.SetName, version, cachetest.SetKeyID, rows), rows); err != nil {
		t.Fatal(err)
	}
}

func TestSetsSurviveReopening(t *testing.T) {
	dir := memDir(t)
	people := cachetest.People(1000, 1)
	s := openSets(t, dir)
	put(t, s, 1, people)
	put(t, s, 2, people)
	g, _ := s.Generation("vn")
	g.Issued = g.Issued.Add(time.Minute)
	if err := s.Vouch(g); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Facts(people[0].Number, ""); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	staging := filepath.Join(dir, "vn", "staging", "3.db")
	if err := os.WriteFile(staging, []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openSets(t, dir)
	again, ok := s.Generation("vn")
	if !ok || again.Version != 2 || !again.Issued.Equal(g.Issued) || again.Digest != g.Digest || again.BaseDay != cachetest.BaseDay {
		t.Errorf("got %+v, %v", again, ok)
	}
	if f, _, err := s.Facts(people[17].Number, ""); err != nil || f.Word != people[17].Word {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := os.Stat(staging); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left in staging: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "vn", "*"))
	if err != nil || len(files) != 3 { // 2.db, 2.vouch, staging
		t.Errorf("left in the directory: %v", files)
	}
	if st := s.Status(); len(st) != 1 || st[0].Version != 2 || st[0].People != 1000 || st[0].Fault != nil || !st[0].HasKey {
		t.Errorf("status %+v", st)
	}
}

func TestSetsMerge(t *testing.T) {
	const base = cachetest.BaseDay
	word := func(k gate.FactKind, day gate.Day) gate.Word {
		w, err := gate.NewWord(k, base+day, base, false)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	n := cachetest.People(1, 5)[0].Number
	vaccinated, positive, quarantine := word(gate.FactCompleted, 10), word(gate.FactPositive, 20), word(gate.FactQuarantine, 30)
	for name, c := range map[string]struct {
		a, b *gate.Word // nil: not in that set
		want *gate.Word
	}{
		"nobody knows":            {},
		"only the first":          {&vaccinated, nil, &vaccinated},
		"only the second":         {nil, &vaccinated, &vaccinated},
		"the first goes first":    {&vaccinated, new(word(gate.FactRecovered, 1)), &vaccinated},
		"the second blocks":       {&vaccinated, &positive, &positive},
		"quarantine blocks":       {&vaccinated, &quarantine, &quarantine},
		"the first block counts":  {&quarantine, &positive, &quarantine},
		"the first blocks":        {&positive, &vaccinated, &positive},
		"nothing is known to one": {new(word(gate.FactNothing, 0)), &vaccinated, new(word(gate.FactNothing, 0))},
	} {
		t.Run(name, func(t *testing.T) {
			keys := []cache.SetKey{
				{Name: "vn", KeyID: "k1", Key: cachetest.Key(1), HasKey: true},
				{Name: "hn01-lists", KeyID: "k2", Key: cachetest.Key(2), HasKey: true},
			}
			s := openSets(t, memDir(t), keys...)
			for i, w := range []*gate.Word{c.a, c.b} {
				people := cachetest.People(3, 9)
				if w != nil {
					people = append(people, cachetest.Person{Number: n, Word: *w})
				}
				rows := cachetest.Rows(t, keys[i].Key, people)
				if err := cachetest.Load(s, cachetest.Describe(keys[i].Name, uint64(7-i), keys[i].KeyID, rows), rows); err != nil {
					t.Fatal(err)
				}
			}
			f, st, err := s.Facts(n, "")
			if err != nil || f.Found != (c.want != nil) || (c.want != nil && f.Word != *c.want) {
				t.Errorf("got %+v, %v", f, err)
			}
			oldest := cachetest.Describe("", 6, "", nil).Issued.UnixMilli()
			if st.N != 2 || st.Sets[1] != (gate.SetVersion{Set: "hn01-lists", Version: 6}) || st.AsOf != oldest || st.Missing {
				t.Errorf("state %+v", st)
			}
		})
	}
}

func TestOneMissingSetIsMissing(t *testing.T) {
	s := openSets(t, memDir(t),
		cache.SetKey{Name: "vn", KeyID: cachetest.SetKeyID, Key: cachetest.Key(1), HasKey: true},
		cache.SetKey{Name: "other", KeyID: "k9"})
	people := cachetest.People(10, 1)
	put(t, s, 4, people)
	f, st, err := s.Facts(people[0].Number, "")
	if err != nil || !f.Found || !st.Missing || st.AsOf != 0 || st.N != 2 {
		t.Errorf("got %+v, %+v, %v", f, st, err)
	}
}

func TestSetsRefuseBadOptions(t *testing.T) {
	for name, keys := range map[string][]cache.SetKey{
		"path":  {{Name: "../x"}},
		"empty": {{Name: ""}},
		"twice": {{Name: "vn"}, {Name: "vn"}},
		"many":  make([]cache.SetKey, gate.MaxSets+1),
	} {
		if _, err := cache.OpenSets(cache.SetsOptions{Dir: memDir(t), Sets: keys}, quiet); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestStageRefusesWhatDoesNotFit(t *testing.T) {
	s := openSets(t, memDir(t))
	rows := cachetest.Rows(t, cachetest.Key(1), cachetest.People(200, 1))
	good := cachetest.Describe("vn", 1, "k1", rows)
	for name, change := range map[string]func(*gate.Generation){
		"width":  func(g *gate.Generation) { g.Width = 6 },
		"blocks": func(g *gate.Generation) { g.Blocks++ },
		"people": func(g *gate.Generation) { g.People = 1 << 60; g.Blocks = block.Blocks(1 << 60) },
	} {
		g := good
		change(&g)
		if _, err := s.Stage(g); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	value := block.AppendRecord(nil, block.Width, 1, 2, 0)
	for name, steps := range map[string][]uint64{"twice": {1, 1}, "backwards": {2, 1}, "beyond": {4}} {
		w, err := s.Stage(good)
		if err != nil {
			t.Fatal(err)
		}
		for _, no := range steps {
			err = w.Block(no, value, nil)
		}
		if !errors.Is(err, block.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.Commit(); err == nil {
			t.Errorf("%s: committed", name)
		}
	}
	if err := cachetest.Load(s, good, rows); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestStageLeavesRoomForTheJournal(t *testing.T) {
	o := cachetest.SetsOptions(memDir(t))
	o.Reserve = 1 << 60
	s, err := cache.OpenSets(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := cachetest.Rows(t, cachetest.Key(1), cachetest.People(10, 1))
	if _, err := s.Stage(cachetest.Describe("vn", 1, "k1", rows)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "free") {
		t.Errorf("got %v", err)
	}
}

// TestSwitchUnderReaders: every answer belongs whole to the version it names:
// word and extras.
func TestSwitchUnderReaders(t *testing.T) {
	for name, c := range map[string]struct {
		switches, people int
		maxFile          int64
	}{
		"one file": {300, 500, 0},
		"parts":    {30, 25_000, 256 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() || race {
				c.switches /= 5
			}
			switchUnderReaders(t, c.switches, c.people, c.maxFile)
		})
	}
}

func switchUnderReaders(t *testing.T, switches, n int, maxFile int64) {
	const readers = 4
	dir := memDir(t)
	s := openParted(t, dir, maxFile)
	people := cachetest.People(n, 1)
	cachetest.NamePeople(people, 1)
	load(t, s, vnKey, 1, block.WidthCheck, people)
	var stop atomic.Bool
	var lookups, wrong atomic.Int64
	var wg sync.WaitGroup
	numbers := make([]gate.Number, n) // the people are named again while others read
	for i := range people {
		numbers[i] = people[i].Number
	}
	for r := range readers {
		wg.Go(func() {
			last := uint64(0)
			for i := r; !stop.Load(); i++ {
				f, st, err := s.Facts(numbers[i%n], "")
				v := st.Sets[0].Version
				if err != nil || !cachetest.Names(f, i%n, v) || v < last {
					wrong.Add(1)
				}
				last = v
				lookups.Add(1)
			}
		})
	}
	for v := uint64(2); v < uint64(switches)+2; v++ {
		cachetest.NamePeople(people, v)
		load(t, s, vnKey, v, block.WidthCheck, people)
	}
	stop.Store(true)
	wg.Wait()
	files := s.Status()[0].Files
	t.Logf("%d lookups during %d switches, %d files a version", lookups.Load(), switches, files)
	if wrong.Load() != 0 || lookups.Load() < int64(switches) {
		t.Errorf("%d of %d answers wrong", wrong.Load(), lookups.Load())
	}
	if left := setFiles(t, dir); len(left) != files || maxFile != 0 && files < 2 {
		t.Errorf("files left: %v", left)
	}
	if open := openFiles(t, dir); open != files {
		t.Errorf("%d files are open", open)
	}
}

// openFiles counts this process's descriptors below dir.
func openFiles(t *testing.T, dir string) int {
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(fds) == 0 {
		t.Skip("no /proc here")
	}
	n := 0
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, dir) {
			n++
		}
	}
	return n
}

func TestNewestWholeVersionAfterACrash(t *testing.T) {
	dir := memDir(t)
	people := cachetest.People(3000, 1)
	s := openSets(t, dir)
	put(t, s, 1, people)
	one := readFile(t, filepath.Join(dir, "vn", "1.db"))
	put(t, s, 2, people)
	two := readFile(t, filepath.Join(dir, "vn", "2.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		two  []byte
		want uint64
	}{
		"both whole":       {two, 2},
		"two is cut":       {two[:len(two)/2], 1},
		"two is empty":     {nil, 1},
		"two has no meta":  {append(make([]byte, 8192), two[8192:]...), 1},
		"two is text":      {bytes.Repeat([]byte("not a database\n"), 4000), 1},
		"two is really 1":  {one, 1},
		"two lost its end": {two[:len(two)-4096], 1},
	} {
		t.Run(name, func(t *testing.T) {
			dir := memDir(t)
			if err := os.Mkdir(filepath.Join(dir, "vn"), 0o700); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(dir, "vn", "1.db"), one)
			writeFile(t, filepath.Join(dir, "vn", "2.db"), c.two)
			s := openSets(t, dir)
			f, st, err := s.Facts(people[5].Number, "")
			if err != nil || f.Word != people[5].Word || st.Sets[0].Version != c.want {
				t.Errorf("got %+v, %+v, %v", f, st, err)
			}
			_, ok := s.Generation("vn")
			if ok != (c.want == 2) {
				t.Errorf("asks for a new copy: %v", !ok)
			}
			put(t, s, 3, people)
			if g, ok := s.Generation("vn"); !ok || g.Version != 3 || s.Status()[0].Fault != nil {
				t.Errorf("after a new version: %+v", s.Status())
			}
		})
	}
}

// TestFaultingSetFile: a file that is cut under the running process gives
// errors, not the end of the process, and is checked before it is opened again.
func TestFaultingSetFile(t *testing.T) {
	dir := memDir(t)
	people := cachetest.People(50_000, 1)
	s := openSets(t, dir)
	put(t, s, 1, people)
	path := filepath.Join(dir, "vn", "1.db")
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	faults := 0
	for _, p := range people[:200] {
		f, _, err := s.Facts(p.Number, "")
		switch {
		case errors.Is(err, cache.ErrDamaged):
			faults++
		case err != nil || f.Word != p.Word:
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	if faults == 0 {
		t.Skip("the kernel kept the pages")
	}
	if _, ok := s.Generation("vn"); ok || s.Status()[0].Fault == nil {
		t.Error("the set does not ask for a new copy")
	}
	put(t, s, 1, people) // the same version again
	if f, _, err := s.Facts(people[3].Number, ""); err != nil || f.Word != people[3].Word {
		t.Errorf("after a new copy: %+v, %v", f, err)
	}
}

func TestSuspectSetIsCheckedInAChild(t *testing.T) {
	dir := memDir(t)
	people := cachetest.People(2000, 1)
	s := openSets(t, dir)
	put(t, s, 1, people)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vn", "1.db")
	whole := readFile(t, path)
	suspect := filepath.Join(dir, "vn", "1.suspect")
	for name, c := range map[string]struct {
		change func([]byte)
		check  func(context.Context, string) error
		want   bool
	}{
		"whole":       {func([]byte) {}, cachetest.Check, true},
		"one bit":     {func(b []byte) { flipRecord(t, b) }, cachetest.Check, false},
		"not checked": {func([]byte) {}, func(context.Context, string) error { return cache.ErrNotChecked }, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := bytes.Clone(whole)
			c.change(b)
			writeFile(t, path, b)
			writeFile(t, suspect, nil)
			o := cachetest.SetsOptions(dir)
			o.Check = c.check
			s, err := cache.OpenSets(o, quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if _, ok := s.Generation("vn"); ok != c.want {
				t.Errorf("in force: %v; %+v", ok, s.Status())
			}
		})
	}
}

// flipRecord changes one bit of the first word in a block.
func flipRecord(t *testing.T, file []byte) {
	t.Helper()
	for at := 4096 * 2; at < len(file); at += 4096 {
		page := file[at : at+4096]
		if binary.NativeEndian.Uint16(page[8:]) == 2 && binary.NativeEndian.Uint32(page[16+12:]) > 300 {
			pos := 16 + binary.NativeEndian.Uint32(page[16+4:]) + 3 + 6
			page[pos] ^= 1
			return
		}
	}
	t.Fatal("no block found")
}

// TestSetsKillAndReopen: whenever a process dies that builds and switches, the
// version in force is the last that it finished or the one it was at, whole.
func TestSetsKillAndReopen(t *testing.T) {
	if testing.Short() {
		t.Skip("kills children; not with -short")
	}
	n := kills(t)
	if race {
		n = (n + 2) / 3
	}
	for _, role := range []string{"stage", "parts", "back"} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			s := cachetest.Survivor{Dir: memDir(t), Done: map[uint64]uint64{}}
			for i := range n {
				after := time.Duration(20+137*i%700) * time.Millisecond
				if race {
					after *= 4
				}
				if err := s.Kill(role, after); err != nil {
					t.Fatal(err)
				}
				checkAfterKill(t, role, &s)
			}
			t.Logf("%d kills, %d versions finished", s.Kills, s.Acked)
			if s.Acked == 0 {
				t.Error("no version was ever finished")
			}
		})
	}
}

func checkAfterKill(t *testing.T, role string, s *cachetest.Survivor) {
	t.Helper()
	sets, err := cache.OpenSets(cachetest.StageOptions(role, s.Dir), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer sets.Close()
	g, ok := sets.Generation(cachetest.SetName)
	if !ok {
		if s.Acked > 0 {
			t.Fatalf("step %d was in force, now nothing: %+v", s.Acked, sets.Status())
		}
		return
	}
	step := cachetest.StepOf(role, g.Version)
	if step != s.Acked && step != s.Acked+1 {
		t.Fatalf("step %d was in force, now %d: %+v", s.Acked, step, sets.Status())
	}
	s.Acked = max(s.Acked, step)
	if err := cachetest.Check(t.Context(), filepath.Join(s.Dir, "vn", sprint(g.Version)+".db")); err != nil {
		t.Error(err)
	}
	for i, p := range cachetest.People(cachetest.StagePeople, 1) {
		if f, _, err := sets.Facts(p.Number, ""); err != nil || !cachetest.Names(f, i, step) {
			t.Fatalf("step %d answers %+v, %v", step, f, err)
		}
	}
	if left, files := setFiles(t, s.Dir), sets.Status()[0].Files; len(left) != files {
		t.Errorf("%d files are in force, there are %v", files, left)
	}
}

// TestStagingOnAFullDisk: what was in force stays, and nothing is left behind.
func TestStagingOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("needs root to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s := openSets(t, dir)
	people := cachetest.People(200_000, 1)
	put(t, s, 1, people[:1000])
	rows := cachetest.Rows(t, cachetest.Key(1), people)
	next := cachetest.Describe(cachetest.SetName, 2, cachetest.SetKeyID, rows)
	ballast := filepath.Join(dir, "ballast")

	writeFile(t, ballast, make([]byte, 4<<20))
	if _, err := s.Stage(next); err == nil || !strings.Contains(err.Error(), "free") {
		t.Errorf("no room from the start: %v", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}

	w, err := s.Stage(next)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, ballast, make([]byte, 5<<20)) // somebody else takes it
	for no, value := range block.Pack(rows, block.Width) {
		if err = w.Block(no, value, nil); err != nil {
			break
		}
	}
	if err == nil {
		err = w.Commit()
	} else if cerr := w.Commit(); cerr == nil {
		t.Error("committed after a failure")
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("no room in the middle: %v", err)
	}
	if f, st, err := s.Facts(people[3].Number, ""); err != nil || f.Word != people[3].Word || st.Sets[0].Version != 1 {
		t.Errorf("got %+v, %+v, %v", f, st, err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "vn", "staging", "*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left in staging: %v", left)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := cachetest.Load(s, next, rows); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
