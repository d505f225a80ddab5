package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// Finding is something in a policy that is allowed and hardly meant.
type Finding struct {
	Kind FindingKind
	Path string // of the member of the document it is about
	Text string
}

// FindingKind sorts findings.
type FindingKind string

// The kinds of findings.
const (
	// Unreachable rules never decide anything.
	Unreachable FindingKind = "unreachable"
	// Contradiction: two rules that work against each other.
	Contradiction FindingKind = "contradiction"
	// Gap: a situation that no rule of the policy names.
	Gap FindingKind = "gap"
)

func (f Finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Kind, f.Path, f.Text) }

// Findings looks for rules that never decide, rules that work against each
// other and situations that no rule names, as of an instant. What it says of
// rules it finds out by deciding all [Situations].
func (p *Policy) Findings(now time.Time) []Finding {
	if p == nil || !p.built {
		return nil
	}
	f := &finder{p: p, now: now, w: newWorld(p), decided: map[gate.Reason]bool{}, said: map[string]bool{}, moved: map[string]bool{}}
	f.look()
	f.rows()
	f.actions()
	f.params()
	f.lists()
	f.hours()
	f.calendar()
	f.levels()
	f.texts()
	return f.all
}

// finder collects findings.
type finder struct {
	p   *Policy
	now time.Time
	w   *world
	all []Finding

	// What all situations together show.
	decided map[gate.Reason]bool // that gave class and verdict
	said    map[string]bool      // sentences that are shown, by their key
	moved   map[string]bool      // lists that changed a verdict
}

func (f *finder) add(kind FindingKind, path, format string, args ...any) {
	f.all = append(f.all, Finding{kind, path, fmt.Sprintf(format, args...)})
}

// look decides every situation.
func (f *finder) look() {
	for s := range Situations(f.p, nil) {
		p := f.p
		if s.Level != 0 {
			p = p.AtLevel(s.Level)
		}
		var t trace
		d := p.decide(&s.In, &t)
		for _, step := range t.steps {
			if step.First {
				f.decided[step.Reason] = true
			}
		}
		f.hears(d)
		e := &s.In.Facts.Extras
		if !s.In.Facts.HasExtras || e.ListN == 0 {
			continue
		}
		without := s.In
		without.Facts.Extras.ListN = 0
		if p.decide(&without, nil).Verdict != d.Verdict {
			f.moved[e.Lists[0].List] = true
		}
	}
}

// hears notes which sentence a decision is answered by.
func (f *finder) hears(d gate.Decision) {
	for _, r := range d.ReasonList() {
		if key := textKey(d.Verdict, r); f.p.texts[key] != (Text{}) {
			f.said[key] = true
			return
		}
	}
	f.said[d.Verdict.String()] = true
}

// rows are those of PAYLOADS §7.2.
func (f *finder) rows() {
	for row := range numRows {
		rule := &rowRules[row]
		switch {
		case !slices.Contains(f.p.order, row):
			f.add(Gap, "order", "leaves out %v: whoever has nothing else comes out RED", row)
		case !f.decided[rule.reason]:
			why := "a row before it always comes first"
			if row == RowTested && f.p.params.PCRHours == 0 && f.p.params.AntigenHours == 0 {
				why = "pcr_hours and antigen_hours are 0"
			}
			f.add(Unreachable, "order", "%v never decides: %s", row, why)
		}
	}
}

// actions are the cells of the table class × level. That UNKNOWN may not refuse
// is the format's; one that opens where RED does not is the policy's own.
func (f *finder) actions() {
	for level := MinLevel; level <= MaxLevel; level++ {
		unknown, red := f.p.action.verdict(gate.Unknown, level), f.p.action.verdict(gate.Red, level)
		if unknown.Opens() && laxer(unknown, red) {
			f.add(Contradiction, fmt.Sprintf("actions.UNKNOWN.%d", level),
				"%v is laxer than RED's %v: whoever is not on record, or of whom the gate cannot tell all, is better off than who is", unknown, red)
		}
	}
}

func (f *finder) params() {
	p := f.p
	if p.softAge == p.hardAge {
		f.add(Unreachable, "params.soft_age_hours", "is never noted: data of that age are too old already (hard_age_hours)")
	}
	weight := 0
	for _, n := range p.hints.Weight {
		weight += n
	}
	if weight < p.params.Doubts {
		f.add(Unreachable, "params.doubts", "%d is never reached: all weights in hints come to %d", p.params.Doubts, weight)
	}
	if p.accept[credDCC] == AcceptWithCard && p.lifts == 0 {
		f.add(Contradiction, "passport.lifts", "is empty, so that a passport helps nobody, and credentials.dcc asks for the card beside it")
	}
	if p.lifts.has(gate.Red) && !p.lifts.has(gate.Yellow) {
		f.add(Contradiction, "passport.lifts", "names RED and not YELLOW: with a passport a first dose on record is worse than none")
	}
}

