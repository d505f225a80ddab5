// Package outbox brings the journal's records to central: in order, at least
// once, and acknowledged by central before the journal may forget them.
//
// It owns a cursor over the journal and nothing else: the journal is the
// queue (DESIGN §4.4, STYLE §5). What the broker says proves nothing; only a
// signed acknowledgement that names this journal's own epoch and head moves
// [Journal.Ack]. What is not acknowledged is sent again on connect, when
// central turns online, and after 30 s doubling to 10 minutes.
package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/wire"
)

// Limits of what is under way (DESIGN §4.3).
const (
	windowEntries = 200       // records sent and not acknowledged
	windowBytes   = 256 << 10 // the same in bytes of JSON
	readBytes     = 64 << 10  // read of the journal for one message
)

// How long an acknowledgement may take before everything is sent again.
const (
	resendFirst = 30 * time.Second
	resendMost  = 10 * time.Minute
)

// publishWithin bounds one message; the link gives up sooner by itself.
const publishWithin = time.Minute

// Journal is the queue. Positions name the last record up to which something
// holds.
type Journal interface {
	// Read gives records in order from seq on, as many as fit maxBytes but at
	// least one; none when from lies beyond the end.
	Read(from uint64, maxBytes int) ([]record.Link, error)
	Position() record.Position
	// Acked is how far central has acknowledged.
	Acked() record.Position
	// Ack moves Acked forward; p has been checked against the record's hash.
	Ack(p record.Position) error
	// Rewind moves Acked back: central has lost what lies behind p. When it
	// keeps no records as old as that, it moves back as far as it does and
	// gives an error.
	Rewind(p record.Position) error
	// Changed delivers, once for any number of changes, when records were
	// appended or the epoch changed.
	Changed() <-chan struct{}
}

// Publisher sends one message and waits for the broker to take it.
type Publisher interface {
	Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error
}

// Fault codes of an outbox, as in agent/health.
const (
	// FaultMismatch: an acknowledgement of central does not fit the journal.
	FaultMismatch = "ack_mismatch"
	// FaultAway: records wait, and central is silent or speaks with a key that the
	// trust list does not know.
	FaultAway = "central_away"
	// FaultMute: central says it is there, yet it does not get our records.
	FaultMute = "broker_mute"
	// FaultJournal: the journal cannot be read or written.
	FaultJournal = "journal_failed"
)

// Fault is what is wrong; the zero Fault says that nothing is.
type Fault struct{ Code, Detail string }

// Status is an outbox as it stands.
type Status struct {
	Position record.Position // last record of the journal
	Acked    record.Position // last record that central has
	Sent     uint64          // records handed to the broker, repeats included
	Resent   uint64          // of these, repeats
	Batches  uint64
	Acks     uint64    // acknowledgements that moved Acked
	Stale    uint64    // acknowledgements older than Acked, or of another epoch
	Refused  uint64    // acknowledgements that did not verify or did not fit
	Rewinds  uint64    // times central had gone back
	LastAck  time.Time // of the last one that moved Acked; zero: none since start
	Central  bool      // central/state says online
	Fault    Fault
}

// Queue is how many records central has not acknowledged.
func (s Status) Queue() uint64 { return s.Position.Seq - min(s.Position.Seq, s.Acked.Seq) }

// Outbox is the cursor. Make it with [New].
type Outbox struct {
	o       Options
	topic   string
	journal Journal
	link    Publisher
	log     *slog.Logger
	wake    chan struct{} // holds one token
	verify  func(compact []byte) (a ack, retry bool, err error)

	mu       sync.Mutex // guards all following
	restart  bool       // send again from Acked+1
	online   bool       // what central/state says
	told     bool       // it has said anything
	ups      int        // connections so far
	pause    time.Time  // nothing is sent before; set when the link took nothing
	next     uint64     // record to send next
	sentTo   uint64     // highest record ever sent
	epoch    record.Epoch
	flights  []flight
	interval time.Duration
	resendAt time.Time
	tries    int       // repeats since the last progress
	floor    time.Time // acknowledgements issued before this are stale
	held     []byte    // an acknowledgement whose key was not known
	mismatch string    // why the last acknowledgement did not fit
	refusal  string    // why the last acknowledgement did not verify
	broken   string    // why the journal could not be read
	st       Status
}

