package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache"
	"gateagent/cache/cachetest"
	"gateagent/sync/wire"
)

const (
	setName = "vn"
	keyID   = "vn-1"
)

// task is what a child process is asked to measure, each in a process of its
// own, so that memory and pages are its own.
type task struct {
	What   string // build, open, look, some or delta
	People uint64
	Sorted string // file of pseudonyms
	Dir    string // of the sets
	Check  bool
	Extras bool
	// MaxFile bounds one file of the set; 0: what the box would do.
	MaxFile int64
}

// result of a task; what it does not measure is zero.
type result struct {
	Anonymous int64 // bytes, at the worst
	Written   int64
	File      int64
	Files     int
	Overflow  int // pages
	LeafUse   float64
	Seconds   float64

	OpenPages, FirstPages int
	LaterPages            float64

	Allocations        float64
	P50, P99           time.Duration // of a look-up but for the HMAC
	HMAC               time.Duration
	Search50, Search99 time.Duration // slices.BinarySearch
	Wrong              int
	Changes, Folds     uint64
	OverlayBytes       int64
	Replay             time.Duration
}

func (t task) nation() nation { return newNation(t.People) }
func (t task) shape() shape   { return shape{t.Check, t.Extras} }

func (t task) open() (*cache.Sets, error) {
	return cache.OpenSets(cache.SetsOptions{
		Dir: t.Dir, MaxFile: t.MaxFile,
		Sets: []cache.SetKey{{Name: setName, KeyID: keyID, Key: t.nation().key, HasKey: true}},
	}, slog.New(slog.DiscardHandler))
}

func (t task) file() string { return filepath.Join(t.Dir, setName, "1.db") }

func (t task) run() (result, error) {
	switch t.What {
	case "build":
		return t.build()
	case "open":
		return t.openCold()
	case "look":
		return t.look()
	case "delta":
		return t.delta()
	case "some":
		return t.some()
	}
	return result{}, fmt.Errorf("no task %q", t.What)
}

// build writes the set as a box does that gets it block by block.
func (t task) build() (r result, err error) {
	n := t.nation()
	g, err := n.describe(t.Sorted, t.shape())
	if err != nil {
		return r, err
	}
	runtime.GC()
	start, before, memory := time.Now(), written(), watchMemory()
	s, err := t.open()
	if err != nil {
		return r, err
	}
	w, err := s.Stage(g)
	if err != nil {
		return r, err
	}
	if err := n.pack(t.Sorted, t.shape(), w.Block); err != nil {
		return r, errors.Join(err, w.Abort())
	}
	if err := w.Commit(); err != nil {
		return r, err
	}
	r.Seconds, r.Written, r.Anonymous = time.Since(start).Seconds(), written()-before, memory.end()
	if err := s.Close(); err != nil {
		return r, err
	}
	shape, err := cache.MeasureSet(t.file())
	r.File, r.Files, r.Overflow = shape.Bytes, shape.Files, shape.Blocks.LeafOverflow
	r.LeafUse = float64(shape.Blocks.LeafUsed) / float64(max(shape.Blocks.LeafBytes, 1))
	return r, err
}

// openCold opens a set whose file is not in memory, and looks people up.
func (t task) openCold() (r result, err error) {
	p, err := cachetest.WatchPages(t.file())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	if err := p.Evict(); err != nil {
		return r, err
	}
	if left, err := p.Held(); err != nil || left > 0 {
		return r, errors.Join(err, fmt.Errorf("%d pages of the file stay in memory, so nothing can be said of a cold one", left))
	}
	start := time.Now()
	s, err := t.open()
	if err != nil {
		return r, err
	}
	r.Seconds = time.Since(start).Seconds()
	if r.OpenPages, err = p.Held(); err != nil {
		return r, err
	}
	n, rnd := t.nation(), rand.New(rand.NewPCG(3, 4))
	one := func() {
		number := n.number(rnd.Uint64N(n.size))
		if f, _, err := s.Facts(number, ""); err != nil || !f.Found {
			r.Wrong++
		}
	}
	// Of people with extras, if there are any: those are the dearest.
	first := func() gate.Number {
		mac := gate.NewPseudonymer(n.key)
		for {
			number := n.number(rnd.Uint64N(n.size))
			if _, ok := n.extras(mac.Of(number)); ok || !t.Extras {
				return number
			}
		}
	}()
	if f, _, err := s.Facts(first, ""); err != nil || !f.Found || f.HasExtras != t.Extras {
		return r, errors.Join(err, fmt.Errorf("the first look-up: found %v, extras %v", f.Found, f.HasExtras))
	}
	after, err := p.Held()
	if err != nil {
		return r, err
	}
	r.FirstPages = after - r.OpenPages
	const warmUp, counted = 2000, 1000
	for range warmUp {
		one()
	}
	from, err := p.Held()
	if err != nil {
		return r, err
	}
	for range counted {
		one()
	}
	to, err := p.Held()
	if err != nil {
		return r, err
	}
	r.LaterPages = float64(to-from) / counted
	runtime.GC()
	r.Anonymous = anonymous()
	return r, s.Close()
}

