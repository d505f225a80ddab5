package block

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"gateagent/agent/gate"
)

// fieldNumber names a field of an extras body. Numbers are part of the file
// format: cache/README.md lists them, and how to add one.
type fieldNumber uint8

const (
	fieldFirstDose  fieldNumber = 1
	fieldCompleted  fieldNumber = 2
	fieldLastDose   fieldNumber = 3
	fieldPositive   fieldNumber = 4
	fieldRecovered  fieldNumber = 5
	fieldQuarantine fieldNumber = 6
	fieldTest       fieldNumber = 7
	fieldWindow     fieldNumber = 8
	fieldList       fieldNumber = 9
	fieldOther      fieldNumber = 10

	lastKnown = fieldOther
	// firstPassable is the lowest number that whoever does not know it may
	// pass over. Below it, nothing may be decided without knowing it.
	firstPassable fieldNumber = 16

	// longField, as the length in a field's first byte, says that the length
	// is in the second.
	longField = 7
)

func (f fieldNumber) known() bool   { return f >= 1 && f <= lastKnown }
func (f fieldNumber) repeats() bool { return f == fieldTest || f == fieldList || f == fieldOther }

const (
	// earliest is how many days before the base day of its set a day may lie.
	earliest = 1 << 13

	minutesPerDay = 24 * 60
	testKindBits  = 4
	testPositive  = 1 << testKindBits
	testShift     = testKindBits + 1
	maxTestMinute = 1<<(32-testShift) - 1

	windowFrom     = 1 << 0
	windowTo       = 1 << 1
	windowWeekdays = 1 << 2
	windowHours    = 1 << 3
	windowAll      = windowFrom | windowTo | windowWeekdays | windowHours

	everyWeekday = 1<<7 - 1
)

var errDoesNotFit = errors.New("does not fit an extras entry")

// EncodeExtras gives the body of the entry that says e, relative to the base
// day and the list names of its set; nothing for extras that say nothing. Equal
// extras give equal bytes, in whatever order tests, lists and others come. It
// fails for what the format cannot say: a day more than 22 years before the
// base day or 157 after it, a list without a name, an entry longer than
// [MaxExtrasBody], extras that are [gate.Extras.Beyond].
func EncodeExtras(e gate.Extras, base gate.Day, lists []string) ([]byte, error) {
	c := encoder{base: base, lists: lists}
	if e.Beyond {
		c.fail("what was not understood")
	}
	c.day(fieldFirstDose, e.FirstDose)
	c.day(fieldCompleted, e.Completed)
	c.day(fieldLastDose, e.LastDose)
	c.day(fieldPositive, e.Positive)
	c.day(fieldRecovered, e.Recovered)
	c.day(fieldQuarantine, e.Quarantine)
	c.tests(e.Tests[:min(int(e.TestN), len(e.Tests))])
	if !e.Window.IsZero() {
		c.body = appendField(c.body, fieldWindow, c.window(nil, e.Window)...)
	}
	c.memberships(e.Lists[:min(int(e.ListN), len(e.Lists))])
	c.others(e.Others[:min(int(e.OtherN), len(e.Others))])
	if len(c.body) > MaxExtrasBody {
		c.fail("%d bytes, more than %d", len(c.body), MaxExtrasBody)
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.body, nil
}

type encoder struct {
	base  gate.Day
	lists []string
	body  []byte
	err   error // the first
}

func (c *encoder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), errDoesNotFit)
	}
}

func (c *encoder) appendDay(to []byte, d gate.Day) []byte {
	off := int64(d) - int64(c.base) + earliest
	if off < 0 || off > 1<<16-1 {
		c.fail("day %v, with the base day %v", d, c.base)
	}
	return binary.BigEndian.AppendUint16(to, uint16(off))
}

func (c *encoder) day(number fieldNumber, d gate.Day) {
	if d != 0 {
		c.body = appendField(c.body, number, c.appendDay(nil, d)...)
	}
}

