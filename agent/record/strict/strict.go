// Package strict reads JSON that a stranger may have written, and gives every
// JSON value one canonical CBOR form to hash and to sign.
//
// It owns two rules. A body says exactly what its reader understood and
// nothing else: names that are unknown, doubled or differ in case, texts that
// are not UTF-8, numbers in another form are refused, so nothing rides along
// outside a signature or a hash chain. And size and depth are bounded before
// anything large is allocated.
//
// It knows no message and no record: those are agent/record and sync/wire.
package strict

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

// Limits bounds what [Parse] and [Unmarshal] accept.
type Limits struct {
	Size  int // bytes of JSON text
	Depth int // nesting of objects and arrays; a plain value has depth 0
}

// ErrTooLarge is wrapped when a body is longer or deeper than its limits.
var ErrTooLarge = errors.New("too large")

// maxCanonicalDepth bounds [Canonical], which may be given a value that no
// Parse has bounded.
const maxCanonicalDepth = 64

// Parse reads one JSON value: map[string]any, []any, string, [json.Number],
// bool or nil. It refuses doubled names, invalid UTF-8 and anything after the
// value.
func Parse(b []byte, lim Limits) (any, error) {
	if len(b) > lim.Size {
		return nil, fmt.Errorf("%d bytes, at most %d are taken: %w", len(b), lim.Size, ErrTooLarge)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	v, err := value(dec, lim.Depth)
	if err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func value(dec *json.Decoder, depth int) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, notJSON(err)
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		return tok, nil
	}
	if depth == 0 {
		return nil, fmt.Errorf("nested too deeply: %w", ErrTooLarge)
	}
	if delim == '[' {
		return array(dec, depth-1)
	}
	return object(dec, depth-1)
}

func array(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := value(dec, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	return list, nil
}

func object(dec *json.Decoder, depth int) (any, error) {
	m := map[string]any{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, notJSON(err)
		}
		name, ok := tok.(string)
		if !ok {
			return nil, errors.New("not JSON: a name is not a string")
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("name %q appears twice", clip(name))
		}
		if m[name], err = value(dec, depth); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON(err)
	}
	return m, nil
}

func notJSON(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("not JSON: %w", err)
}

// Unmarshal reads b into the value that into points to, as encoding/json
// does, and then demands that writing the value again says the same as b.
func Unmarshal(b []byte, into any, lim Limits) error {
	tree, err := Parse(b, lim)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	return Same(tree, into)
}

// Read is [Unmarshal] for bodies that are signed whole: names it does not know
// are passed over, so that programs of different age understand each other.
// Everything else is as strict; a known name in other letters is refused.
func Read(b []byte, into any, lim Limits) error {
	tree, err := Parse(b, lim)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return err
	}
	again, err := reread(into)
	if err != nil {
		return err
	}
	return same("", tree, again, true)
}

// Same reports an error that names the first difference, unless v as
// encoding/json writes it says exactly what tree says.
func Same(tree, v any) error {
	again, err := reread(v)
	if err != nil {
		return err
	}
	return same("", tree, again, false)
}

func reread(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Parse(b, Limits{Size: math.MaxInt, Depth: maxCanonicalDepth})
}

// same compares what was received with what was understood. Where more is
// true, got may have names that want has not.
func same(path string, got, want any, more bool) error {
	switch g := got.(type) {
	case map[string]any:
		w, ok := want.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is an object", named(path))
		}
		if more {
			if err := sameLetters(path, g, w); err != nil {
				return err
			}
		}
		for name := range g {
			if _, known := w[name]; !known && !more {
				return fmt.Errorf("unknown field %q", join(path, name))
			}
		}
		for name, wv := range w {
			gv, there := g[name]
			if !there {
				return fmt.Errorf("field %q is missing", join(path, name))
			}
			if err := same(join(path, name), gv, wv, more); err != nil {
				return err
			}
		}
		return nil
	case []any:
		w, ok := want.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Errorf("%s is another list than it was read as", named(path))
		}
		for i := range g {
			if err := same(path+"["+strconv.Itoa(i)+"]", g[i], w[i], more); err != nil {
				return err
			}
		}
		return nil
	}
	if got == want {
		return nil // the same text, number as written, bool or null
	}
	a, err := Canonical(got)
	if err != nil {
		return fmt.Errorf("%s: %w", named(path), err)
	}
	b, err := Canonical(want)
	if err != nil {
		return fmt.Errorf("%s: %w", named(path), err)
	}
	if !bytes.Equal(a, b) {
		return fmt.Errorf("%s is not in the form it must have", named(path))
	}
	return nil
}

// sameLetters refuses names that encoding/json would take for one: those that
// differ only in case from each other or from a name that is known.
func sameLetters(path string, got, known map[string]any) error {
	exact := make(map[string]string, len(got)+len(known))
	for _, names := range [...]map[string]any{known, got} {
		for name := range names {
			key := fold(name)
			if other, there := exact[key]; there && other != name {
				return fmt.Errorf("field %q is written in other letters", join(path, name))
			}
			exact[key] = name
		}
	}
	return nil
}

// fold gives one form to all names that encoding/json takes for one.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next // the smallest of its orbit
			}
			r = next
		}
	}, name)
}

func named(path string) string {
	if path == "" {
		return "the body"
	}
	return "field " + strconv.Quote(clip(path))
}

func join(path, name string) string {
	if path == "" {
		return clip(name)
	}
	return clip(path + "." + name)
}

// clip keeps hostile names from filling an error text.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

var coreDeterministic = mustEncMode()

func mustEncMode() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // the options are constant
	}
	return m
}

// Canonical gives the core-deterministic CBOR (RFC 8949 §4.2.1) of a JSON
// value: map[string]any, []any, string, [json.Number], Go integers, float64,
// bool, nil. A number without a fraction is an integer however it was written
// (1.0 and 1 are one value); others are the shortest float that holds them.
func Canonical(v any) ([]byte, error) {
	plain, err := plain(v, maxCanonicalDepth)
	if err != nil {
		return nil, err
	}
	return coreDeterministic.Marshal(plain)
}

func plain(v any, depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("nested too deeply: %w", ErrTooLarge)
	}
	switch v := v.(type) {
	case nil, string, bool, int, int64, uint64, uint32, int32, uint8:
		return v, nil
	case float64:
		return number(v)
	case json.Number:
		return parseNumber(string(v))
	case []any:
		out := make([]any, len(v))
		for i := range v {
			var err error
			if out[i], err = plain(v[i], depth-1); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for name := range v {
			var err error
			if out[name], err = plain(v[name], depth-1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("%T has no canonical form", v)
}

func parseNumber(s string) (any, error) {
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return u, nil
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	if !strings.ContainsAny(s, ".eE") {
		return nil, fmt.Errorf("whole number of %d digits does not fit 64 bits", len(s))
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, errors.New("number out of range")
	}
	return number(f)
}

func number(f float64) (any, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errors.New("not a finite number")
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f), nil
	}
	return f, nil
}