// look looks people up in a file that is in memory, beside a binary search in a
// sorted slice for the same pseudonyms.
func (t task) look() (r result, err error) {
	s, err := t.open()
	if err != nil {
		return r, err
	}
	n := t.nation()
	sorted := make([]uint64, 0, n.size)
	if err := eachPseudonym(t.Sorted, func(p gate.Pseudonym) error { sorted = append(sorted, uint64(p)); return nil }); err != nil {
		return r, err
	}
	if err := readThrough(t.file()); err != nil {
		return r, err
	}
	const samples = 200_000
	numbers := make([]gate.Number, samples)
	who := make([]gate.Pseudonym, samples)
	mac, rnd := gate.NewPseudonymer(n.key), rand.New(rand.NewPCG(5, 6))
	for i := range numbers {
		numbers[i] = n.number(rnd.Uint64N(n.size))
		who[i] = mac.Of(numbers[i])
	}
	for i, number := range numbers { // and all of it is warm
		f, _, err := s.Facts(number, "")
		word := n.word(who[i])
		if _, ok := n.extras(who[i]); ok && t.Extras {
			word |= 1 << 15
		}
		if err != nil || !f.Found || f.Word != word {
			r.Wrong++
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, number := range numbers {
		_, _, _ = s.Facts(number, "") // judged above
	}
	runtime.ReadMemStats(&after)
	r.Allocations = float64((after.Mallocs - before.Mallocs) / samples)

	facts, macs, searches := make([]time.Duration, samples), make([]time.Duration, samples), make([]time.Duration, samples)
	for i, number := range numbers {
		start := time.Now()
		_, _, _ = s.Facts(number, "")
		facts[i] = time.Since(start)
	}
	for i, number := range numbers {
		start := time.Now()
		mac.Of(number)
		macs[i] = time.Since(start)
	}
	for i, p := range who {
		start := time.Now()
		if _, ok := slices.BinarySearch(sorted, uint64(p)); !ok {
			r.Wrong++
		}
		searches[i] = time.Since(start)
	}
	slices.Sort(facts)
	slices.Sort(macs)
	slices.Sort(searches)
	r.HMAC = macs[samples/2]
	// The HMAC always takes the same; what is left of a slow look-up is its own.
	r.P50, r.P99 = facts[samples/2]-r.HMAC, facts[samples*99/100]-r.HMAC
	r.Search50, r.Search99 = searches[samples/2], searches[samples*99/100]
	return r, s.Close()
}

// some looks people up and says no more than whether the answers are right.
func (t task) some() (r result, err error) {
	s, err := t.open()
	if err != nil {
		return r, err
	}
	n, rnd := t.nation(), rand.New(rand.NewPCG(8, 9))
	mac := gate.NewPseudonymer(n.key)
	for range 100_000 {
		number := n.number(rnd.Uint64N(n.size))
		if f, _, err := s.Facts(number, ""); err != nil || !f.Found || f.Word != n.word(mac.Of(number)) {
			r.Wrong++
		}
		stranger := n.number(n.size + rnd.Uint64N(n.size))
		if f, _, err := s.Facts(stranger, ""); err != nil || f.Found {
			r.Wrong++
		}
	}
	r.Anonymous = anonymous()
	return r, s.Close()
}

func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return err
}

// delta applies a day's changes in many messages, as they come from central.
func (t task) delta() (r result, err error) {
	n := t.nation()
	all, err := n.changes(t.Sorted, changesADay)
	if err != nil {
		return r, err
	}
	r.Changes = uint64(len(all))
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	var parts [][]gate.Change
	for part := range slices.Chunk(all, (len(all)+deltaMessages-1)/deltaMessages) {
		slices.SortFunc(part, wire.CompareChanges)
		parts = append(parts, part)
	}
	s, err := t.open()
	if err != nil {
		return r, err
	}
	base, digest, ok := s.Base(setName)
	g, _ := s.Generation(setName)
	if !ok {
		return r, errors.New("no set to change")
	}
	people := g.People
	before := written()
	for i, part := range parts {
		for _, c := range part {
			switch {
			case c.Gone:
				people--
			case c.Place < 0:
				people++
			}
		}
		d := gate.Delta{
			Set: setName, N: base + uint64(i) + 1, Base: base, BaseDigest: digest, Issued: g.Issued.Add(time.Duration(i+1) * time.Minute),
			Changes: uint64(len(part)), People: people,
		}
		if err := s.Apply(d, func(each func(gate.Change) error) error {
			for _, c := range part {
				if err := each(c); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return r, fmt.Errorf("message %d: %w", i+1, err)
		}
	}
	r.Written = written() - before
	if err := s.Close(); err != nil {
		return r, err
	}
	messages := uint64(len(parts))
	runtime.GC()
	start := time.Now()
	if s, err = t.open(); err != nil {
		return r, err
	}
	r.Replay = time.Since(start)
	for _, st := range s.Status() {
		r.OverlayBytes = st.Overlay
		if st.Version != base+messages || st.Fault != nil || st.DeltaFault != nil {
			return r, errors.Join(fmt.Errorf("version %d after opening again, not %d", st.Version, base+messages), st.Fault, st.DeltaFault)
		}
	}
	return r, s.Close()
}
