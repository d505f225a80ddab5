package record

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"gateagent/agent/gate"
)

// encMode and decMode never change after the program has started.
var (
	encMode = mustEnc(cbor.CoreDetEncOptions())
	decMode = mustDec(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   6,
		MaxArrayElements:  64,
		MaxMapPairs:       64,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		IntDec:            cbor.IntDecConvertSignedOrFail,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	})
	// headMode reads the head of a record whatever its type.
	headMode = mustDec(cbor.DecOptions{IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 4})
)

func mustEnc(o cbor.EncOptions) cbor.EncMode {
	m, err := o.EncMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}

func mustDec(o cbor.DecOptions) cbor.DecMode {
	m, err := o.DecMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}

// FromEntry makes the record of an entry and draws its salt. The time is cut
// to the millisecond, latencies to the microsecond; an age below zero stands
// for "no data".
func FromEntry(o Origin, e Epoch, seq uint64, v gate.Entry) (Record, error) {
	b, err := entryOf(v)
	if err != nil {
		return Record{}, fmt.Errorf("entry %d: %w", seq, err)
	}
	return seal(b, TypeEntry, o, e, seq, v.Time)
}

// FromPassage makes the record of a passage and draws its salt.
func FromPassage(o Origin, e Epoch, seq uint64, v gate.Passage) (Record, error) {
	door, err := doorNames.number(v.Door.String())
	if err != nil {
		return Record{}, fmt.Errorf("passage %d: door: %w", seq, err)
	}
	b := &passageBody{
		Lane:       cleanText(v.Lane, maxLane),
		Ref:        v.Ref,
		Opened:     v.Opened,
		RelayFault: cleanText(v.RelayFault, maxCode),
		Door:       doorCode(door),
		Latency:    passageLatency{Record: microsOf(v.Record), Actuate: microsOf(v.Actuate)},
	}
	if v.Late {
		b.Record = 1
	}
	return seal(b, TypePassage, o, e, seq, v.Time)
}

// FromOverride makes the record of an override and draws its salt.
func FromOverride(o Origin, e Epoch, seq uint64, v gate.Override) (Record, error) {
	b := &overrideBody{
		Lane:     cleanText(v.Lane, maxLane),
		Ref:      v.Ref,
		By:       cleanText(v.By, maxCode),
		Operator: cleanText(v.Operator, maxFree),
		Reason:   cleanText(v.Reason, maxFree),
	}
	return seal(b, TypeOverride, o, e, seq, v.Time)
}

// FromEvent makes the record of an event and draws its salt. It refuses kinds
// and details that README.md does not list.
func FromEvent(o Origin, e Epoch, seq uint64, v gate.Event) (Record, error) {
	d, err := newDetails(v.Details)
	if err != nil {
		return Record{}, fmt.Errorf("event %d of kind %s: %w", seq, v.Kind, err)
	}
	return seal(&eventBody{Kind: string(v.Kind), Details: d}, TypeEvent, o, e, seq, v.Time)
}

// FirstEvent is the event that begins an epoch: it names the last readable
// position before it (the zero Position where there was none) and why a new
// journal was begun, as a short code or text.
func FirstEvent(at time.Time, last Position, cause string) gate.Event {
	d := map[string]any{"cause": cause}
	if !last.Epoch.IsZero() {
		d["last_epoch"] = last.Epoch.String()
		d["last_seq"] = last.Seq
		d["last_head"] = last.Head.String()
	}
	return gate.Event{Time: at, Kind: gate.EventEpoch, Details: d}
}

// FirstOf reads back what [FirstEvent] wrote; ok is false for every other
// record.
func FirstOf(r Record) (last Position, cause string, ok bool) {
	ev, err := r.Event()
	if err != nil || ev.Kind != gate.EventEpoch {
		return Position{}, "", false
	}
	cause, _ = ev.Details["cause"].(string)
	epoch, _ := ev.Details["last_epoch"].(string)
	head, _ := ev.Details["last_head"].(string)
	seq, _ := ev.Details["last_seq"].(int64)
	if last.Epoch, err = ParseEpoch(epoch); err != nil || seq < 0 {
		return Position{}, cause, true
	}
	if last.Head, err = ParseHash(head); err != nil {
		return Position{}, cause, true
	}
	last.Seq = uint64(seq)
	return last, cause, true
}

