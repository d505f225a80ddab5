package people

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// The columns: those of PAYLOADS §6 and, behind them, ours.
const (
	colID = iota
	colDoses
	colPositive
	colRecovered
	colTests
	colFlags
	colQuarantine
	colLists
	colValidTo
	colName
	colBorn
	colIssued
	colValidFrom
	colHours
	colFacts
	columnCount
)

var columns = [columnCount]string{
	"id", "doses", "positive", "recovered", "tests", "flags", "quarantine_until", "lists", "valid_to",
	"name", "born", "issued", "valid_from", "hours", "facts",
}

// header says where the columns of a CSV list are.
type header struct {
	width int              // cells of a record
	place [columnCount]int // of each column in the record; -1: not there
	cards bool
}

func parseHeader(line []byte, cards bool) (header, error) {
	h := header{cards: cards}
	for i := range h.place {
		h.place[i] = -1
	}
	cells, err := splitCells(nil, line)
	if err != nil {
		return h, err
	}
	h.width = len(cells)
	for i, cell := range cells {
		name := string(bytes.TrimSpace(cell))
		col := slices.Index(columns[:], name)
		switch {
		case col < 0:
			return h, fmt.Errorf("unknown column %q; known: %s", clip(name), strings.Join(columns[:], ", "))
		case h.place[col] >= 0:
			return h, fmt.Errorf("column %q stands twice", name)
		}
		h.place[col] = i
	}
	if h.place[colID] < 0 {
		return h, errors.New(`no column "id"`)
	}
	if cards {
		for _, col := range []int{colName, colBorn, colIssued} {
			if h.place[col] < 0 {
				return h, fmt.Errorf("no column %q; check bits need name, born and issued", columns[col])
			}
		}
	}
	return h, nil
}

// splitCells cuts a line into cells, which are parts of it where it holds no
// quotation marks. A record is one line, so a quotation mark that is never
// closed spoils its own line and nothing behind it.
func splitCells(to [][]byte, line []byte) ([][]byte, error) {
	if bytes.IndexByte(line, '"') >= 0 { // hardly ever
		fields, err := csv.NewReader(bytes.NewReader(line)).Read()
		if err != nil {
			return to, errors.New("a quotation mark in the wrong place")
		}
		for _, f := range fields {
			to = append(to, []byte(f))
		}
		return to, nil
	}
	for {
		end := bytes.IndexByte(line, ',')
		if end < 0 {
			return append(to, line), nil
		}
		to, line = append(to, line[:end]), line[end+1:]
	}
}

// fill reads the cells of one record.
func (h *header) fill(p *Person, cells [][]byte) (err error) {
	if len(cells) != h.width {
		return fmt.Errorf("%d cells, the header line has %d", len(cells), h.width)
	}
	for col := range columns {
		if h.place[col] < 0 {
			continue
		}
		cell := bytes.TrimSpace(cells[h.place[col]])
		if len(cell) == 0 && col != colID {
			continue
		}
		switch col {
		case colID:
			p.Number, err = number(string(cell))
		case colDoses:
			err = items(cell, "dose", maxItems, p.addDose)
		case colPositive:
			p.Positive, err = day(cell)
		case colRecovered:
			p.Recovered, err = day(cell)
		case colTests:
			err = items(cell, "test", maxItems, p.addTest)
		case colFlags:
			err = items(cell, "flag", maxItems, func(v []byte) error { return p.addFlag(string(v)) })
		case colQuarantine:
			p.QuarantineUntil, err = day(cell)
		case colLists:
			err = items(cell, "list", gate.MaxMemberships, p.addList)
		case colValidTo:
			p.Window.To, err = day(cell)
		case colValidFrom:
			p.Window.From, err = day(cell)
		case colHours:
			err = hours(&p.Window, string(cell))
		case colFacts:
			err = items(cell, "fact", gate.MaxOthers, p.addFact)
		default:
			if h.cards {
				err = p.addCard(col, cell)
			}
		}
		if err != nil {
			return in(col, err)
		}
	}
	return p.check()
}

// in says in which column an error is; items say so themselves.
func in(col int, err error) error {
	switch col {
	case colDoses, colTests, colFlags, colLists, colFacts:
		return err
	}
	return fmt.Errorf("%s: %w", columns[col], err)
}

// items reads a cell of several, which semicolons part.
func items(cell []byte, what string, most int, one func([]byte) error) error {
	for n := 1; ; n++ {
		if n > most {
			return fmt.Errorf("more than %d %ss", most, what)
		}
		item, rest, more := bytes.Cut(cell, []byte{';'})
		if err := one(bytes.TrimSpace(item)); err != nil {
			return fmt.Errorf("%s %d: %w", what, n, err)
		}
		if !more {
			return nil
		}
		cell = rest
	}
}

// addDose reads "n/of@2021-08-10".
func (p *Person) addDose(v []byte) error {
	count, date, ok := bytes.Cut(v, []byte{'@'})
	n, of, ok2 := bytes.Cut(count, []byte{'/'})
	if !ok || !ok2 {
		return errors.New("not like 2/2@2021-08-10")
	}
	var d Dose
	var err error
	if d.N, err = strconv.Atoi(string(n)); err == nil {
		d.Of, err = strconv.Atoi(string(of))
	}
	if err != nil {
		return errors.New("not like 2/2@2021-08-10")
	}
	if d.On, err = day(date); err != nil {
		return err
	}
	p.Doses = append(p.Doses, d)
	return d.check()
}

// check holds the bounds of a dose. A number above the size of the series is a
// booster.
func (d Dose) check() error {
	if d.N < 1 || d.N > 20 || d.Of < 1 || d.Of > 10 {
		return fmt.Errorf("%d/%d is not a number of 1 to 20 in a series of 1 to 10", d.N, d.Of)
	}
	return nil
}

// addTest reads "pcr:neg@2021-12-16T08:30:00+07:00".
func (p *Person) addTest(v []byte) error {
	what, at, ok := strings.Cut(string(v), "@")
	kind, result, ok2 := strings.Cut(what, ":")
	if !ok || !ok2 {
		return errors.New("not like pcr:neg@2021-12-16T08:30:00+07:00")
	}
	return p.newTest(kind, result, at)
}

func (p *Person) newTest(kind, result, at string) error {
	var t Test
	switch kind {
	case "pcr":
		t.Kind = gate.TestPCR
	case "antigen":
		t.Kind = gate.TestAntigen
	default:
		return errors.New("the kind is neither pcr nor antigen")
	}
	switch result {
	case "pos":
		t.Positive = true
	case "neg":
	default:
		return errors.New("the result is neither pos nor neg")
	}
	var err error
	if t.Sampled, err = time.Parse(time.RFC3339, at); err != nil || !plausible(t.Sampled.Year()) {
		return errors.New("not a time like 2021-12-16T08:30:00+07:00")
	}
	p.Tests = append(p.Tests, t)
	return nil
}

func (p *Person) addFlag(v string) error {
	if v != "quarantine" {
		return errors.New("unknown; known: quarantine")
	}
	p.Quarantine = true
	return nil
}

// addCard reads what the card says.
func (p *Person) addCard(col int, cell []byte) (err error) {
	switch col {
	case colName:
		if len(cell) > maxName {
			return fmt.Errorf("longer than %d bytes", maxName)
		}
		p.Name = string(cell)
	case colBorn:
		p.Born, err = date(cell)
	case colIssued:
		p.Issued, err = date(cell)
	}
	return err
}
