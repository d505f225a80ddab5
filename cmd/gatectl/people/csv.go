package people

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// columns of PAYLOADS §6. The last three serve check bits that are not built
// yet and are passed over.
var columns = []string{
	"id", "doses", "positive", "recovered", "tests", "flags", "quarantine_until", "lists", "valid_to",
	"name", "born", "issued",
}

// csvSource reads a list line by line: a record is one line, so a quotation
// mark that is never closed spoils its own line and nothing behind it, and
// memory is bounded whatever the list holds.
type csvSource struct {
	in     lineReader
	fields []string
	width  int            // cells of the header line
	col    map[string]int // column name -> place in the record
}

func newCSV(in *bufio.Reader) (*csvSource, error) {
	s := &csvSource{in: lineReader{in: in}, col: map[string]int{}}
	line, err := s.in.next()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the list is empty: a CSV list begins with a header line")
	}
	if err != nil {
		return nil, fmt.Errorf("header line: %w", err)
	}
	if err := s.split(line); err != nil {
		return nil, fmt.Errorf("header line: %w", err)
	}
	s.width = len(s.fields)
	for i, name := range s.fields {
		name = strings.TrimSpace(name)
		if !slices.Contains(columns, name) {
			return nil, fmt.Errorf("header line: unknown column %q; known: %s", clip(name), strings.Join(columns, ", "))
		}
		if _, twice := s.col[name]; twice {
			return nil, fmt.Errorf("header line: column %q stands twice", name)
		}
		s.col[name] = i
	}
	if _, ok := s.col["id"]; !ok {
		return nil, errors.New(`header line: no column "id"`)
	}
	return s, nil
}

// split cuts a line into cells.
func (s *csvSource) split(line []byte) error {
	if !bytes.Contains(line, []byte{'"'}) { // nearly always
		s.fields = s.fields[:0]
		for cell := range strings.SplitSeq(string(line), ",") {
			s.fields = append(s.fields, cell)
		}
		return nil
	}
	fields, err := csv.NewReader(bytes.NewReader(line)).Read()
	if err != nil {
		return errors.New("a quotation mark in the wrong place")
	}
	s.fields = append(s.fields[:0], fields...)
	return nil
}

func (s *csvSource) Line() int { return s.in.line }

func (s *csvSource) Next(p *Person) error {
	line, err := s.in.next()
	if err != nil {
		return err
	}
	if err := s.split(line); err != nil {
		return badLine(s.in.line, "%v", err)
	}
	if len(s.fields) != s.width {
		return badLine(s.in.line, "%d cells, the header line has %d", len(s.fields), s.width)
	}
	*p = Person{Doses: p.Doses[:0], Tests: p.Tests[:0], Lists: p.Lists[:0]}
	if err := s.fill(p, s.fields); err != nil {
		return badLine(s.in.line, "%v", err)
	}
	return nil
}

// fill reads the cells of one record.
func (s *csvSource) fill(p *Person, fields []string) error {
	cell := func(name string) string {
		i, ok := s.col[name]
		if !ok {
			return ""
		}
		return strings.TrimSpace(fields[i])
	}
	var err error
	if p.Number, err = number(cell("id")); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	for name, to := range map[string]*gate.Day{
		"positive": &p.Positive, "recovered": &p.Recovered,
		"quarantine_until": &p.QuarantineUntil, "valid_to": &p.ValidTo,
	} {
		if v := cell(name); v != "" {
			if *to, err = day(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if err := items(cell("doses"), "dose", func(v string) error {
		d, err := dose(v)
		p.Doses = append(p.Doses, d)
		return err
	}); err != nil {
		return err
	}
	if err := items(cell("tests"), "test", func(v string) error {
		t, err := test(v)
		p.Tests = append(p.Tests, t)
		return err
	}); err != nil {
		return err
	}
	if err := items(cell("flags"), "flag", p.flag); err != nil {
		return err
	}
	return items(cell("lists"), "list", p.list)
}

// items reads a cell of several, which semicolons part.
func items(cell, what string, one func(string) error) error {
	if cell == "" {
		return nil
	}
	n := 0
	for v := range strings.SplitSeq(cell, ";") {
		n++
		if n > maxItems {
			return fmt.Errorf("more than %d %ss", maxItems, what)
		}
		if err := one(strings.TrimSpace(v)); err != nil {
			return fmt.Errorf("%s %d: %w", what, n, err)
		}
	}
	return nil
}

// dose reads "n/of@2021-08-10".
func dose(v string) (Dose, error) {
	count, date, ok := strings.Cut(v, "@")
	n, of, ok2 := strings.Cut(count, "/")
	if !ok || !ok2 {
		return Dose{}, errors.New("not like 2/2@2021-08-10")
	}
	var d Dose
	var err error
	if d.N, err = strconv.Atoi(n); err == nil {
		d.Of, err = strconv.Atoi(of)
	}
	if err != nil {
		return Dose{}, errors.New("not like 2/2@2021-08-10")
	}
	if d.On, err = day(date); err != nil {
		return Dose{}, err
	}
	return d, d.check()
}

// check holds the bounds of a dose. A number above the size of the series is a
// booster.
func (d Dose) check() error {
	if d.N < 1 || d.N > 20 || d.Of < 1 || d.Of > 10 {
		return fmt.Errorf("%d/%d is not a number of 1 to 20 in a series of 1 to 10", d.N, d.Of)
	}
	return nil
}

// test reads "pcr:neg@2021-12-16T08:30:00+07:00".
func test(v string) (Test, error) {
	what, at, ok := strings.Cut(v, "@")
	kind, result, ok2 := strings.Cut(what, ":")
	if !ok || !ok2 {
		return Test{}, errors.New("not like pcr:neg@2021-12-16T08:30:00+07:00")
	}
	return newTest(kind, result, at)
}

func newTest(kind, result, at string) (t Test, err error) {
	switch kind {
	case "pcr":
		t.PCR = true
	case "antigen":
	default:
		return t, errors.New("the kind is neither pcr nor antigen")
	}
	switch result {
	case "pos":
		t.Positive = true
	case "neg":
	default:
		return t, errors.New("the result is neither pos nor neg")
	}
	if t.Sampled, err = time.Parse(time.RFC3339, at); err != nil || !plausible(gate.DayOf(t.Sampled)) {
		return t, errors.New("not a time like 2021-12-16T08:30:00+07:00")
	}
	return t, nil
}

func (p *Person) flag(v string) error {
	if v != "quarantine" {
		return errors.New("unknown; known: quarantine")
	}
	p.Quarantine = true
	return nil
}

func (p *Person) list(v string) error {
	if v == "" || len(v) > 64 {
		return errors.New("a name has 1 to 64 characters")
	}
	p.Lists = append(p.Lists, v)
	return nil
}

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
func day(v string) (gate.Day, error) {
	d, err := gate.ParseDay(v)
	if err != nil {
		return 0, errors.New("not a date like 2021-12-31")
	}
	if !plausible(d) {
		return 0, fmt.Errorf("%s is not within 2000 to 2199", d)
	}
	return d, nil
}

func plausible(d gate.Day) bool {
	y := d.Date().Year
	return y >= 2000 && y < 2200
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
