package policy

import (
	"fmt"
	"slices"
	"time"

	"gateagent/agent/gate"
)

// credentials are the other codes that people show.
func (w *world) credentials() (rows []situation) {
	shows := func(kind gate.CredentialKind, flags gate.ClaimFlags) func(*gate.Inputs) {
		return func(in *gate.Inputs) { in.Credential, in.Flags = kind, flags }
	}
	rows = w.each(rows, "the card of 2024", shows(gate.KindCC, 0))
	rows = w.each(rows, "the national QR with the whole number", shows(gate.KindQRQG, 0))
	nobody := func(what string, kind gate.CredentialKind, flags gate.ClaimFlags) {
		in := w.sound()
		in.Credential, in.Flags, in.DataAge = kind, flags, -1
		rows = append(rows, situation{what, in})
	}
	nobody("the national QR with stars", gate.KindQRQG, gate.FlagMasked)
	nobody("a health-insurance card", gate.KindBHYT, 0)
	nobody("a one-minute VNeID code", gate.KindVNeIDDynamic, 0)
	nobody("a link", gate.KindURL, 0)
	nobody("any other code", gate.KindUnsupported, 0)
	nobody("a code that cannot be read", gate.KindUnreadable, 0)
	nobody("a passport where nobody can verify it", gate.KindDCC, 0)
	nobody("a pass where nobody can verify it", gate.KindPass, 0)
	return rows
}

// passports are passports with and without a card.
func (w *world) passports() (rows []situation) {
	alone := w.sound()
	alone.Credential, alone.DataAge = gate.KindDCC, -1
	alone.Passport = gate.Passport{Proof: gate.ProofGood}
	rows = append(rows, situation{"a good passport, no card yet", alone})
	for _, why := range passportReasons {
		bad := alone
		bad.Passport = gate.Passport{Proof: gate.ProofBad, Why: why}
		rows = append(rows, situation{fmt.Sprintf("a passport that does not count (%s), no card yet", why), bad})
	}
	show := func(what string, pp gate.Passport, names ...string) {
		rows = w.each(rows, what, func(in *gate.Inputs) { in.Passport = pp }, names...)
	}
	good := func(event gate.PassportEvent) gate.Passport {
		return gate.Passport{Proof: gate.ProofGood, Matched: true, Event: event}
	}
	show("a passport that does not count", gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportExpired})
	stranger := good(gate.PassportVaccination)
	stranger.Matched, stranger.Dose, stranger.Of, stranger.Day = false, 2, 2, w.today-3000
	show("a passport of somebody else", stranger)
	for _, n := range append(w.numbers(func(p *Policy) int { return p.params.DoseDays }),
		w.numbers(func(p *Policy) int { return p.params.MaxDoseAge })...) {
		for _, dose := range []uint8{1, 2, 3} {
			pp := good(gate.PassportVaccination)
			pp.Dose, pp.Of, pp.Day = dose, 2, w.today-gate.Day(n)
			show(fmt.Sprintf("passport of dose %d of 2 %s", dose, ago(n)), pp)
		}
	}
	for _, n := range w.numbers(func(p *Policy) int { return p.params.RecoveredDays }) {
		pp := good(gate.PassportRecovery)
		pp.Day, pp.From, pp.To = w.today-gate.Day(n), w.today-gate.Day(n)+11, w.today
		show(fmt.Sprintf("passport of a recovery, first positive %s", ago(n)), pp)
	}
	over := good(gate.PassportRecovery)
	over.Day, over.From, over.To = w.today-20, w.today-9, w.today-1
	show("passport of a recovery stated until yesterday", over, "RED")
	for _, kind := range []gate.TestKind{gate.TestPCR, gate.TestAntigen} {
		for _, n := range w.numbers(func(p *Policy) int { return p.testHours(kind) * 60 }) {
			pp := good(gate.PassportTest)
			pp.Test = gate.Test{Kind: kind, Sampled: gate.MinuteOf(w.at) - gate.Minute(n)}
			show(fmt.Sprintf("passport of a negative %v test %d h %d min ago", kind, n/60, n%60), pp, "RED", "UNKNOWN")
		}
	}
	return rows
}

// listNames are the lists that a policy has a rule for, those that block by
// their name, and one that nobody has heard of.
func (w *world) listNames() (names []string) {
	for _, p := range w.policies {
		for i := range p.lists {
			names = append(names, p.lists[i].Name)
		}
	}
	names = append(names, blockingLists[:]...)
	names = append(names, "some-other-list")
	slices.Sort(names)
	return slices.Compact(names)
}

func member(in gate.Inputs, list string, w gate.Window) gate.Inputs {
	return extra(in, func(e *gate.Extras) { e.AddList(gate.Membership{List: list, Window: w}) })
}

var onRecord = []string{"GREEN", "YELLOW", "RED", "BLOCK"}

