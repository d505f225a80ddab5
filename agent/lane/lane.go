// Package lane is one gate at work: it takes scans, decides each, has it
// recorded, tells the relay, and has recorded what followed.
//
// It owns the order of these steps and the rules that bind them (DESIGN §3, §6):
// one scan, one entry; the entry is durable before the relay is told; what
// happens when data, journal or relay fail. It owns no device, no file and no
// connection: those come through the interfaces below. The network is nowhere
// on its path.
//
// A card held in view is one scan, for as long as it is held and for
// [Options.Repeat] after; another card is read at once. Payloads are known by a
// hash under a key of this process, and overwritten as soon as they are read;
// only the first half of a two-step scan, passport and card, waits 20 s in
// memory for the second.
package lane

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/supervise"
)

// Scanner is an open device that reads codes. Scan waits for the next one; it
// may give the same code again and again while it is in view. The payload is
// the lane's from then on. After an error the scanner is closed and, unless it
// was [gate.ErrNoMoreScans], opened anew.
type Scanner interface {
	Scan(ctx context.Context) (gate.Scan, error)
	Close() error
}

// Relay opens the gate. Pulse returns as soon as the relay has been told; it
// falls by itself. Hold keeps it open until Release.
type Relay interface {
	Pulse(ctx context.Context) error
	Hold() error
	Release()
}

// FactsReader knows what the data sets say about a person, and of which
// versions and age that is.
type FactsReader interface {
	Facts(n gate.Number, card string) (gate.Facts, gate.DataState, error)
}

// Rules are one version of a policy.
type Rules interface {
	Decide(gate.Inputs) gate.Decision
	Ref() gate.PolicyRef
	// BestPassport gives the passport that would help most, if any does.
	BestPassport(gate.Inputs) gate.Passport
}

// Journal takes records. It returns at once; the receipt is fulfilled when the
// record is durable, in the order in which records were handed over.
type Journal interface {
	Append(gate.Entry) *gate.Receipt
	AppendPassage(gate.Passage) *gate.Receipt
}

// Clock gives the time and how far it can be believed.
type Clock interface {
	Reading() (time.Time, gate.ClockLevel)
}

// Passages knows when people last passed the lanes of this box. Its methods are
// called on the path of a person: they must not wait for a disk.
//
// Decide gives decide what is known of somebody's passages. If that opens, they
// count as just passed this way, at that time, for every other lane, until done
// is called with the time of the passage, or the zero time if there was none.
// Settled is closed as soon as waiting makes nothing known any more that is not
// now.
type Passages interface {
	Decide(who gate.Pseudonym, way gate.Direction, at time.Time, decide func(gate.Passages) (opens bool)) (done func(passed time.Time))
	Settled() <-chan struct{}
}

// Options are a lane's settings and parts. All are needed but the durations and
// those of which it is said what their absence means.
type Options struct {
	Name      string
	Direction gate.Direction
	// OnFault decides while data cannot be read or entries cannot be written.
	OnFault gate.OnFault
	// RecordWait is how long the relay waits for an entry to be durable, and a
	// person for passages that are still being read back; 0: 250 ms.
	// OpenOnTimeout opens after that, where the policy says so.
	RecordWait    time.Duration
	OpenOnTimeout bool
	// Repeat is how long a code may be out of view and still be the same scan;
	// 0: 3 s.
	Repeat time.Duration

	// Open opens the scanner; the one before is closed.
	Open    func(ctx context.Context) (Scanner, error)
	Relay   Relay
	Facts   FactsReader
	Journal Journal
	// JournalWorks says whether the journal takes records again after it has
	// refused one; nil: only the next entry can tell.
	JournalWorks func() bool
	Clock        Clock
	// Policy gives the rules in force; nil rules refuse everybody.
	Policy func() Rules
	// EntryKey gives the site entry key under which subjects are named, and
	// whether there is one; nil: there is none.
	EntryKey func() (gate.Key, bool)
	// Proofs verifies passports and passes; nil: none counts.
	Proofs Proofs
	// Spend notes, durably before it returns, that a pass for one entry is
	// used up; fresh is false when it was before. nil: such passes are for the
	// guard.
	Spend func(id [16]byte, p gate.Pass) (fresh bool, err error)
	// Passages is asked and told about everybody who has a subject; nil: it is
	// as if nobody had ever passed.
	Passages Passages
	// Shadow gives a policy that is evaluated and recorded, not acted on; nil,
	// or nil rules: there is none.
	Shadow func() Rules
	// OnOutcome is told of every scan once the relay has been told or the
	// verdict stands. It is called on the path of the next person: it must not
	// block.
	OnOutcome func(Outcome)
}

