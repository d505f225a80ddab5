package gate

import (
	"fmt"
	"time"
)

// Day is a calendar day without a time zone: days since 1970-01-01, from
// 1 (1970-01-02) on; 0 stands for "no day". Negative days lie before 1970.
type Day int32

// DayOf gives the calendar day that t shows in its own location.
func DayOf(t time.Time) Day {
	y, m, d := t.Date()
	return Date{y, int(m), d}.Day()
}

// Date turns a day back into year, month and day of month.
func (d Day) Date() Date {
	t := time.Unix(int64(d)*86400, 0).UTC()
	return Date{t.Year(), int(t.Month()), t.Day()}
}

// String gives ISO 8601, for example "2021-08-20"; "-" for no day.
func (d Day) String() string {
	if d == 0 {
		return "-"
	}
	return d.Date().String()
}

// Date is a civil date as a document prints it. Month and Day of month may be
// 0 for "unknown"; the zero Date is "not given".
type Date struct {
	Year, Month, DayOfMonth int
}

// Day gives the calendar day; 0 when the date is not fully known.
func (d Date) Day() Day {
	if !d.Valid() {
		return 0
	}
	return Day(time.Date(d.Year, time.Month(d.Month), d.DayOfMonth, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// Valid says whether d is a real, fully known calendar date.
func (d Date) Valid() bool {
	if d.Month < 1 || d.Month > 12 || d.DayOfMonth < 1 {
		return false
	}
	t := time.Date(d.Year, time.Month(d.Month), d.DayOfMonth, 0, 0, 0, 0, time.UTC)
	return t.Day() == d.DayOfMonth
}

// IsZero says whether no date was given.
func (d Date) IsZero() bool { return d == Date{} }

// String gives ISO 8601 with 00 for unknown parts; "-" when not given.
func (d Date) String() string {
	if d.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.DayOfMonth)
}

// ParseDay reads ISO 8601 "2006-01-02".
func ParseDay(s string) (Day, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a date like 2021-12-31", s)
	}
	return DayOf(t), nil
}
