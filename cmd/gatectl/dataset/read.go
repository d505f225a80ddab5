package dataset

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/cmd/gatectl/people"
)

// worker makes records of people. Each has a part of the memory.
type worker struct {
	b       *Builder
	mac     *gate.Pseudonymer
	run     *run
	lists   []string // the names known to it
	extras  gate.Extras
	read    int
	future  int
	problem []people.Problem
	bad     int
}

func (b *Builder) worker() *worker {
	return &worker{b: b, mac: gate.NewPseudonymer(b.opts.Key), run: b.sort.run(), lists: b.names.met()}
}

// add takes one person.
func (w *worker) add(p *people.Person) error {
	if !p.Number.Valid() {
		return errors.New("a personal number is not 12 digits")
	}
	fact, future := w.b.opts.Rule.Reduce(p, &w.extras)
	r := record{word: fact.Word(w.b.opts.BaseDay)}
	who, tag := w.mac.Tagged(p.Number)
	r.person, r.tag = who, tag
	if w.b.opts.CheckBits {
		if card := credential.CardText(p.Name, p.Born, p.Issued); card != "" {
			r.check = w.mac.Check(p.Number, card)
		}
	}
	var body []byte
	if fact.Extras {
		var err error
		if w.lists, err = w.b.names.with(p.Lists, w.lists); err != nil {
			return err
		}
		w.clampDays()
		if body, err = block.EncodeExtras(w.extras, w.b.opts.BaseDay, w.lists); err != nil {
			return fmt.Errorf("write the extras of a person: %w", err)
		}
	}
	w.read++
	w.future += future
	return w.run.add(r, body)
}

// clampDays moves days to the edge of what a word can hold, as words do.
func (w *worker) clampDays() {
	base := w.b.opts.BaseDay
	e := &w.extras
	for _, d := range []*gate.Day{&e.FirstDose, &e.Completed, &e.LastDose, &e.Positive, &e.Recovered, &e.Quarantine} {
		if *d != 0 {
			*d = min(max(*d, base), base+gate.MaxWordDay)
		}
	}
	clampWindow(&e.Window, base)
	for i := range e.Lists[:e.ListN] {
		clampWindow(&e.Lists[i].Window, base)
	}
}

// clampWindow drops a bound that nobody will see reached: a beginning before
// the base day and an end more than a century after it.
func clampWindow(w *gate.Window, base gate.Day) {
	const farOff = 100 * 366
	if w.From != 0 && w.From < base {
		w.From = base
	}
	if w.To != 0 && w.To < base {
		w.To = base
	}
	w.From = min(w.From, base+farOff)
	if w.To > base+farOff {
		w.To = 0
	}
}

// MaxProblems bounds how many bad lines are kept.
const MaxProblems = 50

// batchesAhead is how many batches of lines wait for each worker.
const batchesAhead = 2

// ReadAll reads a list to its end and gives the first bad lines, at most
// [MaxProblems] of them; Bad counts all. What it makes does not depend on the
// number of workers.
func (b *Builder) ReadAll(ctx context.Context, list *people.List, size int64) ([]people.Problem, error) {
	if b.sealed {
		return nil, errors.New("the list has been ended")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full := make(chan *people.Batch, batchesAhead*b.opts.Workers)
	empty := make(chan *people.Batch, cap(full)+b.opts.Workers)
	for range cap(empty) {
		empty <- new(people.Batch)
	}
	workers := make([]*worker, b.opts.Workers)
	var mu sync.Mutex // guards people read so far
	read := 0
	var wg sync.WaitGroup
	for i := range workers {
		w := b.worker()
		workers[i] = w
		wg.Go(func() {
			parser := list.Parser()
			for batch := range full {
				if ctx.Err() == nil {
					before := w.read + w.bad
					if err := w.take(parser, batch); err != nil {
						cancel(err)
					}
					mu.Lock()
					read += w.read + w.bad - before
					mu.Unlock()
				}
				empty <- batch
			}
		})
	}
	err := b.feed(ctx, list, full, empty, func() {
		mu.Lock()
		defer mu.Unlock()
		b.opts.Progress(Progress{Stage: Reading, People: read, Done: list.Bytes(), Total: size})
	})
	close(full)
	wg.Wait()
	var problems []people.Problem
	for _, w := range workers {
		b.take(w)
		b.counts.Bad += w.bad
		problems = append(problems, w.problem...)
	}
	slices.SortFunc(problems, func(x, y people.Problem) int { return cmp.Compare(x.Line, y.Line) })
	problems = problems[:min(len(problems), MaxProblems)]
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return problems, err
}

// feed hands the lines of a list to the workers.
func (b *Builder) feed(ctx context.Context, list *people.List, full, empty chan *people.Batch, tick func()) error {
	for {
		var batch *people.Batch
		select {
		case batch = <-empty:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		err := list.Next(batch)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		full <- batch // workers take all, whatever happens
		tick()
	}
}

// take reads a batch.
func (w *worker) take(parser *people.Parser, batch *people.Batch) error {
	for p, problem := range parser.People(batch) {
		if problem != nil {
			w.bad++
			w.keep(*problem)
			continue
		}
		if err := w.add(p); err != nil {
			return err
		}
	}
	return nil
}

// keep remembers a problem if it is among the first.
func (w *worker) keep(p people.Problem) {
	if w.problem = append(w.problem, p); len(w.problem) < 2*MaxProblems {
		return
	}
	slices.SortFunc(w.problem, func(x, y people.Problem) int { return cmp.Compare(x.Line, y.Line) })
	w.problem = w.problem[:MaxProblems]
}

// number is for messages: 12,345,678.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
