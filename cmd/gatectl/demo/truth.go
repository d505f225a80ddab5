package demo

import "gateagent/agent/gate"

// what a person (or a thing) holds in front of the camera.
type shown uint8

const (
	card      shown = iota // an ID card that can be read
	damaged                // a card whose code is scratched beyond reading
	phone                  // a phone with a code that is not a card
	emptyCard              // a card held the wrong way round: no code in view
)

// row is one line of the truth: who comes, what central's list says about
// them, and what the gate must do. It is written by hand from the published
// rules (the first matching row decides; level 3 and level 4 of the site) and
// knows nothing of the program's own policy code.
type row struct {
	name string
	show shown
	// facts for the list, in days before today; nil: not on the list.
	facts *facts
	// text is the payload of a phone, with a place for a number; on a card it
	// says that the card's own data do not fit together.
	text           string
	level3, level4 gate.Verdict
	none           bool // no entry at all
}

// facts is a line of the people file, in days before today; 0 means "not so".
type facts struct {
	doses      []dose
	positive   int
	recovered  int
	quarantine int // last day in force, in days after today; negative: over
}

type dose struct{ n, of, ago int }

const (
	allow  = gate.Allow
	notice = gate.AllowNotice
	retry  = gate.Retry
	manual = gate.ManualCheck
	deny   = gate.Deny
	alert  = gate.DenyAlert
)

// truth has every class, its boundary days, and what cannot be judged.
var truth = []row{
	{name: "two doses, long ago", facts: &facts{doses: []dose{{1, 2, 90}, {2, 2, 60}}}, level3: allow, level4: allow},
	{name: "completing dose exactly 14 days ago", facts: &facts{doses: []dose{{1, 2, 44}, {2, 2, 14}}}, level3: allow, level4: allow},
	{name: "single-dose vaccine, 20 days ago", facts: &facts{doses: []dose{{1, 1, 20}}}, level3: allow, level4: allow},
	{name: "recovered exactly 180 days ago", facts: &facts{recovered: 180}, level3: allow, level4: allow},
	{name: "first dose 30 days ago", facts: &facts{doses: []dose{{1, 2, 30}}}, level3: notice, level4: manual},
	{name: "first dose exactly 14 days ago", facts: &facts{doses: []dose{{1, 2, 14}}}, level3: notice, level4: manual},
	{name: "first dose 13 days ago", facts: &facts{doses: []dose{{1, 2, 13}}}, level3: manual, level4: deny},
	{name: "recovered 181 days ago", facts: &facts{recovered: 181}, level3: manual, level4: deny},
	{name: "on the list, nothing that counts", facts: &facts{}, level3: manual, level4: deny},
	{name: "quarantine ended yesterday", facts: &facts{quarantine: -1}, level3: manual, level4: deny},
	{name: "quarantine until tomorrow", facts: &facts{quarantine: 1}, level3: alert, level4: alert},
	{name: "positive, not recovered", facts: &facts{positive: 5}, level3: alert, level4: alert},
	{name: "second dose yesterday, first 40 days ago", facts: &facts{doses: []dose{{1, 2, 40}, {2, 2, 1}}}, level3: notice, level4: manual},
	{name: "not on the list", level3: manual, level4: manual},
	{name: "card whose data contradict each other", facts: &facts{doses: []dose{{1, 2, 90}, {2, 2, 60}}}, text: "contradicting", level3: manual, level4: manual},
	{name: "damaged code", show: damaged, facts: &facts{doses: []dose{{1, 2, 90}, {2, 2, 60}}}, level3: retry, level4: retry},
	{name: "a link on a phone", show: phone, text: "https://vi-du.example/check-in?diem=%06d", level3: retry, level4: retry},
	{name: "a one-minute code on a phone", show: phone, text: "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3Bx%06dc3R1dnd4eXotRklDVElWRQ==", level3: retry, level4: retry},
	{name: "card held the wrong way round", show: emptyCard, none: true},
}

// want is the verdict of the row at a level.
func (r row) want(level int) gate.Verdict {
	if level == 3 {
		return r.level3
	}
	return r.level4
}