// flight is a message that central has not acknowledged.
type flight struct {
	last  uint64
	bytes int
}

// Run sends until ctx ends. It gives nil then.
func (o *Outbox) Run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		changed := o.journal.Changed()
		more, wait := o.step(ctx)
		if more {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-changed:
		case <-o.wake:
		case <-timer.C:
		}
	}
	return nil
}

// pauseFor is the wait after the link took nothing, unless it comes up sooner.
const pauseFor = 10 * time.Second

// idle is the longest pause between two looks at the journal.
const idle = time.Hour

// step sends one message if there is one to send. more says that there may be
// another; otherwise wait is how long nothing is due.
func (o *Outbox) step(ctx context.Context) (more bool, wait time.Duration) {
	p := o.plan(time.Now())
	if p.room <= 0 {
		return false, p.wait
	}
	links, err := o.journal.Read(p.from, readBytes)
	if err == nil && (len(links) == 0 || links[0].Seq != p.from) {
		err = errNoRecord
	}
	if err != nil {
		o.journalBroken(fmt.Sprintf("record %d: %v", p.from, err))
		return false, resendFirst
	}
	links = links[:min(len(links), p.room)]
	body, n, err := wire.EncodeBatch(o.topic, links, o.o.Sign)
	if err != nil {
		// A record that cannot be written as an event stops the queue: to
		// leave it out would break the chain.
		o.journalBroken(fmt.Sprintf("record %d: %v", p.from, err))
		return false, resendFirst
	}
	o.journalBroken("")
	pctx, cancel := context.WithTimeout(ctx, publishWithin)
	defer cancel()
	err = o.link.Publish(pctx, o.topic, body, 1, false)
	o.sent(p, uint64(n), len(body), err)
	return true, 0 // after an error, plan says how long to wait
}

// plan is what to send now: at most room records from from on.
type plan struct {
	from uint64
	room int
	wait time.Duration // when room is 0
	ups  int
}

// plan brings the cursor up to date.
func (o *Outbox) plan(now time.Time) plan {
	pos, acked := o.journal.Position(), o.journal.Acked()
	o.mu.Lock()
	defer o.mu.Unlock()
	if pos.Epoch != o.epoch {
		o.epoch, o.sentTo, o.restart = pos.Epoch, acked.Seq, true
	}
	if acked.Seq > o.st.Acked.Seq || acked.Epoch != o.st.Acked.Epoch {
		o.tries = 0
		o.pace(now)
	}
	o.st.Position, o.st.Acked = pos, acked
	if o.restart {
		o.flights, o.next, o.restart = nil, acked.Seq+1, false
	}
	o.next = max(o.next, acked.Seq+1)
	for len(o.flights) > 0 && o.flights[0].last <= acked.Seq {
		o.flights = o.flights[1:]
	}
	wait := idle
	if len(o.flights) > 0 {
		if !now.Before(o.resendAt) {
			o.repeat(now, acked)
		}
		wait = o.resendAt.Sub(now)
	}
	o.judge()
	if now.Before(o.pause) {
		return plan{wait: min(wait, o.pause.Sub(now))}
	}
	bytes := 0
	for _, f := range o.flights {
		bytes += f.bytes
	}
	if o.next > pos.Seq || bytes >= windowBytes {
		return plan{wait: wait}
	}
	return plan{from: o.next, room: windowEntries - int(o.next-1-acked.Seq), wait: wait, ups: o.ups}
}

// pace starts the waiting for an acknowledgement afresh. mu is held.
func (o *Outbox) pace(now time.Time) {
	o.interval = resendFirst
	o.resendAt = now.Add(o.interval)
}

