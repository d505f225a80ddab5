// Package replay decides recorded entries again: by the policy under which they
// were recorded, which must give the same, and by another one, to see what it
// would change.
//
// It owns the reading of kept entries for that purpose and the count of what
// changed. It judges no signature and no chain (that is cmd/gatectl/chain), and
// it looks nobody up: an entry's inputs are all that a decision hangs on. What
// it reports names entries by gate, epoch and number, never by subject.
package replay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// Rules decide; a policy does.
type Rules interface {
	Decide(gate.Inputs) gate.Decision
}

// Options say what is decided by what.
type Options struct {
	// New is the policy that is tried; nil: none, only the recorded ones.
	New Rules
	// Shadow takes, in place of New, what a policy on trial at the gate decided
	// at the time; entries without are not tried.
	Shadow bool
	// Recorded gives the policy under which an entry was recorded; nil where
	// it is not at hand.
	Recorded func(gate.PolicyRef) Rules
	// Examples is how many entries are named of each change.
	Examples int
	// Workers is how many lines are read at the same time; 0: one a processor.
	Workers int
	// Progress is told how many bytes have been read; may be nil.
	Progress func(bytes int64)
}

// maxLine bounds a line, in bytes: an event and its signature.
const maxLine = record.MaxEvent + 1024

// chunkLines is how many lines a worker takes at once.
const chunkLines = 256

// Read replays the events that r gives, one JSON object a line, into t. Lines
// that cannot be used are counted and named in t; the error is of reading.
func Read(ctx context.Context, name string, r io.Reader, o Options, t *Tally) error {
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		work  = make(chan *chunk, workers)
		order = make(chan *chunk, 4*workers) // in the order of the file
		group sync.WaitGroup
		err   error
	)
	group.Go(func() {
		defer close(order)
		defer close(work)
		err = split(ctx, name, r, work, order)
	})
	for range workers {
		group.Go(func() {
			for c := range work {
				c.tally = newTally(o.Examples)
				c.run(name, o, c.tally)
				close(c.done)
			}
		})
	}
	var read int64
	for c := range order {
		<-c.done
		t.merge(c.tally)
		if read += int64(len(c.text)); o.Progress != nil {
			o.Progress(read)
		}
	}
	group.Wait()
	return err
}

// chunk is some lines of a file.
type chunk struct {
	text  []byte
	first int // number of its first line
	tally *Tally
	done  chan struct{}
}

// split cuts a file into chunks; each goes to whoever works and, in order, to
// whoever collects.
func split(ctx context.Context, name string, r io.Reader, work, order chan<- *chunk) error {
	in := bufio.NewReaderSize(r, maxLine+1)
	line, c := 1, &chunk{first: 1, done: make(chan struct{})}
	hand := func() bool {
		if len(c.text) == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case order <- c:
			work <- c
		}
		c = &chunk{first: line, done: make(chan struct{}), text: make([]byte, 0, len(c.text)+len(c.text)/8)}
		return true
	}
	for {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("%s: line %d is longer than %d bytes", name, line, maxLine)
		}
		c.text = append(c.text, text...)
		if line++; err != nil || line-c.first == chunkLines {
			if !hand() {
				return ctx.Err()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
}

// run decides the lines of a chunk again.
func (c *chunk) run(name string, o Options, t *Tally) {
	line := c.first
	for text := range bytes.Lines(c.text) {
		if text = bytes.TrimSpace(text); len(text) > 0 {
			e, ok, err := ParseEntry(text)
			switch {
			case err != nil:
				t.problem(fmt.Sprintf("%s:%d: %v", name, line, err))
			case !ok:
				t.Others++
			default:
				t.take(&e, o)
			}
		}
		line++
	}
}

// take counts one entry.
func (t *Tally) take(e *Entry, o Options) {
	t.entry(e)
	switch {
	case e.Erased:
		t.Erased++
		return
	case e.OnFault(), e.Policy.ID == "":
		t.OnFault++
		return
	}
	if o.Recorded != nil {
		if rules := o.Recorded(e.Policy); rules != nil {
			t.Again++
			t.AgainBy[e.Policy]++
			if d := rules.Decide(e.Inputs); !e.Same(&d) {
				t.differs(e, &d)
			}
		} else {
			t.NotGiven[e.Policy]++
		}
	}
	switch {
	case o.Shadow && e.Shadow != nil:
		t.Shadows[e.Shadow.Policy]++
		// Its class is not recorded.
		d := gate.Decision{Verdict: e.Shadow.Verdict, Class: e.Class}
		for _, r := range e.Shadow.Reasons {
			d.Add(r)
		}
		t.tried(e, &d)
	case o.New != nil:
		d := o.New.Decide(e.Inputs)
		t.tried(e, &d)
	}
}
