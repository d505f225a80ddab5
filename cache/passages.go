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
// and it reads them back after a start. Until it has, it says of everybody who
// has not passed since that there may be more to know. It is safe for
// concurrent use.
type Passages struct {
	journal PassageJournal // nil: nothing is read back
	start   record.Position
	now     func() time.Time
	log     *slog.Logger
	wake    chan struct{} // a window has grown

	mu      sync.Mutex // guards the following
	window  time.Duration
	whole   time.Duration // the window for which the journal has been read back
	settled chan struct{} // closed while Run has nothing to read back
	// gap is when the journal begins, where there was one before or it was
	// longer; in UTC milliseconds, 0: it has all there ever was in the window.
	gap  int64
	last map[gate.Pseudonym]passed
	// underway are the openings whose outcome is not known yet, one for each
	// lane at most.
	underway []*opening
	fault    error
	max      int
	lost     uint64
	// crowded is the latest passage of all who were forgotten for want of room,
	// in UTC milliseconds; 0: nobody was.
	crowded int64
}

// passed is when somebody last passed, in UTC milliseconds. The later passage
// has the later time, whatever the clock did between the two.
type passed struct {
	in, out way
}

// way is the last passage in one direction; here says that it was made in this
// run: the journal has nothing later then.
type way struct {
	at   int64
	here bool
}

func (w passed) last() int64 { return max(w.in.at, w.out.at) }

// PassagesStatus is how it stands.
type PassagesStatus struct {
	// Window is how long a passage is remembered; 0: not at all.
	Window time.Duration
	// People are remembered now; Forgotten counts those for whom there was no
	// room any more.
	People    int
	Forgotten uint64
	// Whole is true when the passages within the window have been read back, as
	// far as the journal keeps them. Fault is why they are not.
	Whole bool
	Fault error
	// Gap is when the journal begins, where that lies within the window and
	// there was more of it: one before was lost, or its beginning was dropped.
	Gap time.Time
	// Crowded is until when people passed of whom some are forgotten although
	// they passed within the window, because there were too many.
	Crowded time.Time
}

// NewPassages remembers nobody until [Passages.Keep] says for how long.
func NewPassages(journal PassageJournal, now func() time.Time, log *slog.Logger) *Passages {
	p := &Passages{
		journal: journal, now: now, log: log, wake: make(chan struct{}, 1), settled: make(chan struct{}),
		last: map[gate.Pseudonym]passed{}, max: maxPassages,
	}
	close(p.settled)
	if journal != nil {
		p.start = journal.Status().Position
	}
	return p
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
		select {
		case <-p.settled:
			p.settled = make(chan struct{})
		default:
		}
		notify(p.wake)
	}
}

// Settled is closed when the passages of the window that is kept now have been
// read back, or could not be.
func (p *Passages) Settled() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.settled
}

// Last gives the last passages of somebody; zero where they lie before the
// window. They are unknown where there may have been later ones: the journal
// has not been read back, does not go back as far, or had too many people in it
// to remember them all.
func (p *Passages) Last(who gate.Pseudonym) gate.Passages {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lastOf(who)
}

// Decide has somebody decided on by their last passages, by one lane at a time:
// decide is given what [Passages.Last] gives and says whether the gate is to
// open. If so they count as just passed this way, at that time, until done is
// called: with the time at which they did pass, or the zero time if they did
// not. done may be called again, to no effect. decide must not use p.
func (p *Passages) Decide(who gate.Pseudonym, d gate.Direction, at time.Time, decide func(gate.Passages) (opens bool)) (done func(passed time.Time)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !decide(p.lastOf(who)) {
		return func(time.Time) {}
	}
	o := &opening{who, d, at}
	p.underway = append(p.underway, o)
	return func(passed time.Time) {
		p.mu.Lock()
		defer p.mu.Unlock()
		i := slices.Index(p.underway, o)
		if i < 0 {
			return
		}
		p.underway = slices.Delete(p.underway, i, i+1)
		if !passed.IsZero() {
			p.take(who, d, passed, true)
		}
	}
}

// lastOf is Last; mu is held.
func (p *Passages) lastOf(who gate.Pseudonym) gate.Passages {
	if p.window == 0 {
		return gate.Passages{}
	}
	since := p.since()
	one := p.last[who]
	here := one.in.here || one.out.here
	beforeGap := since < p.gap && one.last() < p.gap
	forgotten := since <= p.crowded && one.last() <= p.crowded
	unknown := !here && (p.whole < p.window || beforeGap || forgotten)
	for _, o := range p.underway {
		if o.who == who {
			one.pass(o.way, way{o.at.UnixMilli(), true})
		}
	}
	last := gate.Passages{In: one.in.at, Out: one.out.at, Unknown: unknown}
	if last.In < since {
		last.In = 0
	}
	if last.Out < since {
		last.Out = 0
	}
	return last
}

// since gives the first millisecond within the window.
func (p *Passages) since() int64 { return max(p.now().Add(-p.window).UnixMilli(), 1) }

// Note remembers a passage that has just been made. Calls are in the order of
// the passages of a person; the times may not be, where the clock was set.
func (p *Passages) Note(who gate.Pseudonym, d gate.Direction, at time.Time) {
	p.note(who, d, at, true)
}

