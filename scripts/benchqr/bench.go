package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"gateagent/driver/frame"
)

// bench holds the readers that take turns.
type bench struct {
	runs  int
	turns int // quarter turns of each picture
	note  func(format string, args ...any)
	peers []*peer
	dir   string // of their programs
}

// open builds and starts the named readers. Those that this machine cannot have
// are left out, and it says so.
func (b *bench) open(names []string, install bool) (err error) {
	if b.dir, err = os.MkdirTemp("", "benchqr"); err != nil {
		return err
	}
	for _, name := range names {
		p, err := build(name, b.dir, install, b.note)
		if errors.Is(err, errAbsent) {
			b.note("%s left out: %v", name, err)
			continue
		} else if err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return err
		}
		b.peers = append(b.peers, p)
	}
	if len(b.peers) == 0 {
		return errors.New("no reader to measure")
	}
	return nil
}

func (b *bench) close() {
	for _, p := range b.peers {
		if err := p.stop(); err != nil {
			b.note("%s ended with: %v", p.name, err)
		}
	}
	os.RemoveAll(b.dir)
}

func (b *bench) names() []string {
	names := make([]string, len(b.peers))
	for i, p := range b.peers {
		names[i] = p.name
	}
	return names
}

// result is what the readers made of one frame, in their order.
type result struct {
	category string
	level    float64
	coded    bool
	readers  []outcome
}

// outcome is one reader's part of it.
type outcome struct {
	read   bool
	wrong  bool
	nanos  []int64 // of each run
	allocs int64   // of a reading, the least seen; -1 where not counted
}

// measure shows every frame to every reader, runs times in turn. The reader
// that begins changes from run to run.
func (b *bench) measure(items []item) ([]result, error) {
	results := make([]result, 0, len(items))
	var plane, turned frame.Gray
	for n, it := range items {
		g, err := b.picture(it, &plane, &turned)
		if err != nil {
			return nil, err
		}
		r := result{category: it.category, level: it.level, coded: len(it.want) > 0, readers: make([]outcome, len(b.peers))}
		q := question{g: g, repeat: 1, most: max(len(it.want), 1), cold: true}
		for run := range b.runs {
			for i := range b.peers {
				at := (i + run) % len(b.peers)
				a, err := b.peers[at].ask(q)
				if err != nil {
					return nil, err
				}
				r.readers[at].add(a, it.want)
			}
		}
		results = append(results, r)
		if (n+1)%100 == 0 {
			b.note("%d of %d frames", n+1, len(items))
		}
	}
	return results, nil
}

func (b *bench) picture(it item, plane, turned *frame.Gray) (*frame.Gray, error) {
	if err := it.load(plane); err != nil {
		return nil, err
	}
	if b.turns == 0 {
		return plane, nil
	}
	turn(turned, plane, b.turns)
	return turned, nil
}

// add notes an answer. A frame is read when it was in every run.
func (o *outcome) add(a answer, want []string) {
	first := len(o.nanos) == 0
	right, wrong := judge(a.texts, want)
	o.read = right && (first || o.read)
	o.wrong = wrong || o.wrong
	if first || a.allocs < o.allocs {
		o.allocs = a.allocs
	}
	o.nanos = append(o.nanos, a.nanos)
}

// judge says whether all that is wanted was read, and whether anything else was.
func judge(texts, want []string) (right, wrong bool) {
	right = len(want) > 0
	for _, w := range want {
		right = right && slices.Contains(texts, w)
	}
	for _, text := range texts {
		wrong = wrong || !slices.Contains(want, text)
	}
	return right, wrong
}

// tracking compares the reading of a frame after one in which the code was up
// to 5 % of the frame's width away with the cold reading of the same frame, for
// ours alone. Only pairs of which both are read count.
func (b *bench) tracking(o options) (t *tracking, err error) {
	if !o.wants("tracking") || b.peers[0].name != ours {
		return nil, nil
	}
	p := b.peers[0]
	t = &tracking{}
	var cold, warm []int64 // sums of each run
	for range b.runs {
		cold, warm = append(cold, 0), append(warm, 0)
	}
	var before, after frame.Gray
	for _, pair := range trackingPairs(o.seed, 4*o.perLevel) {
		if err := pair.before.load(&before); err != nil {
			return nil, err
		}
		if err := pair.after.load(&after); err != nil {
			return nil, err
		}
		t.Pairs++
		all := true
		colds, warms := make([]int64, b.runs), make([]int64, b.runs)
		for run := range b.runs {
			alone, err := p.ask(question{&after, 1, 1, true})
			if err != nil {
				return nil, err
			}
			first, err := p.ask(question{&before, 1, 1, true})
			if err != nil {
				return nil, err
			}
			next, err := p.ask(question{&after, 1, 1, false})
			if err != nil {
				return nil, err
			}
			for _, a := range []answer{alone, first, next} {
				right, _ := judge(a.texts, pair.after.want)
				all = all && right
			}
			colds[run], warms[run] = alone.nanos, next.nanos
		}
		if !all {
			continue
		}
		t.Read++
		for run := range b.runs {
			cold[run] += colds[run]
			warm[run] += warms[run]
		}
	}
	if t.Read > 0 {
		t.ColdMS = millis(median(cold)) / float64(t.Read)
		t.NextMS = millis(median(warm)) / float64(t.Read)
		t.Ratio = ratio(t.NextMS, t.ColdMS)
	}
	return t, nil
}

func millis(nanos float64) float64 { return nanos / 1e6 }

func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// instructions adds the instructions of a frame to each category, where `perf
// stat` can count them; the note says why where it cannot. The cost of starting
// and loading is taken off by asking for more readings of the same frames.
func (b *bench) instructions(items []item, r *report, event string) (note string, err error) {
	if err := countable(event); err != nil {
		return fmt.Sprintf("instructions not supported: %v", err), nil
	}
	const more = 4
	for c := range r.Categories {
		category := &r.Categories[c]
		for i, p := range b.peers {
			var counts [2]float64
			for k, repeat := range []int{1, 1 + more} {
				if counts[k], err = b.count(event, p, items, category.Name, repeat); err != nil {
					return "", err
				}
			}
			category.Readers[i].Instructions = max(counts[1]-counts[0], 0) / float64(more*category.Frames)
		}
	}
	return "", nil
}

// count runs a reader of its own under perf over the frames of a category.
func (b *bench) count(event string, p *peer, items []item, category string, repeat int) (float64, error) {
	list, err := os.CreateTemp(b.dir, "perf")
	if err != nil {
		return 0, err
	}
	list.Close()
	counted := &peer{name: p.name, argv: p.argv, env: p.env}
	if err := counted.start("perf", "stat", "-x,", "-e", event, "-o", list.Name(), "--"); err != nil {
		return 0, err
	}
	var plane, turned frame.Gray
	for _, it := range items {
		if it.category != category {
			continue
		}
		g, err := b.picture(it, &plane, &turned)
		if err != nil {
			return 0, err
		}
		if _, err := counted.ask(question{g, repeat, max(len(it.want), 1), true}); err != nil {
			return 0, err
		}
	}
	if err := counted.stop(); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(list.Name())
	if err != nil {
		return 0, err
	}
	return parsePerf(string(text))
}
