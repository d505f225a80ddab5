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

// jsonPerson is the object of PAYLOADS §6 with `id` for `pid`, and ours. The
// members that nothing is made of are named so that they are no surprise.
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
	Flags           []string          `json:"flags"`
	QuarantineUntil string            `json:"quarantine_until"`
	Lists           []json.RawMessage `json:"lists"`
	ValidFrom       string            `json:"valid_from"`
	ValidTo         string            `json:"valid_to"`
	Hours           string            `json:"hours"`
	Facts           []struct {
		By   string `json:"by"`
		Code *uint8 `json:"code"`
		On   string `json:"on"`
	} `json:"facts"`

	Name   json.RawMessage `json:"name"`
	Born   json.RawMessage `json:"born"`
	Issued json.RawMessage `json:"issued"`

	Rev  json.RawMessage `json:"rev"`
	Src  json.RawMessage `json:"src"`
	AsOf json.RawMessage `json:"as_of"`
}

// jsonList is a list with bounds; without, it is only a name.
type jsonList struct {
	Name  string `json:"name"`
	From  string `json:"from"`
	To    string `json:"to"`
	Hours string `json:"hours"`
}

// decode reads one object and nothing behind it.
func decode(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return plainJSON(err)
	}
	if dec.More() {
		return errors.New("more than one object on the line")
	}
	return nil
}

func fillJSON(p *Person, line []byte, cards bool) error {
	var j jsonPerson
	if err := decode(line, &j); err != nil {
		return err
	}
	for _, l := range []struct {
		n, most int
		what    string
	}{
		{len(j.Doses), maxItems, "doses"},
		{len(j.Tests), maxItems, "tests"},
		{len(j.Flags), maxItems, "flags"},
		{len(j.Lists), gate.MaxMemberships, "lists"},
		{len(j.Facts), gate.MaxOthers, "facts"},
	} {
		if l.n > l.most {
			return fmt.Errorf("more than %d %s", l.most, l.what)
		}
	}
	if j.ID == nil {
		return errors.New("id: missing")
	}
	var err error
	if p.Number, err = number(*j.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	for i, d := range j.Doses {
		dose := Dose{N: d.N, Of: d.Of}
		if dose.On, err = day([]byte(d.On)); err == nil {
			err = dose.check()
		}
		if err != nil {
			return fmt.Errorf("dose %d: %w", i+1, err)
		}
		p.Doses = append(p.Doses, dose)
	}
	for i, t := range j.Tests {
		if err := p.newTest(t.Kind, t.Result, t.Sampled); err != nil {
			return fmt.Errorf("test %d: %w", i+1, err)
		}
	}
	for i, f := range j.Flags {
		if err := p.addFlag(f); err != nil {
			return fmt.Errorf("flag %d: %w", i+1, err)
		}
	}
	for i, l := range j.Lists {
		if err := p.addJSONList(l); err != nil {
			return fmt.Errorf("list %d: %w", i+1, err)
		}
	}
	for i, f := range j.Facts {
		if f.Code == nil {
			return fmt.Errorf("fact %d: no code", i+1)
		}
		if err := p.newFact(f.By, *f.Code, f.On); err != nil {
			return fmt.Errorf("fact %d: %w", i+1, err)
		}
	}
	if err := fillDays(p, &j); err != nil {
		return err
	}
	if cards {
		if err := fillCard(p, &j); err != nil {
			return err
		}
	}
	return p.check()
}

func (p *Person) addJSONList(raw json.RawMessage) error {
	if len(raw) > 0 && raw[0] == '"' {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return plainJSON(err)
		}
		return p.onList(gate.Membership{List: name})
	}
	var l jsonList
	if err := decode(raw, &l); err != nil {
		return err
	}
	m := gate.Membership{List: l.Name}
	for _, d := range []struct {
		name, text string
		to         *gate.Day
	}{{"from", l.From, &m.Window.From}, {"to", l.To, &m.Window.To}} {
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = day([]byte(d.text)); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	if err := hours(&m.Window, l.Hours); err != nil {
		return fmt.Errorf("hours: %w", err)
	}
	return p.onList(m)
}

func fillDays(p *Person, j *jsonPerson) (err error) {
	if j.Pos != nil {
		if p.Positive, err = day([]byte(j.Pos.On)); err != nil {
			return fmt.Errorf("pos: %w", err)
		}
	}
	if j.Recovered != nil {
		if p.Recovered, err = day([]byte(j.Recovered.On)); err != nil {
			return fmt.Errorf("recovered: %w", err)
		}
	}
	for _, d := range []struct {
		name, text string
		to         *gate.Day
	}{
		{"quarantine_until", j.QuarantineUntil, &p.QuarantineUntil},
		{"valid_from", j.ValidFrom, &p.Window.From},
		{"valid_to", j.ValidTo, &p.Window.To},
	} {
		if d.text == "" {
			continue
		}
		if *d.to, err = day([]byte(d.text)); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	if err := hours(&p.Window, j.Hours); err != nil {
		return fmt.Errorf("hours: %w", err)
	}
	return nil
}

func fillCard(p *Person, j *jsonPerson) error {
	for col, raw := range map[int]json.RawMessage{colName: j.Name, colBorn: j.Born, colIssued: j.Issued} {
		var text string
		if len(raw) > 0 && json.Unmarshal(raw, &text) != nil {
			return fmt.Errorf("%s: not a text", columns[col])
		}
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		if err := p.addCard(col, []byte(text)); err != nil {
			return in(col, err)
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
		// A number comes with its digits, which may be a person's.
		value, _, _ := strings.Cut(kind.Value, " ")
		return fmt.Errorf("%s: a %s is not what belongs here", kind.Field, value)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return fmt.Errorf("unknown member %s", clip(name))
	}
	return errors.New("not a usable JSON object")
}