func (w *world) lists() (rows []situation) {
	for _, name := range w.listNames() {
		rows = w.each(rows, fmt.Sprintf("on the list %s", name), func(in *gate.Inputs) { *in = member(*in, name, gate.Window{}) }, onRecord...)
		rows = w.each(rows, fmt.Sprintf("on the list %s until yesterday", name),
			func(in *gate.Inputs) { *in = member(*in, name, gate.Window{To: w.today - 1}) }, "GREEN", "RED")
		rows = w.each(rows, fmt.Sprintf("on the list %s, data too old", name), func(in *gate.Inputs) {
			*in = member(*in, name, gate.Window{})
			in.DataAge = int64(w.longest(func(p *Policy) int { return int(p.hardAge) })) + 1
		}, "GREEN", "RED")
		rows = w.each(rows, fmt.Sprintf("on the list %s, clock that cannot tell", name), func(in *gate.Inputs) {
			*in = member(*in, name, gate.Window{})
			in.Clock = gate.ClockNone
		}, "GREEN", "RED")
		needs := member(w.with(gate.FactNothing, 0), name, gate.Window{})
		needs.Facts.Extras.Beyond = true
		rows = append(rows, situation{fmt.Sprintf("on the list %s, and more to know than this version reads", name), needs})
	}
	return rows
}

