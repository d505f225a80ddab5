package record

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/fxamacker/cbor/v2"

	"gateagent/agent/gate"
)

// form is the form of a detail's value.
type form uint8

const (
	text  form = iota // UTF-8, at most 256 bytes
	whole             // integer within ±(2^53-1)
	flag              // true or false
	hexa              // bytes, in JSON lower-case hexadecimal
	coded             // bytes, in JSON base64url without padding
)

// detailKeys numbers every detail an event may carry. Numbers are part of the
// format: never changed, never used again, new ones at the end.
var detailKeys = []struct {
	key  int
	name string
	form form
}{
	{1, "last_epoch", hexa},    // epoch: the last epoch that could be read, 8 bytes
	{2, "last_seq", whole},     // epoch: its last readable record
	{3, "last_head", hexa},     // epoch: the hash of that record, 32 bytes
	{4, "cause", text},         // why, in words or as a code; never payload, name or number
	{5, "version", text},       // version of the program
	{6, "commit", text},        // commit it was built from
	{7, "boot", text},          // boot id, as in `state`
	{8, "arch", text},          // for example "linux/arm64"
	{9, "set", text},           // name of a data set
	{10, "ver", whole},         // version of a document or of data, now in force or offered
	{11, "was", whole},         // version in force before
	{12, "id", text},           // policy id
	{13, "digest", hexa},       // SHA-256 of the document or file
	{14, "code", text},         // fault code or reason of refusal
	{15, "component", text},    // component as in health, for example "scanner:main"
	{16, "state", text},        // in_force, refused; raised, cleared; …
	{17, "from", text},         // clock level before
	{18, "to", text},           // clock level after
	{19, "step_ms", whole},     // clock: new minus old time
	{20, "source", text},       // where it came from: file, last_good, central, …
	{21, "lane", text},         // lane concerned
	{22, "people", whole},      // records of a data set
	{23, "kid", text},          // key id
	{24, "enc", coded},         // seal: HPKE encapsulated key
	{25, "suite", text},        // seal: HPKE suite
	{26, "first", whole},       // first sequence number concerned
	{27, "last", whole},        // last sequence number concerned
	{28, "count", whole},       // how many
	{29, "by", text},           // who asked for it
	{30, "document", text},     // type of a signed document, for example gate-policy+jws
	{31, "input", text},        // tamper: which input
	{32, "mono_s", whole},      // uptime in seconds, believable when the clock is not
	{33, "quarantine", text},   // epoch, data: file name the suspect file was moved to
	{34, "durable", flag},      // whether it was on disk before it took effect
	{35, "error", text},        // error of the operating system or a library
	{36, "erased_epoch", hexa}, // erase: epoch the range belongs to, 8 bytes
}

// eventKinds lists the details each kind may carry. A kind may omit any.
var eventKinds = map[gate.EventKind][]string{
	gate.EventEpoch:     {"last_epoch", "last_seq", "last_head", "cause", "quarantine", "error"},
	gate.EventStart:     {"version", "commit", "boot", "arch", "source", "cause", "mono_s"},
	gate.EventStop:      {"boot", "cause", "mono_s", "error"},
	gate.EventConfig:    {"digest", "source", "state", "code", "cause", "count", "error"},
	gate.EventPolicy:    {"id", "ver", "was", "state", "code", "cause", "digest", "kid", "document", "error"},
	gate.EventData:      {"set", "ver", "was", "state", "code", "cause", "digest", "kid", "people", "document", "quarantine", "error"},
	gate.EventTrust:     {"ver", "was", "state", "code", "cause", "digest", "kid", "document", "count", "error"},
	gate.EventClock:     {"from", "to", "step_ms", "source", "cause", "code", "mono_s"},
	gate.EventTamper:    {"component", "lane", "input", "state", "cause", "code"},
	gate.EventFault:     {"component", "lane", "code", "cause", "state", "set", "count", "error", "first", "last", "durable"},
	gate.EventErase:     {"erased_epoch", "first", "last", "count", "by", "cause", "id"},
	gate.EventSeal:      {"kid", "enc", "suite", "boot"},
	gate.EventNoSubject: {"kid", "cause", "code", "count"},
	gate.EventSubject:   {"kid", "source"},
}

// details are an event's details: string, int64 or bool by name.
type details map[string]any

