package policy

import (
	"time"

	"gateagent/agent/gate"
)

// Passback bounds how people may come and go through the lanes of one box. It
// counts passages; what happens at other boxes it cannot know.
type Passback struct {
	// In is what entering twice without leaving does, Out what leaving twice
	// without entering does, Reentry what coming back too soon does.
	In, Out, Reentry Strength
	// Forgive is after which time a passage no longer counts for In and Out;
	// whole minutes.
	Forgive time.Duration
	// Interval is the shortest time between any passage and the next entry;
	// whole minutes.
	Interval time.Duration
}

// Strength is how a rule about passages is meant.
type Strength uint8

// The strengths.
const (
	Off  Strength = iota
	Soft          // who would pass, passes with notice
	Hard          // who would pass, sees the guard
)

var strengthNames = [...]string{"off", "soft", "hard"}

func (s Strength) String() string {
	if int(s) < len(strengthNames) {
		return strengthNames[s]
	}
	return "invalid"
}

// PassageWindow gives how long the last passage of a person has to be
// remembered for this policy; 0: not at all.
func (p *Policy) PassageWindow() time.Duration {
	if p == nil {
		return 0
	}
	b := p.passback
	var longest time.Duration
	if b.In != Off || b.Out != Off {
		longest = b.Forgive
	}
	if b.Reentry != Off {
		longest = max(longest, b.Interval)
	}
	return longest
}

// passages holds the last passages of a person against the rules. Passages
// longer ago than is forgiven count for nothing. Those that lie after now were
// made all the same, before the clock was set back: they count as made just now.
// Where there may have been others, each rule does as if there were.
func (p *Policy) passages(in *gate.Inputs, m *moment, w *weighing) {
	b := &p.passback
	came, went := in.Passages.In, in.Passages.Out
	within := func(at int64, d time.Duration) bool { return at > 0 && at >= m.now-d.Milliseconds() }
	if !enters(in.Direction) {
		if b.Out != Off && went > came && within(went, b.Forgive) {
			w.limit(b.Out, gate.ReasonAntiPassback)
		}
		if in.Passages.Unknown && b.Out != Off {
			w.limit(b.Out, gate.ReasonPassagesUnknown)
		}
		return
	}
	if b.In != Off && came > went && within(came, b.Forgive) {
		w.limit(b.In, gate.ReasonAntiPassback)
	}
	if latest := max(came, went); b.Reentry != Off && latest > m.now-b.Interval.Milliseconds() && latest > 0 {
		w.limit(b.Reentry, gate.ReasonReentry)
	}
	if strictest := max(b.In, b.Reentry); in.Passages.Unknown && strictest != Off {
		w.limit(strictest, gate.ReasonPassagesUnknown)
	}
}

// limit lets nobody pass who would without notice, or without the guard.
func (w *weighing) limit(s Strength, why gate.Reason) {
	to := gate.AllowNotice
	if s == Hard {
		to = gate.ManualCheck
	}
	w.tighten(to, why)
}
