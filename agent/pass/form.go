package pass

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/text/unicode/norm"

	"gateagent/agent/gate"
)

// Bounds of a pass. All of them together still fit a QR code.
const (
	maxName   = 64 // letters, of name and host each
	maxPlaces = 16 // gates, and zones
	maxLabel  = 32 // characters of a site, gate or zone
	// MaxDays is the longest validity.
	MaxDays = 10 * 366
)

// maxText bounds the text of a code: version 40-M holds 3,391 characters of
// it, a scanner hands on fewer.
const maxText = gate.MaxPayload

// cwt is the claims set: deterministic CBOR (RFC 8949 §4.2), so that a pass has
// one form. All that CWT has no claim for is in one of ours, under a key that
// RFC 8392 §9.1 leaves to private use (below -65536).
type cwt struct {
	Audience  string            `cbor:"3,keyasint"` // the site
	Expires   int64             `cbor:"4,keyasint"` // Unix seconds, excluded
	NotBefore int64             `cbor:"5,keyasint"` // Unix seconds
	ID        []byte            `cbor:"7,keyasint"`
	What      []cbor.RawMessage `cbor:"-65537,keyasint"`
}

// what is the array of our claim. What is empty at its end is left out.
type what struct {
	kind   uint8 // gate.PassKind, and oneEntry
	name   any   // bytes: packed; text: as it is; nil: none
	host   any   // the same
	zones  []string
	gates  []string
	window []int32 // weekdays (bit 0: Monday), begin and end of the hours in minutes of the day, first and last day since 1970; no zeros at the end
}

// oneEntry is added to the kind of a pass that is good for one entry.
const oneEntry = 16

func (w *what) write() []cbor.RawMessage {
	n := 2
	for i, there := range [...]bool{w.host != nil, len(w.zones) > 0, len(w.gates) > 0, len(w.window) > 0} {
		if there {
			n = i + 3
		}
	}
	var out []cbor.RawMessage
	for _, v := range []any{w.kind, w.name, w.host, w.zones, w.gates, w.window}[:n] {
		out = append(out, marshal(v))
	}
	return out
}

// read is the inverse of write, and takes other forms too.
func (w *what) read(items []cbor.RawMessage) error {
	fields := [...]any{&w.kind, &w.name, &w.host, &w.zones, &w.gates, &w.window}
	if len(items) > len(fields) {
		return errClaims
	}
	for i, item := range items {
		if err := decode.Unmarshal(item, fields[i]); err != nil {
			return err
		}
	}
	return nil
}

var encode = func() cbor.EncMode {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic("pass: options of the CBOR writer: " + err.Error()) // constants
	}
	return mode
}()

// decode takes only what is bounded and said once. What else is not in the one
// form is found by writing it again.
var decode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   8,
		MaxArrayElements:  2 * maxPlaces,
		MaxMapPairs:       16,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsAllowed,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic("pass: options of the CBOR reader: " + err.Error()) // constants
	}
	return mode
}()

// marshal writes what can always be written: numbers, texts and bytes.
func marshal(v any) []byte {
	b, err := encode.Marshal(v)
	if err != nil {
		panic("pass: numbers and texts cannot be written as CBOR: " + err.Error())
	}
	return b
}

// payload gives the claims as they are signed.
func (c Claims) payload() []byte {
	w := what{
		kind: uint8(c.Kind), name: short(c.Name), host: short(c.Host),
		zones: append([]string{}, c.Zones...), gates: append([]string{}, c.Gates...),
		window: []int32{int32(c.Window.Weekdays), int32(c.Window.Start), int32(c.Window.End), int32(c.Window.From), int32(c.Window.To)},
	}
	for len(w.window) > 0 && w.window[len(w.window)-1] == 0 {
		w.window = w.window[:len(w.window)-1]
	}
	if c.Single {
		w.kind |= oneEntry
	}
	return marshal(cwt{
		Audience: c.Site, Expires: c.To.Unix(), NotBefore: c.From.Unix(), ID: c.ID.bytes(), What: w.write(),
	})
}

// short gives a name as it is written; nil for none.
func short(name string) any {
	if name == "" {
		return nil
	}
	if packed, ok := pack(name); ok {
		return packed
	}
	return name
}

// long is the inverse of short.
func long(v any) (name string, ok bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return v, true
	case []byte:
		return unpack(v)
	}
	return "", false
}

var errClaims = errors.New("the claims of the pass cannot be read")

