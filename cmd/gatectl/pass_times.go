package main

import (
	"slices"
	"strings"
	"time"

	"gateagent/agent/hint"
)

// readTime reads a day, an instant, a time of today or a span from the instant
// since. A day as an end is good to its end.
func readTime(flag, s string, now, since time.Time, isEnd bool) (time.Time, error) {
	s = strings.TrimSpace(s)
	zone := now.Location()
	if t, err := time.ParseInLocation(time.DateOnly, s, zone); err == nil {
		if isEnd {
			t = t.AddDate(0, 0, 1)
		}
		return t, nil
	}
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(form, s, zone); err == nil {
			return t, nil
		}
	}
	if minute, ok := readClock(s); ok {
		y, m, d := now.Date()
		return time.Date(y, m, d, minute/60, minute%60, 0, 0, zone), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, ok := number(days, 3660); ok && n > 0 {
			return since.AddDate(0, 0, n), nil
		}
	}
	if d, err := time.ParseDuration(s); err == nil && d > 0 && d%time.Minute == 0 {
		return since.Add(d), nil
	}
	return time.Time{}, hint.New("2026-11-24, \"2026-11-24 08:00\", 08:00 for today, or 4h or 30d for a span", "--%s: %q is no time", flag, s)
}

// readClock reads 08:00 to 24:00 as minutes of the day.
func readClock(s string) (minute int, ok bool) {
	h, m, found := strings.Cut(s, ":")
	hours, ok1 := number(h, 24)
	minutes, ok2 := number(m, 59)
	if !found || !ok1 || !ok2 || len(m) != 2 || hours == 24 && minutes > 0 {
		return 0, false
	}
	return hours*60 + minutes, true
}

// number reads a number of at most four digits.
func number(s string, most int) (n int, ok bool) {
	if s == "" || len(s) > 4 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n, n <= most
}

// readHours reads 08:00-17:00; nothing is the whole day.
func readHours(s string) (start, end uint16, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, found := strings.Cut(s, "-")
	from, ok1 := readClock(strings.TrimSpace(a))
	to, ok2 := readClock(strings.TrimSpace(b))
	switch {
	case !found || !ok1 || !ok2 || from == 24*60 || from == to:
		return 0, 0, hint.New("--hours 08:00-17:00, for example", "--hours: %q are no hours", s)
	case to == 0:
		to = 24 * 60
	}
	return uint16(from), uint16(to), nil
}

var weekdayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// readWeekdays reads mon-fri or sat,sun as bits from Monday; nothing is every
// day.
func readWeekdays(s string) (bits uint8, err error) {
	if s == "" {
		return 0, nil
	}
	for part := range strings.SplitSeq(strings.ToLower(s), ",") {
		a, b, isSpan := strings.Cut(strings.TrimSpace(part), "-")
		if !isSpan {
			b = a
		}
		first, last := slices.Index(weekdayNames, a), slices.Index(weekdayNames, b)
		if first < 0 || last < 0 {
			return 0, hint.New("known are "+strings.Join(weekdayNames, ", ")+"; --weekdays mon-fri or sat,sun", "--weekdays: %q is no day of the week", part)
		}
		for day := first; ; day = (day + 1) % len(weekdayNames) {
			bits |= 1 << day
			if day == last {
				break
			}
		}
	}
	return bits, nil
}
