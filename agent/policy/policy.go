// Package policy decides. It owns the rule book of PAYLOADS §7: which facts
// give which class, what a class means at the level of the site, and what old
// data, an unbelievable clock and a doubtful card change about it.
//
// [Policy.Decide] is a pure function of [gate.Inputs]: no clock, no disk, no
// network, no allocation, no panic. The same inputs under the same policy give
// the same decision for ever, which is what makes an entry explainable years
// later. The zero Policy, and a nil one, refuses everybody.
//
// A policy is a typed table, not a program: [Default] is built in, [Parse]
// reads one that central signed (the signature is verified elsewhere), and
// [Policy.Table] prints what it does so that anybody can check it by reading.
//
// Of the lists that a person can be on, "deny" and "watch" block (row 1); all
// others mean nothing yet.
//
// Units: ages of facts and cards are calendar days in the time zone of the
// policy, ages of data are hours in the document and seconds in Inputs.
package policy

import (
	"math"
	"time"

	"gateagent/agent/gate"
)

// Policy is one version of the rule book, immutable and safe for concurrent
// use. It is made by [Default], [Parse] or [ParseDraft].
type Policy struct {
	// built is false in the zero value only, which refuses.
	built bool

	ref    gate.PolicyRef
	level  int // of the site, 1 to 4
	zone   *time.Location
	from   time.Time // zero: no limit
	to     time.Time
	params Params
	action actions
	texts  map[string]Text

	// Compiled from the above.
	rules           []rule
	softAge         int64 // seconds
	hardAge         int64
	fromMS, untilMS int64
}

// Params are the numbers in the rules.
type Params struct {
	// DoseDays is how many whole days after the completing dose a person is
	// GREEN, and after the first dose YELLOW.
	DoseDays int
	// RecoveredDays is the last day after recovery on which a person is GREEN.
	RecoveredDays int
	// PCRHours and AntigenHours are how long a negative test of the kind makes
	// a person YELLOW, from the minute of the sample; 0: it does not count.
	PCRHours, AntigenHours int
	// SoftAge and HardAge: data older than this is marked; is not trusted.
	// Whole hours.
	SoftAge, HardAge time.Duration
	// Clock is the least believable clock that rules needing time accept.
	Clock gate.ClockLevel
	// Doubts is how many doubts about a card send its bearer to the guard.
	Doubts int
	// ExpiredCard says what an expired card does.
	ExpiredCard ExpiredCard
}

// ExpiredCard is what a policy does about a card that is no longer good.
type ExpiredCard uint8

// The choices; the first is the default of PAYLOADS §1.3.
const (
	ExpiredCardWarns   ExpiredCard = iota // a reason, nothing more
	ExpiredCardManual                     // who would pass sees the guard
	ExpiredCardRefuses                    // refused
)

var expiredCardNames = [...]string{"warn", "manual", "deny"}

func (e ExpiredCard) String() string {
	if int(e) < len(expiredCardNames) {
		return expiredCardNames[e]
	}
	return "invalid"
}

// Levels of a site: 1 low to 4 very high (Resolution 128/NQ-CP).
const (
	MinLevel = 1
	MaxLevel = 4
)

// numClasses counts [gate.Class], ClassNone included.
const numClasses = int(gate.Block) + 1

// actions is the table class × level → verdict; its zero refuses.
type actions [numClasses][MaxLevel + 1]gate.Verdict

func (a *actions) verdict(c gate.Class, level int) gate.Verdict {
	if int(c) >= numClasses || level < MinLevel || level > MaxLevel {
		return gate.Deny
	}
	return a[c][level]
}

// Ref names the policy and its version, as entries carry it.
func (p *Policy) Ref() gate.PolicyRef {
	if p == nil {
		return gate.PolicyRef{}
	}
	return p.ref
}

// Level gives the level of the site, 1 to 4; 0 for the zero Policy.
func (p *Policy) Level() int {
	if p == nil {
		return 0
	}
	return p.level
}

