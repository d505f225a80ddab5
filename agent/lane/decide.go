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
	defer l.passed(time.Time{}) // whom nothing was opened for
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

// inquiry is one scan while it is being decided.
type inquiry struct {
	who   shown
	in    gate.Inputs
	entry gate.Entry
	fault error // the data could not be read
	rules Rules
}

// asks says whether there is anybody to look up.
func (q *inquiry) asks() bool {
	return q.who.claim.Number.Valid() || q.who.passport.Proof != gate.ProofNone || q.who.pass.Proof != gate.ProofNone
}

// decide finds out who that is, what is known and what follows from it. The
// payload is overwritten, at once or when the second half of a two-step scan
// has come.
func (l *Lane) decide(scan gate.Scan) (gate.Entry, gate.Decision, gate.CredentialKind) {
	began := time.Now()
	q := l.inquire(scan)
	looked := time.Since(began)

	began = time.Now()
	decision, waited := l.judge(&q)
	if decision.Verdict.Opens() && q.in.Pass.Single {
		decision = l.spend(&q.in, q.who.pass.ID, q.rules, decision)
	}
	if !decision.Verdict.Opens() {
		l.passed(time.Time{})
	}
	e := &q.entry
	if q.fault == nil && q.rules != nil {
		e.Needs = l.needs(&q.who, &q.in, &decision, q.rules)
		e.Shadow = l.shadow(&q.in)
	}
	e.Decide = time.Since(began) - waited
	if e.Lookup = waited; q.asks() {
		e.Lookup += looked
	}

	if e.Needs != "" {
		l.holdBack(e.Needs, scan.Payload)
	} else {
		clear(scan.Payload)
	}
	if q.rules != nil {
		e.Policy = q.rules.Ref()
	}
	e.Verdict, e.Class = decision.Verdict, decision.Class
	e.Reasons = slices.Clone(decision.ReasonList())
	e.Inputs, e.DataAge = q.in, q.in.DataAge
	return *e, decision, q.who.read
}

// inquire finds out who that is and what the data sets say; passages are asked
// for when it is decided.
func (l *Lane) inquire(scan gate.Scan) inquiry {
	now, level := l.o.Clock.Reading()
	who := shown{claim: gate.Claim{Kind: gate.KindUnreadable}, read: gate.KindUnreadable}
	if !scan.Unreadable {
		who = l.look(scan.Payload, now)
	}
	q := inquiry{
		who: who,
		in: gate.Inputs{
			Now: now.UnixMilli(), Direction: l.o.Direction, Credential: who.claim.Kind,
			Flags: who.claim.Warnings, CardExpires: who.claim.Expires.Day(),
			Passport: who.passport, Pass: who.pass.Pass, DataAge: -1, Clock: level,
		},
		entry: gate.Entry{
			Time: now, Lane: l.o.Name, Direction: l.o.Direction, Credential: who.claim.Kind,
			Clock: level, Decode: scan.Decode, Ref: who.ref,
		},
	}
	l.name(&q.entry, &who)
	if who.claim.Number.Valid() {
		facts, state, err := l.o.Facts.Facts(who.claim.Number, who.claim.Card)
		q.in.Facts, q.in.DataAge, q.fault = facts, dataAge(state, now), err
		q.entry.Data = slices.Clone(state.Sets[:min(state.N, gate.MaxSets)])
		l.setFault(gate.ReasonStoreFault, err)
	}
	q.rules = l.o.Policy()
	return q
}

// judge decides on somebody by their last passages, and waits once for those
// that are not read back yet where the decision turns on them. Somebody for whom
// it opens is passing from then on, for every lane, until [Lane.passed].
func (l *Lane) judge(q *inquiry) (d gate.Decision, waited time.Duration) {
	for asked := false; ; asked = true {
		wait := false
		decide := func(last gate.Passages) (opens bool) {
			q.in.Passages = last
			d = l.rule(q)
			wait = !asked && last.Unknown && slices.Contains(d.ReasonList(), gate.ReasonPassagesUnknown)
			return d.Verdict.Opens() && !wait
		}
		switch {
		case l.o.Passages == nil:
			decide(gate.Passages{})
		case q.entry.HasSubject:
			l.passing = l.o.Passages.Decide(q.entry.Subject, l.o.Direction, q.entry.Time, decide)
		default:
			// Who has a number or a pass and cannot be named, because the key is
			// missing, may have passed at any time.
			decide(gate.Passages{Unknown: q.who.claim.Number.Valid() || q.who.pass.ID != (pass.ID{})})
		}
		if !wait {
			return d, waited
		}
		waited = l.awaitPassages()
	}
}

// rule gives the decision on what is known, or what is to be done without any.
func (l *Lane) rule(q *inquiry) gate.Decision {
	switch {
	case q.fault != nil:
		return l.onFault(gate.ReasonStoreFault)
	case q.rules != nil:
		return q.rules.Decide(q.in)
	}
	return gate.Decision{}
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
