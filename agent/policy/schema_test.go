package policy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gateagent/agent/policy"
)

// schema checks a value by as much of JSON Schema 2020-12 as ours uses. A
// keyword that it does not know fails the test, so that none is passed over.
type schema struct {
	defs     map[string]any
	patterns map[string]*regexp.Regexp
}

func (c schema) matches(pattern, s string) bool {
	if c.patterns[pattern] == nil {
		c.patterns[pattern] = regexp.MustCompile(pattern)
	}
	return c.patterns[pattern].MatchString(s)
}

func (c schema) check(v, rule any, path string) error {
	if is, ok := rule.(bool); ok {
		if !is {
			return fmt.Errorf("%s: nothing may stand here", path)
		}
		return nil
	}
	s := rule.(map[string]any)
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...))
	}
	list, _ := v.([]any)
	object, isObject := v.(map[string]any)
	number, isNumber := v.(float64)
	text, isText := v.(string)
	for key, want := range s {
		n, _ := want.(float64)
		switch key {
		case "$schema", "$defs", "title", "description":
		case "$ref":
			if err := c.check(v, c.defs[strings.TrimPrefix(want.(string), "#/$defs/")], path); err != nil {
				return err
			}
		case "type":
			is := map[string]bool{
				"object": isObject, "array": v != nil && reflect.TypeOf(v).Kind() == reflect.Slice,
				"string": isText, "integer": isNumber && number == float64(int64(number)),
			}
			if !is[want.(string)] {
				return fault("is no %v", want)
			}
		case "enum":
			if !slices.ContainsFunc(want.([]any), func(x any) bool { return reflect.DeepEqual(x, v) }) {
				return fault("%v is not one of %v", v, want)
			}
		case "const":
			if !reflect.DeepEqual(want, v) {
				return fault("%v is not %v", v, want)
			}
		case "minimum", "maximum":
			if isNumber && (key == "minimum" && number < n || key == "maximum" && number > n) {
				return fault("%v is out of bounds", number)
			}
		case "minLength", "maxLength":
			if l := float64(utf8.RuneCountInString(text)); isText && (key == "minLength" && l < n || key == "maxLength" && l > n) {
				return fault("has %v characters", l)
			}
		case "pattern":
			if isText && !c.matches(want.(string), text) {
				return fault("%q does not match", text)
			}
		case "minItems", "maxItems":
			if l := float64(len(list)); list != nil && (key == "minItems" && l < n || key == "maxItems" && l > n) {
				return fault("has %v items", l)
			}
		case "uniqueItems":
			for i := range list {
				if slices.ContainsFunc(list[:i], func(x any) bool { return reflect.DeepEqual(x, list[i]) }) {
					return fault("item %d is there twice", i)
				}
			}
		case "items":
			for i, x := range list {
				if err := c.check(x, want, fmt.Sprintf("%s[%d]", path, i)); err != nil {
					return err
				}
			}
		case "required":
			for _, k := range want.([]any) {
				if _, ok := object[k.(string)]; isObject && !ok {
					return fault("%v is missing", k)
				}
			}
		case "maxProperties":
			if isObject && float64(len(object)) > n {
				return fault("has %d members", len(object))
			}
		case "propertyNames":
			for k := range object {
				if err := c.check(k, want, path+"."+k); err != nil {
					return err
				}
			}
		case "properties":
			for k, r := range want.(map[string]any) {
				if x, ok := object[k]; ok {
					if err := c.check(x, r, path+"."+k); err != nil {
						return err
					}
				}
			}
		case "additionalProperties":
			known, _ := s["properties"].(map[string]any)
			for k, x := range object {
				if _, ok := known[k]; !ok {
					if err := c.check(x, want, path+"."+k); err != nil {
						return err
					}
				}
			}
		case "dependentRequired":
			for k, needs := range want.(map[string]any) {
				for _, other := range needs.([]any) {
					_, has := object[k]
					if _, ok := object[other.(string)]; has && !ok {
						return fault("%s needs %v", k, other)
					}
				}
			}
		case "if":
			branch := "then"
			if c.check(v, want, path) != nil {
				branch = "else"
			}
			if err := c.check(v, s[branch], path); err != nil {
				return err
			}
		case "then", "else":
		default:
			return fault("the schema uses %q", key)
		}
	}
	return nil
}

