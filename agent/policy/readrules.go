package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// Bounds of the rules of a document.
const (
	maxLevelChanges = 50
	maxLists        = 32
	maxWindows      = 20
	maxHolidays     = 400
	maxListName     = 32 // as data sets name them
	maxMinutes      = 7 * 24 * 60
	maxWeight       = 20
)

// levelChanges reads the announced levels, which have to be in order.
func (r *reader) levelChanges(items []item) (changes []LevelChange) {
	for _, it := range items {
		o := it.object()
		if o == nil {
			continue
		}
		if !o.has("from") {
			o.problem("from", "is missing")
		}
		c := LevelChange{From: o.instant("from"), Level: int(o.integer("level", required, MinLevel, MaxLevel))}
		o.end()
		if n := len(changes); n > 0 && !c.From.IsZero() && !changes[n-1].From.Before(c.From) {
			o.problem("from", "is not after the change before it")
		}
		changes = append(changes, c)
	}
	return changes
}

// order reads the rows by name. What blocks has to be there and to come before
// what lets in; a row that is left out does not count.
func (r *reader) order(doc *object, items []item) (order []Row) {
	var letsIn string
	for _, it := range items {
		name, ok := it.text()
		if !ok {
			continue
		}
		row := rowOf(name)
		switch {
		case row == numRows:
			it.problem(fmt.Sprintf("%.60q is not one of %s", name, strings.Join(rowNames(), ", ")))
			continue
		case slices.Contains(order, row):
			it.problem(name + " is given twice")
			continue
		case rowRules[row].class != gate.Block:
			letsIn = name
		case letsIn != "":
			it.problem(fmt.Sprintf("%s blocks and has to come before %s, which lets in", name, letsIn))
		}
		order = append(order, row)
	}
	for row := range numRows {
		if rowRules[row].class == gate.Block && !slices.Contains(order, row) {
			doc.problem("order", fmt.Sprintf("leaves out %v, which blocks", row))
		}
	}
	return order
}

func rowOf(name string) Row {
	for row := range numRows {
		if row.String() == name {
			return row
		}
	}
	return numRows
}

func rowNames() (names []string) {
	for row := range numRows {
		names = append(names, row.String())
	}
	return names
}

func (r *reader) credentials(o *object, a *acceptance) {
	if o == nil {
		return
	}
	for i, rule := range credentialRules {
		words := make([]string, len(rule.choices))
		for k, c := range rule.choices {
			words[k] = c.String()
		}
		without := slices.Index(rule.choices, a[i])
		a[i] = rule.choices[o.choice(rule.name, words, without)]
	}
	o.end()
}

func (r *reader) passport(o *object, p *Policy) {
	if o == nil {
		return
	}
	if items := o.list("lifts", numClasses); o.has("lifts") {
		p.lifts = classesOf(items, gate.Yellow, gate.Red, gate.Unknown)
	}
	o.end()
}

// classesOf reads a list of classes out of those that may stand there.
func classesOf(items []item, allowed ...gate.Class) (s classSet) {
	for _, it := range items {
		name, ok := it.text()
		if !ok {
			continue
		}
		c, err := gate.ParseClass(name)
		switch {
		case err != nil || !slices.Contains(allowed, c):
			words := make([]string, len(allowed))
			for i, c := range allowed {
				words[i] = c.String()
			}
			it.problem(fmt.Sprintf("%.60q is not one of %s", name, strings.Join(words, ", ")))
		case s.has(c):
			it.problem(name + " is given twice")
		default:
			s |= setOf(c)
		}
	}
	return s
}

var holidayWords = []string{"open", "closed"}

// lists reads the rules for lists, in the order in which they are written.
func (r *reader) lists(o *object) (rules []ListRule) {
	if o == nil {
		return nil
	}
	if len(o.keys()) > maxLists {
		o.r.problems = append(o.r.problems, Problem{o.path, fmt.Sprintf("has %d lists, at most %d are read", len(o.keys()), maxLists)})
		return nil
	}
	for _, name := range o.keys() {
		if !validListName(name) {
			o.problem(name, fmt.Sprintf("is no name of a list: 1 to %d of a-z, 0-9, '_' and '-', beginning with a letter", maxListName))
			o.take(name)
			continue
		}
		rule := o.object(name, required)
		if rule == nil {
			continue
		}
		rules = append(rules, r.list(rule, name))
	}
	o.end()
	return rules
}

