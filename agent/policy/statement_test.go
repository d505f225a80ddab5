package policy_test

import (
	"slices"

	"gateagent/agent/gate"
)

// What follows is the policy once more, written from PAYLOADS §7 and the
// handbook of policies and not from the code: what a scan meets at a gate. It
// knows facts as ages and verdicts as how strict they are.

// none stands for a fact that is not there.
const none = -1 << 30

// rules are the settings of a policy that the statement knows.
type rules struct {
	dose, oldest, recovered     int
	pcr, antigen                int // hours
	soft, hard                  int64
	open                        bool // whether the site is open at the moment of the test
	outside                     int  // what everybody meets outside the hours
	blocks, alerts              []string
	manual, notice              []string
	staff                       string // the list that lets in
	staffClasses                []gate.Class
	staffLevels                 []int
	in, out, reentry            int // what passing twice or too soon does: allow, notice or manual
	forgive, interval           int // minutes
	doubts, doubtful            int
	expired                     int // allow, manual or deny
	qrqg                        int // at best
	passes                      map[gate.PassKind][4]int
	table                       map[gate.Class][4]int
	passesNeedClock, needsClock gate.ClockLevel
}

// How strict a verdict is.
const (
	allow = iota
	notice
	manual
	deny
	alert
)

var strictOf = map[gate.Verdict]int{
	gate.Allow: allow, gate.AllowNotice: notice, gate.ManualCheck: manual, gate.Deny: deny, gate.DenyAlert: alert,
}

func defaultRules() rules {
	return rules{
		dose: 14, recovered: 180, pcr: 72, soft: 86400, hard: 3 * 86400, open: true, outside: manual,
		blocks: []string{"deny", "watch"}, doubts: 2, doubtful: manual, expired: allow, qrqg: notice,
		passes: map[gate.PassKind][4]int{
			gate.PassVisitor: {allow, allow, notice, manual}, gate.PassChild: {allow, allow, notice, manual},
			gate.PassPaper: {allow, allow, notice, manual}, gate.PassStaff: {allow, allow, notice, manual},
		},
		table: map[gate.Class][4]int{
			gate.Green: {allow, allow, allow, allow}, gate.Yellow: {allow, allow, notice, manual},
			gate.Red: {notice, manual, manual, deny}, gate.Unknown: {manual, manual, manual, manual},
			gate.Block: {alert, alert, alert, alert},
		},
		needsClock: gate.ClockRTC, passesNeedClock: gate.ClockRTC,
	}
}

// listed is a list that a person is on, and whether the moment is within the
// window of the membership.
type listed struct {
	name string
	now  bool
}

// tested is a test and how many minutes ago the sample was taken.
type tested struct {
	pcr, positive bool
	minutes       int
}

// scanned is one scan in neutral form. Ages are in days.
type scanned struct {
	found bool
	kind  int // of the word
	age   int

	extras, missing, beyond       bool // extras are there, are missing, are not all
	first, completed, last        int
	recovered, positive, confined int
	tests                         []tested
	lists                         []listed
	outsideOwn                    bool

	code              gate.CredentialKind
	masked            bool
	doubts            int // flags that speak against the card
	mismatch, expired bool
	leaving           bool
	inAgo, outAgo     int  // minutes; none
	maybeMore         bool // there may have been later passages

	passport        bool // a good one, shown with the card
	stranger        bool
	event           gate.PassportEvent
	dose, of        int
	ppDay, ppTo     int // ages; ppTo below zero lies ahead
	ppTest          tested
	level           int
	clock           gate.ClockLevel
	dataAge         int64
	policyOutOfDate bool
}

func blank() scanned {
	return scanned{
		first: none, completed: none, last: none, recovered: none, positive: none, confined: none,
		inAgo: none, outAgo: none, code: gate.KindCCCD, ppDay: none,
	}
}

// newestOf is the youngest age that is not ahead, or one ahead if there is no
// other.
func newestOf(ages ...int) int {
	best := none
	for _, a := range ages {
		switch {
		case a == none:
		case best == none, a >= 0 && best < 0, a >= 0 && a < best:
			best = a
		}
	}
	return best
}

// latestOf is the youngest age, also one ahead.
func latestOf(ages ...int) int {
	ages = slices.DeleteFunc(slices.Clone(ages), func(a int) bool { return a == none })
	if len(ages) == 0 {
		return none
	}
	return slices.Min(ages)
}

func oldestOf(ages ...int) int { return slices.Max(ages) }

func (s scanned) word(kind int) int {
	if s.kind == kind {
		return s.age
	}
	return none
}

