package cache_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/block"
	"gateagent/cache/cachetest"
)

// aMillion people, or fewer where the race detector makes all things slow.
func aMillion() int {
	if race {
		return 200_000
	}
	return 1_000_000
}

// TestSetFileCost: a million people, built in a process of its own.
func TestSetFileCost(t *testing.T) {
	if testing.Short() {
		t.Skip("builds files of 10 MB; not with -short")
	}
	for name, c := range map[string]struct {
		crowd cachetest.Crowd
		most  float64 // bytes a person
	}{
		"words":                       {cachetest.Crowd{Width: block.Width}, 8.0},
		"check bits":                  {cachetest.Crowd{Width: block.WidthCheck}, 10.2},
		"a tenth has extras":          {cachetest.Crowd{Width: block.Width, Extras: true}, 12},
		"check bits, a tenth has too": {cachetest.Crowd{Width: block.WidthCheck, Extras: true}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			c.crowd.Size, c.crowd.Seed = aMillion(), 1
			dir := t.TempDir()
			cost, err := cachetest.Build(t.Context(), c.crowd, dir)
			if err != nil {
				t.Fatal(err)
			}
			shape, err := cache.MeasureSet(filepath.Join(dir, "vn", "1.db"))
			if err != nil {
				t.Fatal(err)
			}
			per := float64(cost.Bytes) / float64(cost.People)
			again := float64(cost.Written) / float64(cost.Bytes)
			use := float64(shape.Blocks.LeafUsed) / float64(shape.Blocks.LeafBytes)
			t.Logf("%.2f bytes a person, %.3f times the file written, %.1f MB of memory at most; leaves %.1f %% full, %d and %d overflow pages",
				per, again, float64(cost.Peak)/1e6, use*100, shape.Blocks.LeafOverflow, shape.Extras.LeafOverflow)
			if per > c.most && !race {
				t.Errorf("%.2f bytes a person", per)
			}
			if again > 1.03 {
				t.Errorf("%.3f times the file was written", again)
			}
			if shape.Blocks.LeafOverflow != 0 || shape.Bytes != cost.Bytes || use < 0.92 {
				t.Errorf("shape %+v", shape)
			}
			if cost.Peak > 40e6 && !race {
				t.Errorf("%d bytes of memory", cost.Peak)
			}
		})
	}
}

// TestColdPages: what opening and the first lookups read from the disk.
func TestColdPages(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a file of 10 MB; not with -short")
	}
	dir := t.TempDir()
	people := cachetest.Mixed(cachetest.People(aMillion(), 1), 1)
	s := openSets(t, dir)
	load(t, s, vnKey, 1, block.WidthCheck, people)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	with := slices.IndexFunc(people, func(p cachetest.Person) bool { return p.More != nil })
	without := slices.IndexFunc(people, func(p cachetest.Person) bool { return p.More == nil })
	cost := func(i int) (open, first, later int, s *cache.Sets) {
		pages, err := cachetest.WatchPages(filepath.Join(dir, "vn", "1.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer pages.Close()
		if err := pages.Evict(); err != nil {
			t.Fatal(err)
		}
		count := func() int {
			n, err := pages.Held()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := count(); n != 0 {
			t.Skipf("%d pages stay in memory whatever one does", n)
		}
		s = openSets(t, dir)
		open = count()
		ask := func(p cachetest.Person) {
			if f, _, err := s.Facts(p.Number, p.Card); err != nil || f.Word != p.Word || f.HasExtras != (p.More != nil) {
				t.Fatalf("got %+v, %v", f, err)
			}
		}
		ask(people[i])
		first = count() - open
		for _, p := range people[100_000:102_000] {
			ask(p)
		}
		before := count()
		for _, p := range people[102_000:103_000] {
			ask(p)
		}
		return open, first, count() - before, s
	}
	open, plain, later, s1 := cost(without)
	if err := s1.Close(); err != nil {
		t.Fatal(err)
	}
	_, more, _, s2 := cost(with)
	if err := s2.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("opening reads %d pages, the first lookup %d, with extras %d, a thousand after two thousand %d", open, plain, more, later)
	if open > 8 || plain > 3 || more > plain+2 || later > 1100 {
		t.Error("more than that was promised")
	}
}

// BenchmarkLookup: the whole lookup, and beside it what it is made of and what
// it is compared with.
func BenchmarkLookup(b *testing.B) {
	const n = 1_000_000
	people := cachetest.Mixed(cachetest.People(n, 1), 1)
	s := openSets(b, b.TempDir())
	load(b, s, vnKey, 1, block.WidthCheck, people)
	numbers := make([]gate.Number, n)
	p := gate.NewPseudonymer(vnKey.Key)
	pseudonyms, sorted := make([]gate.Pseudonym, n), make([]uint64, n)
	for i := range people {
		numbers[i], pseudonyms[i] = people[i].Number, p.Of(people[i].Number)
		sorted[i] = uint64(pseudonyms[i])
	}
	slices.Sort(sorted)
	step := func(i int) int { return i * 7919 % n }
	var with []int
	for i := range people {
		if people[i].More != nil {
			with = append(with, i)
		}
	}
	for name, one := range map[string]func(i int) bool{
		"facts": func(i int) bool {
			f, _, err := s.Facts(numbers[step(i)], "")
			return err == nil && f.Found
		},
		"facts with extras": func(i int) bool {
			f, _, err := s.Facts(numbers[with[step(i)%len(with)]], "")
			return err == nil && f.HasExtras
		},
		"facts with a card": func(i int) bool {
			f, _, err := s.Facts(people[step(i)].Number, people[step(i)].Card)
			return err == nil && !f.CardMismatch
		},
		"record alone": func(i int) bool {
			return s.HasRecord(cachetest.SetName, pseudonyms[step(i)])
		},
		"HMAC alone": func(i int) bool { return p.Of(numbers[step(i)]) != 0 },
		"slices.BinarySearch alone": func(i int) bool {
			_, ok := slices.BinarySearch(sorted, uint64(pseudonyms[step(i)]))
			return ok
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			times := make([]time.Duration, 0, 1<<20)
			for i := 0; b.Loop(); i++ {
				start := time.Now()
				if !one(i) {
					b.Fatal("missing")
				}
				if len(times) < cap(times) {
					times = append(times, time.Since(start))
				}
			}
			slices.Sort(times)
			b.ReportMetric(float64(times[len(times)/2]), "p50-ns")
			b.ReportMetric(float64(times[len(times)*99/100]), "p99-ns")
		})
	}
}

func BenchmarkStage(b *testing.B) {
	crowd := cachetest.Crowd{Size: 500_000, Seed: 1, Width: block.Width}
	g, err := crowd.Describe(0)
	if err != nil {
		b.Fatal(err)
	}
	s := openSets(b, b.TempDir())
	for b.Loop() {
		g.Version++
		w, err := s.Stage(g)
		if err != nil {
			b.Fatal(err)
		}
		if err := crowd.Each(g.Blocks, w.Block); err != nil {
			b.Fatal(err)
		}
		if err := w.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(g.People), "ns/person")
}
