package policy

import "gateagent/agent/gate"

// Decide judges one scan. Its steps:
//
//  1. What names nobody is answered RETRY; the bearer of a pass is judged by
//     the pass, everybody else by the rules, which give a class.
//  2. A passport that goes with the card may better the class.
//  3. The level of the site turns the class into a verdict; a list that lets
//     in may better it.
//  4. A policy out of its dates, data too old or missing, or a clock that
//     cannot tell: nobody passes on it but GREEN on old data, with notice.
//  5. Whatever makes it stricter: an expired or a doubtful card, a code that
//     stood for the card, the person's own days and hours, those of the site,
//     passages, lists. The strictest wins and all reasons are kept.
//
// BLOCK survives every step: what blocks does not stop blocking because
// something else is broken, unknown or cannot be read.
func (p *Policy) Decide(in gate.Inputs) gate.Decision {
	return p.decide(&in, nil)
}

func (p *Policy) decide(in *gate.Inputs, t *trace) gate.Decision {
	if p == nil || !p.built {
		return gate.Decision{}
	}
	cred, known := credentialOf(in.Credential, in.Flags)
	if r, retry := p.retryReason(cred, known, in); retry {
		d := gate.Decision{Verdict: gate.Retry}
		d.Add(r)
		if cred == credDCC && r != gate.ReasonUnsupported {
			d.Add(gate.ReasonNeedsCard)
		}
		t.start(gate.ClassNone, gate.Retry, r, 0)
		return d
	}

	least := p.params.Clock
	if cred == credPass {
		least = p.passes.clock
	}
	m := p.moment(in.Now, in.Clock, least)
	w := weighing{level: p.levelAt(&m), trace: t}
	if cred == credPass {
		if p.judgePass(in, &m, &w) {
			return w.decision(in.Flags)
		}
	} else {
		p.judgePerson(cred, in, &m, &w)
	}

	if !m.known {
		w.hold(gate.ReasonClockUntrusted)
	} else if in.Now < p.fromMS || in.Now >= p.untilMS {
		w.hold(gate.ReasonPolicyNotInForce)
	}
	if cred != credPass && !cred.nobody() {
		p.freshness(in, &m, &w)
		p.card(cred, in, &m, &w)
	}
	p.presence(in, &m, &w)
	return w.decision(in.Flags)
}

// retryReason says why a scan is answered RETRY. A passport without a card is,
// whatever it is worth: it does not say who holds it.
func (p *Policy) retryReason(cred credential, known bool, in *gate.Inputs) (gate.Reason, bool) {
	switch {
	case in.Credential == gate.KindUnreadable:
		return gate.ReasonUnreadable, true
	case in.Credential == gate.KindVNeIDDynamic:
		return gate.ReasonUnsupportedDynamic, true
	case !known || p.accept[cred] == AcceptNot:
		return gate.ReasonUnsupported, true
	}
	switch cred {
	case credDCC:
		switch in.Passport.Proof {
		case gate.ProofGood:
			return gate.ReasonNeedsCard, true
		case gate.ProofBad:
			return passportReason(in.Passport.Why), true
		}
		return gate.ReasonUnsupported, true // there is nobody here who could verify it
	case credPass:
		return gate.ReasonUnsupported, in.Pass.Proof == gate.ProofNone
	}
	return "", false
}

// judgePerson finds class and verdict of the bearer of a card.
func (p *Policy) judgePerson(cred credential, in *gate.Inputs, m *moment, w *weighing) {
	w.listing = p.listed(&in.Facts, m, w.level)
	found := p.judge(&in.Facts, m, &w.listing)
	switch {
	case found.class == gate.Block:
	case cred.nobody():
		found = finding{class: gate.Unknown, reason: gate.ReasonAmbiguous, unread: found.unread}
	case in.DataAge < 0:
		// A set is missing: what another one says about the person may not
		// be all there is to say.
		found = finding{class: gate.Unknown, reason: gate.ReasonNoData, unread: found.unread}
	}
	p.upgrade(in, &found, m, w)
	if found.unread != "" && found.unread != found.reason {
		w.note(found.unread)
	}
	w.begin(found.class, p.action.verdict(found.class, w.level), found.reason)
	w.ignoredFuture = found.ignoredFuture
	if cred.nobody() {
		w.tighten(gate.ManualCheck, gate.ReasonAmbiguous)
	}
	if w.listing.alert && found.class == gate.Block && w.verdict != gate.DenyAlert {
		w.turn(gate.DenyAlert, gate.ReasonDenyList)
	}
	// Of whom there is more to know than is known, or not even who they are, a
	// list that lets in may be the lesser part of what there is to say.
	if w.listing.lets.has(found.class) && found.class != gate.Block && found.unread == "" && !cred.nobody() {
		w.turn(gate.Allow, gate.ReasonListed)
	}
}

// freshness marks or distrusts old data.
func (p *Policy) freshness(in *gate.Inputs, m *moment, w *weighing) {
	switch {
	case in.DataAge < 0:
		w.hold(gate.ReasonNoData)
	case !m.known: // an age by that clock means nothing
	case in.DataAge > p.hardAge:
		w.age(gate.ReasonExpiredData)
	case in.DataAge > p.softAge:
		w.note(gate.ReasonStaleData)
	}
}

