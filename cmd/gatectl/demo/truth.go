package demo

import "gateagent/agent/gate"

// what a person (or a thing) holds in front of the camera.
type shown uint8

const (
	card        shown = iota // an ID card that can be read
	damaged                  // a card whose code is scratched beyond reading
	phone                    // a phone with a code that is not a card
	emptyCard                // a card held the wrong way round: no code in view
	personalQR               // a phone with the national personal QR, masked as it usually is
	insurance                // a health-insurance card
	vaccinePass              // a phone with a vaccine passport
	visitorPass              // a phone with a pass for one entry at this gate
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
	// says3 and says4 are the sentences for the person; empty: not looked at.
	says3, says4 string
	none         bool // no entry at all
	// then is what the same person shows next; nil: nothing.
	then *row
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
	{
		name: "card whose data do not fit its number", facts: &facts{doses: []dose{{1, 2, 90}, {2, 2, 60}}}, text: "contradicting",
		level3: manual, level4: manual, says3: lookCloser, says4: lookCloser,
	},
	{name: "damaged code", show: damaged, facts: &facts{doses: []dose{{1, 2, 90}, {2, 2, 60}}}, level3: retry, level4: retry},
	{name: "a link on a phone", show: phone, text: "https://vi-du.example/check-in?diem=%06d", level3: retry, level4: retry},
	{
		name: "a one-minute code on a phone", show: phone, text: "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG1ub3Bx%06dc3R1dnd4eXotRklDVElWRQ==",
		level3: retry, level4: retry, says3: notOnPhone, says4: notOnPhone,
	},
	{
		name: "a code of a shop on a phone", show: phone, text: "Quán Ví Dụ, bàn số %06d",
		level3: retry, level4: retry, says3: notHere, says4: notHere,
	},
	{name: "masked personal QR on a phone", show: personalQR, level3: manual, level4: manual, says3: whoAreYou, says4: whoAreYou},
	{name: "health-insurance card", show: insurance, level3: manual, level4: manual, says3: whoAreYou, says4: whoAreYou},
	{
		name: "vaccine passport on a phone", show: vaccinePass, level3: retry, level4: retry, says3: cardAsWell, says4: cardAsWell,
		then: &row{name: "… then the holder's card, not on the list", level3: allow, level4: allow, says3: pleasePass, says4: pleasePass},
	},
	{
		// Nothing is known of a visitor's health: at level 4 that is for the guard,
		// and the pass is not used up by it. What was used at level 3 stays so.
		name: "visitor's pass for one entry", show: visitorPass, level3: notice, level4: manual, says3: healthRules, says4: waitGuard,
		then: &row{name: "… then a pass that has been used", show: visitorPass, level3: deny, level4: deny, says3: usedAlready, says4: usedAlready},
	},
	{name: "card held the wrong way round", show: emptyCard, none: true},
}

// What people are told, as the policy of the demo has it in English.
const (
	pleasePass  = "Please pass."
	healthRules = "Please pass. Kindly keep to the health rules."
	waitGuard   = "Please wait for the guard."
	lookCloser  = "Your card needs a closer look. Please see the guard."
	whoAreYou   = "This code does not say who you are. Please show your ID card or see the guard."
	cardAsWell  = "The code is read. Please show your ID card as well."
	notHere     = "This code is not accepted here. Please show the QR code of your ID card."
	notOnPhone  = "The code on the phone cannot be checked here. Please show the QR code of your ID card."
	usedAlready = "Your pass has been used already. Please see the guard."
)

// says is the sentence of the row at a level; empty: it is not looked at.
func (r row) says(level int) string {
	if level == 3 {
		return r.says3
	}
	return r.says4
}

// want is the verdict of the row at a level.
func (r row) want(level int) gate.Verdict {
	if level == 3 {
		return r.level3
	}
	return r.level4
}
