package cachetest

import (
	"testing"
	"time"

	"gateagent/agent/gate"
)

// Store is what sync/snapshot and a lane need of the data sets.
type Store interface {
	Stager
	Facts(n gate.Number, card string) (gate.Facts, gate.DataState, error)
	Generation(set string) (gate.Generation, bool)
	Vouch(gate.Generation) error
}

// TestStore is the suite for stores of data sets. open gives an empty store
// with one set by the name and key id given.
func TestStore(t *testing.T, open func(t *testing.T, set, keyID string, key gate.Key) Store) {
	const set, keyID = "vn", "k1"
	key := Key(1)
	people := People(500, 1)
	strangers := People(2000, 2)[500:]
	rows := Rows(t, key, people)
	first := Describe(set, 3, keyID, rows)

	t.Run("empty", func(t *testing.T) {
		s := open(t, set, keyID, key)
		f, st, err := s.Facts(people[0].Number, "")
		if err != nil || f.Found || !st.Missing || st.AsOf != 0 || st.N != 1 || st.Sets[0] != (gate.SetVersion{Set: set}) {
			t.Errorf("got %+v, %+v, %v", f, st, err)
		}
		if _, ok := s.Generation(set); ok {
			t.Error("there is a generation")
		}
	})
	t.Run("everyone is found, nobody else", func(t *testing.T) {
		s := open(t, set, keyID, key)
		if err := Load(s, first, rows); err != nil {
			t.Fatal(err)
		}
		for _, p := range people {
			f, st, err := s.Facts(p.Number, "")
			if err != nil || !f.Found || f.Word != p.Word || f.Base != BaseDay {
				t.Fatalf("got %+v, %v, want %#x", f, err, p.Word)
			}
			if st.Missing || st.AsOf != first.Issued.UnixMilli() || st.Sets[0].Version != 3 {
				t.Fatalf("state %+v", st)
			}
		}
		for _, p := range strangers {
			if f, _, err := s.Facts(p.Number, ""); err != nil || f.Found {
				t.Fatalf("a stranger: %+v, %v", f, err)
			}
		}
	})
	t.Run("nothing counts before commit", func(t *testing.T) {
		s := open(t, set, keyID, key)
		w, err := s.Stage(first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stage(first); err == nil {
			t.Error("two generations are staged at once")
		}
		if _, ok := s.Generation(set); ok {
			t.Error("a generation in staging is in force")
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
		if err := Load(s, first, rows); err != nil {
			t.Errorf("after an abort: %v", err)
		}
	})
	t.Run("a set that is not what was promised", func(t *testing.T) {
		s := open(t, set, keyID, key)
		if err := Load(s, first, rows); err != nil {
			t.Fatal(err)
		}
		wrong := Describe(set, 4, keyID, rows)
		wrong.Digest[0]++
		if err := Load(s, wrong, rows); err == nil {
			t.Error("another digest was taken")
		}
		wrong = Describe(set, 4, keyID, rows)
		if err := Load(s, wrong, rows[:len(rows)-1]); err == nil {
			t.Error("a missing person was not missed")
		}
		if g, ok := s.Generation(set); !ok || g.Version != 3 {
			t.Errorf("in force: %d, %v", g.Version, ok)
		}
	})
	t.Run("older and equal versions", func(t *testing.T) {
		s := open(t, set, keyID, key)
		if err := Load(s, first, rows); err != nil {
			t.Fatal(err)
		}
		for _, v := range []uint64{0, 2, 3} {
			if err := Load(s, Describe(set, v, keyID, rows), rows); err == nil {
				t.Errorf("version %d was taken after 3", v)
			}
		}
		if err := Load(s, Describe("other", 4, keyID, rows), rows); err == nil {
			t.Error("a set that is not configured was taken")
		}
	})
	t.Run("another key", func(t *testing.T) {
		s := open(t, set, keyID, key)
		if err := Load(s, Describe(set, 4, "k2", rows), rows); err != nil {
			t.Fatal(err)
		}
		f, st, err := s.Facts(people[0].Number, "")
		if err != nil || f.Found || !st.Missing || st.Sets[0].Version != 4 {
			t.Errorf("got %+v, %+v, %v", f, st, err)
		}
	})
	t.Run("vouching", func(t *testing.T) {
		s := open(t, set, keyID, key)
		if err := Load(s, first, rows); err != nil {
			t.Fatal(err)
		}
		newer := first
		newer.Issued, newer.Manifest = first.Issued.Add(time.Hour), []byte("again")
		if err := s.Vouch(newer); err != nil {
			t.Fatal(err)
		}
		if err := s.Vouch(first); err != nil {
			t.Errorf("an older word is no error: %v", err)
		}
		g, ok := s.Generation(set)
		if !ok || !g.Issued.Equal(newer.Issued) || string(g.Manifest) != "again" {
			t.Errorf("got %v %q, %v", g.Issued, g.Manifest, ok)
		}
		if _, st, _ := s.Facts(people[0].Number, ""); st.AsOf != newer.Issued.UnixMilli() {
			t.Errorf("as of %d", st.AsOf)
		}
		newer.Version++
		if err := s.Vouch(newer); err == nil {
			t.Error("a version that is not in force was vouched for")
		}
	})
}
