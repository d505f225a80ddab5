package policy

import (
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/zones"
)

// DefaultID names the built-in policy.
const DefaultID = "vn-2021-default"

// Default gives `vn-2021-default` of PAYLOADS §7.2, version 0, for a site at
// level 4: in force until a signed policy has come.
func Default() *Policy {
	p := &Policy{
		ref:   gate.PolicyRef{ID: DefaultID},
		level: MaxLevel,
		zone:  vietnam,
		params: Params{
			DoseDays:      14,
			RecoveredDays: 180,
			PCRHours:      72,
			SoftAge:       24 * time.Hour,
			HardAge:       72 * time.Hour,
			Clock:         gate.ClockRTC,
			Doubts:        2,
			ExpiredCard:   ExpiredCardWarns,
		},
		action: actions{
			gate.Green:   levels(gate.Allow, gate.Allow, gate.Allow, gate.Allow),
			gate.Yellow:  levels(gate.Allow, gate.Allow, gate.AllowNotice, gate.ManualCheck),
			gate.Red:     levels(gate.AllowNotice, gate.ManualCheck, gate.ManualCheck, gate.Deny),
			gate.Unknown: levels(gate.ManualCheck, gate.ManualCheck, gate.ManualCheck, gate.ManualCheck),
			gate.Block:   levels(gate.DenyAlert, gate.DenyAlert, gate.DenyAlert, gate.DenyAlert),
		},
		texts: defaultTexts(),
	}
	p.defaults()
	p.compile()
	return p
}

// defaults sets what a document need not say: no lists but those that block by
// their name, no hours, no rule about passages.
func (p *Policy) defaults() {
	p.order = defaultOrder()
	p.accept = acceptance{
		credCCCD: AcceptJudged, credCC: AcceptJudged, credQRQG: AcceptNotice, credMasked: AcceptManual,
		credBHYT: AcceptManual, credDCC: AcceptWithCard, credPass: AcceptJudged,
	}
	p.lifts = setOf(gate.Yellow, gate.Red, gate.Unknown)
	p.hours.Outside = [numClasses]gate.Verdict{
		gate.ClassNone: gate.ManualCheck, gate.Green: gate.ManualCheck, gate.Yellow: gate.ManualCheck,
		gate.Red: gate.ManualCheck, gate.Unknown: gate.ManualCheck,
	}
	p.passes.clock = p.params.Clock
	for _, k := range passKinds { // nothing is known of their health: as YELLOW
		p.passes.actions[k] = levels(gate.Allow, gate.Allow, gate.AllowNotice, gate.ManualCheck)
	}
	p.passes.bad = [numBadPasses]gate.Verdict{
		badMalformed: gate.Retry, badUnknown: gate.ManualCheck, badForged: gate.Deny, badEarly: gate.ManualCheck,
		badExpired: gate.Deny, badRevoked: gate.Deny, badSpent: gate.Deny, badElsewhere: gate.Deny,
	}
	p.hints = Hints{Effect: HintManual, Weight: [numHints]int{hintSex: 1, hintBirthYear: 1, hintPlaceCode: 1, hintCardData: 1}}
}

// levels lays the verdicts of the levels 1 to 4 into a row of the action table.
func levels(l1, l2, l3, l4 gate.Verdict) perLevel {
	return perLevel{1: l1, 2: l2, 3: l3, 4: l4}
}

// vietnamZone is the zone of every policy so far.
const vietnamZone = "Asia/Ho_Chi_Minh"

// vietnam is a constant offset: there has been no summer time since 1975, and
// so an old decision does not hang on which zone files a machine has.
var vietnam = time.FixedZone(vietnamZone, 7*60*60)

func loadZone(name string) (*time.Location, error) {
	if name == vietnamZone {
		return vietnam, nil
	}
	return zones.Load(name)
}