func entryOf(v gate.Entry) (*entryBody, error) {
	direction, err1 := directionNames.number(v.Direction.String())
	verdict, err2 := verdictNames.number(v.Verdict.String())
	class, err3 := classNames.number(v.Class.String())
	credential, err4 := credentialNames.number(v.Credential.String())
	clock, err5 := clockNames.number(v.Clock.String())
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	b := &entryBody{
		Lane:       cleanText(v.Lane, maxLane),
		Direction:  directionCode(direction),
		Verdict:    verdictCode(verdict),
		Reasons:    reasonsOf(v.Reasons),
		Class:      classCode(class),
		Credential: credentialCode(credential),
		Policy:     policyOf(v.Policy),
		Data:       make(map[string]uint64, len(v.Data)),
		Clock:      clockCode(clock),
		Latency:    entryLatency{microsOf(v.Decode), microsOf(v.Lookup), microsOf(v.Decide)},
		Ref:        v.Ref,
		Needs:      cleanText(v.Needs, maxCode),
		Count:      v.Count,
	}
	for _, s := range v.Data {
		if _, twice := b.Data[s.Set]; twice {
			return nil, fmt.Errorf("data set %q is named twice", clip(s.Set))
		}
		b.Data[s.Set] = s.Version
	}
	if v.DataAge >= 0 {
		b.DataAge = &v.DataAge
	}
	if v.HasSubject {
		b.Subject = new(subject)
		binary.BigEndian.PutUint64(b.Subject[:], uint64(v.Subject))
	}
	if b.Inputs, err1 = EncodeInputs(v.Inputs); err1 != nil {
		return nil, err1
	}
	if v.Shadow != nil {
		verdict, err := verdictNames.number(v.Shadow.Verdict.String())
		if err != nil {
			return nil, err
		}
		b.Shadow = &shadow{policyOf(v.Shadow.Policy), verdictCode(verdict), reasonsOf(v.Shadow.Reasons)}
	}
	return b, nil
}

func policyOf(p gate.PolicyRef) policyRef { return policyRef{cleanText(p.ID, maxID), p.Version} }

// reasonsOf never gives nil: an entry without reasons says so by an empty list.
func reasonsOf(list []gate.Reason) []string {
	out := make([]string, 0, len(list))
	for _, r := range list[:min(len(list), maxReasons)] {
		out = append(out, cleanText(string(r), maxCode))
	}
	return out
}

func microsOf(d time.Duration) micros {
	return min(max(micros(d.Microseconds()), 0), maxMicros)
}

// seal puts the body in its place and makes the record with a fresh salt.
func seal(b body, t Type, o Origin, e Epoch, seq uint64, at time.Time) (Record, error) {
	*b.common() = head{V: Format, Type: t, Source: o.Source(), Time: at.UnixMilli(), Epoch: e, Seq: seq}
	var salt [SaltSize]byte
	rand.Read(salt[:]) //nolint:errcheck // crypto/rand.Read never fails
	r, err := build(b, salt[:], nil)
	if err != nil {
		return Record{}, fmt.Errorf("%s %d: %w", t, seq, err)
	}
	return r, nil
}

// build makes a record of a body: with salt and personal part, or erased with
// the digest alone.
func build(b body, salt []byte, erased *Hash) (Record, error) {
	if err := b.check(); err != nil {
		return Record{}, err
	}
	public, err := encMode.Marshal(b)
	if err != nil {
		return Record{}, err
	}
	if erased != nil {
		if len(public) > MaxRecord {
			return Record{}, fmt.Errorf("record of %d bytes, at most %d are kept", len(public), MaxRecord)
		}
		return Record{Public: public, Digest: *erased}, nil
	}
	if len(salt) != SaltSize {
		return Record{}, fmt.Errorf("salt of %d bytes instead of %d", len(salt), SaltSize)
	}
	t := b.private()
	p := personal{Inputs: t.Inputs, Sealed: t.Sealed}
	if t.Subject != nil {
		p.Subject = t.Subject[:]
	}
	private, err := encMode.Marshal(p)
	if err != nil {
		return Record{}, err
	}
	return newRecord(public, private, [SaltSize]byte(salt))
}

// Marshal gives the record as cache stores it: a CBOR list of public part,
// salt and personal part, or of public part and digest when erased.
func (r Record) Marshal() ([]byte, error) {
	if r.Erased() {
		return encMode.Marshal([][]byte{r.Public, r.Digest[:]})
	}
	return encMode.Marshal([][]byte{r.Public, r.Salt, r.Personal})
}

// Unmarshal reads what [Record.Marshal] wrote. It copies nothing that it
// could share: the record is valid as long as b is.
func (r *Record) Unmarshal(b []byte) error {
	var parts [][]byte
	if err := decMode.Unmarshal(b, &parts); err != nil {
		return fmt.Errorf("stored record: %w", err)
	}
	switch len(parts) {
	case 2:
		if len(parts[1]) != len(r.Digest) {
			return fmt.Errorf("stored record: digest of %d bytes", len(parts[1]))
		}
		*r = Record{Public: parts[0], Digest: Hash(parts[1])}
	case 3:
		if len(parts[1]) != SaltSize {
			return fmt.Errorf("stored record: salt of %d bytes", len(parts[1]))
		}
		*r = Record{Public: parts[0], Salt: parts[1], Personal: parts[2], Digest: digest(parts[1], parts[2])}
	default:
		return fmt.Errorf("stored record: %d parts", len(parts))
	}
	return nil
}

// sameBytes says whether b encodes to exactly public: a record that was not
// written in the one canonical form is refused.
func sameBytes(b any, public []byte) error {
	again, err := encMode.Marshal(b)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, public) {
		return errors.New("not in canonical form")
	}
	return nil
}

func sortedSets(m map[string]uint64) []gate.SetVersion {
	out := make([]gate.SetVersion, 0, len(m))
	for set, version := range m {
		out = append(out, gate.SetVersion{Set: set, Version: version})
	}
	slices.SortFunc(out, func(a, b gate.SetVersion) int { return cmp.Compare(a.Set, b.Set) })
	return out
}
