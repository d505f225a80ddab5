package cache_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

var vnKey = cache.SetKey{Name: cachetest.SetName, KeyID: cachetest.SetKeyID, Key: cachetest.Key(1), HasKey: true}

// load puts a version with extras and check bits in force.
func load(t testing.TB, s *cache.Sets, key cache.SetKey, version uint64, width int, people []cachetest.Person) cachetest.Version {
	t.Helper()
	v := cachetest.Make(t, key.Name, version, key.KeyID, key.Key, width, people)
	if err := v.Load(s); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestFactsWithExtras(t *testing.T) {
	for _, width := range []int{block.Width, block.WidthCheck} {
		dir := memDir(t)
		s := openSets(t, dir)
		people := cachetest.Mixed(cachetest.People(3000, 1), 1)
		v := load(t, s, vnKey, 1, width, people)
		ask := func(s *cache.Sets) {
			for _, p := range people {
				f, _, err := s.Facts(p.Number, p.Card)
				if err != nil || !f.Found || f.Word != p.Word || f.CardMismatch || f.HasExtras != (p.More != nil) {
					t.Fatalf("width %d: got %+v, %v", width, f, err)
				}
				if p.More != nil {
					want, got := *p.More, f.Extras
					if body(t, want) != body(t, got) {
						t.Fatalf("width %d: extras\n%+v\nwant\n%+v", width, got, want)
					}
				}
				other, _, err := s.Facts(p.Number, "another card")
				if err != nil || other.CardMismatch != (width == block.WidthCheck) {
					t.Fatalf("width %d: another card gives %v, %v", width, other.CardMismatch, err)
				}
				none, _, err := s.Facts(p.Number, "")
				if err != nil || none.CardMismatch {
					t.Fatalf("width %d: no card gives %v, %v", width, none.CardMismatch, err)
				}
			}
		}
		ask(s)
		st := s.Status()[0]
		if st.Extras != v.Extras || st.Extras == 0 || st.KeyHold != "file" || st.Base != 1 || st.Deltas != 0 || st.Files != 1 {
			t.Errorf("status %+v", st)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openSets(t, dir)
		ask(s)
		g, ok := s.Generation("vn")
		if !ok || g.Extras != v.Extras || g.Width != width || len(g.Lists) != 3 || !bytes.Equal(g.Manifest, v.Manifest) || g.Digest != v.Digest {
			t.Errorf("came back as %+v", g)
		}
		if err := cachetest.Check(t.Context(), filepath.Join(dir, "vn", "1.db")); err != nil {
			t.Error(err)
		}
	}
}

// body gives extras as bytes, because the order of lists is not theirs.
func body(t testing.TB, e gate.Extras) string {
	t.Helper()
	b, err := block.EncodeExtras(e, cachetest.BaseDay, cachetest.Lists)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFactsOutliveTheFile: what Facts gave is sound after the file is unmapped.
func TestFactsOutliveTheFile(t *testing.T) {
	s := openSets(t, memDir(t))
	people := cachetest.People(100, 1)
	e := gate.Extras{}
	e.AddList(gate.Membership{List: "visitors"})
	people[0].More, people[0].Word = &e, people[0].Word|1<<15
	load(t, s, vnKey, 1, block.Width, people)
	f, _, err := s.Facts(people[0].Number, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if f.Extras.ListN != 1 || f.Extras.Lists[0].List != "visitors" {
		t.Errorf("got %+v", f.Extras)
	}
}

func TestFactsOfSeveralSets(t *testing.T) {
	const base = cachetest.BaseDay
	word := func(k gate.FactKind, day gate.Day, flag bool) gate.Word {
		w, err := gate.NewWord(k, base+day, base, flag)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	staff := gate.Extras{}
	staff.AddList(gate.Membership{List: "staff"})
	watch := gate.Extras{}
	watch.AddList(gate.Membership{List: "watch"})
	n := cachetest.People(1, 5)[0].Number
	p := func(w gate.Word, e *gate.Extras, card string) *cachetest.Person {
		return &cachetest.Person{Number: n, Word: w, More: e, Card: card}
	}
	done := word(gate.FactCompleted, 10, false)
	for name, c := range map[string]struct {
		a, b     *cachetest.Person
		word     gate.Word
		extras   func(*gate.Extras) // nil: none
		mismatch bool
	}{
		"extras of one": {
			a: p(done|1<<15, &staff, ""), word: done | 1<<15,
			extras: func(e *gate.Extras) { e.AddList(staff.Lists[0]) },
		},
		"a word each": {
			a: p(done, nil, ""), b: p(word(gate.FactRecovered, 30, false), nil, ""), word: done,
			extras: func(e *gate.Extras) { e.Recovered = base + 30 },
		},
		"the second blocks": {
			a: p(done, nil, ""), b: p(word(gate.FactPositive, 30, false), nil, ""), word: word(gate.FactPositive, 30, false),
			extras: func(e *gate.Extras) { e.Completed = base + 10 },
		},
		"the first's day stays when the second blocks": {
			a: p(done, nil, ""), b: p(word(gate.FactPositive, 30, true), &gate.Extras{Completed: base + 5, LastDose: base + 50}, ""),
			word:   word(gate.FactPositive, 30, true),
			extras: func(e *gate.Extras) { e.Completed, e.LastDose = base+10, base+50 },
		},
		"both block": {
			a: p(word(gate.FactQuarantine, 40, false), nil, ""), b: p(word(gate.FactPositive, 30, false), nil, ""),
			word:   word(gate.FactQuarantine, 40, false),
			extras: func(e *gate.Extras) { e.Positive = base + 30 },
		},
		"nothing to add": {a: p(done, nil, ""), b: p(word(gate.FactNothing, 0, false), nil, ""), word: done},
		"lists of both": {
			a: p(done|1<<15, &staff, ""), b: p(word(gate.FactNothing, 0, true), &watch, ""), word: done | 1<<15,
			extras: func(e *gate.Extras) { e.AddList(staff.Lists[0]); e.AddList(watch.Lists[0]) },
		},
		"only the second has a list": {
			a: p(done, nil, ""), b: p(word(gate.FactNothing, 0, true), &watch, ""), word: done,
			extras: func(e *gate.Extras) { e.AddList(watch.Lists[0]) },
		},
		"a flag without an entry": {a: p(done|1<<15, nil, ""), word: done | 1<<15},
		"it is not hidden by another set": {
			a: p(done|1<<15, nil, ""), b: p(word(gate.FactNothing, 0, true), &watch, ""), word: done | 1<<15,
			extras: func(e *gate.Extras) { e.AddList(watch.Lists[0]); e.Beyond = true },
		},
		"nor by another word": {
			a: p(done, nil, ""), b: p(word(gate.FactNothing, 0, true), nil, ""), word: done,
			extras: func(e *gate.Extras) { e.Beyond = true },
		},
		"a kind of a later version": {
			a: p(done, nil, ""), b: p(word(7, 3, false), nil, ""), word: done,
			extras: func(e *gate.Extras) { e.Beyond = true },
		},
		"the second doubts the card": {
			a: p(done, nil, "as asked"), b: p(word(gate.FactNothing, 0, false), nil, "other"), word: done, mismatch: true,
		},
		"the first doubts the card": {
			a: p(done, nil, "other"), b: p(word(gate.FactNothing, 0, false), nil, "as asked"), word: done, mismatch: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := []cache.SetKey{vnKey, {Name: "hn01-lists", KeyID: "k2", Key: cachetest.Key(2), HasKey: true}}
			s := openSets(t, memDir(t), keys...)
			for i, person := range []*cachetest.Person{c.a, c.b} {
				people := cachetest.People(3, 9)
				if person != nil {
					people = append(people, *person)
				}
				load(t, s, keys[i], 1, block.WidthCheck, people)
			}
			want := gate.Facts{Found: true, Word: c.word, Base: base, HasExtras: c.extras != nil, CardMismatch: c.mismatch}
			if c.extras != nil {
				c.extras(&want.Extras)
			}
			f, _, err := s.Facts(n, "as asked")
			if err != nil || f != want {
				t.Errorf("got  %+v, %v\nwant %+v", f, err, want)
			}
		})
	}
}

func TestFactsAllocateNothing(t *testing.T) {
	other := cache.SetKey{Name: "hn01-lists", KeyID: "k2", Key: cachetest.Key(2), HasKey: true}
	s := openSets(t, memDir(t), vnKey, other)
	people := cachetest.Mixed(cachetest.People(5000, 1), 1)
	load(t, s, vnKey, 1, block.WidthCheck, people)
	load(t, s, other, 1, block.WidthCheck, people)
	i, extras := 0, 0
	if n := testing.AllocsPerRun(2000, func() {
		i++
		f, _, err := s.Facts(people[i].Number, people[i].Card)
		if err != nil || !f.Found {
			t.Fatal(err)
		}
		if f.HasExtras {
			extras++
		}
	}); n != 0 || extras == 0 {
		t.Errorf("%v allocations, %d with extras", n, extras)
	}
}

func TestStageRefusesExtrasThatDoNotFit(t *testing.T) {
	s := openSets(t, memDir(t))
	people := cachetest.Mixed(cachetest.People(2000, 1), 1)
	v := cachetest.Make(t, "vn", 1, "k1", cachetest.Key(1), block.WidthCheck, people)
	one := block.AppendExtras(nil, 1, []byte{9<<3 | 1, 0})
	for name, change := range map[string]func(g *gate.Generation) func(no uint64, value, extras []byte) ([]byte, []byte){
		"fewer extras than promised": func(g *gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			g.Extras++
			return nil
		},
		"more extras than promised": func(g *gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			g.Extras--
			return nil
		},
		"a wrong bit in the extras": func(*gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			return func(_ uint64, value, extras []byte) ([]byte, []byte) {
				if len(extras) > 0 {
					extras = bytes.Clone(extras)
					extras[len(extras)-1] ^= 1
				}
				return value, extras
			}
		},
		"a wrong check bit": func(*gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			return func(_ uint64, value, extras []byte) ([]byte, []byte) {
				value = bytes.Clone(value)
				value[len(value)-1] ^= 1
				return value, extras
			}
		},
		"extras of nobody": func(*gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			return func(_ uint64, value, _ []byte) ([]byte, []byte) { return value, one }
		},
		"another width": func(g *gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			g.Width = block.Width
			return nil
		},
		"a list without a name": func(g *gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			g.Lists = []string{""}
			return nil
		},
		"too many names of lists": func(g *gate.Generation) func(uint64, []byte, []byte) ([]byte, []byte) {
			g.Lists = make([]string, gate.MaxListNames+1)
			return nil
		},
	} {
		bad := v
		alter := change(&bad.Generation)
		w, err := s.Stage(bad.Generation)
		if err == nil {
			err = v.Each(func(no uint64, value, extras []byte) error {
				if alter != nil {
					value, extras = alter(no, value, extras)
				}
				return w.Block(no, value, extras)
			})
			if cerr := w.Commit(); err == nil {
				err = cerr
			} else if cerr == nil {
				t.Errorf("%s: committed after a failure", name)
			}
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := v.Load(s); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestDamagedExtras: a file whose extras are not what was written is found out
// by the check, and by a lookup that meets it.
func TestDamagedExtras(t *testing.T) {
	dir := memDir(t)
	s := openSets(t, dir)
	people := cachetest.People(400, 1)
	e := gate.Extras{LastDose: cachetest.BaseDay + 0x123}
	for i := range people {
		people[i].Word |= 1 << 15
		people[i].More = &e
	}
	load(t, s, vnKey, 1, block.Width, people)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "vn", "1.db")
	whole := readFile(t, path)
	field := []byte{3, 3<<3 | 2, 0x21, 0x23} // length of the body, field, day
	for name, c := range map[string]struct {
		to    []byte
		fault bool
	}{
		"another day":      {[]byte{3, 3<<3 | 2, 0x21, 0x24}, false},
		"a field too long": {[]byte{3, 3<<3 | 5, 0x21, 0x23}, true},
		"field 0":          {[]byte{3, 2, 0x21, 0x23}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if n := bytes.Count(whole, field); n != len(people) {
				t.Fatalf("%d entries", n)
			}
			if err := os.WriteFile(path, bytes.ReplaceAll(whole, field, c.to), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := cachetest.Check(t.Context(), path); err == nil {
				t.Error("the check finds nothing")
			}
			s := openSets(t, dir)
			_, _, err := s.Facts(people[0].Number, "")
			if errors.Is(err, cache.ErrDamaged) != c.fault || (s.Status()[0].Fault != nil) != c.fault {
				t.Errorf("looked up: %v, %+v", err, s.Status()[0])
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(dir, "vn", "1.suspect")); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		})
	}
}

// TestFilesNameNobody: no number, card or key is in what a thief would find.
func TestFilesNameNobody(t *testing.T) {
	dir := memDir(t)
	s := openSets(t, dir)
	people := cachetest.Mixed(cachetest.People(2000, 1), 1)
	load(t, s, vnKey, 1, block.WidthCheck, people)
	next := cachetest.Make(t, "vn", 2, vnKey.KeyID, vnKey.Key, block.WidthCheck, people)
	w, err := s.Stage(next.Generation)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
	}()
	if err := next.Each(w.Block); err != nil { // what is in staging is looked at too
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		content := readFile(t, path)
		if bytes.Contains(content, vnKey.Key[:8]) {
			t.Errorf("the key is in %s", e.Name())
		}
		for _, p := range people {
			if bytes.Contains(content, []byte(p.Number)) || bytes.Contains(content, []byte(p.Card)) {
				t.Fatalf("a person is in %s", e.Name())
			}
		}
		return nil
	})
	if err != nil || files != 2 {
		t.Errorf("%d files, %v", files, err)
	}
}

// TestChangesNameNobody: neither does the log of deltas, nor the file that they
// are folded into.
func TestChangesNameNobody(t *testing.T) {
	for what, foldBytes := range map[string]int{"delta.db": 1 << 20, "5.db": 1} {
		dir := memDir(t)
		s := openFolding(t, dir, foldBytes)
		w := cachetest.NewWorld(2000, block.WidthCheck, 3)
		loadWorld(t, w, s)
		for range 4 {
			step(t, w, s)
		}
		secret := cachetest.Key(1)
		found := false
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			found = found || e.Name() == what
			content := readFile(t, path)
			if bytes.Contains(content, secret[:8]) {
				t.Errorf("the key is in %s", e.Name())
			}
			for _, p := range w.People() {
				if bytes.Contains(content, []byte(p.Number)) || bytes.Contains(content, binary.BigEndian.AppendUint64(nil, uint64(p.Person))) {
					t.Fatalf("a person is in %s", e.Name())
				}
			}
			return nil
		})
		if err != nil || !found {
			t.Errorf("%s was seen: %t, %v", what, found, err)
		}
	}
}