// Params gives the numbers in the rules.
func (p *Policy) Params() Params {
	if p == nil {
		return Params{}
	}
	return p.params
}

// AtLevel gives the same policy for a site at another level. A level outside
// 1 to 4 refuses everybody.
func (p *Policy) AtLevel(level int) *Policy {
	c := *p
	c.level = level
	return &c
}

// compile fills what Decide reads from what the document says.
func (p *Policy) compile() {
	p.rules = rulesFor(p.params)
	p.softAge = int64(p.params.SoftAge / time.Second)
	p.hardAge = int64(p.params.HardAge / time.Second)
	p.fromMS, p.untilMS = math.MinInt64, math.MaxInt64
	if !p.from.IsZero() {
		p.fromMS = p.from.UnixMilli()
	}
	if !p.to.IsZero() {
		p.untilMS = p.to.UnixMilli()
	}
	p.built = true
}

// Decide judges one scan. The order of the steps, each of which may only keep
// the gate shut where the step before would have opened it:
//
//  1. What carries no number is answered RETRY.
//  2. The rules give a class, the level of the site a verdict.
//  3. A policy out of its dates, data too old or missing, or a clock that
//     cannot tell: nobody passes on it but GREEN on old data, with notice.
//  4. A doubtful or, if the policy says so, an expired card; a card whose data
//     are not central's passes with notice at most.
//  5. A person outside the window of days and hours that is their own.
//
// BLOCK survives every step: what blocks does not stop blocking because
// something else is broken.
func (p *Policy) Decide(in gate.Inputs) gate.Decision {
	if p == nil || !p.built {
		return gate.Decision{}
	}
	if r, retry := retryReason(in.Credential); retry {
		d := gate.Decision{Verdict: gate.Retry}
		d.Add(r)
		return d
	}

	m := p.moment(in.Now, in.Clock)
	timeKnown, today := m.known, m.today
	found := p.judge(&in.Facts, m)
	if in.DataAge < 0 && found.class != gate.Block {
		// A set is missing: what another one says about the person may not
		// be all there is to say.
		found = finding{class: gate.Unknown, reason: gate.ReasonNoData}
	}
	w := weighing{class: found.class, verdict: p.action.verdict(found.class, p.level)}

	if !timeKnown {
		w.hold(gate.ReasonClockUntrusted)
	} else if in.Now < p.fromMS || in.Now >= p.untilMS {
		w.hold(gate.ReasonPolicyNotInForce)
	}
	switch {
	case in.DataAge < 0:
		w.hold(gate.ReasonNoData)
	case !timeKnown: // an age by that clock means nothing
	case in.DataAge > p.hardAge:
		w.age(gate.ReasonExpiredData)
	case in.DataAge > p.softAge:
		w.note(gate.ReasonStaleData)
	}
	if timeKnown && in.CardExpires != 0 && today >= in.CardExpires {
		w.expiredCard(p.params.ExpiredCard)
	}
	doubts := in.Flags.Doubts()
	if in.Facts.CardMismatch {
		doubts++
		w.mismatch()
	}
	if doubts >= p.params.Doubts {
		w.doubtful()
	}
	if timeKnown && in.Facts.HasExtras && !in.Facts.Extras.Window.Contains(m.today, m.minute) {
		w.hold(gate.ReasonOutsideWindow)
	}

	d := gate.Decision{Verdict: w.verdict, Class: w.class}
	for _, r := range w.turned[:w.nTurned] {
		d.Add(r)
	}
	d.Add(found.reason)
	if found.ignoredFuture {
		d.Add(gate.ReasonFutureFact)
	}
	for _, r := range w.noted[:w.nNoted] {
		d.Add(r)
	}
	addFlags(&d, in.Flags)
	return d
}

// retryReason says why a scan that names nobody is answered RETRY.
func retryReason(k gate.CredentialKind) (gate.Reason, bool) {
	switch k {
	case gate.KindCCCD, gate.KindCC:
		return "", false
	case gate.KindUnreadable:
		return gate.ReasonUnreadable, true
	case gate.KindVNeIDDynamic:
		return gate.ReasonUnsupportedDynamic, true
	}
	return gate.ReasonUnsupported, true
}