func (c *encoder) tests(tests []gate.Test) {
	var packed []uint32
	for _, t := range tests {
		off := int64(t.Sampled) - (int64(c.base)-earliest)*minutesPerDay
		if off < 0 || off > maxTestMinute {
			c.fail("a test sampled %v, with the base day %v", t.Sampled.Time(), c.base)
		}
		if t.Kind > gate.TestAntigen {
			c.fail("test kind %d", t.Kind)
		}
		v := uint32(off)<<testShift | uint32(t.Kind)
		if t.Positive {
			v |= testPositive
		}
		packed = append(packed, v)
	}
	slices.SortFunc(packed, func(a, b uint32) int { return cmp.Compare(b, a) })
	for _, v := range slices.Compact(packed) {
		c.body = appendField(c.body, fieldTest, binary.BigEndian.AppendUint32(nil, v)...)
	}
}

// window appends the value of a window: which parts follow, then the parts.
func (c *encoder) window(to []byte, w gate.Window) []byte {
	at := len(to)
	to = append(to, 0)
	if w.From != 0 {
		to[at] |= windowFrom
		to = c.appendDay(to, w.From)
	}
	if w.To != 0 {
		to[at] |= windowTo
		to = c.appendDay(to, w.To)
	}
	if w.Weekdays != 0 {
		if w.Weekdays > everyWeekday {
			c.fail("weekdays %#x", w.Weekdays)
		}
		to[at] |= windowWeekdays
		to = append(to, w.Weekdays)
	}
	if w.Start != 0 || w.End != 0 {
		if w.Start > minutesPerDay || w.End > minutesPerDay {
			c.fail("hours %d to %d minutes", w.Start, w.End)
		}
		to[at] |= windowHours
		to = append(to, byte(w.Start>>4), byte(w.Start<<4)|byte(w.End>>8), byte(w.End))
	}
	return to
}

func (c *encoder) memberships(lists []gate.Membership) {
	var values [][]byte
	for _, m := range lists {
		place := slices.Index(c.lists, m.List)
		if place < 0 || place >= gate.MaxListNames {
			c.fail("list %q is not among those of the set", m.List)
			return
		}
		v := []byte{byte(place)}
		if !m.Window.IsZero() {
			v = c.window(v, m.Window)
		}
		values = append(values, v)
	}
	c.sorted(fieldList, values)
}

func (c *encoder) others(others []gate.Other) {
	var values [][]byte
	for _, o := range others {
		v := []byte{byte(o.Provider), o.Code}
		if o.Day != 0 {
			v = c.appendDay(v, o.Day)
		}
		values = append(values, v)
	}
	c.sorted(fieldOther, values)
}

func (c *encoder) sorted(number fieldNumber, values [][]byte) {
	slices.SortFunc(values, bytes.Compare)
	for _, v := range slices.CompactFunc(values, bytes.Equal) {
		c.body = appendField(c.body, number, v...)
	}
}

// DecodeExtras adds what a body says to into, which may hold what another set
// says: of two days of the same meaning the one that is there stays, but the
// later quarantine, positive result and last dose; tests, lists and others are
// added. What it must not pass over and cannot read, or cannot add, makes
// [gate.Extras.Beyond]. It fails with [ErrMalformed] when the body is not made
// of whole fields in their order. It allocates nothing unless it fails, and
// keeps nothing of body.
func DecodeExtras(body []byte, base gate.Day, lists []string, into *gate.Extras) error {
	d := decoder{base: base, lists: lists, e: into}
	last, prev := fieldNumber(0), []byte(nil)
	for len(body) > 0 {
		number, value, rest, err := field(body)
		if err == nil {
			err = inOrder(last, number)
		}
		if err != nil {
			into.Beyond = true
			return err
		}
		if number != last {
			prev = nil
		}
		if !d.take(number, value, prev) {
			into.Beyond = true
		}
		last, prev, body = number, value, rest
	}
	return nil
}

type decoder struct {
	base  gate.Day
	lists []string
	e     *gate.Extras
}

// take adds one field; prev is the value of the one before it of the same
// number. It gives false for what it must not pass over.
func (d *decoder) take(number fieldNumber, value, prev []byte) bool {
	switch number {
	case fieldFirstDose:
		return d.first(&d.e.FirstDose, value)
	case fieldCompleted:
		return d.first(&d.e.Completed, value)
	case fieldLastDose:
		return d.latest(&d.e.LastDose, value)
	case fieldPositive:
		return d.latest(&d.e.Positive, value)
	case fieldRecovered:
		return d.first(&d.e.Recovered, value)
	case fieldQuarantine:
		return d.latest(&d.e.Quarantine, value)
	case fieldTest:
		return d.test(value, prev)
	case fieldWindow:
		w, ok := d.window(value)
		if ok && (d.e.Window.IsZero() || d.e.Window == w) {
			d.e.Window = w
			return true
		}
		return false // two windows cannot be told apart by whoever reads one
	case fieldList:
		return d.membership(value, prev)
	case fieldOther:
		return d.other(value, prev)
	}
	return number >= firstPassable
}

