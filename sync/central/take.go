package central

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// gateState is what is known of one gate.
type gateState struct {
	epochs  map[record.Epoch]record.Position // what the sink has
	current record.Epoch                     // the epoch begun last
	// tentative is the same with what the round under way would add; nil when
	// the round has nothing of this gate.
	tentative map[record.Epoch]record.Position
	next      record.Epoch // current, with the round under way
	gap       gap
	boots     boots
	twin      time.Time // two copies of the box were heard last; zero: never
	handed    string    // to which boot which keys were handed last
}

func (c *Central) gate(o record.Origin) *gateState {
	g := c.gates[o]
	if g == nil {
		g = &gateState{epochs: map[record.Epoch]record.Position{}}
		c.gates[o] = g
	}
	return g
}

func (g *gateState) hold(p record.Position) {
	if _, known := g.epochs[p.Epoch]; !known {
		g.current = p.Epoch
	}
	g.epochs[p.Epoch] = p
}

// gap is a place behind which records have not come.
type gap struct {
	epoch record.Epoch
	held  uint64
	since time.Time
}

// gapAt notes that records came from beyond held+1. A gap that stays means
// that the box believes them acknowledged.
func (c *Central) gapAt(g *gateState, e record.Epoch, held uint64) {
	c.count(func(s *Stats) { s.Gaps++ })
	now := c.o.Now()
	if g.gap.epoch != e || g.gap.held != held {
		g.gap = gap{e, held, now}
	}
	if now.Sub(g.gap.since) >= gapStays {
		c.callDue = true
	}
}

// position gives how far an epoch goes, the round under way included.
func (g *gateState) position(e record.Epoch) (record.Position, bool) {
	if p, ok := g.tentative[e]; ok {
		return p, true
	}
	p, ok := g.epochs[e]
	return p, ok
}

// latest gives the epoch begun last, the round under way included.
func (g *gateState) latest() (record.Position, bool) {
	if g.tentative != nil && !g.next.IsZero() {
		return g.position(g.next)
	}
	return g.position(g.current)
}

func (g *gateState) add(p record.Position) {
	if g.tentative == nil {
		g.tentative, g.next = map[record.Epoch]record.Position{}, record.Epoch{}
	}
	if _, known := g.position(p.Epoch); !known {
		g.next = p.Epoch
	}
	g.tentative[p.Epoch] = p
}

// round is what a few messages add up to.
type round struct {
	batches []Batch
	acks    []ackDue
	hellos  []helloDue
	reports []Report // about what is stored by this round
}

type ackDue struct {
	origin record.Origin
	epoch  record.Epoch
}

type helloDue struct {
	origin record.Origin
	epoch  record.Epoch
	nonce  string
	boot   string
	id     identity.Public
}

// owe notes an acknowledgement; many of one epoch are one.
func (r *round) owe(o record.Origin, e record.Epoch) {
	if slices.Contains(r.acks, (ackDue{o, e})) {
		return
	}
	r.acks = append(r.acks, ackDue{o, e})
}

// take judges one message.
func (c *Central) take(r *round, m message) {
	a, ok := c.o.Topics.Parse(m.topic)
	if !ok || len(m.body) == 0 {
		return // none of ours, or a retained topic that was cleared
	}
	var err error
	switch a.Kind {
	case wire.KindState:
		err = c.takeState(r, a.Origin(), m)
	case wire.KindHello:
		err = c.takeHello(r, a.Origin(), m)
	case wire.KindEntry:
		err = c.takeEntries(r, a.Origin(), m)
	default:
		return
	}
	if err != nil {
		c.refuse(a, err)
		return
	}
	if _, known := c.o.Pins.Get(a.Origin()); known {
		for _, early := range c.waiting.take(a.Origin()) {
			c.take(r, early)
		}
	}
}

