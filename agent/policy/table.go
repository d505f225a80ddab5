package policy

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"gateagent/agent/gate"
)

// Table prints what the policy does as two tables for people: every situation
// of the rules with its class and its verdict at each level, and what data,
// clock and card change. Each cell is the outcome of [Policy.Decide], so the
// print cannot say anything else than the gate does.
func (p *Policy) Table() string {
	var b strings.Builder
	if p == nil || !p.built {
		return "no policy: everybody is refused\n"
	}
	fmt.Fprintf(&b, "%s version %d, site at level %d, times in %v\n\n", p.ref.ID, p.ref.Version, p.level, p.zone)
	p.table(&b, "facts", p.situations())
	b.WriteByte('\n')
	p.table(&b, "trouble", p.troubles())
	return b.String()
}

// situation is one line of a printed table.
type situation struct {
	what string
	in   gate.Inputs
}

func (p *Policy) table(b *strings.Builder, title string, rows []situation) {
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tclass\tlevel 1\tlevel 2\tlevel 3\tlevel 4\treasons at level %d\n", title, p.level)
	for _, s := range rows {
		own := p.Decide(s.in)
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

// noon is an instant at which the policy is in force.
func (p *Policy) noon() time.Time {
	at := time.Date(2021, 12, 17, 12, 0, 0, 0, p.zone)
	switch {
	case !p.from.IsZero():
		at = p.from
	case !p.to.IsZero() && !at.Before(p.to):
		at = p.to.Add(-time.Second)
	}
	return at
}

// sound is a scan with nothing wrong: a good card, fresh data, a good clock.
func (p *Policy) sound() gate.Inputs {
	return gate.Inputs{Now: p.noon().UnixMilli(), Credential: gate.KindCCCD, Clock: gate.ClockCentral}
}

// with adds a fact that is age days old.
func (p *Policy) with(in gate.Inputs, kind gate.FactKind, age int) gate.Inputs {
	in.Facts = gate.Facts{Found: true, Word: gate.Word(kind) << 12, Base: p.day(in.Now) - gate.Day(age)}
	return in
}

func (p *Policy) situations() []situation {
	in := p.sound()
	dose, recovered := p.params.DoseDays, p.params.RecoveredDays
	fact := func(what string, kind gate.FactKind, age int) situation {
		return situation{fmt.Sprintf(what, age), p.with(in, kind, age)}
	}
	extras := func(what string, kind gate.FactKind, age int, change func(*gate.Extras)) situation {
		s := situation{what, p.with(in, kind, age)}
		s.in.Facts.Word |= 1 << 15
		s.in.Facts.HasExtras = change != nil
		if change != nil {
			change(&s.in.Facts.Extras)
		}
		return s
	}
	today := p.day(in.Now)
	negative := func(kind gate.TestKind) func(*gate.Extras) {
		return func(e *gate.Extras) { e.AddTest(gate.Test{Kind: kind, Sampled: gate.MinuteOf(p.noon()) - 60}) }
	}
	rows := []situation{
		fact("positive %d days ago, not recovered", gate.FactPositive, 3),
		fact("quarantine, last day in %d days", gate.FactQuarantine, 0),
		fact("quarantine ended %d day ago", gate.FactQuarantine, 1),
		fact("series completed %d days ago", gate.FactCompleted, dose),
		fact("series completed %d days ago", gate.FactCompleted, dose-1),
		fact("recovered %d days ago", gate.FactRecovered, recovered),
		fact("recovered %d days ago", gate.FactRecovered, recovered+1),
		fact("first dose %d days ago", gate.FactBegun, dose),
		fact("first dose %d days ago", gate.FactBegun, dose-1),
		{"on record, nothing that counts", p.with(in, gate.FactNothing, 0)},
		{"a fact dated tomorrow", p.with(in, gate.FactCompleted, -1)},
		extras(fmt.Sprintf("series completed yesterday, first dose %d days ago", dose), gate.FactCompleted, 1,
			func(e *gate.Extras) { e.FirstDose = today - gate.Day(dose) }),
		extras("positive, recovered since", gate.FactPositive, 30, func(e *gate.Extras) { e.Recovered = today - 10 }),
		extras("negative PCR test an hour ago", gate.FactNothing, 0, negative(gate.TestPCR)),
		extras("negative antigen test an hour ago", gate.FactNothing, 0, negative(gate.TestAntigen)),
		extras("on the deny or the watch list", gate.FactCompleted, dose, func(e *gate.Extras) { e.AddList(gate.Membership{List: "deny"}) }),
		extras("outside the person's own days and hours", gate.FactCompleted, dose, func(e *gate.Extras) { e.Window.To = today - 1 }),
		extras("more to know than the box has", gate.FactNothing, 0, nil),
		{"a fact of a later version", p.with(in, 6, 0)},
		{"not on record", in},
	}
	for _, k := range []struct {
		what string
		kind gate.CredentialKind
	}{{"a code that cannot be read", gate.KindUnreadable}, {"a one-minute VNeID code", gate.KindVNeIDDynamic}, {"any other code", gate.KindUnsupported}} {
		at := in
		at.Credential = k.kind
		rows = append(rows, situation{k.what, at})
	}
	return rows
}

func (p *Policy) troubles() []situation {
	green := p.with(p.sound(), gate.FactCompleted, p.params.DoseDays)
	var rows []situation
	add := func(what string, change func(*gate.Inputs)) {
		for _, who := range []struct {
			name string
			in   gate.Inputs
		}{
			{"GREEN", green},
			{"RED", p.with(p.sound(), gate.FactNothing, 0)},
			{"BLOCK", p.with(p.sound(), gate.FactPositive, 3)},
		} {
			in := who.in
			change(&in)
			rows = append(rows, situation{who.name + ", " + what, in})
		}
	}
	add("data older than "+hours(p.params.SoftAge), func(in *gate.Inputs) { in.DataAge = p.softAge + 1 })
	add("data older than "+hours(p.params.HardAge), func(in *gate.Inputs) { in.DataAge = p.hardAge + 1 })
	add("a data set is missing", func(in *gate.Inputs) { in.DataAge = -1 })
	add("clock below "+p.params.Clock.String(), func(in *gate.Inputs) { in.Clock = p.params.Clock - 1 })
	add("card expired", func(in *gate.Inputs) { in.CardExpires = p.day(in.Now) })
	add("card says other than the record", func(in *gate.Inputs) { in.Facts.CardMismatch = true })
	add("two doubts about the card", func(in *gate.Inputs) { in.Flags = gate.FlagSexMismatch | gate.FlagBirthYearMismatch })
	if !p.to.IsZero() {
		add("after valid_to", func(in *gate.Inputs) { in.Now = p.untilMS })
	}
	return rows
}

func hours(d time.Duration) string { return fmt.Sprintf("%d h", d/time.Hour) }
