package lane

import (
	"errors"
	"time"

	"gateagent/agent/gate"
)

// faults is why a lane cannot work as it should: the data cannot be read, or
// entries cannot be written. It belongs to the loop.
type faults struct {
	store, record error
	holding       bool // the relay is held open, as on_fault says
}

// setFault notes that data or journal have failed, or with nil that they work,
// and holds or releases the gate where on_fault is `open`.
func (l *Lane) setFault(which gate.Reason, err error) {
	f := &l.faults
	fault := &f.record
	if which == gate.ReasonStoreFault {
		fault = &f.store
	}
	if (*fault == nil) != (err == nil) {
		if err != nil {
			l.log.Error("the lane is in fault", "code", string(which), "on_fault", l.o.OnFault.String(), "err", err)
		} else {
			l.log.Info("the fault is over", "code", string(which))
		}
	}
	*fault = err
	l.hold()
	l.stats.count(func(s *Stats) { s.setFaults(*f) })
}

// hold brings the relay to what the faults ask for. Holding is tried again
// with every scan and probe while the relay refuses.
func (l *Lane) hold() {
	f := &l.faults
	want := l.o.OnFault == gate.OnFaultOpen && (f.store != nil || f.record != nil)
	switch {
	case want && !f.holding:
		err := l.o.Relay.Hold()
		if f.holding = err == nil; err != nil {
			l.log.Error("the gate could not be held open", "err", err)
		}
	case !want && f.holding:
		l.o.Relay.Release()
		f.holding = false
	}
}

// onFault is the decision where none can be made.
func (l *Lane) onFault(why gate.Reason) gate.Decision {
	d := gate.Decision{Verdict: gate.Deny}
	switch l.o.OnFault {
	case gate.OnFaultOpen:
		d.Verdict = gate.AllowNotice
	case gate.OnFaultGuard:
		d.Verdict = gate.ManualCheck
	}
	d.Add(why)
	return d
}

// actOnFault does what on_fault says with a scan that cannot be recorded. Who
// was not to be let in is told so as decided.
func (l *Lane) actOnFault(seen time.Time, o *Outcome) {
	if !o.Entry.Verdict.Opens() {
		return
	}
	o.Shown = l.onFault(gate.ReasonRecordFault)
	if o.Shown.Verdict.Opens() {
		l.open(seen, o)
	}
}

// nobody is a number that nobody has, to try whether the data can be read.
const nobody gate.Number = "000000000000"

// probe looks whether a fault is over while nobody comes.
func (l *Lane) probe() {
	if l.faults.store != nil {
		_, _, err := l.o.Facts.Facts(nobody, "")
		l.setFault(gate.ReasonStoreFault, err)
	}
	switch {
	case l.faults.record == nil || l.backlog.Load() > resumeBacklog:
	case errors.Is(l.faults.record, errBacklog), l.o.JournalWorks != nil && l.o.JournalWorks():
		l.setFault(gate.ReasonRecordFault, nil)
	}
	l.hold()
}
