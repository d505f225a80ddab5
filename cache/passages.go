package cache

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

const (
	// maxPassages bounds the people whose last passages are remembered, in
	// about 5 MiB. Beyond it those are forgotten who passed longest ago.
	maxPassages = 50_000
	// forgetEvery is how often what is older than the window is looked for.
	forgetEvery = time.Minute
	// maxOpen bounds the entries that wait for their passage while the journal
	// is read back; between the two lies what record.wait allows.
	maxOpen = 1024
)

// PassageJournal is what [Passages] reads back. [Journal] is one.
type PassageJournal interface {
	Read(from uint64, maxBytes int) ([]record.Link, error)
	Status() JournalStatus
}

// Passages remembers when people last passed the lanes of this box, in and out,
// by their subject under the site entry key, for as long as the policy asks and
// no longer. It has no file: entries and passages in the journal say the same,
// and it reads them back after a start. It is safe for concurrent use.
type Passages struct {
	journal PassageJournal // nil: nothing is read back
	now     func() time.Time
	log     *slog.Logger
	wake    chan struct{} // a window has grown

	mu     sync.Mutex // guards the following
	window time.Duration
	whole  time.Duration // the window for which the journal has been read back
	last   map[gate.Pseudonym]gate.Passages
	fault  error
	max    int
	lost   uint64
}

// PassagesStatus is how it stands.
type PassagesStatus struct {
	// Window is how long a passage is remembered; 0: not at all.
	Window time.Duration
	// People are remembered now; Forgotten counts those for whom there was no
	// room any more.
	People    int
	Forgotten uint64
	// Whole is true when all passages within the window are known, as far as
	// the journal keeps them. Fault is why they are not read back.
	Whole bool
	Fault error
}

// NewPassages remembers nobody until [Passages.Keep] says for how long.
func NewPassages(journal PassageJournal, now func() time.Time, log *slog.Logger) *Passages {
	return &Passages{
		journal: journal, now: now, log: log, wake: make(chan struct{}, 1),
		last: map[gate.Pseudonym]gate.Passages{}, max: maxPassages,
	}
}

// Keep sets how long passages are remembered. What is older is forgotten at
// once; what a longer window takes in is read back by Run.
func (p *Passages) Keep(window time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = max(window, 0)
	p.whole = min(p.whole, p.window)
	p.forget()
	if p.whole < p.window {
		notify(p.wake)
	}
}

// Last gives the last passages of somebody; zero where they lie before the
// window.
func (p *Passages) Last(who gate.Pseudonym) gate.Passages {
	p.mu.Lock()
	defer p.mu.Unlock()
	since := p.since()
	one := p.last[who]
	if one.In < since {
		one.In = 0
	}
	if one.Out < since {
		one.Out = 0
	}
	return one
}

// since gives the first millisecond within the window.
func (p *Passages) since() int64 { return max(p.now().Add(-p.window).UnixMilli(), 1) }

// Note remembers a passage.
func (p *Passages) Note(who gate.Pseudonym, d gate.Direction, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ms := at.UnixMilli()
	if p.window == 0 || ms < p.since() {
		return
	}
	one, there := p.last[who]
	if !there && len(p.last) >= p.max {
		p.makeRoom()
	}
	if d == gate.DirectionOut {
		one.Out = max(one.Out, ms)
	} else {
		one.In = max(one.In, ms)
	}
	p.last[who] = one
}

// forget drops what lies before the window; mu is held.
func (p *Passages) forget() {
	since := p.since()
	for who, one := range p.last {
		if p.window == 0 || max(one.In, one.Out) < since {
			delete(p.last, who)
		}
	}
}

// makeRoom forgets the eighth that passed longest ago; mu is held.
func (p *Passages) makeRoom() {
	p.forget()
	if len(p.last) < p.max {
		return
	}
	times := make([]int64, 0, len(p.last))
	for _, one := range p.last {
		times = append(times, max(one.In, one.Out))
	}
	slices.Sort(times)
	cut := times[len(times)/8]
	for who, one := range p.last {
		if max(one.In, one.Out) <= cut {
			delete(p.last, who)
			p.lost++
		}
	}
}

// Status says how it stands.
func (p *Passages) Status() PassagesStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PassagesStatus{
		Window: p.window, People: len(p.last), Forgotten: p.lost, Whole: p.whole == p.window, Fault: p.fault,
	}
}

// Run reads back what the window takes in and forgets what it leaves, until ctx
// ends.
func (p *Passages) Run(ctx context.Context) error {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()
	for {
		p.mu.Lock()
		window, due := p.window, p.whole < p.window
		p.forget()
		p.mu.Unlock()
		if due {
			err := p.readBack(ctx, window)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				p.log.Warn("last passages could not be read back", "error", err)
			}
			p.mu.Lock()
			if p.fault = err; err == nil {
				p.whole = min(window, p.window)
			}
			p.mu.Unlock()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		case <-tick.C:
		}
	}
}

// readBack takes the passages of a window from the journal.
func (p *Passages) readBack(ctx context.Context, window time.Duration) error {
	if p.journal == nil {
		return nil
	}
	next, err := p.seek(p.now().Add(-window))
	if err != nil {
		return err
	}
	type opening struct {
		who gate.Pseudonym
		way gate.Direction
	}
	open := map[uint64]opening{}
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		links, err := p.journal.Read(next, readBytes)
		if err != nil || len(links) == 0 {
			return err
		}
		for _, l := range links {
			h, err := l.Record.Header()
			if err != nil {
				return fmt.Errorf("record %d: %w", l.Seq, err)
			}
			switch h.Type {
			case record.TypeEntry:
				e, err := l.Record.Entry()
				if err != nil {
					return fmt.Errorf("record %d: %w", l.Seq, err)
				}
				if e.HasSubject && e.Verdict.Opens() && len(open) < maxOpen {
					open[l.Seq] = opening{e.Subject, e.Direction}
				}
			case record.TypePassage:
				v, err := l.Record.Passage()
				if err != nil {
					return fmt.Errorf("record %d: %w", l.Seq, err)
				}
				if o, ok := open[v.Ref]; ok && v.Opened {
					p.Note(o.who, o.way, v.Time)
				}
				delete(open, v.Ref)
			}
		}
		next = links[len(links)-1].Seq + 1
	}
}

// seek gives the number of the first record of a time: the journal is in the
// order of time but where a clock was set back, which costs passages of that
// moment.
func (p *Passages) seek(since time.Time) (uint64, error) {
	s := p.journal.Status()
	low, high := max(s.First, 1), s.Position.Seq+1
	for low < high {
		mid := low + (high-low)/2
		links, err := p.journal.Read(mid, 1)
		if err != nil {
			return 0, err
		}
		if len(links) == 0 {
			high = mid
			continue
		}
		h, err := links[0].Record.Header()
		if err != nil {
			return 0, fmt.Errorf("record %d: %w", links[0].Seq, err)
		}
		if h.Time.Before(since) {
			low = max(links[0].Seq+1, mid+1)
		} else {
			high = mid
		}
	}
	return low, nil
}