// repeat starts again behind the acknowledged record. mu is held.
func (o *Outbox) repeat(now time.Time, acked record.Position) {
	o.flights, o.next = nil, acked.Seq+1
	o.tries++
	o.interval = min(2*o.interval, resendMost)
	if !o.online && o.told {
		// An absent central is spared the repeats; but what is said of it is
		// a hint and no more, so it is never quite forgotten.
		o.interval = resendMost
	}
	o.resendAt = now.Add(o.interval)
}

// sent notes what became of a message with n records.
func (o *Outbox) sent(p plan, n uint64, bytes int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		// Whether it arrived is not known. It goes out again with the next
		// connection.
		if p.ups == o.ups {
			o.pause = time.Now().Add(pauseFor)
		}
		o.log.Debug("outbox: not taken", "error", err)
		return
	}
	last := p.from + n - 1
	o.st.Batches++
	o.st.Sent += n
	if p.from <= o.sentTo {
		o.st.Resent += min(o.sentTo, last) - p.from + 1
	}
	o.sentTo = max(o.sentTo, last)
	if o.restart || p.from != o.next {
		return // the cursor was moved meanwhile
	}
	o.next = last + 1
	if len(o.flights) == 0 {
		o.resendAt = time.Now().Add(o.interval)
	}
	o.flights = append(o.flights, flight{last, bytes})
}

// Up is told by the link that there is a new connection: everything that is
// not acknowledged goes out again.
func (o *Outbox) Up() {
	o.mu.Lock()
	o.ups++
	o.pause = time.Time{}
	o.restart = true
	o.pace(time.Now())
	o.mu.Unlock()
	o.rouse()
}

// Central is told what central/state says. A live message counts as turning
// online even when it was online before: it may have been restarted.
func (o *Outbox) Central(online, live bool) {
	o.mu.Lock()
	turned := online && (live || !o.online)
	o.online, o.told = online, true
	o.st.Central = online
	if turned {
		o.restart = true
		o.pace(time.Now())
	}
	o.judge()
	o.mu.Unlock()
	if turned {
		o.rouse()
	}
}

func (o *Outbox) rouse() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Status gives the outbox as it stands.
func (o *Outbox) Status() Status {
	pos, acked := o.journal.Position(), o.journal.Acked()
	o.mu.Lock()
	defer o.mu.Unlock()
	st := o.st
	st.Position, st.Acked = pos, acked
	return st
}

// awayAfter is how many repeats in vain make a fault: with two, central has
// been silent for a minute and a half.
const awayAfter = 2

// judge works out the present fault. mu is held.
func (o *Outbox) judge() {
	var f Fault
	switch {
	case o.broken != "":
		f = Fault{FaultJournal, o.broken}
	case o.mismatch != "":
		f = Fault{FaultMismatch, o.mismatch}
	case o.tries < awayAfter:
	case o.refusal != "":
		// Neither the broker nor this box is to blame.
		f = Fault{FaultAway, "central acknowledges, and what it says is refused: " + o.refusal}
	case o.online:
		f = Fault{FaultMute, "central is online and acknowledges nothing: it refuses this box's identity, or the broker does not pass our messages on (access list, certificate name, size limits)"}
	default:
		f = Fault{Code: FaultAway}
	}
	if f == o.st.Fault {
		return
	}
	o.st.Fault = f
	if f.Code != "" {
		o.log.Warn("outbox: fault", "code", f.Code, "detail", f.Detail)
	}
	if o.o.OnFault != nil {
		o.o.OnFault(f)
	}
}

func (o *Outbox) journalBroken(why string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken = why
	o.judge()
}

var errNoRecord = errors.New("the journal does not keep that record any more")

// headAt gives the hash of record seq of the journal.
func (o *Outbox) headAt(seq uint64) (record.Hash, error) {
	if seq == 0 {
		return record.Hash{}, nil
	}
	links, err := o.journal.Read(seq, 1)
	if err != nil {
		return record.Hash{}, err
	}
	if len(links) == 0 || links[0].Seq != seq {
		return record.Hash{}, errNoRecord
	}
	return links[0].Hash(), nil
}
