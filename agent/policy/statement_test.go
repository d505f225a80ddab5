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
	in, out, reentry            int           // what passing twice or too soon does: allow, notice or manual
	forgive, interval           int           // minutes
	order                       []gate.Reason // of the rows
	bad                         map[gate.Reason]int
	passOutside                 int // what the bearer of a pass meets outside the hours
	doubts, doubtful            int
	expired                     int // allow, manual or deny
	qrqg                        int // at best
	passes                      map[gate.PassKind][4]int
	table                       map[gate.Class][4]int
	passesNeedClock, needsClock gate.ClockLevel
}

// How strict a verdict is; again asks for another code.
const (
	again = iota - 1
	allow
	notice
	manual
	deny
	alert
)

var strictOf = map[gate.Verdict]int{
	gate.Retry: again, gate.Allow: allow, gate.AllowNotice: notice, gate.ManualCheck: manual, gate.Deny: deny, gate.DenyAlert: alert,
}

func defaultRules() rules {
	return rules{
		dose: 14, recovered: 180, pcr: 72, soft: 86400, hard: 3 * 86400, open: true, outside: manual,
		passOutside: manual,
		order:       []gate.Reason{"deny_list", "positive", "quarantine", "vaccinated", "recovered", "partly_vaccinated", "tested"},
		bad: map[gate.Reason]int{
			gate.ReasonPassMalformed: again, gate.ReasonPassUnknown: manual, gate.ReasonPassForged: deny, gate.ReasonPassEarly: manual,
			gate.ReasonPassExpired: deny, gate.ReasonPassRevoked: deny, gate.ReasonPassSpent: deny, gate.ReasonPassElsewhere: deny,
		},
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

	passport     bool        // one was shown with the card
	ppWhy        gate.Reason // why it does not count; empty: it is good
	stranger     bool        // it is good, and somebody else's
	event        gate.PassportEvent
	dose, of     int
	ppDay        int // age
	ppFrom, ppTo int // ages of a recovery's first and last day; none
	ppTest       tested
	level        int
	clock        gate.ClockLevel
	dataAge      int64

	pass             bool // in place of a card
	passKind         gate.PassKind
	passWhy          gate.Reason // why it does not count; empty: it is good
	passFrom, passTo int         // minutes from now
	passOther        bool        // its own days and hours are others
}

func blank() scanned {
	return scanned{
		first: none, completed: none, last: none, recovered: none, positive: none, confined: none,
		inAgo: none, outAgo: none, code: gate.KindCCCD, ppDay: none, ppFrom: none, ppTo: none,
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
	best := none
	for _, a := range ages {
		if a != none && (best == none || a < best) {
			best = a
		}
	}
	return best
}

func oldestOf(ages ...int) int { return slices.Max(ages) }

func (s *scanned) word(kind int) int {
	if s.kind == kind {
		return s.age
	}
	return none
}

// told says whether the clock can be believed.
func (r *rules) told(s *scanned) bool { return s.clock >= r.needsClock && s.clock <= gate.ClockCentral }

// on says whether somebody is on one of the lists now, or might be by a clock
// that cannot tell.
func (r *rules) on(s *scanned, names ...string) bool {
	if !s.found || !s.extras {
		return false
	}
	for i := range s.lists {
		if l := &s.lists[i]; slices.Contains(names, l.name) && (l.now || !r.told(s)) {
			return true
		}
	}
	return false
}

// person is the class that the record gives, why, and whether a fact was
// passed over on the way because it lies ahead.
func (r *rules) person(s *scanned) (class gate.Class, why gate.Reason, ahead bool) {
	told := r.told(s)
	class, why, ahead = r.record(s, told)
	switch {
	case class == gate.Block:
		return class, why, false
	case s.masked || s.code == gate.KindBHYT:
		return gate.Unknown, "ambiguous", false
	case s.dataAge < 0:
		return gate.Unknown, "no_data", false
	case s.found && !told && why != "needs_extras" && why != "reserved_kind":
		return gate.Unknown, "clock_untrusted", false
	}
	return class, why, ahead && (class == gate.Red || class == gate.Yellow)
}

func (r *rules) record(s *scanned, told bool) (class gate.Class, why gate.Reason, ahead bool) {
	if !s.found {
		return gate.Unknown, "no_record", false
	}
	class, why, ahead = r.known(s, told)
	if more := hidden(s); more != "" && class != gate.Block {
		return gate.Unknown, more, false
	}
	return class, why, ahead
}

// hidden says why there is more to know of somebody than the box can tell.
func hidden(s *scanned) gate.Reason {
	switch {
	case !s.found:
		return ""
	case s.missing, s.extras && s.beyond:
		return "needs_extras"
	case s.kind > 5:
		return "reserved_kind"
	}
	return ""
}

// known is the class by what the box can tell.
func (r *rules) known(s *scanned, told bool) (class gate.Class, why gate.Reason, ahead bool) {
	shut := r.on(s, r.blocks...) || r.on(s, r.alerts...)
	first, completed, last, recovered, positive, confined, tests := none, none, none, none, none, none, []tested(nil)
	if s.extras {
		first, completed, last, recovered, positive, confined, tests =
			s.first, s.completed, s.last, s.recovered, s.positive, s.confined, s.tests
	}
	positives := append(make([]int, 0, 8), s.word(4), positive)
	for _, t := range tests {
		if t.positive {
			positives = append(positives, (t.minutes+12*60-1)/(24*60)) // the moment is noon
		}
	}
	ill, well := newestOf(positives...), newestOf(s.word(2), recovered)
	if !told { // what lies ahead by that clock may well be past
		ill, well = latestOf(positives...), latestOf(s.word(2), recovered)
	}
	if ill != none && well != none && well < ill && (!told || well >= 0) {
		ill = none // recovered on a later day
	}
	done, oldest := oldestOf(s.word(1), completed), oldestOf(s.word(1), s.word(3), first, completed, last)
	youngest := newestOf(s.word(1), s.word(3), first, completed, last)
	tomorrow := func(age int) bool { return age != none && age < 0 }
	for _, row := range r.order {
		switch row {
		case "deny_list":
			if shut {
				return gate.Block, row, false
			}
		case "positive":
			if ill != none && (!told || ill >= 0) {
				return gate.Block, row, false
			}
			ahead = ahead || tomorrow(ill)
		case "quarantine":
			for _, day := range [...]int{s.word(5), confined} {
				if told && day != none && day <= 0 {
					return gate.Block, row, false
				}
			}
		case "vaccinated":
			if done >= r.dose && (r.oldest == 0 || youngest <= r.oldest) {
				return gate.Green, row, ahead
			}
			ahead = ahead || tomorrow(done)
		case "recovered":
			if well >= 0 && well <= r.recovered {
				return gate.Green, row, ahead
			}
			ahead = ahead || tomorrow(well)
		case "partly_vaccinated":
			if oldest >= r.dose {
				return gate.Yellow, row, ahead
			}
			ahead = ahead || tomorrow(oldest)
		case "tested":
			if slices.ContainsFunc(tests, r.counts) {
				return gate.Yellow, row, ahead
			}
		}
	}
	return gate.Red, "no_fact_counts", ahead
}

func (r *rules) counts(t tested) bool {
	hours := r.antigen
	if t.pcr {
		hours = r.pcr
	}
	return !t.positive && hours > 0 && t.minutes >= 0 && t.minutes <= hours*60
}

// vouched is the class of somebody of whom only a good passport is known, and
// what it lacks to a better one for its days.
func (r *rules) vouched(s *scanned) (class gate.Class, lacks gate.Reason) {
	switch {
	case s.event == gate.PassportVaccination && s.dose > 0 && s.of > 0 && s.ppDay != none:
		if s.ppDay < 0 {
			return gate.ClassNone, "future_fact"
		}
		all, before := s.dose >= s.of, s.dose > 1
		third := all && s.dose > 2 // by any name a booster, or worth one
		works := s.ppDay >= r.dose || s.dose > s.of || third
		fresh := r.oldest == 0 || s.ppDay <= r.oldest
		if all && works && fresh {
			return gate.Green, ""
		}
		if before || works {
			class = gate.Yellow
		}
		switch {
		case all && !fresh:
			lacks = "passport_too_old"
		case all && !works, class == gate.ClassNone:
			lacks = "passport_too_young"
		}
		return class, lacks
	case s.event == gate.PassportRecovery && s.ppDay != none:
		switch {
		case s.ppDay < 0:
			return gate.ClassNone, "future_fact"
		case s.ppDay > r.recovered:
			return gate.ClassNone, "passport_too_old"
		case s.ppFrom != none && s.ppFrom < 0:
			return gate.ClassNone, "passport_too_young"
		case s.ppTo != none && s.ppTo > 0:
			return gate.ClassNone, "passport_too_old"
		}
		return gate.Green, ""
	case s.event == gate.PassportTest && !s.ppTest.positive && (s.ppTest.pcr && r.pcr > 0 || !s.ppTest.pcr && r.antigen > 0):
		switch {
		case s.ppTest.minutes < 0:
			return gate.ClassNone, "future_fact"
		case !r.counts(s.ppTest):
			return gate.ClassNone, "passport_too_old"
		}
		return gate.Yellow, ""
	}
	return gate.ClassNone, "passport_nothing"
}
