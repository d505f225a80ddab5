package policy

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gateagent/agent/gate"
)

// Table prints what the policy does as tables for people: every situation of
// the rules with its class and its verdict at each level, what data, clock and
// card change, other credentials, lists, hours, passports, passes and
// passages. Each cell is the outcome of [Policy.Decide], so the print cannot
// say anything else than the gate does.
func (p *Policy) Table() string {
	var b strings.Builder
	if p == nil || !p.built {
		return "no policy: everybody is refused\n"
	}
	w := newWorld(p)
	level := p.level
	for _, c := range p.changes {
		if !w.at.Before(c.From) {
			level = c.Level
		}
	}
	fmt.Fprintf(&b, "%s version %d, site at level %d, times in %v\n", p.ref.ID, p.ref.Version, level, p.zone)
	for _, c := range p.changes {
		fmt.Fprintf(&b, "from %s on at level %d\n", c.From.In(p.zone).Format("2006-01-02 15:04"), c.Level)
	}
	for _, t := range []struct {
		title string
		rows  []situation
	}{
		{"facts", p.rows(w)},
		{"trouble", p.troubles(w)},
		{"other credentials", p.otherCredentials(w)},
		{"passports, with the card", p.withPassport(w)},
		{"lists", p.onLists(w)},
		{"hours", p.atHours(w)},
		{"passes", p.withPass(w)},
		{"passages", p.afterPassages(w)},
	} {
		if len(t.rows) > 0 {
			b.WriteByte('\n')
			p.table(&b, t.title, level, t.rows)
		}
	}
	return b.String()
}

func (p *Policy) table(b *strings.Builder, title string, level int, rows []situation) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tclass\tlevel 1\tlevel 2\tlevel 3\tlevel 4\treasons at level %d\n", title, level)
	for _, s := range rows {
		own := p.AtLevel(level).Decide(s.in)
		fmt.Fprintf(w, "%s\t%v", s.what, own.Class)
		for level := MinLevel; level <= MaxLevel; level++ {
			fmt.Fprintf(w, "\t%v", p.AtLevel(level).Decide(s.in).Verdict)
		}
		reasons := make([]string, 0, own.N)
		for _, r := range own.ReasonList() {
			reasons = append(reasons, string(r))
		}
		fmt.Fprintf(w, "\t%s\n", strings.Join(reasons, ", "))
	}
	_ = w.Flush() // a Builder takes everything
}

func (p *Policy) rows(w *world) []situation {
	dose, recovered := p.params.DoseDays, p.params.RecoveredDays
	fact := func(what string, kind gate.FactKind, age int) situation {
		return situation{fmt.Sprintf(what, age), w.with(kind, age)}
	}
	extras := func(what string, kind gate.FactKind, age int, change func(*gate.Extras)) situation {
		return situation{what, extra(w.with(kind, age), change)}
	}
	negative := func(kind gate.TestKind) func(*gate.Extras) {
		return func(e *gate.Extras) { e.AddTest(gate.Test{Kind: kind, Sampled: gate.MinuteOf(w.at) - 60}) }
	}
	needs := w.with(gate.FactNothing, 0)
	needs.Facts.Word |= 1 << 15
	rows := []situation{
		fact("positive %d days ago, not recovered", gate.FactPositive, 3),
		fact("quarantine, last day in %d days", gate.FactQuarantine, 0),
		fact("quarantine ended %d day ago", gate.FactQuarantine, 1),
		fact("series completed %d days ago", gate.FactCompleted, dose),
		fact("series completed %d days ago", gate.FactCompleted, dose-1),
	}
	if longest := p.params.MaxDoseAge; longest > 0 {
		rows = append(rows,
			fact("series completed %d days ago", gate.FactCompleted, longest),
			fact("series completed %d days ago", gate.FactCompleted, longest+1),
			extras(fmt.Sprintf("series completed %d days ago, booster yesterday", longest+1), gate.FactCompleted, longest+1,
				func(e *gate.Extras) { e.LastDose = w.today - 1 }))
	}
	rows = append(rows,
		fact("recovered %d days ago", gate.FactRecovered, recovered),
		fact("recovered %d days ago", gate.FactRecovered, recovered+1),
		fact("first dose %d days ago", gate.FactBegun, dose),
		fact("first dose %d days ago", gate.FactBegun, dose-1),
		situation{"on record, nothing that counts", w.with(gate.FactNothing, 0)},
		situation{"a fact dated tomorrow", w.with(gate.FactCompleted, -1)},
		extras(fmt.Sprintf("series completed yesterday, first dose %d days ago", dose), gate.FactCompleted, 1,
			func(e *gate.Extras) { e.FirstDose = w.today - gate.Day(dose) }),
		extras("positive, recovered since", gate.FactPositive, 30, func(e *gate.Extras) { e.Recovered = w.today - 10 }),
		extras("negative PCR test an hour ago", gate.FactNothing, 0, negative(gate.TestPCR)),
		extras("negative antigen test an hour ago", gate.FactNothing, 0, negative(gate.TestAntigen)),
		extras("on the deny or the watch list", gate.FactCompleted, dose, func(e *gate.Extras) { e.AddList(gate.Membership{List: "deny"}) }),
		extras("outside the person's own days and hours", gate.FactCompleted, dose, func(e *gate.Extras) { e.Window.To = w.today - 1 }),
		situation{"more to know than the box has", needs},
		situation{"a fact of a later version", w.with(6, 0)},
		situation{"not on record", w.sound()},
	)
	for _, k := range []struct {
		what string
		kind gate.CredentialKind
	}{{"a code that cannot be read", gate.KindUnreadable}, {"a one-minute VNeID code", gate.KindVNeIDDynamic}, {"any other code", gate.KindUnsupported}} {
		in := w.sound()
		in.Credential = k.kind
		rows = append(rows, situation{k.what, in})
	}
	return rows
}

