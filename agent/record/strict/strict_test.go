package strict

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var lim = Limits{Size: 1 << 10, Depth: 4}

func TestUnmarshalRefuses(t *testing.T) {
	type inner struct {
		N uint64 `json:"n"`
	}
	type body struct {
		Name string  `json:"name"`
		List []inner `json:"list,omitempty"`
	}
	for name, tc := range map[string]struct{ in, want string }{
		"unknown":       {`{"name":"a","x":1}`, `unknown field "x"`},
		"unknown deep":  {`{"name":"a","list":[{"n":1,"m":2}]}`, `unknown field "list[0].m"`},
		"case":          {`{"Name":"a"}`, `unknown field "Name"`},
		"twice":         {`{"name":"a","name":"b"}`, `appears twice`},
		"missing":       {`{}`, `field "name" is missing`},
		"null":          {`{"name":null}`, `field "name" is not in the form`},
		"empty omitted": {`{"name":"a","list":[]}`, `unknown field "list"`},
		"wrong type":    {`{"name":1}`, `cannot unmarshal`},
		"trailing":      {`{"name":"a"} {}`, `something follows`},
		"not utf8":      {"{\"name\":\"\xff\"}", `not valid UTF-8`},
		"deep":          {`{"name":[[[[1]]]]}`, `nested too deeply`},
		"cut":           {`{"name":"a"`, `not JSON`},
		"empty":         {``, `not JSON`},
		"long":          {`{"name":"` + strings.Repeat("a", 2000) + `"}`, `at most 1024`},
	} {
		t.Run(name, func(t *testing.T) {
			var b body
			err := Unmarshal([]byte(tc.in), &b, lim)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %q", err, tc.want)
			}
		})
	}
	var b body
	if err := Unmarshal([]byte(` {"list":[{"n":1.0}],"name":"\u0061"} `), &b, lim); err == nil {
		t.Error("encoding/json takes no 1.0 for an unsigned number")
	}
	if err := Unmarshal([]byte(` {"list":[{"n":1}],"name":"\u0061"} `), &b, lim); err != nil || b.Name != "a" {
		t.Errorf("blanks, order and escapes may differ: %v", err)
	}
}

func TestReadPassesOverUnknownNames(t *testing.T) {
	type body struct {
		Name string           `json:"name"`
		Ref  uint64           `json:"ref,omitempty"`
		Sub  map[string]int64 `json:"sub,omitempty"`
	}
	for in, ok := range map[string]bool{
		`{"name":"a","later":[{"x":1}]}`:     true,
		`{"name":"a","sub":{"b":1}}`:         true,
		`{"name":"a","REF":5}`:               false,
		`{"name":"a","ref":5,"Ref":6}`:       false,
		`{"name":"a","Ref":5,"ref":6}`:       false,
		`{"name":"a","ref":5,"Ref":0}`:       false,
		`{"name":"a","x":5,"X":0}`:           false,
		`{"name":"a","\u017fub":{}}`:         true, // ſub sets sub to nothing
		`{"Name":"a"}`:                       false,
		`{"name":"a","later":1,"later":2}`:   false,
		`{"name":"a","later":[[[[[[1]]]]]]}`: false,
		`{"name":null}`:                      false,
		`[]`:                                 false,
	} {
		var b body
		if err := Read([]byte(in), &b, lim); (err == nil) != ok {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestTooLargeIsASentinel(t *testing.T) {
	for _, in := range []string{strings.Repeat(" ", 2000), `[[[[[]]]]]`} {
		if _, err := Parse([]byte(in), lim); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%.10q: %v", in, err)
		}
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                      "a0",
		`{"b":1,"a":[true,null]}`: "a2616182f5f6616201",
		`1.0`:                     "01",
		`1e2`:                     "1864",
		`-1`:                      "20",
		`0.5`:                     "f93800",
		`18446744073709551615`:    "1bffffffffffffffff",
		`"ă"`:                     "62c483",
	} {
		v, err := Parse([]byte(in), lim)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Canonical(v)
		if err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []any{json.Number("18446744073709551616"), json.Number("1e999"), struct{}{}, json.Number("x")} {
		if _, err := Canonical(in); err == nil {
			t.Errorf("%v has no canonical form", in)
		}
	}
}

// What a value says does not depend on the order of names, on blanks or on
// how encoding/json wrote it.
func TestCanonicalIgnoresForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOf(rapid.String(), rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Int64(), func(i int64) any { return i }),
			rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		)).Draw(t, "m")
		v := map[string]any{}
		maps.Copy(v, m)
		text, err := json.MarshalIndent(v, " ", "  ")
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(text, Limits{Size: 1 << 20, Depth: 3})
		if err != nil {
			t.Fatal(err)
		}
		a, errA := Canonical(v)
		b, errB := Canonical(back)
		if errA != nil || errB != nil || string(a) != string(b) {
			t.Fatalf("%x %v\n%x %v", a, errA, b, errB)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `[[[[]]]]`, `{"a":1,"a":2}`, `"\ud800"`, `-0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b, lim)
		if err != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("taken, but not JSON: %q", b)
		}
		c, err := Canonical(v)
		if err != nil {
			return
		}
		again, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Parse(again, Limits{Size: 1 << 20, Depth: lim.Depth})
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := Canonical(w); string(c) != string(d) {
			t.Fatalf("%q is not stable", b)
		}
	})
}
