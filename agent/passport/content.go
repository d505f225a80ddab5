package passport

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// Content is what a certificate says: one event of one person.
type Content struct {
	gate.Passport // Proof and Why are left to the caller
	Holder        Holder
	ID            string // the certificate's identifier, UCI; never printed
	nothing       string // why it proves nothing; "" if it does prove something
}

// String says what it is about and never whose it is.
func (c Content) String() string { return c.Event.String() }

// GoString is String, for %#v.
func (c Content) GoString() string { return c.String() }

// dcc is the certificate (schema of the EU, versions 1.0 to 1.3). Texts are
// read as any: issuers wrote null, numbers and empty texts where others leave
// out, and only what is needed is held to its form.
type dcc struct {
	Name struct {
		Family     any `cbor:"fn"`
		Given      any `cbor:"gn"`
		FamilyICAO any `cbor:"fnt"`
		GivenICAO  any `cbor:"gnt"`
	} `cbor:"nam"`
	Born         any           `cbor:"dob"`
	Vaccinations []vaccination `cbor:"v"`
	Tests        []test        `cbor:"t"`
	Recoveries   []recovery    `cbor:"r"`
}

// common is what every event has.
type common struct {
	Disease any `cbor:"tg"`
	Country any `cbor:"co"`
	ID      any `cbor:"ci"`
}

type vaccination struct {
	common
	Prophylaxis  any `cbor:"vp"`
	Product      any `cbor:"mp"`
	Manufacturer any `cbor:"ma"`
	Dose         any `cbor:"dn"`
	Of           any `cbor:"sd"`
	Day          any `cbor:"dt"`
}

type test struct {
	common
	Kind    any `cbor:"tt"`
	Device  any `cbor:"ma"`
	Sampled any `cbor:"sc"`
	Result  any `cbor:"tr"`
}

type recovery struct {
	common
	First any `cbor:"fr"`
	From  any `cbor:"df"`
	To    any `cbor:"du"`
}

// Judge says whether the certificate proves anything: it has the form of one, but
// may be about another disease, or leave its result or number of doses open.
// Issuers have written such.
func (c Content) Judge() error {
	if c.nothing != "" {
		return errors.New("proves nothing: " + c.nothing)
	}
	return nil
}

// ParseContent reads a certificate: exactly one event, of a disease, with
// codes and dates that can be (the tables of this package), of a person with a
// name who was born before it. A birth date that cannot be read is left out;
// without it the holder matches nobody. Whether it proves anything is for
// [Content.Judge].
func ParseContent(b []byte) (Content, error) {
	var d dcc
	if err := strictCBOR.Unmarshal(b, &d); err != nil {
		return Content{}, errors.New("the certificate cannot be read")
	}
	event, err := d.event()
	if err != nil {
		return Content{}, err
	}
	holder, err := newHolder(text(d.Name.Family), text(d.Name.Given), text(d.Name.FamilyICAO), text(d.Name.GivenICAO), text(d.Born))
	if err != nil {
		return Content{}, err
	}
	c := Content{Passport: gate.Passport{Event: event}, Holder: holder}
	switch event {
	case gate.PassportVaccination:
		err = d.Vaccinations[0].read(&c)
	case gate.PassportTest:
		err = d.Tests[0].read(&c)
	case gate.PassportRecovery:
		err = d.Recoveries[0].read(&c)
	}
	if err != nil {
		return Content{}, err
	}
	// Issuers have written birth dates that are off by weeks.
	if day := max(c.Day, gate.DayOf(c.Test.Sampled.Time())); c.Holder.Born.Day() > day+366 {
		return Content{}, errors.New("born after the event")
	}
	return c, nil
}

// EventOf says what a certificate is about and nothing of whether it can be:
// that is what the key that signed it has to be for.
func EventOf(b []byte) (gate.PassportEvent, error) {
	var d dcc
	if err := strictCBOR.Unmarshal(b, &d); err != nil {
		return gate.PassportNothing, errors.New("the certificate cannot be read")
	}
	return d.event()
}

func (d *dcc) event() (gate.PassportEvent, error) {
	if n := len(d.Vaccinations) + len(d.Tests) + len(d.Recoveries); n != 1 {
		return gate.PassportNothing, fmt.Errorf("%d events, one is wanted", n)
	}
	switch {
	case len(d.Vaccinations) == 1:
		return gate.PassportVaccination, nil
	case len(d.Tests) == 1:
		return gate.PassportTest, nil
	}
	return gate.PassportRecovery, nil
}

