package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gateagent/agent/gate"
)

// TableRow is one line of the tables that say what a policy does.
type TableRow struct {
	Table string // that it stands in
	What  string
	Class gate.Class
	// Verdicts at the levels 1 to 4; class and reasons are those at the level
	// of the site.
	Verdicts [MaxLevel]gate.Verdict
	Reasons  []gate.Reason
}

// Rows tell what the policy does: every situation of the rules with its class
// and its verdict at each level, what data, clock and card change, other
// credentials, lists, hours, passports, passes and passages. Each is the
// outcome of [Policy.Decide], so they cannot say anything else than the gate
// does.
func (p *Policy) Rows() (rows []TableRow) {
	if p == nil || !p.built {
		return nil
	}
	w := newWorld(p)
	level := p.tableLevel(w)
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
		for _, s := range t.rows {
			own := p.AtLevel(level).Decide(s.in)
			row := TableRow{Table: t.title, What: s.what, Class: own.Class, Reasons: slices.Clone(own.ReasonList())}
			for level := MinLevel; level <= MaxLevel; level++ {
				row.Verdicts[level-MinLevel] = p.AtLevel(level).Decide(s.in).Verdict
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// tableLevel is the level at the moment of the tables.
func (p *Policy) tableLevel(w *world) int {
	level := p.level
	for _, c := range p.changes {
		if !w.at.Before(c.From) {
			level = c.Level
		}
	}
	return level
}

// Table prints [Policy.Rows] for people, at most 100 characters wide.
func (p *Policy) Table() string {
	var b strings.Builder
	if p == nil || !p.built {
		return "no policy: everybody is refused\n"
	}
	level := p.tableLevel(newWorld(p))
	fmt.Fprintf(&b, "%s version %d, at every level of a site, 1 to 4; times in %v\n", p.ref.ID, p.ref.Version, p.zone)
	fmt.Fprintf(&b, "%s level %d", p.ownLevel(), p.level)
	for _, c := range p.changes {
		fmt.Fprintf(&b, ",\n  from %s on level %d", c.From.In(p.zone).Format("2006-01-02 15:04"), c.Level)
	}
	b.WriteString("\nNOTICE is ALLOW_NOTICE, MANUAL is MANUAL_CHECK, ALERT is DENY_ALERT\n")
	rows := p.Rows()
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Table == rows[0].Table {
			n++
		}
		printTable(&b, level, rows[:n])
		rows = rows[n:]
	}
	return b.String()
}

// ownLevel begins the sentence about the level that a policy sets.
func (p *Policy) ownLevel() string {
	if p.ref == builtIn.ref {
		return "a site for which no other policy was published is at"
	}
	return "the site itself is at"
}

// shortVerdicts keep a table narrow.
var shortVerdicts = map[gate.Verdict]string{gate.AllowNotice: "NOTICE", gate.ManualCheck: "MANUAL", gate.DenyAlert: "ALERT"}

// Widths of a printed table, in characters.
const (
	tableWidth = 100
	mostWhat   = 42
)

func printTable(b *strings.Builder, level int, rows []TableRow) {
	wide := len(rows[0].Table)
	for _, r := range rows {
		wide = max(wide, utf8.RuneCountInString(r.What))
	}
	wide = min(wide, mostWhat)
	fmt.Fprintf(b, "\n%-*s  class    1      2      3      4      reasons at level %d\n", wide, rows[0].Table, level)
	for _, r := range rows {
		cells := make([]string, 0, MaxLevel)
		for _, v := range r.Verdicts {
			name, ok := shortVerdicts[v]
			if !ok {
				name = v.String()
			}
			cells = append(cells, fmt.Sprintf("%-6s", name))
		}
		middle := fmt.Sprintf("  %-7v  %s ", r.Class, strings.Join(cells, " "))
		reasons := make([]string, len(r.Reasons))
		for i, why := range r.Reasons {
			reasons[i] = string(why)
			if i < len(r.Reasons)-1 {
				reasons[i] += ","
			}
		}
		what, why := wrapWords(strings.Fields(r.What), wide), wrapWords(reasons, tableWidth-wide-len(middle))
		for i := range max(len(what), len(why)) {
			var line string
			if i < len(what) {
				line = what[i]
			}
			line += strings.Repeat(" ", wide-utf8.RuneCountInString(line))
			if i == 0 {
				line += middle
			} else {
				line += strings.Repeat(" ", len(middle))
			}
			if i < len(why) {
				line += why[i]
			}
			b.WriteString(strings.TrimRight(line, " ") + "\n")
		}
	}
}

// wrapWords lays words into lines; all but the first begin with two spaces.
func wrapWords(words []string, wide int) (lines []string) {
	for _, word := range words {
		n := len(lines)
		if n > 0 && utf8.RuneCountInString(lines[n-1])+1+utf8.RuneCountInString(word) <= wide {
			lines[n-1] += " " + word
			continue
		}
		if n > 0 {
			word = "  " + word
		}
		lines = append(lines, word)
	}
	return lines
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
		if s.in.Credential == gate.KindBHYT || s.in.Flags.NamesNobody() {
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
	if young := p.params.DoseDays - 1; young >= 0 {
		second := dose
		second.Day++
		rows = w.each(rows, "dose 2 of 2 "+ago(young), func(in *gate.Inputs) { in.Passport = second }, "RED", "UNKNOWN")
	}
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
