package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// policy reads the whole document; what is wrong goes to r.problems.
func (r *reader) policy(root *node, draft bool) *Policy {
	p := &Policy{}
	doc := r.object(root, "")
	if doc == nil {
		return p
	}
	need := required
	if draft {
		need = optional
	}
	if aud, ok := doc.text("aud", need); ok && aud == "" {
		doc.problem("aud", "is empty; it names the site")
	}
	p.ref.Version = uint64(doc.integer("ver", need, 1, 1<<53))
	iat := doc.integer("iat", need, 1, 1<<40)
	exp := doc.integer("exp", need, 1, 1<<40)
	if iat != 0 && exp != 0 && exp <= iat {
		doc.problem("exp", "is not after iat")
	}

	id, ok := doc.text("id", required)
	if p.ref.ID = id; ok && !validID(id) {
		doc.problem("id", "has to be 1 to 64 of a-z, 0-9, '.', '-', beginning with a letter or digit")
	}
	p.level = int(doc.integer("level", required, MinLevel, MaxLevel))
	if name, ok := doc.text("time_zone", required); ok {
		zone, err := loadZone(name)
		if err != nil || name == "" || name == "Local" {
			doc.problem("time_zone", fmt.Sprintf("%q is not a time zone like %q", name, vietnamZone))
		}
		p.zone = zone
	}
	p.from = doc.instant("valid_from")
	p.to = doc.instant("valid_to")
	if !p.from.IsZero() && !p.to.IsZero() && !p.from.Before(p.to) {
		doc.problem("valid_to", "is not after valid_from")
	}
	p.changes = r.levelChanges(doc.list("levels", maxLevelChanges))
	p.params = r.params(doc.object("params", required))
	p.defaults()
	p.action = r.actions(doc.object("actions", required))
	if items := doc.list("order", int(numRows)); doc.has("order") {
		p.order = r.order(doc, items)
	}
	r.credentials(doc.object("credentials", optional), &p.accept)
	r.passport(doc.object("passport", optional), p)
	p.lists = r.lists(doc.object("lists", optional))
	p.holidays = r.holidays(doc.list("holidays", maxHolidays))
	r.hours(doc.object("hours", optional), &p.hours)
	r.passes(doc.object("passes", optional), &p.passes)
	r.passback(doc.object("passback", optional), &p.passback)
	r.hints(doc.object("hints", optional), &p.hints)
	p.texts = r.texts(doc.object("texts", optional))
	doc.end()
	return p
}

func validID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '.' || s[0] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return false
		}
	}
	return true
}

const (
	maxDays   = 10 * 366
	maxHours  = 24 * 366
	maxDoubts = 20
)

func (r *reader) params(o *object) Params {
	p := Params{}
	if o == nil {
		return p
	}
	p.DoseDays = int(o.integer("dose_days", required, 0, maxDays))
	p.MaxDoseAge = int(o.number("max_dose_age_days", 0, maxDays, 0))
	if p.MaxDoseAge > 0 && p.MaxDoseAge < p.DoseDays {
		o.problem("max_dose_age_days", "is below dose_days: nobody would ever count as vaccinated")
	}
	p.RecoveredDays = int(o.integer("recovered_days", required, 0, maxDays))
	p.PCRHours = int(o.integer("pcr_hours", required, 0, maxHours))
	p.AntigenHours = int(o.integer("antigen_hours", required, 0, maxHours))
	p.SoftAge = time.Duration(o.integer("soft_age_hours", required, 1, maxHours)) * time.Hour
	p.HardAge = time.Duration(o.integer("hard_age_hours", required, 1, maxHours)) * time.Hour
	if p.SoftAge > 0 && p.HardAge > 0 && p.HardAge < p.SoftAge {
		o.problem("hard_age_hours", "is below soft_age_hours")
	}
	if s, ok := o.text("clock", required); ok {
		level, err := gate.ParseClockLevel(s)
		if err != nil || level == gate.ClockNone {
			o.problem("clock", fmt.Sprintf("%q is not one of floor, rtc, ntp, central", s))
		}
		p.Clock = level
	}
	p.Doubts = int(o.integer("doubts", required, 1, maxDoubts))
	if s, ok := o.text("expired_card", required); ok {
		i := slices.Index(expiredCardNames[:], s)
		if i < 0 {
			o.problem("expired_card", fmt.Sprintf("%q is not one of %s", s, strings.Join(expiredCardNames[:], ", ")))
		}
		p.ExpiredCard = ExpiredCard(max(i, 0))
	}
	o.end()
	return p
}
