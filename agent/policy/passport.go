package policy

import "gateagent/agent/gate"

// upgrade lets a verified passport of the holder of the card better what the
// record says, by the same rows and days. It never helps against BLOCK, nor
// where there is more to know than is known, nor by a clock that cannot tell.
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
	class := p.passportClass(pp, m)
	if class == gate.ClassNone || found.class == class || found.class == gate.Yellow && class != gate.Green {
		return
	}
	w.note(found.reason)
	*found = finding{class: class, reason: gate.ReasonPassport}
}

// passportClass is the class of somebody of whom only the passport is known;
// ClassNone where it counts for nothing.
func (p *Policy) passportClass(pp *gate.Passport, m *moment) gate.Class {
	age := int64(m.today) - int64(pp.Day)
	switch {
	case pp.Event == gate.PassportVaccination && pp.Day != 0 && pp.Dose > 0 && pp.Of > 0:
		old := p.params.MaxDoseAge != 0 && age > int64(p.params.MaxDoseAge)
		switch {
		case age < 0:
		case pp.Dose > pp.Of && !old: // a booster: the series was completed before
			return gate.Green
		case age < int64(p.params.DoseDays):
		case pp.Dose >= pp.Of && !old:
			return gate.Green
		default:
			return gate.Yellow
		}
	case pp.Event == gate.PassportRecovery && pp.Day != 0:
		if 0 <= age && age <= int64(p.params.RecoveredDays) &&
			(pp.From == 0 || m.today >= pp.From) && (pp.To == 0 || m.today <= pp.To) {
			return gate.Green
		}
	case pp.Event == gate.PassportTest:
		if p.testCounts(&pp.Test, m.now) {
			return gate.Yellow
		}
	}
	return gate.ClassNone
}

// passportReasons are the reasons for which a passport does not count.
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
