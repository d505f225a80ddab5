package cache_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"gateagent/cache"
	"gateagent/cache/cachetest"
)

// kills is how often each child is killed: 10 times, or as often as
// GATEAGENT_KILLS says (100 for the figures in the README).
func kills(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("GATEAGENT_KILLS"))
	if err != nil {
		return 10
	}
	t.Logf("%d kills", n)
	return n
}

// TestDeltasKillAndReopen kills children that apply deltas, fold, rebase and
// switch, and asks what is left for everybody: it is one version, at least the
// last one that was reported.
func TestDeltasKillAndReopen(t *testing.T) {
	if testing.Short() {
		t.Skip("kills children; not with -short")
	}
	n := kills(t)
	for _, role := range []string{cachetest.RoleDelta, cachetest.RoleFold, cachetest.RoleRebase, cachetest.RoleSwitch} {
		t.Run(role, func(t *testing.T) {
			dir := memDir(t)
			s := cachetest.Survivor{Dir: dir, Done: map[uint64]uint64{}}
			w := cachetest.NewDeltaWorld()
			ahead := 0 // versions that were durable before they were reported
			for i := range n {
				if err := s.Kill(role, time.Duration(1+(37*i)%90)*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				for _, name := range []string{"*.db"} {
					files, err := filepath.Glob(filepath.Join(dir, "vn", name))
					if err != nil {
						t.Fatal(err)
					}
					for _, f := range files {
						if err := cache.CheckFile(f); err != nil {
							t.Error(err)
						}
					}
				}
				sets, err := cache.OpenSets(cachetest.DeltaOptions(dir, role), quiet)
				if err != nil {
					t.Fatal(err)
				}
				st := sets.Status()[0]
				if st.Fault != nil || st.DeltaFault != nil || st.Version < max(s.Acked, w.Version) {
					t.Fatalf("after kill %d, version %d was reported: %+v", i+1, s.Acked, st)
				}
				if st.Version > s.Acked {
					ahead++
				}
				w.Advance(st.Version)
				if err := w.Compare(sets, 1); err != nil {
					t.Fatalf("after kill %d: %v", i+1, err)
				}
				if g := w.Generation(); st.People != g.People || st.Extras != g.Extras {
					t.Fatalf("after kill %d: %+v, want %+v", i+1, st, g)
				}
				if err := sets.Close(); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d kills, version %d, %d times further than reported", s.Kills, w.Version, ahead)
			if w.Version < 3 {
				t.Error("it came to nothing")
			}
		})
	}
}