// card holds against the card what its own data say.
func (p *Policy) card(cred credential, in *gate.Inputs, m *moment, w *weighing) {
	if m.known && in.CardExpires != 0 && m.today >= in.CardExpires {
		w.expiredCard(p.params.ExpiredCard)
	}
	if in.Facts.CardMismatch {
		// Data are wrong more often than cards, so it refuses nobody.
		w.tighten(gate.AllowNotice, gate.ReasonCardDataMismatch)
	}
	if p.hints.doubts(in) >= p.params.Doubts {
		w.doubtful(p.hints.Effect)
	}
	if cred == credQRQG {
		switch p.accept[cred] {
		case AcceptManual:
			w.tighten(gate.ManualCheck, gate.ReasonPersonalCode)
		case AcceptNotice:
			w.tighten(gate.AllowNotice, gate.ReasonPersonalCode)
		default:
			w.note(gate.ReasonPersonalCode)
		}
	}
}

// presence asks whether the person is expected here and now.
func (p *Policy) presence(in *gate.Inputs, m *moment, w *weighing) {
	if m.known {
		if enters(in.Direction) {
			if in.Facts.HasExtras && !in.Facts.Extras.Window.Contains(m.today, m.minute) {
				w.tighten(gate.ManualCheck, gate.ReasonOutsideWindow)
			}
			if !w.listing.entry && !p.open(m) {
				w.closed(&p.hours)
			}
		}
		p.passages(in, m, w)
	}
	if w.listing.manual {
		w.tighten(gate.ManualCheck, gate.ReasonListed)
	}
	if w.listing.notice {
		w.tighten(gate.AllowNotice, gate.ReasonListed)
	}
	if w.listing.entry {
		w.note(gate.ReasonListed)
	}
}

// weighing is a verdict on its way through the steps of Decide, with the
// reasons that turned it and those that are only noted.
type weighing struct {
	level   int
	listing listing
	trace   *trace // of Explain; nil in Decide

	class         gate.Class
	verdict       gate.Verdict
	reason        gate.Reason
	ignoredFuture bool

	turned  [gate.MaxReasons]gate.Reason // last step first: it decided
	nTurned int
	noted   [gate.MaxReasons]gate.Reason
	nNoted  int
}

// begin sets the outcome from which the steps go on.
func (w *weighing) begin(c gate.Class, v gate.Verdict, why gate.Reason) {
	w.class, w.verdict, w.reason = c, v, why
	w.trace.start(c, v, why, w.level)
}

// turn changes the verdict for a reason; when there is nothing to change the
// reason is noted.
func (w *weighing) turn(to gate.Verdict, why gate.Reason) {
	if w.verdict == to {
		w.note(why)
		return
	}
	w.trace.step(why, w.verdict, to)
	w.verdict = to
	w.nTurned = min(w.nTurned+1, len(w.turned)) // the last turn stays whatever else is there
	copy(w.turned[1:w.nTurned], w.turned[:])
	w.turned[0] = why
}

func (w *weighing) note(why gate.Reason) {
	w.trace.step(why, w.verdict, w.verdict)
	if w.nNoted < len(w.noted) {
		w.noted[w.nNoted] = why
		w.nNoted++
	}
}

// strictness orders verdicts by how little they let through, the one order of
// them that there is.
func strictness(v gate.Verdict) int {
	switch v {
	case gate.Allow:
		return 0
	case gate.AllowNotice:
		return 1
	case gate.ManualCheck, gate.Retry:
		return 2
	case gate.Deny:
		return 3
	}
	return 4
}

// tighten turns the verdict if that is stricter, else it notes the reason.
func (w *weighing) tighten(to gate.Verdict, why gate.Reason) {
	if strictness(to) > strictness(w.verdict) {
		w.turn(to, why)
		return
	}
	w.note(why)
}

// hold sends everybody to the guard whom nothing blocks.
func (w *weighing) hold(why gate.Reason) {
	if w.class == gate.Block {
		w.note(why)
		return
	}
	w.turn(gate.ManualCheck, why)
}

// age applies the hard age: GREEN passes with notice, BLOCK blocks, everybody
// else, also who would have been refused, sees the guard.
func (w *weighing) age(why gate.Reason) {
	if w.class == gate.Green && w.verdict.Opens() {
		w.turn(gate.AllowNotice, why)
		return
	}
	w.hold(why)
}

func (w *weighing) expiredCard(rule ExpiredCard) {
	switch {
	case rule == ExpiredCardRefuses && w.verdict != gate.DenyAlert:
		w.turn(gate.Deny, gate.ReasonCardExpired)
	case rule == ExpiredCardManual && w.verdict.Opens():
		w.turn(gate.ManualCheck, gate.ReasonCardExpired)
	default:
		w.note(gate.ReasonCardExpired)
	}
}

// doubtful does what the policy says about a card that speaks against itself.
func (w *weighing) doubtful(effect HintEffect) {
	switch effect {
	case HintManual:
		w.tighten(gate.ManualCheck, gate.ReasonDoubtfulCard)
	case HintNotice:
		w.tighten(gate.AllowNotice, gate.ReasonDoubtfulCard)
	default:
		w.note(gate.ReasonDoubtfulCard)
	}
}

// closed does what the hours of the site say about the person.
func (w *weighing) closed(h *Hours) {
	if w.class == gate.Block || int(w.class) >= len(h.Outside) {
		w.note(gate.ReasonClosed)
		return
	}
	w.tighten(h.Outside[w.class], gate.ReasonClosed)
}

// decision lays the reasons out, most important first.
func (w *weighing) decision(flags gate.ClaimFlags) gate.Decision {
	d := gate.Decision{Verdict: w.verdict, Class: w.class}
	for _, r := range w.turned[:w.nTurned] {
		d.Add(r)
	}
	d.Add(w.reason)
	if w.ignoredFuture {
		d.Add(gate.ReasonFutureFact)
	}
	for _, r := range w.noted[:w.nNoted] {
		d.Add(r)
	}
	var buf [16]gate.Reason
	for _, r := range flags.AppendReasons(buf[:0]) {
		d.Add(r)
	}
	return d
}
