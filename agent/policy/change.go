package policy

import (
	"slices"
	"time"

	"gateagent/agent/gate"
)

// Change is one thing that would have changed the outcome, and what it would
// have been then. Everything else is thought to stay as it was.
type Change struct {
	Kind ChangeKind
	// At is the instant from which on the outcome is another, in the zone of
	// the policy; zero for other kinds.
	At time.Time
	// Hours is how old a test may be, Days how old a dose has to be, or how old
	// a recovery may be, Level the level of the site; 0 for other kinds.
	Hours, Days, Level int
	// AfterPositive says that a recovery has to be of a later day than a
	// positive result that is on record.
	AfterPositive bool
	// Decision is the outcome then.
	Decision gate.Decision
}

// ChangeKind says what would have been different.
type ChangeKind string

// The kinds of changes, the nearest first.
const (
	ChangeCard        ChangeKind = "card"           // the ID card itself
	ChangeLater       ChangeKind = "later"          // from At on the outcome is better
	ChangeUntil       ChangeKind = "until"          // from At on it is worse
	ChangePCR         ChangeKind = "pcr"            // a negative PCR test, at most Hours old
	ChangeAntigen     ChangeKind = "antigen"        // a negative antigen test, at most Hours old
	ChangeCompleted   ChangeKind = "completed"      // a completed series, the last dose at least Days ago
	ChangeRecovered   ChangeKind = "recovered"      // a recovery, at most Days ago, and AfterPositive or not
	ChangePassport    ChangeKind = "passport"       // a passport of a series completed at least Days ago, or of a booster
	ChangeOnRecord    ChangeKind = "on_record"      // a record of the person, with nothing that counts
	ChangeNotListed   ChangeKind = "not_listed"     // not on the list that blocks or restrains
	ChangeFreshData   ChangeKind = "fresh_data"     // data of today
	ChangeClock       ChangeKind = "clock"          // a clock that can be believed
	ChangeNoDoubts    ChangeKind = "no_doubts"      // a card whose data agree
	ChangeNewCard     ChangeKind = "new_card"       // a card that has not expired
	ChangeLeaveFirst  ChangeKind = "other_passage"  // a passage the other way before this one
	ChangePassages    ChangeKind = "known_passages" // passages that are known, and no others
	ChangeOtherPass   ChangeKind = "other_pass"     // a pass that counts
	ChangeLowerLevel  ChangeKind = "lower_level"    // the site at Level
	ChangeHigherLevel ChangeKind = "higher_level"   // the site at Level: it would be worse
)

