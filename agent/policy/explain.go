package policy

import (
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Explanation says how a decision came about. It is for those who may read
// entries: unlike the sentences at the gate it names facts and lists.
type Explanation struct {
	Policy gate.PolicyRef
	// Level in force at the moment of the scan, and since when; zero where
	// the policy begins with it.
	Level      int
	LevelSince time.Time
	At         time.Time // in the zone of the policy
	Inputs     gate.Inputs
	Decision   gate.Decision
	// Steps are the findings in the order in which they were made; the first
	// says which rule gave class and verdict.
	Steps []Step
	// Facts are all that was known of the person, with their age.
	Facts []Fact
	// Changes are the nearest single things that would have made the outcome
	// better, and the next instants at which it changes by itself.
	Changes []Change
}

// Module is the part of the rule book that a step belongs to.
type Module string

// The modules.
const (
	ModuleCredential Module = "credential" // which codes are accepted, and how
	ModuleHealth     Module = "health"     // the rows of PAYLOADS §7.2
	ModulePassport   Module = "passport"
	ModulePass       Module = "pass"
	ModuleLists      Module = "lists"
	ModuleHours      Module = "hours"
	ModulePassback   Module = "passback"
	ModuleData       Module = "data" // age of the data, dates of the policy, clock
	ModuleCard       Module = "card"
)

// ModuleOf says which module a reason belongs to.
func ModuleOf(r gate.Reason) Module {
	switch r {
	case gate.ReasonUnreadable, gate.ReasonUnsupported, gate.ReasonUnsupportedDynamic, gate.ReasonNeedsCard,
		gate.ReasonAmbiguous, gate.ReasonPersonalCode, gate.ReasonMasked, gate.ReasonProxy, gate.ReasonControlChars,
		gate.ReasonOtherNumber:
		return ModuleCredential
	case gate.ReasonDenyList, gate.ReasonListed:
		return ModuleLists
	case gate.ReasonClosed, gate.ReasonOutsideWindow:
		return ModuleHours
	case gate.ReasonAntiPassback, gate.ReasonReentry, gate.ReasonPassagesUnknown:
		return ModulePassback
	case gate.ReasonClockUntrusted, gate.ReasonStaleData, gate.ReasonExpiredData, gate.ReasonNoData, gate.ReasonPolicyNotInForce,
		gate.ReasonStoreFault, gate.ReasonRecordFault, gate.ReasonRelayFault:
		return ModuleData
	case gate.ReasonDoubtfulCard, gate.ReasonCardExpired, gate.ReasonCardDataMismatch, gate.ReasonSexMismatch,
		gate.ReasonBirthYearMismatch, gate.ReasonUnknownPlaceCode, gate.ReasonSixFields, gate.ReasonExtraFields,
		gate.ReasonIssuedEarly:
		return ModuleCard
	case gate.ReasonPassport, gate.ReasonPassportMalformed, gate.ReasonPassportUnknown, gate.ReasonPassportForged,
		gate.ReasonPassportUsage, gate.ReasonPassportEarly, gate.ReasonPassportExpired, gate.ReasonPassportRevoked,
		gate.ReasonPassportMismatch, gate.ReasonPassportTooYoung, gate.ReasonPassportTooOld, gate.ReasonPassportNothing:
		return ModulePassport
	case gate.ReasonPass, gate.ReasonPassMalformed, gate.ReasonPassUnknown, gate.ReasonPassForged, gate.ReasonPassEarly,
		gate.ReasonPassExpired, gate.ReasonPassRevoked, gate.ReasonPassSpent, gate.ReasonPassElsewhere:
		return ModulePass
	}
	return ModuleHealth
}

// Step is one finding.
type Step struct {
	Module Module
	Reason gate.Reason
	// Row is the row of PAYLOADS §7.2 that decided; 0 for other steps.
	Row   int
	Class gate.Class // that the step gave; ClassNone where it gave none
	// From and To are the verdict before and after; equal where the reason is
	// only noted. From is DENY at the first step.
	From, To gate.Verdict
	// First marks the step that gave class and verdict.
	First bool
	// Age and Bound, of a passport that is too young or too old: how old its
	// event was, and how old it has to be at least or may be at most. Days, for
	// a test hours; 0 for other steps.
	Age, Bound int64
}

// Changed says whether the step turned the verdict.
func (s Step) Changed() bool { return s.First || s.From != s.To }

// Fact is one thing that was known, with its age.
type Fact struct {
	Kind FactKind
	Day  gate.Day // 0 where the fact has none
	// Days is the age in calendar days, Hours and Minutes that of tests and
	// passages, each rounded down; below zero they lie ahead.
	Days, Hours, Minutes int64
	Test                 gate.TestKind
	Positive             bool // of a test
	List                 string
	// InForce says whether the window of a list or of a person takes in the
	// moment; true for other facts.
	InForce bool
}

// FactKind is what a [Fact] is about.
type FactKind string

// The kinds of facts.
const (
	FactFirstDose       FactKind = "first_dose"
	FactCompletingDose  FactKind = "completing_dose"
	FactLastDose        FactKind = "last_dose"
	FactRecovery        FactKind = "recovery"
	FactPositiveResult  FactKind = "positive_result"
	FactQuarantineUntil FactKind = "quarantine_until"
	FactTest            FactKind = "test"
	FactList            FactKind = "list"
	FactWindow          FactKind = "window"
	FactCardExpiry      FactKind = "card_expiry"
	FactPassportEvent   FactKind = "passport"
	FactLastEntry       FactKind = "last_entry"
	FactLastExit        FactKind = "last_exit"
)

// trace collects the steps of one decision; nil collects none.
type trace struct{ steps []Step }

func (t *trace) start(c gate.Class, v gate.Verdict, why gate.Reason, _ int) {
	if t == nil {
		return
	}
	s := Step{Module: ModuleOf(why), Reason: why, Class: c, To: v, First: true}
	for row := range numRows {
		if rowRules[row].reason == why {
			s.Row = rowRules[row].no
		}
	}
	switch why {
	case gate.ReasonNoFactCounts:
		s.Row = 7
	case gate.ReasonNoRecord, gate.ReasonAmbiguous:
		s.Row = 8
	}
	t.steps = append(t.steps, s)
}

func (t *trace) step(why gate.Reason, from, to gate.Verdict) {
	if t == nil || from == to && slices.ContainsFunc(t.steps, func(s Step) bool { return s.Reason == why }) {
		return
	}
	t.steps = append(t.steps, Step{Module: ModuleOf(why), Reason: why, From: from, To: to})
}

// Explain decides once more and says why. It allocates.
func (p *Policy) Explain(in gate.Inputs) Explanation {
	var t trace
	d := p.decide(&in, &t)
	e := Explanation{
		Policy: p.Ref(), At: time.UnixMilli(in.Now).In(p.Zone()), Inputs: in, Decision: d, Steps: t.steps,
	}
	e.Level, e.LevelSince = p.LevelAt(e.At)
	if p == nil || !p.built {
		return e
	}
	p.measure(e.Steps, &in)
	e.Facts = p.facts(&in)
	e.Changes = p.whatWouldChange(&in, d)
	return e
}

// measure fills in by how much a passport is too young or too old.
func (p *Policy) measure(steps []Step, in *gate.Inputs) {
	for i := range steps {
		if s := &steps[i]; s.Reason == gate.ReasonPassportTooYoung || s.Reason == gate.ReasonPassportTooOld {
			m := p.moment(in.Now, in.Clock, p.params.Clock)
			says := p.passportSays(&in.Passport, &m)
			s.Age, s.Bound = says.age, says.bound
		}
	}
}

// facts lists what the inputs say, the most telling first.
func (p *Policy) facts(in *gate.Inputs) (facts []Fact) {
	m := p.moment(in.Now, in.Clock, p.params.Clock)
	add := func(kind FactKind, day gate.Day) {
		if day != 0 {
			facts = append(facts, Fact{Kind: kind, Day: day, Days: int64(m.today) - int64(day), InForce: true})
		}
	}
	ago := func(ms int64) int64 { return floorDiv(in.Now-ms, 60_000) }
	f := &in.Facts
	wordKinds := map[gate.FactKind]FactKind{
		gate.FactCompleted: FactCompletingDose, gate.FactRecovered: FactRecovery, gate.FactBegun: FactFirstDose,
		gate.FactPositive: FactPositiveResult, gate.FactQuarantine: FactQuarantineUntil,
	}
	word := wordKinds[f.Word.Kind()]
	if f.Found && word != "" {
		add(word, f.Day())
	}
	if f.HasExtras {
		e := &f.Extras
		for _, x := range []struct {
			kind FactKind
			day  gate.Day
		}{
			{FactPositiveResult, e.Positive},
			{FactQuarantineUntil, e.Quarantine},
			{FactCompletingDose, e.Completed},
			{FactFirstDose, e.FirstDose},
			{FactLastDose, e.LastDose},
			{FactRecovery, e.Recovered},
		} {
			if x.kind != word || x.day != f.Day() {
				add(x.kind, x.day)
			}
		}
		for _, t := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
			ms := int64(t.Sampled) * 60_000
			day := p.day(ms)
			facts = append(facts, Fact{
				Kind: FactTest, Day: day, Days: int64(m.today) - int64(day), Minutes: ago(ms), Test: t.Kind, Positive: t.Positive, InForce: true,
			})
		}
		for i := range e.Lists[:min(int(e.ListN), len(e.Lists))] {
			l := &e.Lists[i]
			rule, _ := p.listRule(l.List)
			in := l.Window.Contains(m.today, m.minute) && (rule == nil || p.within(rule.Hours, rule.NotOnHolidays, &m))
			facts = append(facts, Fact{Kind: FactList, List: l.List, InForce: in})
		}
		if !e.Window.IsZero() {
			facts = append(facts, Fact{Kind: FactWindow, InForce: e.Window.Contains(m.today, m.minute)})
		}
	}
	if pp := &in.Passport; pp.Proof == gate.ProofGood && (pp.Matched || pp.Event != gate.PassportNothing) {
		fact := Fact{Kind: FactPassportEvent, Day: pp.Day, Days: int64(m.today) - int64(pp.Day), InForce: pp.Matched}
		if pp.Event == gate.PassportTest {
			ms := int64(pp.Test.Sampled) * 60_000
			fact.Day, fact.Minutes, fact.Test, fact.Positive = p.day(ms), ago(ms), pp.Test.Kind, pp.Test.Positive
			fact.Days = int64(m.today) - int64(fact.Day)
		}
		facts = append(facts, fact)
	}
	add(FactCardExpiry, in.CardExpires)
	for _, x := range []struct {
		kind FactKind
		at   int64
	}{{FactLastEntry, in.Passages.In}, {FactLastExit, in.Passages.Out}} {
		if x.at > 0 {
			day := p.day(x.at)
			facts = append(facts, Fact{Kind: x.kind, Day: day, Days: int64(m.today) - int64(day), Minutes: ago(x.at), InForce: true})
		}
	}
	for i := range facts {
		facts[i].Hours = floorDiv(facts[i].Minutes, 60)
	}
	return facts
}
