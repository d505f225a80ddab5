package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"gateagent/agent/gate"
)

// Header is what every record says first.
type Header struct {
	Type   Type
	Origin Origin
	Time   time.Time // UTC, whole milliseconds
	Epoch  Epoch
	Seq    uint64
}

// Header reads the head alone, which is cheap.
func (r Record) Header() (Header, error) {
	var h head
	if err := headMode.Unmarshal(r.Public, &h); err != nil {
		return Header{}, fmt.Errorf("read record: %w", err)
	}
	if err := h.check(); err != nil {
		return Header{}, fmt.Errorf("read record: %w", err)
	}
	o, err := ParseSource(h.Source)
	if err != nil {
		return Header{}, fmt.Errorf("read record: %w", err)
	}
	return Header{Type: h.Type, Origin: o, Time: time.UnixMilli(h.Time).UTC(), Epoch: h.Epoch, Seq: h.Seq}, nil
}

// decode reads the whole record, personal part included, and demands the
// canonical form.
func (r Record) decode() (body, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	if n := len(r.Public) + len(r.Personal); n > MaxRecord {
		return nil, fmt.Errorf("record of %d bytes, at most %d are read", n, MaxRecord)
	}
	var h head
	if err := headMode.Unmarshal(r.Public, &h); err != nil {
		return nil, err
	}
	b, err := newBody(h.Type)
	if err != nil {
		return nil, err
	}
	if err := decMode.Unmarshal(r.Public, b); err != nil {
		return nil, err
	}
	if err := sameBytes(b, r.Public); err != nil {
		return nil, err
	}
	if err := b.private().read(r); err != nil {
		return nil, err
	}
	return b, b.check()
}

func (t *tail) read(r Record) error {
	if r.Erased() {
		d := r.Digest
		*t = tail{Digest: &d}
		return nil
	}
	var p personal
	if err := decMode.Unmarshal(r.Personal, &p); err != nil {
		return fmt.Errorf("personal part: %w", err)
	}
	if err := sameBytes(p, r.Personal); err != nil {
		return fmt.Errorf("personal part: %w", err)
	}
	*t = tail{Inputs: p.Inputs, Sealed: p.Sealed, Salt: r.Salt}
	if p.Subject != nil {
		if len(p.Subject) != len(subject{}) {
			return fmt.Errorf("personal part: subject of %d bytes", len(p.Subject))
		}
		s := subject(p.Subject)
		t.Subject = &s
	}
	return nil
}

// as reads a record of one type.
func as[T body](r Record) (T, error) {
	b, err := r.decode()
	if err != nil {
		var zero T
		return zero, fmt.Errorf("read record: %w", err)
	}
	t, ok := b.(T)
	if !ok {
		return t, fmt.Errorf("read record: it is a %s: %w", b.common().Type, ErrWrongType)
	}
	return t, nil
}

// Entry gives the entry back: the inverse of [FromEntry] up to what that cut.
// Data is sorted by set. Of an erased record, Subject and Inputs are missing.
func (r Record) Entry() (gate.Entry, error) {
	b, err := as[*entryBody](r)
	if err != nil {
		return gate.Entry{}, err
	}
	direction, err1 := word(directionNames, uint8(b.Direction), gate.ParseDirection)
	verdict, err2 := word(verdictNames, uint8(b.Verdict), gate.ParseVerdict)
	class, err3 := word(classNames, uint8(b.Class), gate.ParseClass)
	credential, err4 := word(credentialNames, uint8(b.Credential), gate.ParseCredentialKind)
	clock, err5 := word(clockNames, uint8(b.Clock), gate.ParseClockLevel)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return gate.Entry{}, fmt.Errorf("read record: %w", err)
	}
	v := gate.Entry{
		Time:       time.UnixMilli(b.Time).UTC(),
		Lane:       b.Lane,
		Direction:  direction,
		Verdict:    verdict,
		Reasons:    reasonsBack(b.Reasons),
		Class:      class,
		Credential: credential,
		Policy:     gate.PolicyRef{ID: b.Policy.ID, Version: b.Policy.Version},
		Data:       sortedSets(b.Data),
		DataAge:    -1,
		Clock:      clock,
		Decode:     b.Latency.Decode.duration(),
		Lookup:     b.Latency.Lookup.duration(),
		Decide:     b.Latency.Decide.duration(),
		Ref:        b.Ref,
		Needs:      b.Needs,
		Count:      b.Count,
	}
	if b.DataAge != nil {
		v.DataAge = *b.DataAge
	}
	if b.Subject != nil {
		v.Subject, v.HasSubject = gate.Pseudonym(binary.BigEndian.Uint64(b.Subject[:])), true
	}
	if b.Shadow != nil {
		verdict, err := word(verdictNames, uint8(b.Shadow.Verdict), gate.ParseVerdict)
		if err != nil {
			return gate.Entry{}, fmt.Errorf("read record: shadow: %w", err)
		}
		v.Shadow = &gate.Shadow{
			Policy:  gate.PolicyRef{ID: b.Shadow.Policy.ID, Version: b.Shadow.Policy.Version},
			Verdict: verdict,
			Reasons: reasonsBack(b.Shadow.Reasons),
		}
	}
	if b.Inputs != nil {
		if v.Inputs, err = DecodeInputs(b.Inputs); err != nil {
			return gate.Entry{}, fmt.Errorf("read record: %w", err)
		}
	}
	return v, nil
}

// Passage gives the passage back: the inverse of [FromPassage].
func (r Record) Passage() (gate.Passage, error) {
	b, err := as[*passageBody](r)
	if err != nil {
		return gate.Passage{}, err
	}
	door, err1 := word(doorNames, uint8(b.Door), gate.ParseDoor)
	_, err2 := timingNames.text(uint8(b.Record))
	if err := errors.Join(err1, err2); err != nil {
		return gate.Passage{}, fmt.Errorf("read record: %w", err)
	}
	return gate.Passage{
		Time:       time.UnixMilli(b.Time).UTC(),
		Lane:       b.Lane,
		Ref:        b.Ref,
		Opened:     b.Opened,
		Late:       b.Record == 1,
		RelayFault: b.RelayFault,
		Door:       door,
		Record:     b.Latency.Record.duration(),
		Actuate:    b.Latency.Actuate.duration(),
	}, nil
}

// Override gives the override back: the inverse of [FromOverride].
func (r Record) Override() (gate.Override, error) {
	b, err := as[*overrideBody](r)
	if err != nil {
		return gate.Override{}, err
	}
	return gate.Override{
		Time: time.UnixMilli(b.Time).UTC(), Lane: b.Lane, By: b.By, Operator: b.Operator, Reason: b.Reason, Ref: b.Ref,
	}, nil
}

// Event gives the event back: the inverse of [FromEvent]. Whole numbers in
// Details are int64, all else string or bool.
func (r Record) Event() (gate.Event, error) {
	b, err := as[*eventBody](r)
	if err != nil {
		return gate.Event{}, err
	}
	return gate.Event{Time: time.UnixMilli(b.Time).UTC(), Kind: gate.EventKind(b.Kind), Details: b.Details}, nil
}

func (m micros) duration() time.Duration { return time.Duration(m) * time.Microsecond }

func reasonsBack(list []string) []gate.Reason {
	out := make([]gate.Reason, 0, len(list))
	for _, r := range list {
		out = append(out, gate.Reason(r))
	}
	return out
}