// whatWouldChange tries the single changes and keeps those that count.
func (p *Policy) whatWouldChange(in *gate.Inputs, d gate.Decision) (changes []Change) {
	is := strictness(d.Verdict)
	try := func(c Change, change func(*gate.Inputs)) bool {
		x := *in
		change(&x)
		c.Decision = p.decide(&x, nil)
		if strictness(c.Decision.Verdict) >= is {
			return false
		}
		changes = append(changes, c)
		return true
	}
	m := p.moment(in.Now, in.Clock, p.params.Clock)
	isCard := in.Credential == gate.KindCCCD || in.Credential == gate.KindCC
	if !isCard {
		changes = append(changes, p.withCard(in, is)...)
	}
	changes = append(changes, p.byItself(in, is)...)
	if isCard || in.Credential == gate.KindQRQG {
		extras := func(x *gate.Inputs) *gate.Extras {
			x.Facts.Found, x.Facts.HasExtras = true, true
			return &x.Facts.Extras
		}
		if !in.Facts.Found {
			try(Change{Kind: ChangeOnRecord}, func(x *gate.Inputs) { extras(x) })
		} else {
			for _, t := range []struct {
				kind ChangeKind
				test gate.TestKind
			}{{ChangePCR, gate.TestPCR}, {ChangeAntigen, gate.TestAntigen}} {
				try(Change{Kind: t.kind, Hours: p.testHours(t.test)}, func(x *gate.Inputs) {
					addTest(extras(x), gate.Test{Kind: t.test, Sampled: gate.MinuteOf(time.UnixMilli(in.Now))})
				})
			}
			try(Change{Kind: ChangeCompleted, Days: p.params.DoseDays}, func(x *gate.Inputs) {
				e := extras(x)
				day := m.today - gate.Day(p.params.DoseDays)
				if x.Facts.Word.Kind() == gate.FactCompleted || x.Facts.Word.Kind() == gate.FactBegun {
					x.Facts.Word, x.Facts.Base = x.Facts.Word&(1<<15), 0
				}
				e.Completed, e.LastDose, e.FirstDose = day, day, day
			})
			pic := p.paint(&in.Facts, &m)
			ill, _ := p.meets(RowPositive, &in.Facts, &pic, &m, &listing{})
			try(Change{Kind: ChangeRecovered, Days: p.params.RecoveredDays, AfterPositive: ill}, func(x *gate.Inputs) {
				extras(x).Recovered = m.today
			})
			try(Change{Kind: ChangeNotListed}, func(x *gate.Inputs) { x.Facts.Extras.ListN = 0 })
		}
		try(Change{Kind: ChangePassport, Days: p.params.DoseDays}, func(x *gate.Inputs) { x.Passport = p.BestPassport(*x) })
		try(Change{Kind: ChangeNoDoubts}, func(x *gate.Inputs) { x.Flags, x.Facts.CardMismatch = 0, false })
		try(Change{Kind: ChangeNewCard}, func(x *gate.Inputs) { x.CardExpires = 0 })
		try(Change{Kind: ChangeFreshData}, func(x *gate.Inputs) { x.DataAge = 0 })
	}
	if in.Credential == gate.KindPass {
		try(Change{Kind: ChangeOtherPass}, func(x *gate.Inputs) {
			minute := gate.MinuteOf(time.UnixMilli(in.Now))
			kind := max(x.Pass.Kind, gate.PassVisitor)
			x.Pass = gate.Pass{Proof: gate.ProofGood, Kind: kind, From: minute, To: minute + 1}
		})
	}
	try(Change{Kind: ChangeClock}, func(x *gate.Inputs) { x.Clock = gate.ClockCentral })
	try(Change{Kind: ChangeLeaveFirst}, func(x *gate.Inputs) { x.Passages.In, x.Passages.Out = 0, 0 })
	try(Change{Kind: ChangePassages}, func(x *gate.Inputs) { x.Passages.Unknown = false })
	return append(changes, p.atOtherLevels(in, is, p.levelAt(&m))...)
}

// addTest adds a test to those of a person, as the newest; where there is no
// room, in place of the oldest negative one. Positive ones stay: they are what
// decides.
func addTest(e *gate.Extras, t gate.Test) {
	n := min(int(e.TestN), len(e.Tests))
	if n == len(e.Tests) {
		for n--; n >= 0 && e.Tests[n].Positive; n-- {
		}
		if n < 0 {
			return
		}
	} else {
		e.TestN = uint8(n + 1)
	}
	copy(e.Tests[1:n+1], e.Tests[:n])
	e.Tests[0] = t
}

// withCard tries the card itself in place of what was shown. What is on record
// about its holder is not known unless the code named them.
func (p *Policy) withCard(in *gate.Inputs, is int) []Change {
	x := *in
	x.Credential, x.Flags, x.DataAge = gate.KindCCCD, 0, max(in.DataAge, 0)
	d := p.decide(&x, nil)
	better := strictness(d.Verdict) < is
	switch in.Credential {
	case gate.KindQRQG:
		if !in.Flags.NamesNobody() {
			if better {
				return []Change{{Kind: ChangeCard, Decision: d}}
			}
			return nil
		}
	case gate.KindPass:
		return nil
	}
	return []Change{{Kind: ChangeCard}} // the outcome is open
}

// atOtherLevels gives the highest lower level at which the outcome is better
// and the lowest higher one at which it is worse.
func (p *Policy) atOtherLevels(in *gate.Inputs, is, level int) (changes []Change) {
	for l := level - 1; l >= MinLevel; l-- {
		if d := p.AtLevel(l).decide(in, nil); strictness(d.Verdict) < is {
			changes = append(changes, Change{Kind: ChangeLowerLevel, Level: l, Decision: d})
			break
		}
	}
	for l := level + 1; l <= MaxLevel; l++ {
		if d := p.AtLevel(l).decide(in, nil); strictness(d.Verdict) > is {
			changes = append(changes, Change{Kind: ChangeHigherLevel, Level: l, Decision: d})
			break
		}
	}
	return changes
}