func keyNamed(name string) (key int, f form, ok bool) {
	for _, d := range detailKeys {
		if d.name == name {
			return d.key, d.form, true
		}
	}
	return 0, 0, false
}

func (d details) check(kind string) error {
	allowed, ok := eventKinds[gate.EventKind(kind)]
	if !ok {
		return fmt.Errorf("event kind %q is unknown", clip(kind))
	}
	for name, v := range d {
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("an event of kind %s has no detail %q", kind, clip(name))
		}
		_, f, _ := keyNamed(name)
		if _, err := f.toCBOR(v); err != nil {
			return fmt.Errorf("detail %s: %w", name, err)
		}
	}
	return nil
}

// toCBOR gives the value as it stands in the public part.
func (f form) toCBOR(v any) (any, error) {
	switch v := v.(type) {
	case string:
		switch f {
		case text:
			return v, checkText("value", v, maxFree)
		case hexa:
			b := make([]byte, len(v)/2)
			return b, parseHex(b, v)
		case coded:
			var b blob
			err := b.UnmarshalText([]byte(v))
			return []byte(b), err
		}
	case int64:
		if f == whole && v >= -MaxSeq && v <= MaxSeq {
			return v, nil
		}
	case bool:
		if f == flag {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a value of %T does not fit", v)
}

func (f form) fromCBOR(v any) (any, error) {
	switch v := v.(type) {
	case string:
		if f == text {
			return v, nil
		}
	case []byte:
		switch f {
		case hexa:
			return hex.EncodeToString(v), nil
		case coded:
			return base64.RawURLEncoding.EncodeToString(v), nil
		}
	case int64:
		if f == whole {
			return v, nil
		}
	case bool:
		if f == flag {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a value of %T does not fit", v)
}

// MarshalCBOR writes the integer keys.
func (d details) MarshalCBOR() ([]byte, error) {
	m := make(map[int]any, len(d))
	for name, v := range d {
		key, f, ok := keyNamed(name)
		if !ok {
			return nil, fmt.Errorf("detail %q is unknown", clip(name))
		}
		var err error
		if m[key], err = f.toCBOR(v); err != nil {
			return nil, fmt.Errorf("detail %s: %w", name, err)
		}
	}
	return encMode.Marshal(m)
}

// UnmarshalCBOR reads the integer keys.
func (d *details) UnmarshalCBOR(b []byte) error {
	var m map[int]any
	if err := decMode.Unmarshal(b, &m); err != nil {
		return err
	}
	out := make(details, len(m))
	for key, v := range m {
		i := slices.IndexFunc(detailKeys, func(k struct {
			key  int
			name string
			form form
		},
		) bool {
			return k.key == key
		})
		if i < 0 {
			return fmt.Errorf("detail key %d is unknown", key)
		}
		var err error
		if out[detailKeys[i].name], err = detailKeys[i].form.fromCBOR(v); err != nil {
			return fmt.Errorf("detail %s: %w", detailKeys[i].name, err)
		}
	}
	*d = out
	return nil
}

// UnmarshalJSON keeps whole numbers exact.
func (d *details) UnmarshalJSON(b []byte) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		return err
	}
	for name, v := range m {
		if n, ok := v.(json.Number); ok {
			i, err := strconv.ParseInt(string(n), 10, 64)
			if err != nil {
				return fmt.Errorf("detail %q is not a whole number", clip(name))
			}
			m[name] = i
		}
	}
	*d = m
	return nil
}

// newDetails takes what a caller put into a [gate.Event]: texts are cleaned
// and cut, integers of any size are taken, nothing else is.
func newDetails(in map[string]any) (details, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make(details, len(in))
	for name, v := range in {
		switch v := v.(type) {
		case string:
			out[name] = cleanText(v, maxFree)
			if _, f, ok := keyNamed(name); ok && f == coded {
				out[name] = v
			}
		case bool, int64:
			out[name] = v
		case int:
			out[name] = int64(v)
		case int32:
			out[name] = int64(v)
		case uint32:
			out[name] = int64(v)
		case uint64:
			if v > MaxSeq {
				return nil, fmt.Errorf("detail %s: %d is too large", name, v)
			}
			out[name] = int64(v)
		default:
			return nil, fmt.Errorf("detail %s: a value of %T does not fit", name, v)
		}
	}
	return out, nil
}

var (
	_ cbor.Marshaler   = details(nil)
	_ cbor.Unmarshaler = (*details)(nil)
)