func validListName(s string) bool {
	if s == "" || len(s) > maxListName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func (r *reader) list(o *object, name string) ListRule {
	l := ListRule{Name: name}
	if !o.has("effect") {
		o.problem("effect", "is missing")
	}
	l.Effect = o.listEffect(name)
	l.Hours = windows(o.list("hours", maxWindows))
	l.NotOnHolidays = o.choice("holidays", holidayWords, 0) == 1
	classes, levels := o.list("classes", numClasses), o.list("levels", MaxLevel)
	if l.Effect == ListAllow {
		if !o.has("classes") {
			o.problem("classes", "is missing: which of YELLOW, RED, UNKNOWN the list lets in; [] for none, so that it opens closed hours only")
		}
		l.Classes = classesOf(classes, gate.Green, gate.Yellow, gate.Red, gate.Unknown)
		if o.has("levels") && len(levels) == 0 {
			o.problem("levels", "is empty; leave it out for all levels")
		}
		for _, it := range levels {
			if n, ok := it.integer(MinLevel, MaxLevel); ok {
				if l.Levels>>n&1 != 0 {
					it.problem(fmt.Sprintf("%d is given twice", n))
				}
				l.Levels |= 1 << n
			}
		}
	} else {
		for _, key := range []string{"classes", "levels"} {
			if o.has(key) {
				o.problem(key, "means something with the effect allow only")
			}
		}
	}
	if o.has("note") {
		l.Note = o.sentence("note")
	} else {
		o.take("note")
	}
	o.end()
	return l
}

// listEffect reads what a list of that name does.
func (o *object) listEffect(name string) ListEffect {
	i := o.choice("effect", listEffectNames[:], -1)
	if i < 0 {
		return ListNone
	}
	effect, may := ListEffect(i), effectsOf(name)
	if may != nil && !slices.Contains(may, effect) {
		words := make([]string, len(may))
		for i, e := range may {
			words[i] = e.String()
		}
		o.problem("effect", fmt.Sprintf("%v cannot be meant for a list called %s; use %s, or another name for the list",
			effect, name, strings.Join(words, ", ")))
	}
	return effect
}

var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

func windows(items []item) (all []gate.Window) {
	for _, it := range items {
		o := it.object()
		if o == nil {
			continue
		}
		w := gate.Window{}
		days := o.list("weekdays", len(weekdays))
		if o.has("weekdays") && len(days) == 0 {
			o.problem("weekdays", "is empty; leave it out for every day")
		}
		for _, d := range days {
			name, ok := d.text()
			i := slices.Index(weekdays[:], name)
			switch {
			case !ok:
			case i < 0:
				d.problem(fmt.Sprintf("%.60q is not one of %s", name, strings.Join(weekdays[:], ", ")))
			case w.Weekdays>>i&1 != 0:
				d.problem(name + " is given twice")
			default:
				w.Weekdays |= 1 << i
			}
		}
		from, to := o.has("from"), o.has("to")
		if from || to {
			w.Start, w.End = o.clock("from"), o.clock("to")
			switch {
			case from != to:
				o.problem("from", "and to belong together")
			case w.Start == 24*60:
				o.problem("from", "24:00 is the end of a day, not a beginning")
			case w.Start == w.End:
				o.problem("to", "is the same as from; leave both out for the whole day")
			}
		} else {
			o.take("from")
			o.take("to")
		}
		o.end()
		all = append(all, w)
	}
	return all
}

// clock reads a time of day like "08:30" as a minute; "24:00" is the end.
func (o *object) clock(key string) uint16 {
	s, ok := o.text(key, optional)
	if !ok {
		return 0
	}
	h, m := 0, 0
	good := len(s) == 5 && s[2] == ':'
	if good {
		var err1, err2 error
		h, err1 = strconv.Atoi(s[:2])
		m, err2 = strconv.Atoi(s[3:])
		good = err1 == nil && err2 == nil && '0' <= s[0] && s[0] <= '9' && '0' <= s[3] && s[3] <= '9' &&
			m < 60 && (h < 24 || h == 24 && m == 0)
	}
	if !good {
		o.problem(key, fmt.Sprintf("%.60q is not a time of day like 08:30", s))
		return 0
	}
	return uint16(h*60 + m)
}

// holidays reads the calendar: dates in order.
func (r *reader) holidays(items []item) (days []gate.Day) {
	for _, it := range items {
		s, ok := it.text()
		if !ok {
			continue
		}
		day, err := gate.ParseDay(s)
		if err != nil {
			it.problem(fmt.Sprintf("%.60q is not a date like 2022-01-01", s))
			continue
		}
		if n := len(days); n > 0 && day <= days[n-1] {
			it.problem("is not after the day before it")
			continue
		}
		days = append(days, day)
	}
	return days
}

// outsideClasses are those for whom the hours of a site say something;
// ClassNone is the bearer of a pass.
var outsideClasses = [...]gate.Class{gate.Green, gate.Yellow, gate.Red, gate.Unknown, gate.ClassNone}

func outsideName(c gate.Class) string {
	if c == gate.ClassNone {
		return "PASS"
	}
	return c.String()
}

func (r *reader) hours(o *object, h *Hours) {
	if o == nil {
		return
	}
	h.Open = windows(o.list("open", maxWindows))
	h.ClosedOnHolidays = o.choice("holidays", holidayWords, 0) == 1
	if outside := o.object("outside", optional); outside != nil {
		for _, c := range outsideClasses {
			h.Outside[c] = outside.verdict(outsideName(c), h.Outside[c], gate.Allow, gate.AllowNotice, gate.ManualCheck, gate.Deny)
		}
		outside.end()
	}
	o.end()
}

// verdict is an optional verdict out of those that may stand there.
func (o *object) verdict(key string, without gate.Verdict, allowed ...gate.Verdict) gate.Verdict {
	words := make([]string, len(allowed))
	for i, v := range allowed {
		words[i] = v.String()
	}
	i := o.choice(key, words, -1)
	if i < 0 {
		return without
	}
	return allowed[i]
}

func (r *reader) passes(o *object, p *PassRules) {
	if o == nil {
		return
	}
	if s, ok := o.text("clock", optional); ok {
		level, err := gate.ParseClockLevel(s)
		if err != nil || level == gate.ClockNone {
			o.problem("clock", fmt.Sprintf("%.60q is not one of floor, rtc, ntp, central", s))
		}
		p.clock = level
	}
	if kinds := o.object("actions", optional); kinds != nil {
		for _, k := range passKinds {
			row := kinds.object(k.String(), optional)
			if row == nil {
				continue
			}
			r.passRow(kinds, row, k, &p.actions[k])
		}
		kinds.end()
	}
	if bad := o.object("bad", optional); bad != nil {
		for i := range badPasses {
			p.bad[i] = bad.verdict(string(badPasses[i].reason), p.bad[i], gate.Retry, gate.ManualCheck, gate.Deny, gate.DenyAlert)
		}
		bad.end()
	}
	o.end()
}

// passRow reads what one kind of pass opens at each level.
func (r *reader) passRow(kinds, row *object, k gate.PassKind, to *perLevel) {
	for level := MinLevel; level <= MaxLevel; level++ {
		key := strconv.Itoa(level)
		if !row.has(key) {
			row.problem(key, "is missing")
		}
		to[level] = row.verdict(key, gate.Deny, gate.Allow, gate.AllowNotice, gate.ManualCheck, gate.Deny)
		if level > MinLevel && strictness(to[level]) < strictness(to[level-1]) {
			kinds.problem(k.String(), fmt.Sprintf("is laxer at level %d than at level %d", level, level-1))
		}
	}
	row.end()
}

func (r *reader) passback(o *object, b *Passback) {
	if o == nil {
		return
	}
	b.In = Strength(o.choice("in", strengthNames[:], 0))
	b.Out = Strength(o.choice("out", strengthNames[:], 0))
	b.Forgive = time.Duration(o.number("forgive_minutes", 0, maxMinutes, 0)) * time.Minute
	b.Reentry = Strength(o.choice("reentry", strengthNames[:], 0))
	b.Interval = time.Duration(o.number("interval_minutes", 0, maxMinutes, 0)) * time.Minute
	if (b.In != Off || b.Out != Off) && b.Forgive == 0 {
		o.problem("forgive_minutes", fmt.Sprintf("has to say after how long a passage is forgotten, 1 to %d", maxMinutes))
	}
	if b.Reentry != Off && b.Interval == 0 {
		o.problem("interval_minutes", fmt.Sprintf("has to say how soon is too soon, 1 to %d", maxMinutes))
	}
	o.end()
}

func (r *reader) hints(o *object, h *Hints) {
	if o == nil {
		return
	}
	if s, ok := o.text("effect", optional); ok {
		switch i := slices.Index(hintEffectNames[:], s); {
		case s == "deny" || s == "alert":
			o.problem("effect", "a hint never refuses; use manual")
		case i < 0:
			o.problem("effect", fmt.Sprintf("%.60q is not one of %s", s, strings.Join(hintEffectNames[:], ", ")))
		default:
			h.Effect = HintEffect(i)
		}
	}
	if weights := o.object("weights", optional); weights != nil {
		for i := range hintRules {
			h.Weight[i] = int(weights.number(string(hintRules[i].reason), 0, maxWeight, int64(h.Weight[i])))
		}
		weights.end()
	}
	o.end()
}
