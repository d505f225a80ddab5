package policy_test

import (
	"slices"

	"gateagent/agent/gate"
)

// outcome is what a scan meets: class, how strict, and every reason in order.
type outcome struct {
	class   gate.Class
	strict  int
	reasons [gate.MaxReasons]gate.Reason
	n       int
}

func (o *outcome) add(why gate.Reason) {
	if why != "" && o.n < len(o.reasons) && !slices.Contains(o.reasons[:o.n], why) {
		o.reasons[o.n] = why
		o.n++
	}
}

// same says whether a decision is this outcome, reasons and their order
// included.
func (o *outcome) same(d *gate.Decision) bool {
	strict, known := strictIn(d.Verdict)
	return known && strict == o.strict && d.Class == o.class && d.N == o.n && d.Reasons == o.reasons
}

func strictIn(v gate.Verdict) (int, bool) {
	switch v {
	case gate.Retry:
		return again, true
	case gate.Allow:
		return allow, true
	case gate.AllowNotice:
		return notice, true
	case gate.ManualCheck:
		return manual, true
	case gate.Deny:
		return deny, true
	case gate.DenyAlert:
		return alert, true
	}
	return 0, false
}

// account puts an outcome together. The reasons stand in this order: what
// turned the verdict, the last turn first; what gave the class; that a fact
// which lies ahead was passed over; what was found and turned nothing, as it
// was found; what the code itself shows.
type account struct {
	class         gate.Class
	strict        int
	basis         gate.Reason
	ahead         bool
	turned, found [gate.MaxReasons]gate.Reason
	nTurned       int
	nFound        int
}

func (a *account) note(why gate.Reason) {
	a.found[a.nFound] = why
	a.nFound++
}

// set makes the verdict this one.
func (a *account) set(to int, why gate.Reason) {
	if a.strict == to {
		a.note(why)
		return
	}
	a.strict = to
	a.turned[a.nTurned] = why
	a.nTurned++
}

// least makes the verdict this one unless it is as strict already.
func (a *account) least(what bool, to int, why gate.Reason) {
	switch {
	case !what:
	case a.strict >= to:
		a.note(why)
	default:
		a.set(to, why)
	}
}

// guard sends everybody to the guard who is not blocked.
func (a *account) guard(what bool, why gate.Reason) {
	switch {
	case !what:
	case a.class == gate.Block:
		a.note(why)
	default:
		a.set(manual, why)
	}
}

func (a *account) outcome(code ...gate.Reason) (o outcome) {
	o.class, o.strict = a.class, a.strict
	for i := a.nTurned - 1; i >= 0; i-- {
		o.add(a.turned[i])
	}
	o.add(a.basis)
	if a.ahead {
		o.add("future_fact")
	}
	for _, why := range a.found[:a.nFound] {
		o.add(why)
	}
	for _, why := range code {
		o.add(why)
	}
	return o
}

// whysOfPassports are the reasons for which a passport does not count.
var whysOfPassports = []gate.Reason{
	"passport_malformed", "passport_unknown", "passport_forged", "passport_usage", "passport_early", "passport_expired",
	"passport_revoked", "passport_mismatch",
}

// passport says what one that was shown with the card does.
func (r *rules) passport(s *scanned, a *account) {
	switch {
	case !s.passport:
		return
	case s.ppWhy != "" && slices.Contains(whysOfPassports, s.ppWhy):
		a.note(s.ppWhy)
		return
	case s.ppWhy != "":
		a.note("passport_malformed")
		return
	case s.stranger:
		a.note("passport_mismatch")
		return
	}
	open := a.class == gate.Red || a.class == gate.Yellow || a.basis == "no_record"
	if !open || !r.told(s) || s.dataAge < 0 {
		return
	}
	class, lacks := r.vouched(s)
	if class == gate.Green || class == gate.Yellow && a.class != gate.Yellow {
		a.note(a.basis)
		a.class, a.basis = class, "passport"
		a.ahead = a.ahead && class != gate.Green
	}
	if lacks != "" {
		a.note(lacks)
	}
}

