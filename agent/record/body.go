package record

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/gate"
)

// The bodies below are the whole of the format: the json tags are `data` of an
// event, the cbor tags the keys of the public part (README.md lists them).
// Keys are never used twice, also not by different types.
type body interface {
	common() *head
	private() *tail
	check() error
}

// head stands before the fields of every type.
type head struct {
	V      uint8  `json:"v" cbor:"0,keyasint"`
	Type   Type   `json:"-" cbor:"1,keyasint"`
	Source string `json:"-" cbor:"2,keyasint"`
	Time   int64  `json:"-" cbor:"3,keyasint"` // UTC milliseconds
	Epoch  Epoch  `json:"epoch" cbor:"4,keyasint"`
	Seq    uint64 `json:"seq" cbor:"5,keyasint"`
	Prev   Hash   `json:"prev" cbor:"-"`
}

// tail stands after the fields of every type: the salt and the personal part,
// or the digest of both.
type tail struct {
	Subject *subject `json:"subject,omitzero" cbor:"-"`
	Inputs  blob     `json:"inputs,omitzero" cbor:"-"`
	Sealed  blob     `json:"sealed,omitzero" cbor:"-"`
	Salt    blob     `json:"salt,omitzero" cbor:"-"`
	Digest  *Hash    `json:"digest,omitzero" cbor:"-"`
}

// personal is the CBOR of the personal part.
type personal struct {
	Subject []byte `cbor:"1,keyasint,omitzero"`
	Inputs  []byte `cbor:"2,keyasint,omitzero"`
	Sealed  []byte `cbor:"3,keyasint,omitzero"`
}

type entryBody struct {
	head
	Lane       string            `json:"lane" cbor:"10,keyasint"`
	Direction  directionCode     `json:"direction" cbor:"11,keyasint"`
	Verdict    verdictCode       `json:"verdict" cbor:"12,keyasint"`
	Reasons    []string          `json:"reasons" cbor:"13,keyasint"`
	Class      classCode         `json:"class" cbor:"14,keyasint"`
	Credential credentialCode    `json:"credential" cbor:"15,keyasint"`
	Policy     policyRef         `json:"policy" cbor:"16,keyasint"`
	Data       map[string]uint64 `json:"data" cbor:"17,keyasint"`
	DataAge    *int64            `json:"data_age_s" cbor:"18,keyasint,omitzero"` // nil: no data
	Clock      clockCode         `json:"clock" cbor:"19,keyasint"`
	Latency    entryLatency      `json:"latency_ms" cbor:"20,keyasint"`
	Ref        uint64            `json:"ref,omitzero" cbor:"21,keyasint,omitzero"`
	Needs      string            `json:"needs,omitzero" cbor:"22,keyasint,omitzero"`
	Count      uint32            `json:"count,omitzero" cbor:"23,keyasint,omitzero"`
	Shadow     *shadow           `json:"shadow,omitzero" cbor:"24,keyasint,omitzero"`
	tail
}

type policyRef struct {
	ID      string `json:"id" cbor:"1,keyasint"`
	Version uint64 `json:"version" cbor:"2,keyasint"`
}

type entryLatency struct {
	Decode micros `json:"decode" cbor:"1,keyasint"`
	Lookup micros `json:"lookup" cbor:"2,keyasint"`
	Decide micros `json:"decide" cbor:"3,keyasint"`
}

type shadow struct {
	Policy  policyRef   `json:"policy" cbor:"1,keyasint"`
	Verdict verdictCode `json:"verdict" cbor:"2,keyasint"`
	Reasons []string    `json:"reasons" cbor:"3,keyasint"`
}

type passageBody struct {
	head
	Lane       string         `json:"lane" cbor:"10,keyasint"`
	Ref        uint64         `json:"ref" cbor:"21,keyasint"`
	Opened     bool           `json:"opened" cbor:"25,keyasint"`
	Record     timingCode     `json:"record" cbor:"26,keyasint"`
	RelayFault string         `json:"relay_fault,omitzero" cbor:"27,keyasint,omitzero"`
	Door       doorCode       `json:"door" cbor:"28,keyasint"`
	Latency    passageLatency `json:"latency_ms" cbor:"20,keyasint"`
	tail
}

type passageLatency struct {
	Record  micros `json:"record" cbor:"4,keyasint"`
	Actuate micros `json:"actuate" cbor:"5,keyasint"`
}

type overrideBody struct {
	head
	Lane     string `json:"lane" cbor:"10,keyasint"`
	Ref      uint64 `json:"ref,omitzero" cbor:"21,keyasint,omitzero"`
	By       string `json:"by" cbor:"29,keyasint"`
	Operator string `json:"operator,omitzero" cbor:"30,keyasint,omitzero"`
	Reason   string `json:"reason,omitzero" cbor:"31,keyasint,omitzero"`
	tail
}

type eventBody struct {
	head
	Kind    string  `json:"kind" cbor:"32,keyasint"`
	Details details `json:"details,omitzero" cbor:"33,keyasint,omitzero"`
	tail
}

func (h *head) common() *head  { return h }
func (t *tail) private() *tail { return t }

// newBody gives an empty body of type t.
func newBody(t Type) (body, error) {
	switch t {
	case TypeEntry:
		return &entryBody{}, nil
	case TypePassage:
		return &passageBody{}, nil
	case TypeOverride:
		return &overrideBody{}, nil
	case TypeEvent:
		return &eventBody{}, nil
	}
	return nil, fmt.Errorf("record type %d is unknown", t)
}

// maxTime is the last millisecond that RFC 3339 can write.
const maxTime = 253402300799999