// dayAt reads the day at the start of value; 0 is none.
func (d *decoder) dayAt(value []byte) (gate.Day, bool) {
	if len(value) < 2 {
		return 0, false
	}
	day := int64(binary.BigEndian.Uint16(value)) - earliest + int64(d.base)
	return gate.Day(day), day != 0 && day == int64(gate.Day(day))
}

func (d *decoder) first(to *gate.Day, value []byte) bool {
	day, ok := d.dayAt(value)
	if ok && *to == 0 {
		*to = day
	}
	return ok && len(value) == 2
}

func (d *decoder) latest(to *gate.Day, value []byte) bool {
	day, ok := d.dayAt(value)
	if ok && (*to == 0 || day > *to) {
		*to = day
	}
	return ok && len(value) == 2
}

func (d *decoder) test(value, prev []byte) bool {
	if len(value) != 4 || prev != nil && bytes.Compare(prev, value) <= 0 {
		return false
	}
	v := binary.BigEndian.Uint32(value)
	at := int64(v>>testShift) + (int64(d.base)-earliest)*minutesPerDay
	t := gate.Test{Kind: gate.TestKind(v & (testPositive - 1)), Positive: v&testPositive != 0, Sampled: gate.Minute(at)}
	if t.Kind > gate.TestAntigen || int64(t.Sampled) != at {
		return false
	}
	i, n := 0, int(d.e.TestN)
	for i < n && d.e.Tests[i].Sampled >= t.Sampled { // newest first, also over several sets
		if d.e.Tests[i] == t {
			return true
		}
		i++
	}
	if n == len(d.e.Tests) {
		return false
	}
	copy(d.e.Tests[i+1:n+1], d.e.Tests[i:n])
	d.e.Tests[i] = t
	d.e.TestN++
	return true
}

// window reads the value of a window, which is all of value.
func (d *decoder) window(value []byte) (w gate.Window, ok bool) {
	if len(value) == 0 || value[0] == 0 || value[0]&^windowAll != 0 {
		return w, false
	}
	has, rest := value[0], value[1:]
	if has&windowFrom != 0 {
		if w.From, ok = d.dayAt(rest); !ok {
			return w, false
		}
		rest = rest[2:]
	}
	if has&windowTo != 0 {
		if w.To, ok = d.dayAt(rest); !ok {
			return w, false
		}
		rest = rest[2:]
	}
	if has&windowWeekdays != 0 {
		if len(rest) == 0 || rest[0] == 0 || rest[0] > everyWeekday {
			return w, false
		}
		w.Weekdays, rest = rest[0], rest[1:]
	}
	if has&windowHours != 0 {
		if len(rest) < 3 {
			return w, false
		}
		w.Start = uint16(rest[0])<<4 | uint16(rest[1])>>4
		w.End = uint16(rest[1]&0xf)<<8 | uint16(rest[2])
		if w.Start > minutesPerDay || w.End > minutesPerDay || w.Start == 0 && w.End == 0 {
			return w, false
		}
		rest = rest[3:]
	}
	return w, len(rest) == 0
}

func (d *decoder) membership(value, prev []byte) bool {
	if len(value) == 0 || int(value[0]) >= len(d.lists) || prev != nil && bytes.Compare(prev, value) >= 0 {
		return false
	}
	m := gate.Membership{List: d.lists[value[0]]}
	if len(value) > 1 {
		var ok bool
		if m.Window, ok = d.window(value[1:]); !ok {
			return false
		}
	}
	d.e.AddList(m)
	return true
}

func (d *decoder) other(value, prev []byte) bool {
	if len(value) != 2 && len(value) != 4 || prev != nil && bytes.Compare(prev, value) >= 0 {
		return false
	}
	o := gate.Other{Provider: gate.Provider(value[0]), Code: value[1]}
	if len(value) == 4 {
		var ok bool
		if o.Day, ok = d.dayAt(value[2:]); !ok {
			return false
		}
	}
	d.e.AddOther(o)
	return true
}