func (p *Passages) note(who gate.Pseudonym, d gate.Direction, at time.Time, here bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.take(who, d, at, here)
}

// take remembers a passage; mu is held.
func (p *Passages) take(who gate.Pseudonym, d gate.Direction, at time.Time, here bool) {
	ms := at.UnixMilli()
	if p.window == 0 || ms < p.since() {
		return
	}
	one, there := p.last[who]
	if !there && len(p.last) >= p.max {
		p.makeRoom()
	}
	one.pass(d, way{ms, here})
	p.last[who] = one
}

// pass takes a passage later than those taken before it; one that is read back
// (not here) lies before all that were made here.
func (w *passed) pass(d gate.Direction, now way) {
	this, other := &w.in, &w.out
	if d == gate.DirectionOut {
		this, other = other, this
	}
	switch {
	case now.here:
		*this = now
		other.at = min(other.at, now.at-1)
	case this.here:
	case other.here:
		this.at = min(now.at, other.at-1)
	default:
		this.at = now.at
		other.at = min(other.at, now.at-1)
	}
}

// forget drops what lies before the window; mu is held.
func (p *Passages) forget() {
	since := p.since()
	for who, one := range p.last {
		if p.window == 0 || one.last() < since {
			delete(p.last, who)
		}
	}
}

// makeRoom forgets the eighth that passed longest ago. Nobody who is not
// remembered can then be taken for somebody who has not passed; mu is held.
func (p *Passages) makeRoom() {
	p.forget()
	if len(p.last) < p.max {
		return
	}
	times := make([]int64, 0, len(p.last))
	for _, one := range p.last {
		times = append(times, one.last())
	}
	slices.Sort(times)
	cut := times[len(times)/8]
	p.crowded = max(p.crowded, cut)
	for who, one := range p.last {
		if one.last() <= cut {
			delete(p.last, who)
			p.lost++
		}
	}
}

// Status says how it stands.
func (p *Passages) Status() PassagesStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := PassagesStatus{
		Window: p.window, People: len(p.last), Forgotten: p.lost, Whole: p.whole == p.window,
	}
	if !s.Whole {
		s.Fault = p.fault
	}
	if p.window > 0 && p.since() < p.gap {
		s.Gap = time.UnixMilli(p.gap).UTC()
	}
	if p.window > 0 && p.crowded > 0 && p.since() <= p.crowded {
		s.Crowded = time.UnixMilli(p.crowded).UTC()
	}
	return s
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
			if err != nil || p.whole == p.window {
				p.settle()
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

// settle tells those who wait for the journal that it has been read; mu is
// held.
func (p *Passages) settle() {
	select {
	case <-p.settled:
	default:
		close(p.settled)
	}
}

// opening is an entry by which somebody may pass, until it is known whether
// they did.
type opening struct {
	who gate.Pseudonym
	way gate.Direction
	at  time.Time
}

// readBack takes the passages of a window from the journal.
func (p *Passages) readBack(ctx context.Context, window time.Duration) error {
	if p.journal == nil {
		return nil
	}
	since := p.now().Add(-window)
	next, err := p.seek(since)
	if err != nil {
		return err
	}
	if err := p.findGap(next, since); err != nil {
		return err
	}
	open := map[uint64]opening{}
	for {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		links, err := p.journal.Read(next, readBytes)
		if err != nil {
			return err
		}
		if len(links) == 0 {
			p.leftOver(open)
			return nil
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
				if e.HasSubject && e.Verdict.Opens() {
					if len(open) >= maxOpen {
						p.leftOver(open)
						clear(open)
					}
					open[l.Seq] = opening{e.Subject, e.Direction, e.Time}
				}
			case record.TypePassage:
				v, err := l.Record.Passage()
				if err != nil {
					return fmt.Errorf("record %d: %w", l.Seq, err)
				}
				if o, ok := open[v.Ref]; ok && v.Opened {
					p.note(o.who, o.way, v.Time, false)
				}
				delete(open, v.Ref)
			}
		}
		next = links[len(links)-1].Seq + 1
	}
}

// leftOver counts those as passed for whom a run before this one decided to
// open, and of whom the journal does not say what followed: the power went in
// between, before the gate opened or after.
func (p *Passages) leftOver(open map[uint64]opening) {
	if p.journal.Status().Position.Epoch != p.start.Epoch {
		return // all there is was written in this run, whose lanes tell
	}
	for seq, o := range open {
		if seq <= p.start.Seq {
			p.note(o.who, o.way, o.at, false)
		}
	}
}

// findGap notes from when on the journal has all passages, where it is read from
// its first record on: before that are those that a journal had which was lost,
// or which were dropped when central had them.
func (p *Passages) findGap(first uint64, since time.Time) error {
	var gap int64
	if first <= max(p.journal.Status().First, 1) {
		links, err := p.journal.Read(first, 1)
		if err != nil {
			return err
		}
		if len(links) > 0 {
			h, err := links[0].Record.Header()
			if err != nil {
				return fmt.Errorf("record %d: %w", links[0].Seq, err)
			}
			_, cause, begins := record.FirstOf(links[0].Record)
			if firstStart := begins && cause == CauseFirst; !firstStart && h.Time.After(since) {
				gap = h.Time.UnixMilli()
			}
		}
	}
	p.mu.Lock()
	p.gap = gap
	p.mu.Unlock()
	return nil
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
