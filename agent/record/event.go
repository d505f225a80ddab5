package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"gateagent/agent/record/strict"
)

// MaxEvent bounds the JSON of one event, in bytes: a record of [MaxRecord]
// whose longest part is base64, and the envelope.
const MaxEvent = 32 << 10

// timeForm is RFC 3339 in UTC with exactly three decimals.
const timeForm = "2006-01-02T15:04:05.000Z"

// Event is a record as a CloudEvents 1.0 JSON event. It always stands for one
// [Link]: there is none that says more or less than the record.
type Event struct {
	// Sig is the signature of the batch, on its last event; nil elsewhere. It
	// is not part of the record.
	Sig []byte

	origin Origin
	link   Link
	body   body
}

// Event gives the event of the link. Its JSON is exact: [ParseEvent] gives the
// same link back.
func (l Link) Event() (Event, error) {
	b, err := l.Record.decode()
	if err != nil {
		return Event{}, fmt.Errorf("event %d: %w", l.Seq, err)
	}
	h := b.common()
	if h.Seq != l.Seq {
		return Event{}, fmt.Errorf("event %d: the record says %d", l.Seq, h.Seq)
	}
	h.Prev = l.Prev
	o, err := ParseSource(h.Source)
	if err != nil {
		return Event{}, fmt.Errorf("event %d: %w", l.Seq, err)
	}
	return Event{origin: o, link: l, body: b}, nil
}

// envelope is the CloudEvents form.
type envelope struct {
	SpecVersion string `json:"specversion"`
	ID          string `json:"id"`
	Source      string `json:"source"`
	Type        string `json:"type"`
	Time        string `json:"time"`
	Sig         blob   `json:"sig,omitzero"`
	Data        any    `json:"data"`
}

// ID gives the CloudEvents id, "{gate}-{epoch}-{seq}".
func (e Event) ID() string {
	return e.origin.Gate + "-" + e.Epoch().String() + "-" + strconv.FormatUint(e.link.Seq, 10)
}

// Origin says whose journal the event is from.
func (e Event) Origin() Origin { return e.origin }

// Epoch gives the epoch of the event.
func (e Event) Epoch() Epoch {
	if e.body == nil {
		return Epoch{}
	}
	return e.body.common().Epoch
}

// Type gives the type of the event.
func (e Event) Type() Type {
	if e.body == nil {
		return 0
	}
	return e.body.common().Type
}

// Time gives the instant of the event: UTC, whole milliseconds.
func (e Event) Time() time.Time {
	if e.body == nil {
		return time.Time{}
	}
	return time.UnixMilli(e.body.common().Time).UTC()
}

// Link gives the record in its place, as rebuilt from the JSON.
func (e Event) Link() Link { return e.link }

// Position gives the place of the event: its hash is the head.
func (e Event) Position() Position {
	return Position{Epoch: e.Epoch(), Seq: e.link.Seq, Head: e.link.Hash()}
}

// MarshalJSON writes the event in its one form.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.body == nil {
		return nil, errors.New("event of no record")
	}
	h := e.body.common()
	return json.Marshal(envelope{
		SpecVersion: "1.0",
		ID:          e.ID(),
		Source:      h.Source,
		Type:        h.Type.String(),
		Time:        e.Time().Format(timeForm),
		Sig:         e.Sig,
		Data:        e.body,
	})
}

// UnmarshalJSON is [ParseEvent].
func (e *Event) UnmarshalJSON(b []byte) error {
	got, err := ParseEvent(b)
	if err == nil {
		*e = got
	}
	return err
}

// ParseEvent reads one event and rebuilds its record. It refuses every field,
// value and form that the record does not cover, so that nothing rides outside
// the chain. It checks no signature and no place in a chain.
func ParseEvent(b []byte) (Event, error) {
	e, err := parseEvent(b)
	if err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	return e, nil
}

func parseEvent(b []byte) (Event, error) {
	tree, err := strict.Parse(b, strict.Limits{Size: MaxEvent, Depth: 5})
	if err != nil {
		return Event{}, err
	}
	fields, ok := tree.(map[string]any)
	if !ok {
		return Event{}, errors.New("not a JSON object")
	}
	name, _ := fields["type"].(string)
	typ, err := parseType(name)
	if err != nil {
		return Event{}, err
	}
	data, err := newBody(typ)
	if err != nil {
		return Event{}, err
	}
	env := envelope{Data: data}
	if err := json.Unmarshal(b, &env); err != nil {
		return Event{}, err
	}
	at, err := time.Parse(timeForm, env.Time)
	if err != nil {
		return Event{}, fmt.Errorf("time %q is not RFC 3339 in UTC with three decimals", clip(env.Time))
	}
	h := data.common()
	h.Type, h.Source, h.Time = typ, env.Source, at.UnixMilli()
	t := data.private()
	if (t.Salt == nil) == (t.Digest == nil) {
		return Event{}, errors.New("an event has either salt or digest")
	}
	if t.Digest != nil && (t.Subject != nil || t.Inputs != nil || t.Sealed != nil) {
		return Event{}, errors.New("an erased event has no personal part")
	}
	r, err := build(data, t.Salt, t.Digest)
	if err != nil {
		return Event{}, err
	}
	e, err := Link{Seq: h.Seq, Prev: h.Prev, Record: r}.Event()
	if err != nil {
		return Event{}, err
	}
	e.Sig = env.Sig
	return e, strict.Same(tree, e)
}