func (e common) read(c *Content) error {
	if c.ID = text(e.ID); c.ID == "" {
		return errors.New("no identifier")
	}
	// A passport about another disease says nothing about this one.
	if text(e.Disease) != covid {
		c.nothing = "it is about another disease"
	}
	return allOf(valueDisease.check(e.Disease), valueCountry.check(e.Country))
}

func (v vaccination) read(c *Content) error {
	dose, ok1 := count(v.Dose)
	of, ok2 := count(v.Of)
	day, ok3 := calendarDay(v.Day)
	if !ok1 || !ok2 || !ok3 {
		return errors.New("vaccination: dose or day cannot be read")
	}
	c.Dose, c.Of, c.Day = dose, of, day
	if dose == 0 || of == 0 {
		c.nothing = "it does not say which dose of how many"
	}
	return allOf(v.common.read(c), valueProphylaxis.check(v.Prophylaxis), valueProduct.check(v.Product), valueManufacturer.check(v.Manufacturer))
}

func (t test) read(c *Content) error {
	sampled, ok := instant(t.Sampled)
	if !ok {
		return errors.New("test: the time of the sample cannot be read")
	}
	c.Test = gate.Test{Kind: testKinds[text(t.Kind)], Positive: text(t.Result) == resultPositive, Sampled: gate.MinuteOf(sampled)}
	if result := text(t.Result); result != resultPositive && result != resultNegative {
		c.nothing = "it does not say how the test came out"
	}
	return allOf(t.common.read(c), valueTestKind.check(t.Kind), valueResult.check(t.Result), valueDevice.check(t.Device))
}

func (r recovery) read(c *Content) error {
	var ok1, ok2, ok3 bool
	c.Day, ok1 = calendarDay(r.First)
	c.From, ok2 = calendarDay(r.From)
	c.To, ok3 = calendarDay(r.To)
	if !ok1 || !ok2 || !ok3 {
		return errors.New("recovery: a day cannot be read")
	}
	if c.To < c.From {
		c.nothing = "it ends before it begins to count"
	}
	return r.common.read(c)
}

func allOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// text gives a text without blanks around it; "" for anything else.
func text(v any) string {
	s, _ := v.(string)
	return strings.TrimSpace(s)
}

// count reads the number of a dose, which some issuers write as a float. Dose
// numbers above nine have been given out, and 0 for one that is not known.
func count(v any) (uint8, bool) {
	const most = 99
	switch n := v.(type) {
	case uint64:
		return uint8(min(n, most)), n <= most
	case float64:
		if n != math.Trunc(n) || n < 0 || n > most {
			return 0, false
		}
		return uint8(n), true
	}
	return 0, false
}

// calendarDay reads an ISO date, or the date of an ISO time: some issuers
// write 2021-03-18T00:00:00.
func calendarDay(v any) (gate.Day, bool) {
	s := text(v)
	if len(s) > len(time.DateOnly) && s[len(time.DateOnly)] == 'T' {
		s = s[:len(time.DateOnly)]
	}
	day, err := gate.ParseDay(s)
	return day, err == nil && day != 0
}

// instantForms are the forms that the times of samples have been met in.
var instantForms = [...]string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07", "2006-01-02T15:04Z07:00"}

// instant reads an ISO time with its zone. Without a zone it may be off by
// half a day and is refused.
func instant(v any) (time.Time, bool) {
	s := text(v)
	if when, ok := v.(time.Time); ok {
		return when, true
	}
	for _, form := range instantForms {
		if t, err := time.Parse(form, s); err == nil && t.Unix() > 0 {
			return t, true
		}
	}
	return time.Time{}, false
}

// birthDate reads a birth date, which may be a year or a year and a month
// only. What cannot be read, or is no date, gives the zero date.
func birthDate(s string) gate.Date {
	var d gate.Date
	s, _, _ = strings.Cut(s, "T")
	for i, part := range strings.SplitN(s, "-", 4) {
		n, ok := digits(part)
		switch {
		case !ok && i > 0: // "1964-XX-XX": the rest is unknown
			return d
		case i == 0 && ok && len(part) == 4 && n != 0:
			d.Year = n
		case i == 1 && len(part) == 2 && n <= 12:
			d.Month = n
		case i == 2 && len(part) == 2 && n <= 31:
			d.DayOfMonth = n
		default:
			return gate.Date{}
		}
	}
	if d.Month != 0 && d.DayOfMonth != 0 && !d.Valid() {
		return gate.Date{}
	}
	if d.Month == 0 {
		d.DayOfMonth = 0
	}
	return d
}

func digits(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
		if n > 9999 {
			return 0, false
		}
	}
	return n, s != ""
}