// refuse reports a message that was not believed or not understood.
func (c *Central) refuse(a wire.Address, err error) {
	c.count(func(s *Stats) { s.Refused++ })
	kind := ReportMalformed
	var known *pinError
	switch {
	case errors.As(err, &known):
		kind = known.kind
	case errors.Is(err, wire.ErrSignature):
		kind = ReportSignature
	case errors.Is(err, wire.ErrBroken):
		kind = ReportFork
	}
	c.report(Report{Kind: kind, Origin: a.Origin(), Text: err.Error()})
}

func (c *Central) takeState(r *round, o record.Origin, m message) error {
	s, err := wire.ParseState(m.body)
	if err != nil {
		return err
	}
	if !s.Online {
		// A will names no identity: it is only believed of a gate that is
		// known, and nothing follows from it here.
		pin, ok := c.o.Pins.Get(o)
		if !ok {
			return nil
		}
		return wire.VerifyBody(m.topic, m.body, pin.Ed25519)
	}
	if err := c.admit(o, s.ID, m); err != nil {
		return err
	}
	g := c.gate(o)
	c.seen(o, s.Boot, fmt.Sprintf("s%d", s.Time))
	if s.Journal != nil {
		switch p, ok := g.position(s.Journal.Epoch); {
		case s.Journal.Acked > p.Seq:
			c.callDue = true
		case ok && s.Journal.Acked < p.Seq:
			r.owe(o, p.Epoch)
		}
	}
	return nil
}

func (c *Central) takeHello(r *round, o record.Origin, m message) error {
	h, err := wire.ParseHello(m.body)
	if err != nil {
		return err
	}
	if err := c.admit(o, h.ID, m); err != nil {
		return err
	}
	c.seen(o, h.Boot, h.Nonce)
	if p, ok := c.gate(o).position(h.Epoch); ok && h.Seq == p.Seq && h.Head != p.Head {
		c.report(Report{
			Kind: ReportFork, Origin: o, Epoch: h.Epoch, From: h.Seq, To: p.Seq,
			Text: fmt.Sprintf("its record %d is another than the one kept here: an older copy of the box, or a twin", h.Seq),
		})
	}
	r.hellos = append(r.hellos, helloDue{o, h.Epoch, h.Nonce, h.Boot, h.ID})
	return nil
}

func (c *Central) takeEntries(r *round, o record.Origin, m message) error {
	pin, ok := c.o.Pins.Get(o)
	if !ok {
		if c.o.Pins.learn && c.waiting.add(o, m) {
			return nil
		}
		return &pinError{ReportUnknown, "entries of a gate that is not known; they are refused until it is"}
	}
	events, err := wire.ParseBatch(m.body)
	if err != nil {
		return err
	}
	if err := wire.VerifyBatch(m.topic, o, events, pin.Ed25519); err != nil {
		return err
	}
	g := c.gate(o)
	epoch := events[0].Epoch()
	r.owe(o, epoch)
	held, known := g.position(epoch)
	if !known {
		if begins, err := c.begin(r, o, g, events[0]); !begins {
			return err
		}
		held = record.Position{Epoch: epoch}
	}
	fresh, err := c.fresh(o, events, held)
	if err != nil || len(fresh) == 0 {
		return err
	}
	r.batches = append(r.batches, Batch{o, fresh})
	g.add(fresh[len(fresh)-1].Position())
	return nil
}

