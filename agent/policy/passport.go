package policy

import "gateagent/agent/gate"

// upgrade lets a verified passport of the holder of the card better what the
// record says, by the same rows and days. It never helps against BLOCK, nor
// where there is more to know than is known, nor by a clock that cannot tell.
// Where the passport gives less than GREEN, the reason says what it lacks.
func (p *Policy) upgrade(in *gate.Inputs, found *finding, m *moment, w *weighing) {
	pp := &in.Passport
	switch {
	case pp.Proof == gate.ProofNone || p.accept[credDCC] != AcceptWithCard:
		return
	case pp.Proof != gate.ProofGood:
		w.note(passportReason(pp.Why))
		return
	case !pp.Matched:
		w.note(gate.ReasonPassportMismatch)
		return
	}
	if !m.known || in.DataAge < 0 || !p.lifts.has(found.class) ||
		found.class == gate.Unknown && found.reason != gate.ReasonNoRecord {
		return
	}
	says := p.passportSays(pp, m)
	if says.class == gate.Green || says.class == gate.Yellow && found.class != gate.Yellow {
		w.note(found.reason)
		found.class, found.reason = says.class, gate.ReasonPassport
		found.ignoredFuture = found.ignoredFuture && says.class != gate.Green
	}
	if says.lacks != "" {
		w.note(says.lacks)
	}
}

// testimony is what a passport says about its holder.
type testimony struct {
	// class of somebody of whom nothing else is known; ClassNone where the
	// passport counts for nothing.
	class gate.Class
	// lacks says why it is not a better one; empty where days change nothing.
	lacks gate.Reason
	// age is how old the event is and bound how old it has to be, or may be, in
	// days or for a test in hours; set with the reasons too young and too old.
	age, bound int64
}

// passportSays judges a good passport by itself.
//
// Whoever shows a second dose has had a first, at least three weeks before by
// every vaccine's schedule. So a dose after the first makes YELLOW from its own
// day on: a second dose never hurts. One that does not count yet makes GREEN
// only where the series was completed before it: a booster never hurts either.
func (p *Policy) passportSays(pp *gate.Passport, m *moment) testimony {
	age := int64(m.today) - int64(pp.Day)
	switch {
	case pp.Event == gate.PassportVaccination && pp.Day != 0 && pp.Dose > 0 && pp.Of > 0:
		return p.doseSays(pp, age)
	case pp.Event == gate.PassportRecovery && pp.Day != 0:
		longest := int64(p.params.RecoveredDays)
		switch {
		case age < 0:
			return testimony{lacks: gate.ReasonFutureFact}
		case age > longest:
			return testimony{lacks: gate.ReasonPassportTooOld, age: age, bound: longest}
		case pp.From != 0 && m.today < pp.From:
			return testimony{lacks: gate.ReasonPassportTooYoung, age: age, bound: int64(pp.From) - int64(pp.Day)}
		case pp.To != 0 && m.today > pp.To:
			return testimony{lacks: gate.ReasonPassportTooOld, age: age, bound: int64(pp.To) - int64(pp.Day)}
		}
		return testimony{class: gate.Green}
	case pp.Event == gate.PassportTest && !pp.Test.Positive && p.testHours(pp.Test.Kind) > 0:
		minutes := floorDiv(m.now, 60_000) - int64(pp.Test.Sampled)
		switch {
		case minutes < 0:
			return testimony{lacks: gate.ReasonFutureFact}
		case !p.testCounts(&pp.Test, m.now):
			return testimony{lacks: gate.ReasonPassportTooOld, age: (minutes + 59) / 60, bound: int64(p.testHours(pp.Test.Kind))}
		}
		return testimony{class: gate.Yellow}
	}
	return testimony{lacks: gate.ReasonPassportNothing}
}

// doseSays judges a dose that was given age days ago. A booster is a dose beyond
// those of its series (3/2, 2/1), or the third and last or a later one (3/3): so
// the EU writes boosters after a series of two, and whoever had a third dose had
// two before it, long enough ago, in whatever series.
func (p *Policy) doseSays(pp *gate.Passport, age int64) testimony {
	days, longest := int64(p.params.DoseDays), int64(p.params.MaxDoseAge)
	completes := pp.Dose >= pp.Of
	booster := pp.Dose > pp.Of || completes && pp.Dose > 2
	switch {
	case age < 0:
		return testimony{lacks: gate.ReasonFutureFact}
	case completes && longest != 0 && age > longest:
		return testimony{class: gate.Yellow, lacks: gate.ReasonPassportTooOld, age: age, bound: longest}
	case booster, completes && age >= days:
		return testimony{class: gate.Green}
	case completes && pp.Dose > 1:
		return testimony{class: gate.Yellow, lacks: gate.ReasonPassportTooYoung, age: age, bound: days}
	case pp.Dose > 1, age >= days:
		return testimony{class: gate.Yellow}
	}
	return testimony{lacks: gate.ReasonPassportTooYoung, age: age, bound: days}
}

// BestPassport gives the passport that would help most with a scan, if any does:
// of the holder of the card, and of a booster given on that day, which counts as
// much as any under every setting.
func (p *Policy) BestPassport(in gate.Inputs) gate.Passport {
	best := gate.Passport{Proof: gate.ProofGood, Matched: true, Event: gate.PassportVaccination, Dose: 3, Of: 3}
	if p != nil && p.built {
		best.Day = p.day(in.Now)
	}
	return best
}

// passportReasons are the reasons for which a passport does not count at all.
var passportReasons = [...]gate.Reason{
	gate.ReasonPassportMalformed, gate.ReasonPassportUnknown, gate.ReasonPassportForged, gate.ReasonPassportUsage,
	gate.ReasonPassportEarly, gate.ReasonPassportExpired, gate.ReasonPassportRevoked, gate.ReasonPassportMismatch,
}

// passportReason gives back a reason for which a passport does not count;
// whatever else is said, it is malformed.
func passportReason(why gate.Reason) gate.Reason {
	for _, r := range passportReasons {
		if r == why {
			return r
		}
	}
	return gate.ReasonPassportMalformed
}
