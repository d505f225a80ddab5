package lane

import (
	"errors"
	"time"

	"gateagent/agent/gate"
)

const (
	// maxBacklog bounds the entries that were not durable in time and still
	// are not (DESIGN §3 rule 3); then on_fault decides.
	maxBacklog = 64
	// resumeBacklog is where the lane trusts the journal again.
	resumeBacklog = maxBacklog / 2
	// maxPending bounds all records that are being followed.
	maxPending = 4 * maxBacklog
	// settleWithin bounds how long the end of a run waits for the journal.
	settleWithin = 2 * time.Second
)

var errBacklog = errors.New("the journal is behind")

// record is a record under way to the disk.
type record struct {
	receipt *gate.Receipt
	handed  time.Time
	// entry is true for an entry that counts in the backlog; passage is what
	// is to be recorded once it has its number.
	entry   bool
	passage *gate.Passage
}

// hand gives a record to the follower.
func (l *Lane) hand(r record) {
	if r.entry {
		l.backlog.Add(1)
	}
	select {
	case l.pending <- r:
	default:
		// Entries are bounded to less than this; a passage that nobody
		// follows is written all the same.
		if r.entry {
			l.backlog.Add(-1)
		}
		l.log.Error("too many records under way to follow one more")
	}
}

// follow learns how the records under way end, in the order in which they were
// handed over, which is the order in which the journal writes. After stop it
// settles what is left, within bounds.
func (l *Lane) follow(stop <-chan struct{}) {
	var deadline <-chan time.Time
	for {
		var r record
		if stop == nil {
			select {
			case r = <-l.pending:
			default:
				return
			}
		} else {
			select {
			case r = <-l.pending:
			case <-stop:
				stop, deadline = nil, time.After(settleWithin)
				continue
			}
		}
		for waiting := true; waiting; {
			select {
			case <-r.receipt.Done():
				l.settle(r)
				waiting = false
			case <-stop:
				stop, deadline = nil, time.After(settleWithin)
			case <-deadline:
				if r.entry {
					l.backlog.Add(-1)
				}
				l.log.Error("the journal did not take all records before the end")
				return
			}
		}
	}
}

// settle notes the end of a record.
func (l *Lane) settle(r record) {
	seq, err := r.receipt.Wait()
	if r.entry {
		l.backlog.Add(-1)
	}
	if err != nil {
		l.stats.count(func(s *Stats) { s.Lost++ })
		l.log.Error("a record was not written", "err", err, "opened", r.passage != nil && r.passage.Opened)
		return
	}
	if r.passage == nil {
		return
	}
	p := *r.passage
	p.Ref, p.Record = seq, time.Since(r.handed)
	receipt := l.o.Journal.AppendPassage(p)
	select {
	case l.pending <- record{receipt: receipt}:
	default: // it is written all the same
	}
}
