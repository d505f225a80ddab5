// Package policy decides. It owns the rule book of PAYLOADS §7: which facts
// give which class, what a class means at the level of the site, and what
// lists, hours, passes, passages, old data, an unbelievable clock and a
// doubtful card change about it.
//
// [Policy.Decide] is a pure function of [gate.Inputs]: no clock, no disk, no
// network, no allocation, no panic. The same inputs under the same policy give
// the same decision for ever, which is what makes an entry explainable years
// later ([Policy.Explain]). The zero Policy, and a nil one, refuses everybody.
//
// A policy is a typed table, not a program: [Default] is built in, [Parse]
// reads one that central signed (the signature is verified elsewhere), and
// [Policy.Table] prints what it does so that anybody can check it by reading.
// Who is on a list, and when a person is expected, is data and no part of it.
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

	ref      gate.PolicyRef
	level    int           // of the site, 1 to 4
	changes  []LevelChange // announced, in the order of their instants
	zone     *time.Location
	from     time.Time // zero: no limit
	to       time.Time
	params   Params
	order    []Row
	action   actions
	accept   acceptance
	lifts    classSet // classes that a passport may better
	lists    []ListRule
	holidays []gate.Day // in order
	hours    Hours
	passes   PassRules
	passback Passback
	hints    Hints
	texts    map[string]Text

	// Compiled from the above.
	softAge         int64 // seconds
	hardAge         int64
	fromMS, untilMS int64
}

// Params are the numbers in the rules.
type Params struct {
	// DoseDays is how many whole days after the completing dose a person is
	// GREEN, and after the first dose YELLOW.
	DoseDays int
	// MaxDoseAge is the longest age in days of the last dose, boosters
	// included, that still counts as vaccinated; 0: any.
	MaxDoseAge int
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
	// Doubts is how much doubt about a card, by the weights of [Hints], does
	// what these say.
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

// LevelChange announces that the site is at another level from an instant on.
type LevelChange struct {
	From  time.Time
	Level int
}

// numClasses counts [gate.Class], ClassNone included.
const numClasses = int(gate.Block) + 1

// perLevel holds a verdict for each level; its zero refuses.
type perLevel [MaxLevel + 1]gate.Verdict

func (l *perLevel) at(level int) gate.Verdict {
	if level < MinLevel || level > MaxLevel {
		return gate.Deny
	}
	return l[level]
}

// actions is the table class × level → verdict; its zero refuses.
type actions [numClasses]perLevel

func (a *actions) verdict(c gate.Class, level int) gate.Verdict {
	if int(c) >= numClasses {
		return gate.Deny
	}
	return a[c].at(level)
}

// classSet is a set of classes, a bit each.
type classSet uint8

func setOf(classes ...gate.Class) (s classSet) {
	for _, c := range classes {
		s |= 1 << c
	}
	return s
}

func (s classSet) has(c gate.Class) bool { return c <= gate.Block && s>>c&1 != 0 }

// Ref names the policy and its version, as entries carry it.
func (p *Policy) Ref() gate.PolicyRef {
	if p == nil {
		return gate.PolicyRef{}
	}
	return p.ref
}

// Level gives the level of the site that the policy begins with, 1 to 4; 0 for
// the zero Policy. See [Policy.LevelAt] for announced changes.
func (p *Policy) Level() int {
	if p == nil {
		return 0
	}
	return p.level
}

// LevelChanges gives the announced changes, the earliest first.
func (p *Policy) LevelChanges() []LevelChange {
	if p == nil {
		return nil
	}
	return append([]LevelChange(nil), p.changes...)
}

// LevelAt gives the level in force at an instant, and since when; the instant
// is zero where the policy begins with that level.
func (p *Policy) LevelAt(at time.Time) (level int, since time.Time) {
	level = p.Level()
	for _, c := range p.LevelChanges() {
		if at.Before(c.From) {
			break
		}
		level, since = c.Level, c.From
	}
	return level, since
}

// levelAt is LevelAt for Decide. By a clock that cannot tell it is the highest
// level that is announced at all.
func (p *Policy) levelAt(m *moment) int {
	level := p.level
	for i := range p.changes {
		c := &p.changes[i]
		switch {
		case !m.known:
			level = max(level, c.Level)
		case m.now >= c.From.UnixMilli():
			level = c.Level
		}
	}
	return level
}

// Params gives the numbers in the rules.
func (p *Policy) Params() Params {
	if p == nil {
		return Params{}
	}
	return p.params
}

// Zone gives the time zone in which the policy counts days.
func (p *Policy) Zone() *time.Location {
	if p == nil || p.zone == nil {
		return time.UTC
	}
	return p.zone
}

// Validity gives the dates of the policy; zero where there is no limit. The
// policy is no longer in force at to.
func (p *Policy) Validity() (from, to time.Time) {
	if p == nil {
		return time.Time{}, time.Time{}
	}
	return p.from, p.to
}

// AtLevel gives the same policy for a site that is at another level, whatever
// changes are announced. A level outside 1 to 4 refuses everybody.
func (p *Policy) AtLevel(level int) *Policy {
	c := *p
	c.level, c.changes = level, nil
	return &c
}

// compile fills what Decide reads from what the document says.
func (p *Policy) compile() {
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
