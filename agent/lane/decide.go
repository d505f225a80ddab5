package lane

import (
	"slices"
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
)

// handle takes one scan all the way.
func (l *Lane) handle(scan gate.Scan) {
	entry, decision := l.decide(scan)
	l.stats.count(func(s *Stats) {
		s.Decisions[decision.Verdict]++
		s.LastScan = entry.Time
	})
	o := Outcome{Entry: entry, Shown: decision}
	if decision.Verdict == gate.Retry && !l.worthRecording(&o.Entry) {
		o.Thinned = true
	} else {
		l.act(scan.Seen, &o)
	}
	if !o.Opened {
		o.Took = time.Since(scan.Seen)
	}
	l.stats.took(&o)
	l.o.OnOutcome(o)
}

// decide finds out who that is, what is known and what follows from it. The
// payload is overwritten.
func (l *Lane) decide(scan gate.Scan) (gate.Entry, gate.Decision) {
	claim := gate.Claim{Kind: gate.KindUnreadable}
	if !scan.Unreadable {
		claim = credential.Parse(scan.Payload)
		clear(scan.Payload)
	}
	now, level := l.o.Clock.Reading()
	in := gate.Inputs{
		Now: now.UnixMilli(), Direction: l.o.Direction, Credential: claim.Kind,
		Flags: claim.Warnings, CardExpires: claim.Expires.Day(), DataAge: -1, Clock: level,
	}
	entry := gate.Entry{
		Time: now, Lane: l.o.Name, Direction: l.o.Direction, Credential: claim.Kind,
		Clock: level, Decode: scan.Decode,
	}
	var fault error
	if claim.Number.Valid() {
		began := time.Now()
		facts, state, err := l.o.Facts.Facts(claim.Number, claim.Card)
		entry.Lookup = time.Since(began)
		in.Facts, in.DataAge, fault = facts, dataAge(state, now), err
		entry.Data = slices.Clone(state.Sets[:min(state.N, gate.MaxSets)])
		entry.Subject, entry.HasSubject = l.subjects.of(claim.Number, l.o.EntryKey)
		l.setFault(gate.ReasonStoreFault, err)
	}

	rules := l.o.Policy()
	began := time.Now()
	var decision gate.Decision
	switch {
	case fault != nil:
		decision = l.onFault(gate.ReasonStoreFault)
	case rules != nil:
		decision = rules.Decide(in)
	}
	entry.Decide = time.Since(began)
	if rules != nil {
		entry.Policy = rules.Ref()
	}
	entry.Verdict, entry.Class = decision.Verdict, decision.Class
	entry.Reasons = slices.Clone(decision.ReasonList())
	entry.Inputs, entry.DataAge = in, in.DataAge
	return entry, decision
}

// dataAge gives the age in seconds of the oldest set asked; -1 when one is
// missing. Data that central vouched for ahead of our clock are new.
func dataAge(state gate.DataState, now time.Time) int64 {
	if state.Missing || state.AsOf == 0 {
		return -1
	}
	return max(0, (now.UnixMilli()-state.AsOf)/1000)
}

// subjects names people under the site entry key.
type subjects struct {
	key    gate.Key
	pseudo *gate.Pseudonymer
}

// of gives the pseudonym of n, or nothing while the key is missing.
func (s *subjects) of(n gate.Number, entryKey func() (gate.Key, bool)) (gate.Pseudonym, bool) {
	key, ok := entryKey()
	if !ok {
		*s = subjects{}
		return 0, false
	}
	if s.pseudo == nil || s.key != key {
		*s = subjects{key, gate.NewPseudonymer(key)}
	}
	return s.pseudo.Of(n), true
}