// moments are instants of a week at which windows and holidays of the
// policies begin and end, and a minute before.
func (w *world) moments(windows []gate.Window, holidays bool) (all []time.Time) {
	add := func(day gate.Day, minute int) {
		d := day.Date()
		all = append(all, time.Date(d.Year, time.Month(d.Month), d.DayOfMonth, 0, minute, 0, 0, w.zone))
	}
	minutes := []int{0, 12 * 60}
	for _, x := range windows {
		if x.Start != x.End {
			minutes = append(minutes, int(x.Start)-1, int(x.Start), int(x.End)-1, int(x.End))
		}
	}
	slices.Sort(minutes)
	minutes = slices.Compact(minutes)
	days := []gate.Day{}
	for d := range gate.Day(7) {
		days = append(days, w.today+d)
	}
	for _, p := range w.policies {
		for i, day := range p.holidays {
			if holidays && i < 40 {
				days = append(days, day-1, day, day+1)
			}
		}
	}
	slices.Sort(days)
	for _, day := range slices.Compact(days) {
		for _, minute := range minutes {
			add(day, minute)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

func (w *world) when(at time.Time) string { return at.Format("Mon 2006-01-02 15:04") }

// listHours are members of lists at the edges of the hours of their rules.
func (w *world) listHours() (rows []situation) {
	for _, name := range w.listNames() {
		var windows []gate.Window
		var bound, holidays bool
		for _, p := range w.policies {
			rule, _ := p.listRule(name)
			if rule != nil {
				windows = append(windows, rule.Hours...)
				bound = bound || len(rule.Hours) > 0 || rule.NotOnHolidays
				holidays = holidays || rule.NotOnHolidays
			}
			bound, holidays = bound || rule != nil && !p.hours.always(), holidays || p.hours.ClosedOnHolidays
			windows = append(windows, p.hours.Open...)
		}
		if !bound {
			continue
		}
		for _, at := range w.moments(windows, holidays) {
			rows = w.each(rows, fmt.Sprintf("on the list %s, %s", name, w.when(at)), func(in *gate.Inputs) {
				*in = member(*in, name, gate.Window{})
				in.Now = at.UnixMilli()
				moveFacts(in, w, at)
			}, "GREEN", "RED")
		}
	}
	return rows
}

// moveFacts keeps the age of the facts at another moment.
func moveFacts(in *gate.Inputs, w *world, at time.Time) {
	if in.Facts.Found {
		in.Facts.Base += w.policies[0].day(at.UnixMilli()) - w.today
	}
}

// hours are people at the edges of the opening hours.
func (w *world) hours() (rows []situation) {
	var windows []gate.Window
	var bound, holidays bool
	for _, p := range w.policies {
		windows = append(windows, p.hours.Open...)
		bound, holidays = bound || !p.hours.always(), holidays || p.hours.ClosedOnHolidays
	}
	if !bound {
		return nil
	}
	for _, at := range w.moments(windows, holidays) {
		rows = w.each(rows, w.when(at), func(in *gate.Inputs) { in.Now = at.UnixMilli(); moveFacts(in, w, at) })
		rows = w.each(rows, w.when(at)+", on the way out", func(in *gate.Inputs) {
			in.Now, in.Direction = at.UnixMilli(), gate.DirectionOut
			moveFacts(in, w, at)
		}, "GREEN")
		rows = append(rows, situation{"a visitor's pass, " + w.when(at), w.pass(gate.PassVisitor, at)})
	}
	return rows
}

// firstOpen gives the first moment from an instant on at which the house is
// open by a policy; ok is false where it is open then already, or not within a
// year.
func (w *world) firstOpen(p *Policy, at time.Time) (open time.Time, ok bool) {
	isOpen := func(t time.Time) bool {
		m := p.moment(t.UnixMilli(), gate.ClockCentral, gate.ClockFloor)
		return p.open(&m)
	}
	if isOpen(at) {
		return open, false
	}
	minutes := []int{0} // the morning of a working day, where windows are none
	for _, x := range p.hours.Open {
		minutes = append(minutes, int(x.Start))
	}
	slices.Sort(minutes)
	local := at.In(p.zone)
	for day := range 400 {
		for _, minute := range slices.Compact(minutes) {
			t := time.Date(local.Year(), local.Month(), local.Day()+day, 0, minute, 0, 0, p.zone)
			if !t.Before(at) && isOpen(t) {
				return t, true
			}
		}
	}
	return open, false
}

// dates are the edges of the policies' dates and of announced levels and, where
// the house is shut then, the first moment after it that somebody may come in:
// hours would hide what has changed.
func (w *world) dates() (rows []situation) {
	var all []time.Time
	for _, p := range w.policies {
		for _, at := range []time.Time{p.from, p.to} {
			if !at.IsZero() {
				all = append(all, at.Add(-time.Second), at)
			}
		}
		for _, c := range p.changes {
			all = append(all, c.From.Add(-time.Second), c.From)
		}
	}
	for _, at := range slices.Clone(all) {
		for _, p := range w.policies {
			if open, ok := w.firstOpen(p, at); ok {
				all = append(all, open)
			}
		}
	}
	all = append(all, w.at)
	slices.SortFunc(all, time.Time.Compare)
	for _, at := range slices.CompactFunc(all, time.Time.Equal) {
		when := at.In(w.zone).Format("2006-01-02 15:04:05")
		rows = w.each(rows, when, func(in *gate.Inputs) { in.Now = at.UnixMilli(); moveFacts(in, w, at) })
		// On the way out no hours are asked that could hide the rest.
		rows = w.each(rows, when+", on the way out", func(in *gate.Inputs) {
			in.Now, in.Direction = at.UnixMilli(), gate.DirectionOut
			moveFacts(in, w, at)
		})
		rows = append(rows, situation{"a visitor's pass, " + when, w.pass(gate.PassVisitor, at)})
	}
	return rows
}

// pass is a scan of a good pass.
func (w *world) pass(kind gate.PassKind, at time.Time) gate.Inputs {
	in := w.sound()
	in.Now, in.Credential, in.DataAge = at.UnixMilli(), gate.KindPass, -1
	in.Pass = gate.Pass{Proof: gate.ProofGood, Kind: kind, From: gate.MinuteOf(at) - 60, To: gate.MinuteOf(at) + 60}
	return in
}

func (w *world) passes() (rows []situation) {
	add := func(what string, in gate.Inputs) { rows = append(rows, situation{what, in}) }
	for _, k := range passKinds {
		in := w.pass(k, w.at)
		add(fmt.Sprintf("a pass (%v)", k), in)
		in.Pass.Window = gate.Window{To: w.today - 1}
		add(fmt.Sprintf("a pass (%v) outside its days and hours", k), in)
		in.Direction = gate.DirectionOut
		add(fmt.Sprintf("a pass (%v) outside its days and hours, on the way out", k), in)
	}
	for clock := gate.ClockNone; clock <= gate.ClockCentral; clock++ {
		in := w.pass(gate.PassVisitor, w.at)
		in.Clock = clock
		add(fmt.Sprintf("a visitor's pass, clock %v", clock), in)
	}
	for i := range badPasses {
		for _, dir := range []gate.Direction{gate.DirectionIn, gate.DirectionOut} {
			in := w.pass(gate.PassVisitor, w.at)
			in.Pass.Proof, in.Pass.Why, in.Direction = gate.ProofBad, badPasses[i].reason, dir
			what := fmt.Sprintf("a pass that does not count (%s)", badPasses[i].reason)
			if dir == gate.DirectionOut {
				what += ", on the way out"
			}
			add(what, in)
		}
	}
	in := w.pass(gate.PassVisitor, w.at)
	in.Pass.To = gate.MinuteOf(w.at)
	add("a visitor's pass that ends this minute", in)
	in = w.pass(gate.PassVisitor, w.at)
	in.Pass.From = gate.MinuteOf(w.at) + 1
	add("a visitor's pass that begins the next minute", in)
	return rows
}

// passages are people who passed before.
func (w *world) passages() (rows []situation) {
	if w.longest(func(p *Policy) int { return int(p.PassageWindow() / time.Minute) }) == 0 {
		return nil
	}
	minutes := append(w.numbers(func(p *Policy) int { return int(p.passback.Forgive / time.Minute) }),
		w.numbers(func(p *Policy) int { return int(p.passback.Interval / time.Minute) })...)
	slices.Sort(minutes)
	for _, n := range slices.Compact(minutes) {
		before := w.at.Add(-time.Duration(n) * time.Minute).UnixMilli()
		for _, dir := range []gate.Direction{gate.DirectionIn, gate.DirectionOut} {
			for _, last := range []gate.Direction{gate.DirectionIn, gate.DirectionOut} {
				rows = w.each(rows, fmt.Sprintf("on the way %v, last passage %v %d min ago", dir, last, n), func(in *gate.Inputs) {
					in.Direction = dir
					if last == gate.DirectionIn {
						in.Passages.In = before
					} else {
						in.Passages.Out, in.Passages.In = before, before-60_000
					}
				}, "GREEN", "RED", "BLOCK")
			}
		}
	}
	return rows
}
