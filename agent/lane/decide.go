package lane

import (
	"errors"
	"slices"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
)

// handle takes one scan all the way.
func (l *Lane) handle(scan gate.Scan) {
	entry, decision, read := l.decide(scan)
	l.stats.count(func(s *Stats) {
		s.Decisions[decision.Verdict]++
		s.LastScan = entry.Time
	})
	o := Outcome{Entry: entry, Read: read, Shown: decision}
	if decision.Verdict == gate.Retry && entry.Needs == "" && !l.worthRecording(&o.Entry) {
		o.Thinned = true
	} else {
		receipt := l.act(scan.Seen, &o)
		if entry.Needs != "" {
			l.held.receipt = receipt
		}
	}
	if !o.Opened {
		o.Took = time.Since(scan.Seen)
	}
	l.stats.took(&o)
	l.o.OnOutcome(o)
}

// decide finds out who that is, what is known and what follows from it. The
// payload is overwritten, at once or when the second half of a two-step scan
// has come.
func (l *Lane) decide(scan gate.Scan) (e gate.Entry, d gate.Decision, read gate.CredentialKind) {
	now, level := l.o.Clock.Reading()
	began := time.Now()
	who := shown{claim: gate.Claim{Kind: gate.KindUnreadable}, read: gate.KindUnreadable}
	if !scan.Unreadable {
		who = l.look(scan.Payload, now)
	}
	in := gate.Inputs{
		Now: now.UnixMilli(), Direction: l.o.Direction, Credential: who.claim.Kind,
		Flags: who.claim.Warnings, CardExpires: who.claim.Expires.Day(),
		Passport: who.passport, Pass: who.pass.Pass, DataAge: -1, Clock: level,
	}
	entry := gate.Entry{
		Time: now, Lane: l.o.Name, Direction: l.o.Direction, Credential: who.claim.Kind,
		Clock: level, Decode: scan.Decode, Ref: who.ref,
	}
	l.name(&entry, &who)
	var fault error
	if who.claim.Number.Valid() {
		facts, state, err := l.o.Facts.Facts(who.claim.Number, who.claim.Card)
		in.Facts, in.DataAge, fault = facts, dataAge(state, now), err
		entry.Data = slices.Clone(state.Sets[:min(state.N, gate.MaxSets)])
		l.setFault(gate.ReasonStoreFault, err)
	}
	in.Passages = l.lastPassages(&entry, &who)
	if who.claim.Number.Valid() || who.passport.Proof != gate.ProofNone || who.pass.Proof != gate.ProofNone {
		entry.Lookup = time.Since(began)
	}

	rules := l.o.Policy()
	began = time.Now()
	var decision gate.Decision
	switch {
	case fault != nil:
		decision = l.onFault(gate.ReasonStoreFault)
	case rules != nil:
		decision = rules.Decide(in)
		if in.Passages.Unknown && slices.Contains(decision.ReasonList(), gate.ReasonPassagesUnknown) {
			waited := l.awaitPassages()
			entry.Lookup += waited
			began = began.Add(waited)
			in.Passages = l.lastPassages(&entry, &who)
			decision = rules.Decide(in)
		}
		if decision.Verdict.Opens() && in.Pass.Single {
			decision = l.spend(&in, who.pass.ID, rules, decision)
		}
		entry.Needs = l.needs(&who, &in, &decision, rules)
		entry.Shadow = l.shadow(&in)
	}
	entry.Decide = time.Since(began)
	if rules != nil {
		entry.Policy = rules.Ref()
	}
	if entry.Needs != "" {
		l.holdBack(entry.Needs, scan.Payload)
	} else {
		clear(scan.Payload)
	}
	entry.Verdict, entry.Class = decision.Verdict, decision.Class
	entry.Reasons = slices.Clone(decision.ReasonList())
	entry.Inputs, entry.DataAge = in, in.DataAge
	return entry, decision, who.read
}

// name gives the entry its subject: whom the number names, or the pass that
// somebody we trust has signed.
func (l *Lane) name(e *gate.Entry, who *shown) {
	pseudo := l.subjects.under(l.o.EntryKey)
	switch {
	case pseudo == nil:
	case who.claim.Number.Valid():
		e.Subject, e.HasSubject = pseudo.Of(who.claim.Number), true
	case who.pass.ID != (pass.ID{}):
		e.Subject, e.HasSubject = pseudo.OfPass(who.pass.ID), true
	}
}

// lastPassages gives when somebody last passed. Who has a number or a pass and
// cannot be named, because the key is missing, may have passed at any time.
func (l *Lane) lastPassages(e *gate.Entry, who *shown) gate.Passages {
	switch {
	case l.o.Passages == nil:
		return gate.Passages{}
	case e.HasSubject:
		return l.o.Passages.Last(e.Subject)
	}
	return gate.Passages{Unknown: who.claim.Number.Valid() || who.pass.ID != (pass.ID{})}
}

// awaitPassages waits until what can be known of passages is known, no longer
// than a person waits for an entry, and says how long it took.
func (l *Lane) awaitPassages() time.Duration {
	began := time.Now()
	patience := time.NewTimer(l.o.RecordWait)
	defer patience.Stop()
	select {
	case <-l.o.Passages.Settled():
	case <-patience.C:
	}
	return time.Since(began)
}

// spend uses up a pass that is for one entry. It is spent before the entry is
// written, so that of two lanes that decided at once one learns that it came
// second, and a power cut may cost a visitor the way to the guard but never
// lets two in. Where that cannot be noted, the guard decides.
func (l *Lane) spend(in *gate.Inputs, id pass.ID, rules Rules, d gate.Decision) gate.Decision {
	if l.o.Direction == gate.DirectionOut {
		return d
	}
	fresh, err := false, errNoSpend
	if l.o.Spend != nil {
		fresh, err = l.o.Spend(id, in.Pass)
	}
	switch {
	case err != nil:
		l.log.Error("a pass for one entry could not be spent", "err", err)
		d = gate.Decision{Verdict: gate.ManualCheck, Class: d.Class}
		d.Add(gate.ReasonStoreFault)
		d.Add(gate.ReasonPass)
	case !fresh:
		in.Pass.Proof, in.Pass.Why = gate.ProofBad, gate.ReasonPassSpent
		d = rules.Decide(*in)
	}
	return d
}

var errNoSpend = errors.New("this box keeps no account of passes")

// shadow gives what the policy that is only tried would have decided.
func (l *Lane) shadow(in *gate.Inputs) *gate.Shadow {
	if l.o.Shadow == nil {
		return nil
	}
	rules := l.o.Shadow()
	if rules == nil {
		return nil
	}
	d := rules.Decide(*in)
	return &gate.Shadow{Policy: rules.Ref(), Verdict: d.Verdict, Reasons: slices.Clone(d.ReasonList())}
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

// under gives what names people, or nil while the key is missing.
func (s *subjects) under(entryKey func() (gate.Key, bool)) *gate.Pseudonymer {
	key, ok := entryKey()
	if !ok {
		*s = subjects{}
		return nil
	}
	if s.pseudo == nil || s.key != key {
		*s = subjects{key, gate.NewPseudonymer(key)}
	}
	return s.pseudo
}
