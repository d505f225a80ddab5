package cache_test

import (
	"testing"
	"time"

	"gateagent/cache/cachetest"
)

// TestVouchSaysHowTheKeyIsHeld: the newest manifest of a version counts, not the
// one it came with; also after the set is opened again.
func TestVouchSaysHowTheKeyIsHeld(t *testing.T) {
	dir := memDir(t)
	s := openSets(t, dir)
	put(t, s, 1, cachetest.People(100, 1))
	g, _ := s.Generation("vn")
	held := func(want string, memory bool) {
		t.Helper()
		now, ok := s.Generation("vn")
		if st := s.Status()[0]; !ok || st.KeyHold != want || now.KeyInMemory != memory {
			t.Errorf("the key is held in %s, %v; want %s", st.KeyHold, now.KeyInMemory, want)
		}
	}
	before := g.KeyInMemory
	for i, memory := range []bool{!before, before, true, true, false, true} {
		g.Issued, g.KeyInMemory = g.Issued.Add(time.Minute), memory
		if err := s.Vouch(g); err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{false: "file", true: "memory"}[memory]
		held(want, memory)
		if i%2 == 0 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openSets(t, dir)
			held(want, memory)
		}
	}
	// An older one says nothing.
	g.Issued, g.KeyInMemory = g.Issued.Add(-time.Hour), false
	if err := s.Vouch(g); err != nil {
		t.Fatal(err)
	}
	held("memory", true)
}