const (
	defaultWait   = 250 * time.Millisecond
	defaultRepeat = 3 * time.Second
	// pulseWithin bounds how long a relay may take to be told.
	pulseWithin = 2 * time.Second
	// probeEvery is how often a lane in fault looks whether it is over.
	probeEvery = 5 * time.Second
)

// Outcome is one scan, decided and done.
type Outcome struct {
	// Entry as it was recorded, and its place in the journal; Seq is 0 when it
	// is not durable (yet), because it came late, failed or was thinned.
	Entry gate.Entry
	Seq   uint64
	// Read is what the code was. The entry has another credential where the
	// code was the second half of a two-step scan: that of the card.
	Read gate.CredentialKind
	// Shown is what the person is to be told. It differs from the entry where
	// the gate could not do as decided.
	Shown gate.Decision
	// Opened is true when the relay obeyed; RelayFault is a code when not.
	Opened     bool
	RelayFault string
	// Late: the entry was not durable within RecordWait. Thinned: it stands
	// only in the count of a later entry.
	Late, Thinned bool
	// Took is the time from the frame, or the last byte, handed over to the
	// relay told, or to the verdict where nothing opens. Record is the part
	// spent waiting for the journal.
	Took, Record time.Duration
}

// Lane is one gate. Its methods are safe for concurrent use; Run must not run
// twice at a time, but may again after it has returned.
type Lane struct {
	o   Options
	log *slog.Logger

	slot    slot        // scanner -> loop: the newest scan
	pending chan record // loop -> follower: records under way
	// backlog counts entries handed over and not durable within RecordWait.
	backlog atomic.Int64
	stats   statsKeeper

	// What follows belongs to the loop alone.
	thinners [numThinned]thinner
	subjects subjects
	faults   faults
	held     held
	passing  func(passed time.Time) // who is being opened for; nil: nobody who is to be known again
}

// New makes a lane. It touches no device.
func New(o Options, log *slog.Logger) (*Lane, error) {
	if o.Open == nil || o.Relay == nil || o.Facts == nil || o.Journal == nil || o.Clock == nil || o.Policy == nil {
		return nil, errors.New("lane: a part is missing")
	}
	if o.RecordWait <= 0 {
		o.RecordWait = defaultWait
	}
	if o.Repeat <= 0 {
		o.Repeat = defaultRepeat
	}
	if o.OnOutcome == nil {
		o.OnOutcome = func(Outcome) {}
	}
	if o.EntryKey == nil {
		o.EntryKey = func() (gate.Key, bool) { return gate.Key{}, false }
	}
	l := &Lane{o: o, log: log.With("lane", o.Name), pending: make(chan record, maxPending)}
	l.slot.init(o.Repeat)
	l.held.init()
	l.stats.init()
	return l, nil
}

// Run works until ctx ends, finishes the scan under way and returns nil. An
// error means that a part of it panicked; it may be run again.
func (l *Lane) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	failed := make(chan error, 2)
	start := func(name string, f func() error) {
		parts.Go(func() {
			if err := supervise.Recovered(f); err != nil {
				failed <- fmt.Errorf("%s: %w", name, err)
			}
		})
	}
	readCtx, stopReading := context.WithCancel(ctx)
	stopFollowing := make(chan struct{})
	defer parts.Wait()
	defer close(stopFollowing) // the follower settles what the loop left
	defer stopReading()
	start("scanner", func() error { l.read(readCtx); return nil })
	start("records", func() error { l.follow(stopFollowing); return nil })

	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	defer l.held.drop()
	for {
		select {
		case <-ctx.Done():
			if scan, ok := l.slot.take(); ok {
				clear(scan.Payload)
			}
			l.flushThinned(time.Now(), true)
			return nil
		case err := <-failed:
			return err
		case <-l.slot.ready:
			if scan, ok := l.slot.take(); ok {
				l.handle(scan)
			}
		case <-l.held.timer.C:
			l.letGo()
		case <-probe.C:
			l.probe()
			l.flushThinned(time.Now(), false)
		}
	}
}
