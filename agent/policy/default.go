package policy

import (
	"time"
	_ "time/tzdata" // a box has no zone files of its own

	"gateagent/agent/gate"
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
	p.compile()
	return p
}

// levels lays the verdicts of the levels 1 to 4 into a row of the action table.
func levels(l1, l2, l3, l4 gate.Verdict) [MaxLevel + 1]gate.Verdict {
	return [MaxLevel + 1]gate.Verdict{1: l1, 2: l2, 3: l3, 4: l4}
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
	return time.LoadLocation(name)
}