func (r rules) classOf(s scanned) gate.Class {
	told := s.clock >= r.needsClock && s.clock <= gate.ClockCentral
	if !s.found {
		return gate.Unknown
	}
	if s.extras {
		for _, l := range s.lists {
			if (slices.Contains(r.blocks, l.name) || slices.Contains(r.alerts, l.name)) && (l.now || !told) {
				return gate.Block
			}
		}
	}
	if s.missing || s.extras && s.beyond || s.kind > 5 {
		return gate.Unknown
	}
	x := s
	if !s.extras {
		b := blank()
		x.first, x.completed, x.last, x.recovered, x.positive, x.confined = b.first, b.completed, b.last, b.recovered, b.positive, b.confined
		x.tests = nil
	}
	positives := []int{s.word(4), x.positive}
	for _, t := range x.tests {
		if t.positive {
			positives = append(positives, (t.minutes+12*60-1)/(24*60)) // the moment is noon
		}
	}
	pick := newestOf
	if !told { // what lies ahead by that clock may well be past
		pick = latestOf
	}
	ill, well := pick(positives...), pick(s.word(2), x.recovered)
	if ill != none && (!told || ill >= 0) && (well == none || well > ill || told && well < 0) {
		return gate.Block
	}
	if !told {
		return gate.Unknown
	}
	for _, last := range []int{s.word(5), x.confined} {
		if last != none && last <= 0 {
			return gate.Block
		}
	}
	if s.dataAge < 0 {
		return gate.Unknown
	}
	doses := []int{s.word(1), s.word(3), x.first, x.completed, x.last}
	done := oldestOf(s.word(1), x.completed)
	youngest := newestOf(doses...)
	switch {
	case done >= r.dose && (r.oldest == 0 || youngest <= r.oldest):
		return gate.Green
	case well >= 0 && well <= r.recovered:
		return gate.Green
	case oldestOf(doses...) >= r.dose:
		return gate.Yellow
	}
	if slices.ContainsFunc(x.tests, r.counts) {
		return gate.Yellow
	}
	return gate.Red
}

func (r rules) counts(t tested) bool {
	hours := r.antigen
	if t.pcr {
		hours = r.pcr
	}
	return !t.positive && hours > 0 && t.minutes >= 0 && t.minutes <= hours*60
}

// lifted is the class with a passport.
func (r rules) lifted(s scanned, c gate.Class) gate.Class {
	told := s.clock >= r.needsClock && s.clock <= gate.ClockCentral
	cannot := !s.passport || s.stranger || !told || s.dataAge < 0 || c == gate.Block || c == gate.Green ||
		c == gate.Unknown && s.found
	if cannot {
		return c
	}
	by := gate.ClassNone
	switch s.event {
	case gate.PassportVaccination:
		fresh := r.oldest == 0 || s.ppDay <= r.oldest
		switch {
		case s.ppDay < 0 || s.dose == 0 || s.of == 0:
		case s.dose > s.of && fresh:
			by = gate.Green
		case s.ppDay >= r.dose && s.dose >= s.of && fresh:
			by = gate.Green
		case s.ppDay >= r.dose:
			by = gate.Yellow
		}
	case gate.PassportRecovery:
		if s.ppDay >= 0 && s.ppDay <= r.recovered && s.ppTo <= 0 {
			by = gate.Green
		}
	case gate.PassportTest:
		if r.counts(s.ppTest) {
			by = gate.Yellow
		}
	}
	if by == gate.Green || by == gate.Yellow && c != gate.Yellow {
		return by
	}
	return c
}

// meets is the outcome.
func (r rules) meets(s scanned) (gate.Class, int) {
	told := s.clock >= r.needsClock && s.clock <= gate.ClockCentral
	nobody := s.masked || s.code == gate.KindBHYT
	class := r.classOf(s)
	if nobody && class != gate.Block {
		if told && !r.open && !s.leaving {
			return gate.Unknown, max(manual, r.outside)
		}
		return gate.Unknown, manual
	}
	class = r.lifted(s, class)
	v := r.table[class][s.level-1]
	least := func(what bool, to int) {
		if what && v < to {
			v = to
		}
	}
	on := func(names ...string) bool {
		return s.found && s.extras && slices.ContainsFunc(s.lists, func(l listed) bool {
			return slices.Contains(names, l.name) && (l.now || !told)
		})
	}
	inDoubt := s.doubts
	if s.mismatch {
		inDoubt++
	}
	if class == gate.Block {
		least(on(r.alerts...), alert)
		least(s.expired && told, r.expired)
		return class, v
	}
	staff := told && on(r.staff)
	if staff && slices.Contains(r.staffClasses, class) && slices.Contains(r.staffLevels, s.level) {
		v = allow
	}
	switch {
	case !told, s.policyOutOfDate, s.dataAge < 0:
		v = manual
	case s.dataAge > r.hard && class == gate.Green && v <= notice:
		v = notice
	case s.dataAge > r.hard:
		v = manual
	}
	least(s.expired && told, r.expired)
	least(s.mismatch, notice)
	least(inDoubt >= r.doubts, r.doubtful)
	least(s.code == gate.KindQRQG, r.qrqg)
	if told && !s.leaving {
		least(s.extras && s.outsideOwn, manual)
		least(!r.open && !staff, r.outside)
		least(s.inAgo != none && s.inAgo <= r.forgive && (s.outAgo == none || s.outAgo > s.inAgo), r.in)
		least(s.inAgo != none && s.inAgo < r.interval || s.outAgo != none && s.outAgo < r.interval, r.reentry)
		least(s.maybeMore, max(r.in, r.reentry))
	}
	if told && s.leaving {
		least(s.outAgo != none && s.outAgo <= r.forgive && (s.inAgo == none || s.inAgo > s.outAgo), r.out)
		least(s.maybeMore, r.out)
	}
	least(on(r.manual...), manual)
	least(on(r.notice...), notice)
	return class, v
}
