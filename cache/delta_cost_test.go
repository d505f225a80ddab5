package cache_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

// TestADayOfDeltas applies half a percent of 98 million people in 288 messages,
// to a set of a million: what is written and remembered depends on the changes,
// not on the set.
func TestADayOfDeltas(t *testing.T) {
	if testing.Short() {
		t.Skip("writes for a while; not with -short")
	}
	const messages = 288
	dir := memDir(t)
	o := cachetest.LargeOptions(dir, false)
	s, err := cache.OpenSets(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	u := cachetest.Uniform{Blocks: 1_000_000 / block.PerBlock, Width: block.Width}
	base, err := u.Load(s)
	if err != nil {
		t.Fatal(err)
	}
	before := written(t)
	for m := range uint64(messages) {
		if err := u.Apply(s, base, 2+m, cachetest.LargeDelta/messages); err != nil {
			t.Fatal(err)
		}
	}
	wrote := float64(written(t)-before) / 1e6
	st := s.Status()[0]
	info, err := os.Stat(filepath.Join(dir, "vn", "delta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB written for %d messages, a log of %.1f MB, %.1f MB in memory", wrote, messages, float64(info.Size())/1e6, float64(st.Overlay)/1e6)
	if wrote > 25 {
		t.Errorf("%.1f MB were written", wrote)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	held, start := mem.HeapAlloc, time.Now()
	if s, err = cache.OpenSets(o, quiet); err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&mem)
	again := s.Status()[0]
	each := float64(int64(mem.HeapAlloc)-int64(held)) / (cachetest.LargeDelta / messages * messages)
	t.Logf("read again in %v, %.1f bytes a change on the heap", took, each)
	if again.Version != 1+messages || again.DeltaFault != nil || again.Overlay == 0 {
		t.Errorf("after a restart: %+v", again)
	}
	if took > 5*time.Second || each > 12 { // 0.2 s were measured
		t.Errorf("reading it again took %v and %.1f bytes a change", took, each)
	}
}

// TestLargeDelta applies as much in one message.
func TestLargeDelta(t *testing.T) {
	if testing.Short() {
		t.Skip("a large set; not with -short")
	}
	for _, width := range []int{block.Width, block.WidthCheck} {
		dir := memDir(t)
		s, err := cache.OpenSets(cachetest.LargeOptions(dir, false), quiet)
		if err != nil {
			t.Fatal(err)
		}
		u := cachetest.Uniform{Blocks: 1_000_000 / block.PerBlock, Width: width}
		_, err = u.Load(s)
		if cerr := s.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		for _, fold := range []bool{false, true} { // the second on top of the first
			peak, err := cachetest.MeasureLargeDelta(dir, fold)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("width %d, folded %v: at most %.1f MB of anonymous memory", width, fold, float64(peak)/1e6)
			if peak > 40<<20 {
				t.Errorf("%d MiB", peak>>20)
			}
			files, err := filepath.Glob(filepath.Join(dir, "vn", "*.db"))
			if err != nil || len(files) != map[bool]int{false: 2, true: 1}[fold] {
				t.Errorf("files %v, %v", files, err)
			}
			for _, f := range files {
				if err := cache.CheckFile(f); err != nil {
					t.Error(err)
				}
			}
		}
	}
}
