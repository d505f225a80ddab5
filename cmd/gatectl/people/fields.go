package people

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// maxName bounds a name, in bytes.
const maxName = 256

// number reads a personal number. The error does not show it.
func number(v string) (gate.Number, error) {
	n := gate.Number(v)
	if !n.Valid() {
		return "", fmt.Errorf("not 12 digits but %d characters%s", len(v), lostZero(v))
	}
	return n, nil
}

// lostZero names what spreadsheets do to numbers.
func lostZero(v string) string {
	if len(v) < 12 && len(v) > 8 && strings.Trim(v, "0123456789") == "" {
		return "; a spreadsheet may have dropped leading zeros"
	}
	return ""
}

// day reads a date and refuses centuries that no list can mean.
func day(v []byte) (gate.Day, error) {
	d, ok := isoDate(v)
	if !ok || !d.Valid() {
		return 0, errors.New("not a date like 2021-12-31")
	}
	if !plausible(d.Year) {
		return 0, fmt.Errorf("%s is not within 2000 to 2199", d)
	}
	return dayOf(d), nil
}

func plausible(year int) bool { return year >= 2000 && year < 2200 }

// date reads a date of a card, of which month and day may be unknown: 1950,
// 1950-07 or 1950-07-00.
func date(v []byte) (gate.Date, error) {
	bad := errors.New("not a date like 1990-12-31, nor 1990-12 or 1990 where the rest is unknown")
	full := append(make([]byte, 0, 10), v...)
	switch len(v) {
	case 4:
		full = append(full, "-00-00"...)
	case 7:
		full = append(full, "-00"...)
	}
	d, ok := isoDate(full)
	switch {
	case !ok || d.Year < 1880 || d.Year >= 2200 || d.Month > 12:
		return gate.Date{}, bad
	case d.DayOfMonth == 0:
		return d, nil
	case !d.Valid():
		return gate.Date{}, bad
	}
	return d, nil
}