func (h *head) check() error {
	if h.V != Format {
		return fmt.Errorf("format %d; this program knows format %d", h.V, Format)
	}
	if h.Seq == 0 || h.Seq > MaxSeq {
		return fmt.Errorf("sequence number %d is not within 1..2^53-1", h.Seq)
	}
	if h.Time < 0 || h.Time > maxTime {
		return fmt.Errorf("time of %d ms is outside the years 1970 to 9999", h.Time)
	}
	_, err := ParseSource(h.Source)
	return err
}

// Bounds of texts, in bytes, and of lists.
const (
	maxLane    = 64
	maxCode    = 48
	maxID      = 64
	maxFree    = 256
	maxReasons = gate.MaxReasons
	maxSets    = 16
)

func (b *entryBody) check() error {
	for name := range b.Data {
		if !ValidName(name) {
			return fmt.Errorf("data set %q is not a name", clip(name))
		}
	}
	switch {
	case b.Reasons == nil:
		return errors.New("reasons are missing")
	case b.Data == nil || len(b.Data) > maxSets:
		return fmt.Errorf("data names %d sets, at most %d are kept", len(b.Data), maxSets)
	case b.DataAge != nil && *b.DataAge < 0:
		return errors.New("data_age_s is negative")
	case len(b.Inputs) > maxInputs:
		return fmt.Errorf("inputs of %d bytes, at most %d are kept", len(b.Inputs), maxInputs)
	}
	if b.Shadow != nil {
		if b.Shadow.Reasons == nil {
			return errors.New("reasons of the shadow are missing")
		}
		if err := errors.Join(checkReasons(b.Shadow.Reasons), b.Shadow.Policy.check()); err != nil {
			return fmt.Errorf("shadow: %w", err)
		}
	}
	return errors.Join(b.head.check(), checkText("lane", b.Lane, maxLane), checkReasons(b.Reasons), b.Policy.check(),
		checkText("needs", b.Needs, maxCode), b.Latency.Decode.check(), b.Latency.Lookup.check(), b.Latency.Decide.check())
}

func (p policyRef) check() error { return checkText("policy id", p.ID, maxID) }

func (b *passageBody) check() error {
	return errors.Join(b.head.check(), b.tail.none(), checkText("lane", b.Lane, maxLane),
		checkText("relay_fault", b.RelayFault, maxCode), b.Latency.Record.check(), b.Latency.Actuate.check())
}

func (b *overrideBody) check() error {
	return errors.Join(b.head.check(), b.tail.none(), checkText("lane", b.Lane, maxLane), checkText("by", b.By, maxCode),
		checkText("operator", b.Operator, maxFree), checkText("reason", b.Reason, maxFree))
}

func (b *eventBody) check() error {
	if b.Details != nil && len(b.Details) == 0 {
		return errors.New("details are empty")
	}
	return errors.Join(b.head.check(), b.tail.none(), b.Details.check(b.Kind))
}

// none refuses a personal part where the type has none.
func (t *tail) none() error {
	if t.Subject != nil || t.Inputs != nil || t.Sealed != nil {
		return errors.New("only entries have a personal part")
	}
	return nil
}

func checkReasons(list []string) error {
	if len(list) > maxReasons {
		return fmt.Errorf("%d reasons, at most %d are kept", len(list), maxReasons)
	}
	for _, r := range list {
		if r == "" {
			return errors.New("empty reason")
		}
		if err := checkText("reason", r, maxCode); err != nil {
			return err
		}
	}
	return nil
}

func checkText(what, s string, most int) error {
	if cleanText(s, most) != s {
		return fmt.Errorf("%s is longer than %d bytes or holds control characters", what, most)
	}
	return nil
}

// cleanText makes s fit for a record: valid UTF-8 without control characters,
// cut at a character's end.
func cleanText(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most]
	}
	return s
}

// micros is a latency in whole microseconds; milliseconds in JSON.
type micros int64

const maxMicros = micros(1000 * 1000 * 3600) // an hour; longer is not a latency

func (m micros) check() error {
	if m < 0 || m > maxMicros {
		return fmt.Errorf("latency of %d µs is not within an hour", int64(m))
	}
	return nil
}

func (m micros) MarshalJSON() ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	out := strconv.AppendInt(nil, int64(m/1000), 10)
	if frac := int64(m % 1000); frac != 0 {
		out = append(out, strings.TrimRight(fmt.Sprintf(".%03d", frac), "0")...)
	}
	return out, nil
}

func (m *micros) UnmarshalJSON(b []byte) error {
	whole, frac, _ := strings.Cut(string(b), ".")
	if len(frac) > 3 {
		return errors.New("a latency has at most three decimals")
	}
	n, err := strconv.ParseUint(whole+(frac + "000")[:3], 10, 40)
	if err != nil {
		return fmt.Errorf("%q is not a latency", clip(string(b)))
	}
	*m = micros(n)
	return m.check()
}

// blob is base64url without padding in JSON.
type blob []byte

func (b blob) MarshalText() ([]byte, error) {
	return base64.RawURLEncoding.AppendEncode(nil, b), nil
}

func (b *blob) UnmarshalText(text []byte) error {
	out, err := base64.RawURLEncoding.Strict().DecodeString(string(text))
	if err != nil {
		return errors.New("not base64url without padding")
	}
	*b = out
	return nil
}

// subject is a pseudonym: 16 hexadecimal digits in JSON.
type subject [8]byte

func (s subject) MarshalText() ([]byte, error)     { return []byte(Epoch(s).String()), nil }
func (s *subject) UnmarshalText(text []byte) error { return parseHex(s[:], string(text)) }
