package policy

import (
	"slices"

	"gateagent/agent/gate"
)

// Hours are the opening hours of a site. They are asked on the way in only:
// nobody is kept inside because the site has closed.
type Hours struct {
	// Open are the windows in which it is open, without days From and To; none:
	// always.
	Open []gate.Window
	// ClosedOnHolidays closes it on the days of the policy's calendar.
	ClosedOnHolidays bool
	// Outside is what somebody of a class meets outside of them, unless
	// something stricter applies; under ClassNone the bearer of a pass.
	Outside [numClasses]gate.Verdict
}

// always says whether the hours exclude nothing.
func (h *Hours) always() bool { return len(h.Open) == 0 && !h.ClosedOnHolidays }

// open says whether the site is open at a moment.
func (p *Policy) open(m *moment) bool {
	return p.hours.always() || p.within(p.hours.Open, p.hours.ClosedOnHolidays, m)
}

// within says whether a moment lies in one of the windows, of which none means
// all the time. A window that goes over midnight belongs to the day on which
// it begins, also when that or the next is a holiday.
func (p *Policy) within(windows []gate.Window, closedOnHolidays bool, m *moment) bool {
	if len(windows) == 0 {
		return !closedOnHolidays || !p.holiday(m.today)
	}
	for i := range windows {
		w := &windows[i]
		if !w.Contains(m.today, m.minute) {
			continue
		}
		begun := m.today
		if w.End < w.Start && m.minute < int(w.End) {
			begun--
		}
		if !closedOnHolidays || !p.holiday(begun) {
			return true
		}
	}
	return false
}

func (p *Policy) holiday(day gate.Day) bool {
	_, found := slices.BinarySearch(p.holidays, day)
	return found
}

// enters says whether the lane leads in; whatever is not known does.
func enters(d gate.Direction) bool { return d != gate.DirectionOut }