// isoDate reads "2021-12-31" digit by digit.
func isoDate(v []byte) (d gate.Date, ok bool) {
	if len(v) != 10 || v[4] != '-' || v[7] != '-' {
		return d, false
	}
	digits := func(v []byte) (n int) {
		for _, c := range v {
			if c < '0' || c > '9' {
				ok = false
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	ok = true
	d = gate.Date{Year: digits(v[:4]), Month: digits(v[5:7]), DayOfMonth: digits(v[8:])}
	return d, ok
}

// dayOf counts the days since 1970 of a valid date; the time package takes ten
// times as long, which a list of a nation feels. The year begins in March
// here, so that the leap day is its last.
func dayOf(d gate.Date) gate.Day {
	y, m := d.Year, d.Month-3
	if m < 0 {
		y, m = y-1, m+12
	}
	return gate.Day(365*y + y/4 - y/100 + y/400 + (153*m+2)/5 + d.DayOfMonth - 719469)
}

// addList reads "staff" or "staff@WINDOW".
func (p *Person) addList(v []byte) error {
	name, window, bounded := strings.Cut(string(v), "@")
	m := gate.Membership{List: strings.TrimSpace(name)}
	if bounded {
		if err := parseWindow(&m.Window, window); err != nil {
			return err
		}
	}
	return p.onList(m)
}

func (p *Person) onList(m gate.Membership) error {
	if !record.ValidName(m.List) {
		return errors.New("a name of a list is like staff or visitors-2: a to z, 0 to 9, -, at most 32 characters")
	}
	if slices.ContainsFunc(p.Lists, func(o gate.Membership) bool { return o.List == m.List && o.Window == m.Window }) {
		return errors.New("stands twice")
	}
	if err := checkWindow(m.Window); err != nil {
		return err
	}
	p.Lists = append(p.Lists, m)
	return nil
}

// checkWindow refuses one that nobody ever meets.
func checkWindow(w gate.Window) error {
	if w.From != 0 && w.To != 0 && w.From > w.To {
		return fmt.Errorf("it ends on %s, before it begins", w.To)
	}
	return nil
}

// parseWindow reads the parts of a window, parted by blanks: days
// (2021-12-01..2022-01-31, either end may be missing), weekdays (mon-fri,
// mon+wed+fri) and hours (07:30-18:00).
func parseWindow(w *gate.Window, v string) error {
	parts := strings.Fields(v)
	rest := parts[:0:0]
	for _, part := range parts {
		from, to, isDays := strings.Cut(part, "..")
		if !isDays {
			rest = append(rest, part)
			continue
		}
		if w.From != 0 || w.To != 0 {
			return errors.New("days stand twice")
		}
		if from == "" && to == "" {
			return errors.New("days like 2021-12-01..2022-01-31 need one end at least")
		}
		for _, end := range []struct {
			text string
			to   *gate.Day
		}{{from, &w.From}, {to, &w.To}} {
			if end.text == "" {
				continue
			}
			var err error
			if *end.to, err = day([]byte(end.text)); err != nil {
				return err
			}
		}
	}
	if len(parts) == 0 {
		return errors.New("nothing behind the @")
	}
	if len(rest) == 0 {
		return nil
	}
	return hours(w, strings.Join(rest, " "))
}

// hours reads weekdays, hours, or both: "mon-fri 07:30-18:00".
func hours(w *gate.Window, v string) error {
	for part := range strings.FieldsSeq(v) {
		if strings.Contains(part, ":") {
			if w.Start != 0 || w.End != 0 {
				return errors.New("hours stand twice")
			}
			if err := clock(w, part); err != nil {
				return err
			}
			continue
		}
		if w.Weekdays != 0 {
			return errors.New("weekdays stand twice")
		}
		if err := weekdays(w, part); err != nil {
			return err
		}
	}
	return nil
}

var weekdayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// weekdays reads "mon-fri", "sat+sun", "fri-mon+wed".
func weekdays(w *gate.Window, v string) error {
	for span := range strings.SplitSeq(v, "+") {
		from, to, isSpan := strings.Cut(span, "-")
		if !isSpan {
			to = from
		}
		i, last := slices.Index(weekdayNames, from), slices.Index(weekdayNames, to)
		if i < 0 || last < 0 {
			return errors.New("not weekdays like mon-fri or mon+wed, nor hours like 07:30-18:00")
		}
		for ; ; i = (i + 1) % 7 {
			w.Weekdays |= 1 << i
			if i == last {
				break
			}
		}
	}
	if w.Weekdays == 1<<7-1 {
		w.Weekdays = 0 // every day is no bound
	}
	return nil
}

// clock reads "07:30-18:00"; the end may lie on the day after, and be 24:00.
func clock(w *gate.Window, v string) error {
	bad := errors.New("not hours like 07:30-18:00")
	from, to, ok := strings.Cut(v, "-")
	start, ok1 := minute(from)
	end, ok2 := minute(to)
	switch {
	case !ok || !ok1 || !ok2 || start == 24*60:
		return bad
	case start == end:
		return errors.New("hours that end when they begin")
	case start == 0 && end == 24*60:
		return nil // the whole day is no bound
	}
	w.Start, w.End = start, end
	return nil
}

// minute reads "07:30" as a minute of the day; "24:00" is its end.
func minute(v string) (uint16, bool) {
	h, m, ok := strings.Cut(v, ":")
	if !ok || len(h) != 2 || len(m) != 2 {
		return 0, false
	}
	hour, err := strconv.ParseUint(h, 10, 8)
	minute, err2 := strconv.ParseUint(m, 10, 8)
	if err != nil || err2 != nil || minute > 59 || hour*60+minute > 24*60 {
		return 0, false
	}
	return uint16(hour*60 + minute), true
}

// providers are those whose facts can be told, by their names here.
var providers = map[string]gate.Provider{
	"social-security":  gate.ProviderSocialSecurity,
	"health-insurance": gate.ProviderHealthInsurance,
	"school":           gate.ProviderSchool,
}

// ProviderName gives the name of a provider in lists, or its number.
func ProviderName(p gate.Provider) string {
	for name, o := range providers {
		if o == p {
			return name
		}
	}
	return fmt.Sprintf("provider %d", p)
}

// addFact reads "school:3@2021-09-01"; the day may be missing.
func (p *Person) addFact(v []byte) error {
	what, on, dated := strings.Cut(string(v), "@")
	by, code, ok := strings.Cut(what, ":")
	n, err := strconv.ParseUint(code, 10, 8)
	if !ok || err != nil {
		return errors.New("not like school:3@2021-09-01, the code 0 to 255")
	}
	if !dated {
		return p.newFact(by, uint8(n), "")
	}
	if on == "" {
		return errors.New("nothing behind the @")
	}
	return p.newFact(by, uint8(n), on)
}

func (p *Person) newFact(by string, code uint8, on string) (err error) {
	o := gate.Other{Provider: providers[by], Code: code}
	if o.Provider == 0 {
		return errors.New("the provider is none of social-security, health-insurance, school")
	}
	if on != "" {
		if o.Day, err = day([]byte(on)); err != nil {
			return err
		}
	}
	if slices.Contains(p.Others, o) {
		return errors.New("stands twice")
	}
	p.Others = append(p.Others, o)
	return nil
}

// check holds what parts of a record say of each other.
func (p *Person) check() error {
	if err := checkWindow(p.Window); err != nil {
		return fmt.Errorf("valid_to: %w", err)
	}
	return nil
}

// clip bounds what an error quotes of a column's name. Cells are never quoted:
// with a column too many they hold a citizen's name.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