// byItself finds the next instants from which on the outcome is better, and
// worse, with data as fresh as they were.
func (p *Policy) byItself(in *gate.Inputs, is int) (changes []Change) {
	var better, worse bool
	for _, at := range p.instants(in) {
		x := *in
		x.Now = at
		d := p.decide(&x, nil)
		c := Change{At: time.UnixMilli(at).In(p.zone), Decision: d}
		switch got := strictness(d.Verdict); {
		case got < is && !better:
			better, c.Kind = true, ChangeLater
		case got > is && !worse:
			worse, c.Kind = true, ChangeUntil
		default:
			continue
		}
		changes = append(changes, c)
		if better && worse {
			break
		}
	}
	return changes
}

// instants are those after now at which a rule about these inputs may turn, in
// order.
func (p *Policy) instants(in *gate.Inputs) []int64 {
	var all []int64
	add := func(ms int64) {
		if ms > in.Now && ms < in.Now+int64(20*366*24*time.Hour/time.Millisecond) {
			all = append(all, ms)
		}
	}
	midnight := func(day int64) {
		d := gate.Day(max(-1<<31, min(1<<31-1, day))).Date()
		add(time.Date(d.Year, time.Month(d.Month), d.DayOfMonth, 0, 0, 0, 0, p.zone).UnixMilli())
	}
	window := func(w *gate.Window) {
		if w.From != 0 {
			midnight(int64(w.From))
		}
		if w.To != 0 {
			midnight(int64(w.To) + 1)
		}
		p.edges(w, in, add)
	}
	test := func(t *gate.Test) {
		sampled := int64(t.Sampled) * 60_000
		midnight(int64(p.day(sampled)))
		add(sampled)
		add(sampled + (int64(p.testHours(t.Kind))*60+1)*60_000)
	}
	dose, oldest, recovered := int64(p.params.DoseDays), int64(p.params.MaxDoseAge), int64(p.params.RecoveredDays)
	days := []int64{int64(in.Facts.Day()), int64(in.Passport.Day), int64(in.CardExpires)}
	if f := &in.Facts; f.HasExtras {
		e := &f.Extras
		days = append(days, int64(e.FirstDose), int64(e.Completed), int64(e.LastDose), int64(e.Recovered), int64(e.Positive), int64(e.Quarantine))
		for i := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
			test(&e.Tests[i])
		}
		for i := range e.Lists[:min(int(e.ListN), len(e.Lists))] {
			window(&e.Lists[i].Window)
			if rule, _ := p.listRule(e.Lists[i].List); rule != nil {
				for k := range rule.Hours {
					p.edges(&rule.Hours[k], in, add)
				}
			}
		}
		window(&e.Window)
	}
	for _, day := range days {
		for _, after := range []int64{0, 1, dose, oldest + 1, recovered + 1} {
			midnight(day + after)
		}
	}
	midnight(int64(in.Passport.From))
	midnight(int64(in.Passport.To) + 1)
	test(&in.Passport.Test)
	window(&in.Pass.Window)
	add(int64(in.Pass.From) * 60_000)
	add(int64(in.Pass.To) * 60_000)
	for i := range p.hours.Open {
		p.edges(&p.hours.Open[i], in, add)
	}
	if p.hours.ClosedOnHolidays {
		today := int64(p.day(in.Now))
		for d := range int64(40) {
			midnight(today + d)
		}
	}
	for _, c := range p.changes {
		add(c.From.UnixMilli())
	}
	for _, at := range []time.Time{p.from, p.to} {
		if !at.IsZero() {
			add(at.UnixMilli())
		}
	}
	for _, at := range []int64{in.Passages.In, in.Passages.Out} {
		if at > 0 {
			add(at + p.passback.Forgive.Milliseconds() + 1)
			add(at + p.passback.Interval.Milliseconds())
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// edges adds the beginnings and ends of the hours of a window in the weeks to
// come.
func (p *Policy) edges(w *gate.Window, in *gate.Inputs, add func(int64)) {
	if w.Weekdays == 0 && w.Start == w.End {
		return
	}
	today := p.day(in.Now)
	for d := range gate.Day(40) {
		date := (today + d).Date()
		for _, minute := range []uint16{0, w.Start, w.End} {
			add(time.Date(date.Year, time.Month(date.Month), date.DayOfMonth, 0, int(minute), 0, 0, p.zone).UnixMilli())
		}
	}
}