func (f *finder) lists() {
	p := f.p
	for i := range p.lists {
		l := &p.lists[i]
		path := "lists." + l.Name
		switch {
		case l.Effect == ListNone:
			f.add(Unreachable, path, "has the effect none: being on the list changes nothing")
		case !f.moved[l.Name]:
			f.add(Unreachable, path, "never changes a verdict")
		}
		if l.Effect == ListAllow && l.Classes.has(gate.Red) && !l.Classes.has(gate.Yellow) {
			f.add(Contradiction, path+".classes", "lets RED in and not YELLOW, who are better off")
		}
		if l.Effect == ListAllow && l.Classes.has(gate.Unknown) {
			f.add(Unreachable, path+".classes", "names UNKNOWN, whom a list lets in never: who is on one is on record, "+
				"and of whom there is more to know than the gate can tell sees the guard")
		}
		if effectsOf(l.Name) == nil {
			continue
		}
		if l.Effect == ListNotice {
			f.add(Contradiction, path+".effect", "lets pass with notice, and lists of that name block by themselves")
		}
		if len(l.Hours) > 0 || l.NotOnHolidays {
			f.add(Contradiction, path, "holds in its hours only; at other times whoever is on it is judged as if they were not")
		}
	}
}

func (f *finder) hours() {
	p := f.p
	if p.hours.always() {
		return
	}
	if m := p.moment(f.w.at.UnixMilli(), gate.ClockCentral, gate.ClockFloor); !p.open(&m) {
		f.add(Contradiction, "hours", "the site is never open")
	}
	opens, shuts := false, false
	for _, c := range outsideClasses {
		v := p.hours.Outside[c]
		opens, shuts = opens || v.Opens(), shuts || !v.Opens()
	}
	if !shuts {
		f.add(Unreachable, "hours.outside", "lets everybody in: the hours shut nobody out")
	}
	for _, pair := range [...][2]gate.Class{{gate.Green, gate.Yellow}, {gate.Yellow, gate.Red}} {
		if better, worse := p.hours.Outside[pair[0]], p.hours.Outside[pair[1]]; strictness(worse) < strictness(better) {
			f.add(Contradiction, "hours.outside", "is laxer for %v than for %v", pair[1], pair[0])
		}
	}
	lets := slices.ContainsFunc(p.lists, func(l ListRule) bool { return l.Effect == ListAllow })
	if shuts && !opens && !lets {
		f.add(Gap, "lists", "no list lets anybody in outside the hours: those who open the house are shut out too")
	}
}

// calendar are the holidays.
func (f *finder) calendar() {
	p := f.p
	asked := p.hours.ClosedOnHolidays || slices.ContainsFunc(p.lists, func(l ListRule) bool { return l.NotOnHolidays })
	switch n := len(p.holidays); {
	case asked && n == 0:
		f.add(Gap, "holidays", "names no day, and rules ask for holidays")
	case !asked && n > 0:
		f.add(Unreachable, "holidays", "no rule asks for them: hours.holidays and those of the lists are open")
	case asked && p.holidays[n-1] < p.day(f.now.UnixMilli()):
		f.add(Gap, "holidays", "ends on %v: every day since is a working day", p.holidays[n-1])
	}
}

// levels are announced changes and the dates of the policy.
func (f *finder) levels() {
	p := f.p
	before := p.level
	for i, c := range p.changes {
		path := fmt.Sprintf("levels[%d]", i)
		switch {
		case c.Level == before:
			f.add(Unreachable, path, "changes nothing: the site is at level %d already", c.Level)
		case !p.to.IsZero() && !c.From.Before(p.to):
			f.add(Unreachable, path, "comes when the policy is over (valid_to)")
		}
		before = c.Level
	}
	if !p.to.IsZero() && !f.now.Before(p.to) {
		f.add(Gap, "valid_to", "is over: gates send everybody to the guard whom nothing blocks")
	}
}

// texts are the policy's own sentences; those of faults no rule gives.
func (f *finder) texts() {
	without := defaultTexts()
	for _, key := range slices.Sorted(maps.Keys(f.p.texts)) {
		_, why, _ := strings.Cut(key, "/")
		reason := gate.Reason(why)
		if f.said[key] || f.p.texts[key] == without[key] ||
			reason == gate.ReasonStoreFault || reason == gate.ReasonRecordFault || reason == gate.ReasonRelayFault {
			continue
		}
		f.add(Unreachable, "texts."+key, "is never shown: nobody meets that outcome")
	}
}
