package lane

import (
	"context"
	"time"

	"gateagent/agent/gate"
)

// The codes of a passage's relay fault.
const relayError = "relay_error"

// act has the entry recorded and does what was decided: first the journal,
// then the relay (DESIGN §3 rule 3). It gives the receipt of the entry; nil when
// the journal was not asked.
func (l *Lane) act(seen time.Time, o *Outcome) *gate.Receipt {
	if l.backlog.Load() >= maxBacklog {
		l.setFault(gate.ReasonRecordFault, errBacklog)
		l.actOnFault(seen, o)
		return nil
	}

	began := time.Now()
	receipt := l.o.Journal.Append(o.Entry)
	patience := time.NewTimer(l.o.RecordWait)
	defer patience.Stop()
	select {
	case <-receipt.Done():
	case <-patience.C:
		o.Late = true
	}
	o.Record = time.Since(began)

	opens := o.Entry.Verdict.Opens()
	if o.Late {
		// Neither durable nor failed: record.on_timeout decides. The passage
		// follows when the entry has its number.
		l.stats.count(func(s *Stats) { s.Late++ })
		late := record{receipt: receipt, handed: began, entry: true}
		if opens {
			if l.o.OpenOnTimeout {
				l.open(seen, o)
			} else {
				o.Shown = toGuard(gate.ReasonRecordFault, o.Shown)
			}
			late.passage = l.passage(seen, o)
		}
		l.hand(late)
		return receipt
	}

	seq, err := receipt.Wait()
	l.setFault(gate.ReasonRecordFault, err)
	if err != nil {
		l.stats.count(func(s *Stats) { s.Lost++ })
		l.actOnFault(seen, o)
		return receipt
	}
	o.Seq = seq
	if opens {
		l.open(seen, o)
		p := l.passage(seen, o)
		p.Ref = seq
		l.hand(record{receipt: l.o.Journal.AppendPassage(*p)})
	}
	return receipt
}

// open tells the relay. A gate that is held open needs no telling.
func (l *Lane) open(seen time.Time, o *Outcome) {
	var err error
	if !l.faults.holding {
		// The person has been decided on: the end of the program does not
		// take the gate from under them.
		ctx, cancel := context.WithTimeout(context.Background(), pulseWithin)
		err = l.o.Relay.Pulse(ctx)
		cancel()
	}
	o.Took = time.Since(seen)
	l.opened(o, err)
}

func (l *Lane) opened(o *Outcome, err error) {
	o.Opened = err == nil
	l.stats.count(func(s *Stats) {
		if s.RelayErr = err; err != nil {
			s.RelayFaults++
		} else {
			s.Opened++
		}
	})
	if o.Opened {
		// There is no door contact: who was opened for has passed.
		now, _ := l.o.Clock.Reading()
		l.passed(now)
	}
	if err != nil {
		o.RelayFault = relayError
		o.Shown = toGuard(gate.ReasonRelayFault, o.Shown)
		l.log.Error("allowed, but the relay did not open", "err", err)
	}
}

// passed says what came of the opening under way: when they passed, or with the
// zero time that they did not.
func (l *Lane) passed(at time.Time) {
	if l.passing != nil {
		l.passing(at)
		l.passing = nil
	}
}

// toGuard is what is shown where the gate cannot open as it was decided: why it
// cannot, and then why it would have.
func toGuard(fault gate.Reason, d gate.Decision) gate.Decision {
	shown := gate.Decision{Verdict: gate.ManualCheck, Class: d.Class}
	shown.Add(fault)
	for _, why := range d.ReasonList() {
		shown.Add(why)
	}
	return shown
}

// passage says what followed an entry. Its number is not known here.
func (l *Lane) passage(seen time.Time, o *Outcome) *gate.Passage {
	now, _ := l.o.Clock.Reading()
	p := &gate.Passage{
		Time: now, Lane: l.o.Name, Opened: o.Opened, Late: o.Late,
		RelayFault: o.RelayFault, Record: o.Record,
	}
	if o.Opened || o.RelayFault != "" {
		p.Actuate = o.Took
	}
	return p
}