func readSchema(t testing.TB) func(doc []byte) error {
	t.Helper()
	b, err := os.ReadFile("../../docs/policy.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(b, &root); err != nil {
		t.Fatal(err)
	}
	c := schema{root["$defs"].(map[string]any), map[string]*regexp.Regexp{}}
	return func(doc []byte) error {
		var v any
		if err := json.Unmarshal(doc, &v); err != nil {
			return err
		}
		return c.check(v, root, "policy")
	}
}

// mutants calls f with every document that differs from doc in one place:
// something left out, added, of another type or out of bounds; with one in so
// many where the product of the rules is thinned too.
func mutants(doc []byte, f func(what string, doc []byte)) {
	var root any
	if err := json.Unmarshal(doc, &root); err != nil {
		panic(err)
	}
	n, every := 0, stride()
	emit := func(what string) {
		if n++; n%every != 0 {
			return
		}
		b, err := json.Marshal(root)
		if err != nil {
			panic(err)
		}
		f(what, b)
	}
	others := []any{
		nil, true, "", "deny", "DENY", "ALLOW", "judge", "RED", "24:00", "2022-02-30", -1.0, 0.0, 1.0, 1.5, 3.0, 21.0, 400.0, 1e9,
		[]any{},
		[]any{"staff"},
		[]any{1.0, 1.0},
		map[string]any{},
		map[string]any{"1": "ALLOW"},
		strings.Repeat("x", 301),
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch x := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(x)) {
				was := x[k]
				for _, other := range others {
					x[k] = other
					emit(fmt.Sprintf("%s.%s = %.20v", path, k, other))
				}
				delete(x, k)
				emit(path + " without " + k)
				x[k] = was
				walk(path+"."+k, was)
			}
			x["surprise"] = 1
			emit(path + " with a surprise")
			delete(x, "surprise")
		case []any:
			for i, was := range x {
				for _, other := range others {
					x[i] = other
					emit(fmt.Sprintf("%s[%d] = %.20v", path, i, other))
				}
				x[i] = was
				walk(fmt.Sprintf("%s[%d]", path, i), was)
			}
		}
	}
	walk("", root)
}

// TestSchema holds the published schema to the reader: whatever the reader
// takes is valid, so that whatever the schema refuses the reader refuses too.
func TestSchema(t *testing.T) {
	valid := readSchema(t)
	everything, err := os.ReadFile("testdata/everything.json")
	if err != nil {
		t.Fatal(err)
	}
	builtIn, err := policy.Default().Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.ParseDraft(everything)
	if err != nil {
		t.Fatal(err)
	}
	written, err := p.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string][]byte{"built in": builtIn, "everything": everything, "everything, written": written} {
		if err := valid(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	n, refused, taken, lenient := 0, 0, 0, 0
	few := edited(t, builtIn, map[string]any{"texts": map[string]any{"DENY": map[string]any{"vi": "Không.", "en": "No."}}})
	for _, doc := range [][]byte{everything, few} {
		mutants(doc, func(what string, doc []byte) {
			n++
			p, err := policy.ParseDraft(doc)
			bySchema := valid(doc)
			switch {
			case bySchema != nil && err == nil:
				t.Errorf("%s: read, but not valid: %v", what, bySchema)
			case bySchema != nil:
				refused++
			case err != nil:
				lenient++
			default:
				taken++
				again, err := p.Marshal(policy.Header{Audience: "hn01", Version: 1})
				if err != nil {
					t.Errorf("%s: %v", what, err)
				} else if err := valid(again); err != nil {
					t.Errorf("%s, written: %v", what, err)
				}
			}
		})
	}
	if t.Logf("%d documents: %d refused by both, %d by the reader alone, %d taken", n, refused, lenient, taken); lenient*20 > refused {
		t.Error("the schema says too little of what the reader refuses")
	}
}
