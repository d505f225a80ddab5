package cache_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/cache/cachetest"
)

// TestSpentWitness: what happens to the folder of spent passes between two
// runs, and whether it is noticed that passes may have been forgotten.
func TestSpentWitness(t *testing.T) {
	copied := func(from, to string) func(t *testing.T) {
		return func(t *testing.T) {
			must(t, os.RemoveAll(to))
			if _, err := os.Stat(from); err == nil {
				must(t, os.CopyFS(to, os.DirFS(from)))
			}
		}
	}
	root := t.TempDir()
	name := func(n string) string { return filepath.Join(root, n) }
	for _, tt := range []struct {
		name   string
		happen func(t *testing.T, dir, witness string)
		passes int
		lost   bool
	}{
		{"nothing", func(*testing.T, string, string) {}, 2, false},
		{"the folder is gone", func(t *testing.T, dir, _ string) { must(t, os.RemoveAll(dir)) }, 0, true},
		{"the file is gone", func(t *testing.T, dir, _ string) { must(t, os.Remove(filepath.Join(dir, "spent.db"))) }, 0, true},
		{"an older folder is put back", func(t *testing.T, dir, _ string) { copied(name("older"), dir)(t) }, 1, true},
		{"the folder is gone, the witness cannot be read", func(t *testing.T, dir, witness string) {
			must(t, os.RemoveAll(dir))
			must(t, os.WriteFile(witness, []byte("\x00\xff"), 0o600))
		}, 0, true},
		{"the witness is gone", func(t *testing.T, _, witness string) { must(t, os.Remove(witness)) }, 2, false},
		// What cannot be known: it is like a new box.
		{"both are gone", func(t *testing.T, dir, witness string) {
			must(t, os.RemoveAll(dir))
			must(t, os.Remove(witness))
		}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, os.RemoveAll(name("older")))
			dir, witness := filepath.Join(t.TempDir(), "passes"), name("witness")
			if err := os.Remove(witness); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
			o := cachetest.SpentOptions(dir)
			o.Witness = witness
			s := openSpent(t, o)
			if st := s.Status(); !st.Lost.IsZero() || st.Fault != nil {
				t.Fatalf("a new box: %+v", st)
			}
			spend(t, s, 1, passUntil)
			must(t, s.Close())
			copied(dir, name("older"))(t)
			s = openSpent(t, o)
			spend(t, s, 2, passUntil)
			must(t, s.Close())

			tt.happen(t, dir, witness)
			for run := range 3 { // and it is not forgotten
				s = openSpent(t, o)
				if st := s.Status(); st.Passes != tt.passes || st.Lost.IsZero() == tt.lost || st.Fault != nil || tt.lost && time.Since(st.Lost) > time.Minute {
					t.Errorf("run %d: %+v", run, st)
				}
				must(t, s.Close())
			}
			s = openSpent(t, o)
			if !spend(t, s, 3, passUntil) || spend(t, s, 3, passUntil) {
				t.Error("nothing can be spent")
			}
			must(t, s.Close())
			must(t, os.RemoveAll(dir)) // a second loss is noticed as well
			if st := openSpent(t, o).Status(); st.Lost.IsZero() || st.Passes != 0 {
				t.Errorf("lost again: %+v", st)
			}
		})
	}
}

// TestSpentLostWhileOpen: the folder goes while the agent runs. What it has
// promised holds, and after the next start it is known that something is lost.
func TestSpentLostWhileOpen(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "passes")
	o := cachetest.SpentOptions(dir)
	o.Witness = filepath.Join(root, "witness")
	s := openSpent(t, o)
	spend(t, s, 1, passUntil)
	must(t, os.RemoveAll(dir))
	if spend(t, s, 1, passUntil) {
		t.Error("spent twice")
	}
	spend(t, s, 2, passUntil) // into a file that has no name any more
	must(t, s.Close())
	if st := openSpent(t, o).Status(); st.Lost.IsZero() {
		t.Errorf("%+v", st)
	}
}