// fresh gives the events that follow what is held: none when all are held, or
// when some before them have not come.
func (c *Central) fresh(o record.Origin, events []record.Event, held record.Position) ([]record.Event, error) {
	skip := 0
	for skip < len(events) && events[skip].Link().Seq <= held.Seq {
		if p := events[skip].Position(); p.Seq == held.Seq && p.Head != held.Head {
			return nil, fmt.Errorf("record %d is another than the one kept here: %w", p.Seq, wire.ErrBroken)
		}
		skip++
	}
	if skip > 0 {
		c.count(func(s *Stats) { s.Duplicates += uint64(skip) })
	}
	if events = events[skip:]; len(events) == 0 {
		return nil, nil
	}
	first := events[0].Link()
	if first.Seq > held.Seq+1 {
		c.gapAt(c.gate(o), held.Epoch, held.Seq)
		c.report(Report{
			Kind: ReportGap, Origin: o, Epoch: held.Epoch, From: held.Seq + 1, To: first.Seq - 1,
			Text: fmt.Sprintf("records %d to %d have not come; later ones are not kept before them", held.Seq+1, first.Seq-1),
		})
		return nil, nil
	}
	if first.Prev != held.Head {
		return nil, fmt.Errorf("record %d does not follow the record %d kept here: %w", first.Seq, held.Seq, wire.ErrBroken)
	}
	for _, ev := range events {
		if ev.Link().Seq > 1 {
			if _, _, again := record.FirstOf(ev.Link().Record); again {
				return nil, fmt.Errorf("record %d begins an epoch in the middle of one: %w", ev.Link().Seq, wire.ErrBroken)
			}
		}
	}
	return events, nil
}

// begin judges the first that is heard of an epoch. An epoch is taken from its
// first record, which names the last that the box could still read; what lies
// between that and what is held may be missing.
func (c *Central) begin(r *round, o record.Origin, g *gateState, ev record.Event) (begins bool, err error) {
	l := ev.Link()
	if l.Seq != 1 {
		// Not an error of the gate: central may be a copy from before this
		// epoch. The next hello/reply says that nothing of it is here.
		c.gapAt(g, ev.Epoch(), 0)
		c.report(Report{
			Kind: ReportGap, Origin: o, Epoch: ev.Epoch(), From: 1, To: l.Seq - 1,
			Text: fmt.Sprintf("an unknown epoch begins with record %d; it is kept from record 1 on", l.Seq),
		})
		return false, nil
	}
	last, cause, ok := record.FirstOf(l.Record)
	if !ok || l.Prev != (record.Hash{}) {
		return false, fmt.Errorf("record 1 does not begin an epoch: %w", wire.ErrBroken)
	}
	before, had := g.latest()
	rep := Report{Kind: ReportEpoch, Origin: o, Epoch: ev.Epoch(), Declared: last}
	if had {
		rep.Known = before
	}
	rep.Text, rep.From, rep.To = missing(before, had, last, cause)
	r.reports = append(r.reports, rep)
	return true, nil
}

// missing puts into words what may be lost between the epoch held last and the
// one that begins. from and to bound the records of the old epoch that the box
// still knew of; to 0 means that nobody knows how many.
func missing(known record.Position, had bool, last record.Position, cause string) (text string, from, to uint64) {
	switch {
	case !had && last.Epoch.IsZero():
		return fmt.Sprintf("first epoch of the gate (%s); nothing is missing", cause), 0, 0
	case !had:
		return fmt.Sprintf("a new epoch (%s); nothing is kept here of the one before (%s, %d records)", cause, last.Epoch, last.Seq), 1, last.Seq
	case last.Epoch.IsZero():
		return fmt.Sprintf("a new epoch (%s); the box could not read the one before, of which %d records are kept here: later ones may be missing",
			cause, known.Seq), known.Seq + 1, 0
	case last.Epoch != known.Epoch:
		return fmt.Sprintf("a new epoch (%s) after epoch %s (%d records), of which nothing is kept here; the last kept is %s with %d records",
			cause, last.Epoch, last.Seq, known.Epoch, known.Seq), 1, last.Seq
	case last.Seq > known.Seq:
		return fmt.Sprintf("a new epoch (%s); records %d to %d of the one before are missing, and later ones may be", cause, known.Seq+1, last.Seq), known.Seq + 1, last.Seq
	case last.Seq == known.Seq && last.Head != known.Head:
		return fmt.Sprintf("a new epoch (%s); record %d of the one before is another on the box than here", cause, last.Seq), last.Seq, last.Seq
	}
	return fmt.Sprintf("a new epoch (%s); all %d records that the box could read of the one before are kept here (%d), later ones may be missing",
		cause, last.Seq, known.Seq), known.Seq + 1, 0
}
