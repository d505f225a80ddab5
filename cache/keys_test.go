package cache_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

func TestKeysComeAndGo(t *testing.T) {
	s := openSets(t, memDir(t), cache.SetKey{Name: "vn"})
	people := cachetest.People(200, 1)
	one := cache.SetKey{Name: "vn", KeyID: "k1", Key: cachetest.Key(1)}
	two := cache.SetKey{Name: "vn", KeyID: "k2", Key: cachetest.Key(2)}
	answers := func(want bool) {
		t.Helper()
		f, st, err := s.Facts(people[7].Number, "")
		if err != nil || f.Found != want || st.Missing == want || s.Status()[0].HasKey != want {
			t.Errorf("got %+v, %+v, %v; %+v", f, st, err, s.Status()[0])
		}
	}
	put := func(k cache.SetKey) {
		t.Helper()
		if err := s.PutKey(k.Name, k.KeyID, k.Key); err != nil {
			t.Fatal(err)
		}
	}
	held := func(want ...string) {
		t.Helper()
		if got := s.Status()[0].Keys; !slices.Equal(got, want) {
			t.Errorf("holds %v, want %v", got, want)
		}
	}
	load(t, s, one, 1, block.Width, people)
	answers(false)
	put(one)
	answers(true)
	put(two) // the next one, while the first is in use
	held("k1", "k2")
	answers(true)
	load(t, s, two, 2, block.Width, people)
	answers(true)
	if err := s.DropKey("vn", "k1"); err != nil {
		t.Fatal(err)
	}
	answers(true)
	held("k2")
	put(cache.SetKey{Name: "vn", KeyID: "k3"})
	put(cache.SetKey{Name: "vn", KeyID: "k4"}) // takes the place of the one not in use
	held("k2", "k4")
	answers(true)
	put(cache.SetKey{Name: "vn", KeyID: "k2", Key: cachetest.Key(9)}) // a wrong key finds nobody
	if f, st, err := s.Facts(people[7].Number, ""); err != nil || f.Found || st.Missing {
		t.Errorf("another key by that id: %+v, %+v, %v", f, st, err)
	}
	put(two)
	answers(true)
	if err := s.DropKey("vn", "k2"); err != nil {
		t.Fatal(err)
	}
	answers(false)
	if err := s.PutKey("other", "k1", one.Key); !errors.Is(err, cache.ErrUnknownSet) {
		t.Errorf("a set that is not configured: %v", err)
	}
	if err := s.DropKey("other", "k1"); !errors.Is(err, cache.ErrUnknownSet) {
		t.Errorf("a set that is not configured: %v", err)
	}
	if err := s.PutKey("vn", "", one.Key); err == nil {
		t.Error("a key without an id was taken")
	}
}

// TestKeysUnderReaders: whoever finds a key finds the person.
func TestKeysUnderReaders(t *testing.T) {
	s := openSets(t, memDir(t))
	people := cachetest.VersionPeople(1, 300)
	load(t, s, vnKey, 1, block.Width, people)
	var stop atomic.Bool
	var with, without atomic.Int64
	var wg sync.WaitGroup
	for r := range 4 {
		wg.Go(func() {
			for i := r; !stop.Load(); i++ {
				f, st, err := s.Facts(people[i%len(people)].Number, "")
				if err != nil || f.Found == st.Missing {
					t.Errorf("got %+v, %+v, %v", f, st, err)
					return
				}
				if f.Found {
					with.Add(1)
				} else {
					without.Add(1)
				}
			}
		})
	}
	for with.Load() < 500 || without.Load() < 500 {
		if err := s.DropKey("vn", vnKey.KeyID); err != nil {
			t.Fatal(err)
		}
		if err := s.PutKey("vn", vnKey.KeyID, vnKey.Key); err != nil {
			t.Fatal(err)
		}
		if t.Failed() {
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}