func (p *Policy) troubles(w *world) (rows []situation) {
	add := func(what string, change func(*gate.Inputs)) {
		rows = w.each(rows, what, change, "GREEN", "RED", "BLOCK")
	}
	add("data older than "+hours(p.params.SoftAge), func(in *gate.Inputs) { in.DataAge = p.softAge + 1 })
	add("data older than "+hours(p.params.HardAge), func(in *gate.Inputs) { in.DataAge = p.hardAge + 1 })
	add("a data set is missing", func(in *gate.Inputs) { in.DataAge = -1 })
	add("clock below "+p.params.Clock.String(), func(in *gate.Inputs) { in.Clock = p.params.Clock - 1 })
	add("card expired", func(in *gate.Inputs) { in.CardExpires = w.today })
	add("card says other than the record", func(in *gate.Inputs) { in.Facts.CardMismatch = true })
	add("two doubts about the card", func(in *gate.Inputs) { in.Flags = gate.FlagSexMismatch | gate.FlagBirthYearMismatch })
	if !p.to.IsZero() {
		add("after valid_to", func(in *gate.Inputs) { in.Now = p.untilMS })
	}
	return rows
}

func (p *Policy) otherCredentials(w *world) []situation {
	rows := w.each(nil, "the national QR with the whole number", func(in *gate.Inputs) { in.Credential = gate.KindQRQG }, "GREEN", "RED", "BLOCK")
	all := w.credentials()
	for _, s := range all {
		if s.in.Credential == gate.KindBHYT || s.in.Flags.Has(gate.FlagMasked) {
			rows = append(rows, s)
		}
	}
	return append(rows, w.passports()[0])
}

func (p *Policy) withPassport(w *world) []situation {
	if p.accept[credDCC] != AcceptWithCard {
		return nil
	}
	dose := gate.Passport{Proof: gate.ProofGood, Matched: true, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: w.today - gate.Day(p.params.DoseDays)}
	rows := w.each(nil, fmt.Sprintf("dose 2 of 2 %d days ago", p.params.DoseDays), func(in *gate.Inputs) { in.Passport = dose })
	rows = w.each(rows, "of somebody else", func(in *gate.Inputs) { in.Passport = dose; in.Passport.Matched = false }, "RED")
	return w.each(rows, "expired", func(in *gate.Inputs) {
		in.Passport = gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportExpired}
	}, "RED")
}

func (p *Policy) onLists(w *world) (rows []situation) {
	for i := range p.lists {
		name := p.lists[i].Name
		rows = w.each(rows, "on the list "+name, func(in *gate.Inputs) { *in = member(*in, name, gate.Window{}) }, onRecord...)
	}
	return rows
}

// atHours shows a week of opening hours: the first minute of each stretch, for
// a person, for the members of lists that let in, and for a pass.
func (p *Policy) atHours(w *world) (rows []situation) {
	if p.hours.always() {
		return nil
	}
	closed := w.closed(p)
	when := w.when(closed)
	at := func(in *gate.Inputs) { in.Now = closed.UnixMilli(); moveFacts(in, w, closed) }
	rows = w.each(rows, "open, "+w.when(w.at), func(*gate.Inputs) {}, "GREEN", "RED")
	rows = w.each(rows, "closed, "+when, at)
	rows = w.each(rows, "closed, on the way out", func(in *gate.Inputs) { at(in); in.Direction = gate.DirectionOut }, "GREEN")
	for i := range p.lists {
		if p.lists[i].Effect == ListAllow {
			name := p.lists[i].Name
			rows = w.each(rows, "closed, on the list "+name, func(in *gate.Inputs) { at(in); *in = member(*in, name, gate.Window{}) }, "GREEN", "RED")
		}
	}
	rows = append(rows, situation{"a visitor's pass, closed", w.pass(gate.PassVisitor, closed)})
	if len(p.holidays) > 0 && p.hours.ClosedOnHolidays {
		d := p.holidays[0].Date()
		noon := time.Date(d.Year, time.Month(d.Month), d.DayOfMonth, w.at.Hour(), w.at.Minute(), 0, 0, w.zone)
		rows = w.each(rows, "holiday, "+w.when(noon), func(in *gate.Inputs) { in.Now = noon.UnixMilli(); moveFacts(in, w, noon) }, "GREEN")
	}
	return rows
}

// closed finds the next full hour at which the site is closed.
func (w *world) closed(p *Policy) time.Time {
	for h := range 24 * 400 {
		x := w.at.Add(time.Duration(h) * time.Hour)
		if m := p.moment(x.UnixMilli(), gate.ClockCentral, gate.ClockFloor); !p.open(&m) {
			return x
		}
	}
	return w.at
}

func (p *Policy) withPass(w *world) (rows []situation) {
	if p.accept[credPass] == AcceptNot {
		return nil
	}
	for _, s := range w.passes() {
		if !strings.Contains(s.what, "clock") && (s.in.Direction == gate.DirectionIn || s.in.Pass.Why == gate.ReasonPassSpent) {
			rows = append(rows, s)
		}
	}
	return rows
}

func (p *Policy) afterPassages(w *world) []situation {
	if p.PassageWindow() == 0 {
		return nil
	}
	return w.passages()
}

func hours(d time.Duration) string { return fmt.Sprintf("%d h", d/time.Hour) }
