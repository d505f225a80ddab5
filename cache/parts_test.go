package cache_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

// openParted opens sets whose files are at most that large.
func openParted(t testing.TB, dir string, maxFile int64) *cache.Sets {
	t.Helper()
	o := cachetest.SetsOptions(dir)
	o.MaxFile = maxFile
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

// setFiles gives the names of the files of set vn, sorted.
func setFiles(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "vn"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".db") {
			names = append(names, e.Name())
		}
	}
	return names
}

func TestPartsAnswerAsOneFile(t *testing.T) {
	const maxFile = 256 << 10
	people, every := cachetest.Mixed(cachetest.People(70_000, 1), 1), 1
	if testing.Short() {
		every = 11
	}
	for _, width := range []int{block.Width, block.WidthCheck} {
		dir := memDir(t)
		s := openParted(t, dir, maxFile)
		v := load(t, s, vnKey, 3, width, people)
		check := func(s *cache.Sets) {
			t.Helper()
			st := s.Status()[0]
			files := setFiles(t, dir)
			if st.Files < 4 || len(files) != st.Files || st.Fault != nil {
				t.Fatalf("files %v, status %+v", files, st)
			}
			bytes := int64(0)
			for _, name := range files {
				info, err := os.Stat(filepath.Join(dir, "vn", name))
				if err != nil {
					t.Fatal(err)
				}
				if bytes += info.Size(); info.Size() > maxFile {
					t.Errorf("%s has %d bytes", name, info.Size())
				}
			}
			if bytes != st.Bytes || bytes > int64(len(people))*17 {
				t.Errorf("%d bytes, status says %d", bytes, st.Bytes)
			}
			for i := 0; i < len(people); i += every {
				p := people[i]
				f, _, err := s.Facts(p.Number, p.Card)
				if err != nil || f.Word != p.Word || f.CardMismatch || f.HasExtras != (p.More != nil) {
					t.Fatalf("got %+v, %v", f, err)
				}
			}
			for _, p := range cachetest.People(len(people)+1000, 1)[len(people):] {
				if f, _, err := s.Facts(p.Number, ""); err != nil || f.Found {
					t.Fatalf("a stranger: %+v, %v", f, err)
				}
			}
			shape, err := cache.MeasureSet(filepath.Join(dir, "vn", "3.db"))
			if err != nil || shape.Files != st.Files || shape.Bytes != st.Bytes || shape.Blocks.LeafOverflow != 0 || shape.Extras.Keys == 0 {
				t.Errorf("shape %+v, %v", shape, err)
			}
		}
		check(s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := cachetest.Check(t.Context(), filepath.Join(dir, "vn", "3.db")); err != nil {
			t.Error(err)
		}
		s = openSets(t, dir) // the bound is for writing
		check(s)
		g, ok := s.Generation("vn")
		if !ok || g.Digest != v.Digest || string(g.Manifest) != string(v.Manifest) {
			t.Errorf("got %+v, %v", g, ok)
		}
		v.Version++
		if err := v.Load(s); err != nil {
			t.Fatal(err)
		}
		if files := setFiles(t, dir); !slices.Equal(files, []string{"4.db"}) {
			t.Errorf("after one file took their place: %v", files)
		}
		if open := openFiles(t, dir); open != 1 {
			t.Errorf("%d files are open", open)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDamagedParts: a version counts only when all its parts are there and are
// its own.
func TestDamagedParts(t *testing.T) {
	people := cachetest.Mixed(cachetest.People(40_000, 1), 1)
	make := func(dir string, version uint64, maxFile int64, people []cachetest.Person) {
		s := openParted(t, dir, maxFile)
		load(t, s, vnKey, version, block.WidthCheck, people)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	whole, other := memDir(t), memDir(t)
	make(whole, 2, 256<<10, people)
	make(other, 2, 384<<10, people)
	files := setFiles(t, whole)
	if len(files) < 3 {
		t.Fatalf("files %v", files)
	}
	for name, change := range map[string]func(dir string) error{
		"nothing":           func(string) error { return nil },
		"a part is missing": func(dir string) error { return os.Remove(filepath.Join(dir, "2.1.db")) },
		"a part is cut":     func(dir string) error { return os.Truncate(filepath.Join(dir, "2.2.db"), 8192) },
		"the last is cut":   func(dir string) error { return os.Truncate(filepath.Join(dir, "2.db"), 8192) },
		"parts are swapped": func(dir string) error { return os.Rename(filepath.Join(dir, "2.1.db"), filepath.Join(dir, "2.2.db")) },
		"a part counts":     func(dir string) error { return os.Rename(filepath.Join(dir, "2.1.db"), filepath.Join(dir, "2.db")) },
		"a part of another": func(dir string) error {
			return os.Rename(filepath.Join(other, "vn", "2.1.db"), filepath.Join(dir, "2.1.db"))
		},
		"the last is absent": func(dir string) error { return os.Remove(filepath.Join(dir, "2.db")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := memDir(t)
			make(dir, 1, 256<<10, people[:100])
			for _, f := range files {
				writeFile(t, filepath.Join(dir, "vn", f), readFile(t, filepath.Join(whole, "vn", f)))
			}
			if err := change(filepath.Join(dir, "vn")); err != nil {
				t.Fatal(err)
			}
			s := openSets(t, dir)
			_, st, err := s.Facts(people[0].Number, "")
			want := uint64(1)
			if name == "nothing" {
				want = 2
			}
			if err != nil || st.Sets[0].Version != want {
				t.Errorf("in force: %+v, %v", st, err)
			}
			if left := setFiles(t, dir); name != "nothing" && !slices.Equal(left, []string{"1.db"}) {
				t.Errorf("left: %v", left)
			}
			if name != "the last is absent" { // then there is no version to be missed
				if _, ok := s.Generation("vn"); ok != (want == 2) {
					t.Errorf("asks for a new copy: %v", !ok)
				}
			}
			load(t, s, vnKey, 3, block.WidthCheck, people)
			if s.Status()[0].Fault != nil || s.Status()[0].Version != 3 {
				t.Errorf("afterwards: %+v", s.Status()[0])
			}
		})
	}
}

// TestWrongBitInAPart: the check reads all parts.
func TestWrongBitInAPart(t *testing.T) {
	dir := memDir(t)
	s := openParted(t, dir, 256<<10)
	load(t, s, vnKey, 1, block.Width, cachetest.People(60_000, 1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range setFiles(t, dir) {
		path := filepath.Join(dir, "vn", name)
		b := readFile(t, path)
		flipRecord(t, b)
		writeFile(t, path, b)
		if err := cachetest.Check(t.Context(), filepath.Join(dir, "vn", "1.db")); err == nil {
			t.Errorf("%s: nothing was found", name)
		}
		flipRecord(t, b)
		writeFile(t, path, b)
	}
	if err := cachetest.Check(t.Context(), filepath.Join(dir, "vn", "1.db")); err != nil {
		t.Error(err)
	}
}

// TestGoingBack: an older version takes the place of a newer one for good, and
// is taken only where it is meant.
func TestGoingBack(t *testing.T) {
	for name, maxFile := range map[string]int64{"one file": 0, "parts": 256 << 10} {
		t.Run(name, func(t *testing.T) {
			dir := memDir(t)
			s := openParted(t, dir, maxFile)
			people := cachetest.People(40_000, 1)
			put := func(version uint64, back bool) error {
				cachetest.NamePeople(people, version)
				v := cachetest.Make(t, "vn", version, vnKey.KeyID, vnKey.Key, block.WidthCheck, people)
				begin := s.Stage
				if back {
					begin = s.StageBack
				}
				w, err := begin(v.Generation)
				if err != nil {
					return err
				}
				return v.Write(w)
			}
			check := func(version uint64) {
				t.Helper()
				for i, p := range people[:500] {
					f, st, err := s.Facts(p.Number, "")
					if err != nil || st.Sets[0].Version != version || !cachetest.Names(f, i, version) {
						t.Fatalf("got %+v, %+v, %v", f, st, err)
					}
				}
				for _, f := range setFiles(t, dir) {
					if !strings.HasPrefix(f, fmt.Sprint(version, ".")) {
						t.Errorf("%s is left", f)
					}
				}
				if open := openFiles(t, dir); open != s.Status()[0].Files {
					t.Errorf("%d files are open, %d in force", open, s.Status()[0].Files)
				}
			}
			for _, step := range []struct {
				version uint64
				back    bool
				err     error
			}{
				{7, false, nil},
				{5, false, cache.ErrNotNewer},
				{5, true, nil},
				{5, true, cache.ErrNotNewer},
				{6, false, nil},
				{9, true, nil}, // forward by that door too
				{2, true, nil},
			} {
				if err := put(step.version, step.back); !errors.Is(err, step.err) {
					t.Fatalf("%+v: %v", step, err)
				}
				check(s.Status()[0].Version)
			}
			check(2)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openParted(t, dir, maxFile)
			check(2)
		})
	}
}

// TestAbortedGoingBack: a version that cannot be finished leaves the newer one
// in force.
func TestAbortedGoingBack(t *testing.T) {
	dir := memDir(t)
	s := openSets(t, dir)
	people := cachetest.People(500, 1)
	load(t, s, vnKey, 7, block.Width, people)
	v := cachetest.Make(t, "vn", 5, vnKey.KeyID, vnKey.Key, block.Width, people)
	v.Digest[0]++
	w, err := s.StageBack(v.Generation)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Write(w); err == nil {
		t.Error("another digest was taken")
	}
	if g, ok := s.Generation("vn"); !ok || g.Version != 7 {
		t.Errorf("in force: %+v, %v", g, ok)
	}
}

func TestMaxFileIsBounded(t *testing.T) {
	o := cachetest.SetsOptions(memDir(t))
	o.MaxFile = 100_000
	if _, err := cache.OpenSets(o, quiet); err == nil {
		t.Error("files of 100 kB were accepted")
	}
}

// TestNoRoomForMaps: the kernel refuses to map a new version; the old one goes
// on answering.
func TestNoRoomForMaps(t *testing.T) {
	if err := cachetest.WithoutMaps(t.Context(), memDir(t)); err != nil {
		t.Error(err)
	}
}

// TestSetFileOfSchema1: files of the first schema are read as they were.
func TestSetFileOfSchema1(t *testing.T) {
	dir := memDir(t)
	people := cachetest.People(1000, 1)
	people[3].Word |= 1 << 15
	rows := cachetest.Rows(t, vnKey.Key, people)
	g := cachetest.Describe("vn", 4, "k1", rows)
	if err := os.MkdirAll(filepath.Join(dir, "vn"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vn", "4.db")
	writeSchema1(t, path, g, rows)
	if err := cachetest.Check(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	s := openSets(t, dir)
	for _, p := range people {
		f, _, err := s.Facts(p.Number, "a card")
		if err != nil || f.Word != p.Word || f.HasExtras || f.CardMismatch {
			t.Fatalf("got %+v, %v", f, err)
		}
	}
	back, ok := s.Generation("vn")
	g.Issued = g.Issued.UTC()
	if !ok || back.Digest != g.Digest || string(back.Manifest) != string(g.Manifest) || back.KeyInMemory || back.Extras != 0 {
		t.Errorf("got %+v", back)
	}
	if err := s.Vouch(gate.Generation{Set: "vn", Version: 4, Digest: g.Digest, Issued: g.Issued.Add(1e9), Manifest: []byte("newer")}); err != nil {
		t.Error(err)
	}
	load(t, s, vnKey, 5, block.WidthCheck, people)
}