// meets is the outcome.
func (r *rules) meets(s *scanned) outcome {
	if s.pass {
		return r.meetsPass(s)
	}
	told := r.told(s)
	nobody := s.masked || s.code == gate.KindBHYT
	a := account{}
	a.class, a.basis, a.ahead = r.person(s)
	r.passport(s, &a)
	more := hidden(s)
	if more != "" && a.basis != more {
		a.note(more)
	}
	a.strict = r.table[a.class][s.level-1]
	a.least(nobody, manual, "ambiguous")
	if a.class == gate.Block {
		if a.strict != alert && r.on(s, r.alerts...) {
			a.set(alert, "deny_list")
		}
	}
	staff := told && r.staff != "" && r.on(s, r.staff)
	if staff && !nobody && more == "" && slices.Contains(r.staffClasses, a.class) && slices.Contains(r.staffLevels, s.level) {
		a.set(allow, "listed")
	}
	a.guard(!told, "clock_untrusted")
	if !nobody {
		switch {
		case s.dataAge < 0:
			a.guard(true, "no_data")
		case !told:
		case s.dataAge > r.hard && a.class == gate.Green && a.strict <= notice:
			a.set(notice, "expired_data")
		case s.dataAge > r.hard:
			a.guard(true, "expired_data")
		case s.dataAge > r.soft:
			a.note("stale_data")
		}
		a.least(told && s.expired, r.expired, "card_expired")
		a.least(s.mismatch, notice, "card_data_mismatch")
		inDoubt := s.doubts
		if s.mismatch {
			inDoubt++
		}
		a.least(inDoubt >= r.doubts, r.doubtful, "doubtful_card")
		a.least(s.code == gate.KindQRQG, r.qrqg, "personal_code")
	}
	if told && !s.leaving {
		a.least(s.extras && s.outsideOwn, manual, "outside_window")
		if !r.open && !staff {
			if a.class == gate.Block {
				a.note("closed")
			} else {
				a.least(true, r.outside, "closed")
			}
		}
	}
	r.passages(s, told, &a)
	a.least(r.on(s, r.manual...), manual, "listed")
	a.least(r.on(s, r.notice...), notice, "listed")
	if staff {
		a.note("listed")
	}
	var code [3]gate.Reason
	if s.doubts > 0 {
		code[0] = "sex_mismatch"
	}
	if s.doubts > 1 {
		code[1] = "birth_year_mismatch"
	}
	if s.masked {
		code[2] = "masked"
	}
	return a.outcome(code[:]...)
}

// passages are those before this one.
func (r *rules) passages(s *scanned, told bool, a *account) {
	came, left := s.inAgo != none, s.outAgo != none
	switch {
	case !told:
	case s.leaving && r.out != allow:
		a.least(left && s.outAgo <= r.forgive && (!came || s.inAgo > s.outAgo), r.out, "anti_passback")
		a.least(s.maybeMore, r.out, "passages_unknown")
	case !s.leaving:
		a.least(r.in != allow && came && s.inAgo <= r.forgive && (!left || s.outAgo > s.inAgo), r.in, "anti_passback")
		a.least(r.reentry != allow && (came && s.inAgo < r.interval || left && s.outAgo < r.interval), r.reentry, "reentry")
		a.least(s.maybeMore && max(r.in, r.reentry) > allow, max(r.in, r.reentry), "passages_unknown")
	}
}

// meetsPass is the outcome for the bearer of a pass.
func (r *rules) meetsPass(s *scanned) outcome {
	told := s.clock >= r.passesNeedClock && s.clock <= gate.ClockCentral
	why := s.passWhy
	if _, known := r.bad[why]; !known && why != "" {
		why = "pass_malformed"
	}
	spent := why == "pass_spent" && s.leaving // leaving needs no entry that is left
	if spent {
		why = ""
	}
	if why == "" && told {
		switch {
		case s.passFrom > 0:
			why = "pass_early"
		case s.passTo <= 0:
			why = "pass_expired"
		}
	}
	if why != "" {
		a := account{strict: r.bad[why], basis: why}
		doubt := !told && (why == "pass_early" || why == "pass_expired")
		if a.strict > manual && (s.leaving || doubt) {
			a.strict = manual
		}
		if doubt {
			a.note("clock_untrusted")
		}
		return a.outcome()
	}
	a := account{strict: r.passes[s.passKind][s.level-1], basis: "pass"}
	if spent {
		a.note("pass_spent")
	}
	a.least(told && !s.leaving && s.passOther, manual, "outside_window")
	a.guard(!told, "clock_untrusted")
	a.least(told && !s.leaving && !r.open, r.passOutside, "closed")
	r.passages(s, told, &a)
	return a.outcome()
}