// moment reads the clock of a scan.
func (p *Policy) moment(nowMS int64, level gate.ClockLevel) moment {
	m := moment{known: p.params.Clock <= level && level <= gate.ClockCentral, now: nowMS, today: p.day(nowMS)}
	_, offset := time.Unix(floorDiv(nowMS, 1000), 0).In(p.zone).Zone()
	seconds := floorDiv(nowMS, 1000) + int64(offset)
	m.minute = int((seconds - floorDiv(seconds, 86400)*86400) / 60)
	return m
}

// day gives the calendar day of an instant in the policy's time zone. Instants
// beyond the range of a Day, which only a broken clock shows, end at its ends.
func (p *Policy) day(nowMS int64) gate.Day {
	seconds := floorDiv(nowMS, 1000)
	_, offset := time.Unix(seconds, 0).In(p.zone).Zone()
	day := floorDiv(seconds+int64(offset), 86400)
	return gate.Day(max(math.MinInt32, min(math.MaxInt32, day)))
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// weighing is a verdict on its way through the steps of Decide, with the
// reasons that turned it and those that are only noted.
type weighing struct {
	class   gate.Class
	verdict gate.Verdict

	turned  [gate.MaxReasons]gate.Reason // last step first: it decided
	nTurned int
	noted   [gate.MaxReasons]gate.Reason
	nNoted  int
}

// turn changes the verdict for a reason; when there is nothing to change the
// reason is noted.
func (w *weighing) turn(to gate.Verdict, why gate.Reason) {
	if w.verdict == to {
		w.note(why)
		return
	}
	w.verdict = to
	if w.nTurned < len(w.turned) {
		copy(w.turned[1:], w.turned[:w.nTurned])
		w.turned[0] = why
		w.nTurned++
	}
}

func (w *weighing) note(why gate.Reason) {
	if w.nNoted < len(w.noted) {
		w.noted[w.nNoted] = why
		w.nNoted++
	}
}

// hold sends everybody to the guard whom nothing blocks.
func (w *weighing) hold(why gate.Reason) {
	if w.class == gate.Block {
		w.note(why)
		return
	}
	w.turn(gate.ManualCheck, why)
}

// age applies the hard age: GREEN passes with notice, BLOCK blocks, everybody
// else, also who would have been refused, sees the guard.
func (w *weighing) age(why gate.Reason) {
	if w.class == gate.Green && w.verdict.Opens() {
		w.turn(gate.AllowNotice, why)
		return
	}
	w.hold(why)
}

func (w *weighing) expiredCard(rule ExpiredCard) {
	switch {
	case rule == ExpiredCardRefuses && w.verdict != gate.DenyAlert:
		w.turn(gate.Deny, gate.ReasonCardExpired)
	case rule == ExpiredCardManual && w.verdict.Opens():
		w.turn(gate.ManualCheck, gate.ReasonCardExpired)
	default:
		w.note(gate.ReasonCardExpired)
	}
}

// mismatch shows the guard a card whose data are not central's: data are wrong
// more often than cards, so it refuses nobody.
func (w *weighing) mismatch() {
	if w.verdict == gate.Allow {
		w.turn(gate.AllowNotice, gate.ReasonCardDataMismatch)
		return
	}
	w.note(gate.ReasonCardDataMismatch)
}

// doubtful sends to the guard whoever is not refused already.
func (w *weighing) doubtful() {
	if w.verdict == gate.Deny || w.verdict == gate.DenyAlert {
		w.note(gate.ReasonDoubtfulCard)
		return
	}
	w.turn(gate.ManualCheck, gate.ReasonDoubtfulCard)
}

func addFlags(d *gate.Decision, flags gate.ClaimFlags) {
	var buf [gate.MaxReasons]gate.Reason
	for _, r := range flags.AppendReasons(buf[:0]) {
		d.Add(r)
	}
}