// parsePayload is the inverse of payload: what payload would not write is
// refused.
func parsePayload(b []byte) (Claims, error) {
	var (
		x cwt
		w what
	)
	if decode.Unmarshal(b, &x) != nil || w.read(x.What) != nil || len(w.window) > windowLen {
		return Claims{}, errClaims
	}
	id, known := newID(x.ID)
	name, ok1 := long(w.name)
	host, ok2 := long(w.host)
	var win [windowLen]int32
	copy(win[:], w.window)
	if !known || !ok1 || !ok2 || outside(x.NotBefore, maxUnix) || outside(x.Expires, maxUnix) ||
		outside(win[0], 0x7f) || outside(win[1], minutesOfDay) || outside(win[2], minutesOfDay) {
		return Claims{}, errClaims
	}
	c := Claims{
		ID: id, Kind: gate.PassKind(w.kind &^ oneEntry), Name: name, Host: host,
		Site: x.Audience, Gates: w.gates, Zones: w.zones, Single: w.kind&oneEntry != 0,
		Window: gate.Window{Weekdays: uint8(win[0]), Start: uint16(win[1]), End: uint16(win[2]), From: gate.Day(win[3]), To: gate.Day(win[4])},
		From:   time.Unix(x.NotBefore, 0).UTC(), To: time.Unix(x.Expires, 0).UTC(),
	}
	if c.Check() != nil || string(c.payload()) != string(b) {
		return Claims{}, errClaims
	}
	return c, nil
}

const windowLen = 5

const (
	maxUnix      = 1<<32*60 - 1 // the last second of the last gate.Minute
	minutesOfDay = 24 * 60
)

func outside[N int32 | int64](n, most N) bool { return n < 0 || n > most }

// Check says what is wrong with a pass, of which [Issue] takes none.
func (c Claims) Check() error {
	switch {
	case c.Kind == gate.PassNobody || c.Kind > gate.PassStaff:
		return errors.New("a pass is for a visitor, a child, paper or staff")
	case c.Name == "":
		return errors.New("a pass names somebody")
	case !isLabel(c.Site):
		return errors.New("the site is not [a-z0-9-], 1 to 32 characters")
	case c.Single && len(c.Gates) == 0:
		return errors.New("a pass for one entry names its gate: it is spent there")
	}
	if err := checkName("name", c.Name); err != nil {
		return err
	}
	if err := checkName("host", c.Host); err != nil {
		return err
	}
	if err := checkPlaces("gate", c.Gates); err != nil {
		return err
	}
	if err := checkPlaces("zone", c.Zones); err != nil {
		return err
	}
	return errors.Join(c.checkTimes(), c.checkWindow())
}

func (c Claims) checkTimes() error {
	from, to := c.From.Unix(), c.To.Unix()
	switch {
	case from < 0 || to > maxUnix:
		return errors.New("its times are out of range")
	case from%60 != 0 || to%60 != 0 || c.From.Nanosecond() != 0 || c.To.Nanosecond() != 0:
		return errors.New("its times are not whole minutes")
	case to <= from:
		return errors.New("it ends before it begins")
	case to-from > MaxDays*86400:
		return fmt.Errorf("it is good for more than %d days", MaxDays)
	}
	return nil
}

func (c Claims) checkWindow() error {
	w := c.Window
	switch {
	case w.Weekdays > 0x7f || w.Start >= minutesOfDay && w.Start != 0 || w.End > minutesOfDay:
		return errors.New("its weekdays or hours are out of range")
	case w.Start == w.End && w.Start != 0:
		return errors.New("its hours are empty")
	case w.From < 0 || w.To < 0 || w.To != 0 && w.To < w.From:
		return errors.New("its last day is before the first")
	}
	return nil
}

// checkName refuses what could look like something else on a screen.
func checkName(what, s string) error {
	switch {
	case !utf8.ValidString(s) || !norm.NFC.IsNormalString(s):
		return fmt.Errorf("the %s is not text in Unicode's form NFC", what)
	case utf8.RuneCountInString(s) > maxName:
		return fmt.Errorf("the %s is longer than %d letters", what, maxName)
	case strings.TrimSpace(s) != s:
		return fmt.Errorf("the %s begins or ends with a blank", what)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }):
		return fmt.Errorf("the %s has characters that cannot be seen", what)
	}
	return nil
}

func checkPlaces(what string, names []string) error {
	if len(names) > maxPlaces {
		return fmt.Errorf("it names %d %ss, at most %d are taken", len(names), what, maxPlaces)
	}
	for i, s := range names {
		if !isLabel(s) {
			return fmt.Errorf("a %s is not [a-z0-9-], 1 to 32 characters", what)
		}
		if slices.Contains(names[:i], s) {
			return fmt.Errorf("it names the %s %s twice", what, s)
		}
	}
	return nil
}

// isLabel: a name of a site, gate or zone, as in the configuration of a box.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel || s[0] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
