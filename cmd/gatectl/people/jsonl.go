package people

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"gateagent/agent/gate"
)

type jsonlSource struct{ in lineReader }

func (s *jsonlSource) Line() int { return s.in.line }

// jsonPerson is the object of PAYLOADS §6 with `id` for `pid`. The members
// that the fact word does not need are named so that they are no surprise.
type jsonPerson struct {
	ID    *string `json:"id"`
	Doses []struct {
		N  int    `json:"n"`
		Of int    `json:"of"`
		On string `json:"on"`
	} `json:"doses"`
	Pos       *struct{ On string } `json:"pos"`
	Recovered *struct{ On string } `json:"recovered"`
	Tests     []struct {
		Kind    string `json:"kind"`
		Result  string `json:"result"`
		Sampled string `json:"sampled"`
	} `json:"tests"`
	Flags           []string `json:"flags"`
	QuarantineUntil string   `json:"quarantine_until"`
	Lists           []string `json:"lists"`
	ValidTo         string   `json:"valid_to"`

	Rev    json.RawMessage `json:"rev"`
	Src    json.RawMessage `json:"src"`
	AsOf   json.RawMessage `json:"as_of"`
	Name   json.RawMessage `json:"name"`
	Born   json.RawMessage `json:"born"`
	Issued json.RawMessage `json:"issued"`
}

func (s *jsonlSource) Next(p *Person) error {
	line, err := s.in.next()
	if err != nil {
		return err
	}
	if err := fillJSON(p, line); err != nil {
		return badLine(s.in.line, "%v", err)
	}
	return nil
}

func fillJSON(p *Person, line []byte) error {
	var j jsonPerson
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&j); err != nil {
		return plainJSON(err)
	}
	if dec.More() {
		return errors.New("more than one object on the line")
	}
	if len(j.Doses) > maxItems || len(j.Tests) > maxItems || len(j.Lists) > maxItems || len(j.Flags) > maxItems {
		return fmt.Errorf("more than %d items", maxItems)
	}
	*p = Person{Doses: p.Doses[:0], Tests: p.Tests[:0], Lists: p.Lists[:0]}
	if j.ID == nil {
		return errors.New("id: missing")
	}
	var err error
	if p.Number, err = number(*j.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	for i, d := range j.Doses {
		dose := Dose{N: d.N, Of: d.Of}
		if dose.On, err = day(d.On); err == nil {
			err = dose.check()
		}
		if err != nil {
			return fmt.Errorf("dose %d: %w", i+1, err)
		}
		p.Doses = append(p.Doses, dose)
	}
	for i, t := range j.Tests {
		test, err := newTest(t.Kind, t.Result, t.Sampled)
		if err != nil {
			return fmt.Errorf("test %d: %w", i+1, err)
		}
		p.Tests = append(p.Tests, test)
	}
	for i, f := range j.Flags {
		if err := p.flag(f); err != nil {
			return fmt.Errorf("flag %d: %w", i+1, err)
		}
	}
	for i, l := range j.Lists {
		if err := p.list(l); err != nil {
			return fmt.Errorf("list %d: %w", i+1, err)
		}
	}
	return fillDays(p, j)
}

func fillDays(p *Person, j jsonPerson) error {
	var err error
	if j.Pos != nil {
		if p.Positive, err = day(j.Pos.On); err != nil {
			return fmt.Errorf("pos: %w", err)
		}
	}
	if j.Recovered != nil {
		if p.Recovered, err = day(j.Recovered.On); err != nil {
			return fmt.Errorf("recovered: %w", err)
		}
	}
	for _, d := range []struct {
		name, text string
		to         *gate.Day
	}{
		{"quarantine_until", j.QuarantineUntil, &p.QuarantineUntil}, {"valid_to", j.ValidTo, &p.ValidTo},
	} {
		if d.text == "" {
			continue
		}
		if *d.to, err = day(d.text); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

// plainJSON says in our words what encoding/json found, without the text of
// the line and without a Go type.
func plainJSON(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON at character %d", syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: the line ends too early")
	case errors.As(err, &kind) && kind.Field == "":
		return errors.New("not a JSON object")
	case errors.As(err, &kind):
		return fmt.Errorf("%s: a %s is not what belongs here", kind.Field, kind.Value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown member %s", clip(name))
	}
	return errors.New("not a usable JSON object")
}
