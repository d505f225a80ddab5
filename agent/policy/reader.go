package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Problem is one thing that is wrong with a document.
type Problem struct {
	Path string // such as "actions.RED.2"; empty for the document as a whole
	Text string
}

func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

// Problems is everything that is wrong with a document, in its order.
type Problems []Problem

// Error gives one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].String()
	}
	return strings.Join(lines, "\n")
}

// node is one JSON value as written: the decoder of the standard library would
// take a key twice and swallow a misspelt one.
type node struct {
	kind   string // object, list, text, number, true or false, null
	text   string // of a text or number
	keys   []string
	values map[string]*node
	items  []*node // of a list
}

// maxDepth bounds nesting; a policy needs six.
const maxDepth = 8

// readTree reads one JSON value; no node comes back when that failed. Keys
// given twice are reported, and the first counts for what is read on.
func readTree(doc []byte) (*node, Problems) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	t := tree{dec: dec}
	root, err := t.value("", 0)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the end of the document")
		}
	}
	if err != nil {
		return nil, append(t.problems, Problem{Text: syntaxText(doc, dec.InputOffset(), err)})
	}
	return root, t.problems
}

// syntaxText says where the value begins that could not be read.
func syntaxText(doc []byte, at int64, err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "not valid JSON: it ends too early"
	}
	for at < int64(len(doc)) && strings.IndexByte(" \t\r\n,:", doc[at]) >= 0 {
		at++
	}
	before := doc[:at]
	line := 1 + bytes.Count(before, []byte("\n"))
	col := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Sprintf("not valid JSON: line %d, column %d: %v", line, col, err)
}

type tree struct {
	dec      *json.Decoder
	problems Problems
}

func (t *tree) value(path string, depth int) (*node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	tok, err := t.dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := tok.(type) {
	case json.Delim:
		if v == '{' {
			return t.object(path, depth)
		}
		n := &node{kind: "list"}
		for i := 0; t.dec.More(); i++ {
			item, err := t.value(fmt.Sprintf("%s[%d]", path, i), depth+1)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err := t.dec.Token()
		return n, err
	case string:
		return &node{kind: "text", text: v}, nil
	case json.Number:
		return &node{kind: "number", text: v.String()}, nil
	case bool:
		return &node{kind: "true or false"}, nil
	}
	return &node{kind: "null"}, nil
}

func (t *tree) object(path string, depth int) (*node, error) {
	n := &node{kind: "object", values: map[string]*node{}}
	for t.dec.More() {
		tok, err := t.dec.Token()
		if err != nil {
			return nil, err
		}
		key := tok.(string) // the decoder gives nothing else here
		v, err := t.value(join(path, key), depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := n.values[key]; twice {
			t.problems = append(t.problems, Problem{join(path, key), "is given twice"})
			continue
		}
		n.keys = append(n.keys, key)
		n.values[key] = v
	}
	_, err := t.dec.Token()
	return n, err
}

func join(path, key string) string {
	if !plainKey(key) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func plainKey(key string) bool {
	for _, c := range []byte(key) {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '.' {
			return false
		}
	}
	return key != "" && len(key) <= 100
}

// reader takes values out of a tree and notes what is wrong with them.
type reader struct{ problems Problems }

// need says whether a key may be missing.
type need bool

const (
	required need = true
	optional need = false
)

// object is a JSON object being read; keys not taken by the end are unknown.
type object struct {
	r     *reader
	path  string
	node  *node
	taken []string
}

func (r *reader) object(n *node, path string) *object {
	if n.kind != "object" {
		text := "has to be an object, not a " + n.kind
		if path == "" {
			text = "a policy is a JSON object, not a " + n.kind
		}
		r.problems = append(r.problems, Problem{path, text})
		return nil
	}
	return &object{r: r, path: path, node: n}
}

func (o *object) problem(key, text string) {
	o.r.problems = append(o.r.problems, Problem{join(o.path, key), text})
}

func (o *object) has(key string) bool { return o.node.values[key] != nil }

func (o *object) keys() []string { return o.node.keys }

// take gives the value of a key and marks it as known.
func (o *object) take(key string) *node {
	o.taken = append(o.taken, key)
	return o.node.values[key]
}

// typed gives the value of a key if it is of the kind wanted.
func (o *object) typed(key, kind string, need need) *node {
	n := o.take(key)
	switch {
	case n == nil:
		if need {
			o.problem(key, "is missing")
		}
	case n.kind != kind:
		o.problem(key, fmt.Sprintf("has to be a %s, not %s", kind, n.kind))
	default:
		return n
	}
	return nil
}

func (o *object) text(key string, need need) (string, bool) {
	n := o.typed(key, "text", need)
	if n == nil {
		return "", false
	}
	return n.text, true
}

// integer gives a whole number within the bounds, else 0.
func (o *object) integer(key string, need need, from, to int64) int64 {
	n := o.typed(key, "number", need)
	if n == nil {
		return 0
	}
	i, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil || i < from || i > to {
		o.problem(key, fmt.Sprintf("has to be a whole number from %d to %d, not %.40s", from, to, n.text))
		return 0
	}
	return i
}

// instant gives an optional RFC 3339 time; zero when it is missing.
func (o *object) instant(key string) time.Time {
	s, ok := o.text(key, optional)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		o.problem(key, fmt.Sprintf("%.60q is not a time like 2021-12-31T00:00:00+07:00", s))
	}
	return t
}

func (o *object) object(key string, need need) *object {
	n := o.take(key)
	if n == nil {
		if need {
			o.problem(key, "is missing")
		}
		return nil
	}
	return o.r.object(n, join(o.path, key))
}

// list gives the items of an optional list, at most this many, with their paths.
func (o *object) list(key string, most int) []item {
	n := o.typed(key, "list", optional)
	if n == nil {
		return nil
	}
	if len(n.items) > most {
		o.problem(key, fmt.Sprintf("has %d items, at most %d are read", len(n.items), most))
		return nil
	}
	items := make([]item, len(n.items))
	for i, v := range n.items {
		items[i] = item{r: o.r, path: fmt.Sprintf("%s[%d]", join(o.path, key), i), node: v}
	}
	return items
}

// item is one value of a list.
type item struct {
	r    *reader
	path string
	node *node
}

func (i item) problem(text string) { i.r.problems = append(i.r.problems, Problem{i.path, text}) }

func (i item) text() (string, bool) {
	if i.node.kind != "text" {
		i.problem("has to be a text, not " + i.node.kind)
		return "", false
	}
	return i.node.text, true
}

func (i item) integer(from, to int64) (int64, bool) {
	n, err := strconv.ParseInt(i.node.text, 10, 64)
	if i.node.kind != "number" || err != nil || n < from || n > to {
		i.problem(fmt.Sprintf("has to be a whole number from %d to %d", from, to))
		return 0, false
	}
	return n, true
}

func (i item) object() *object { return i.r.object(i.node, i.path) }

// choice gives the place of an optional word among those that may stand there,
// or what holds without it.
func (o *object) choice(key string, words []string, without int) int {
	s, ok := o.text(key, optional)
	if !ok {
		return without
	}
	i := slices.Index(words, s)
	if i < 0 {
		o.problem(key, fmt.Sprintf("%.60q is not one of %s", s, strings.Join(words, ", ")))
		return without
	}
	return i
}

// number is an optional whole number, or what holds without it.
func (o *object) number(key string, from, to, without int64) int64 {
	if !o.has(key) {
		o.take(key)
		return without
	}
	return o.integer(key, optional, from, to)
}

// end reports the keys that nobody asked for.
func (o *object) end() {
	known := slices.Sorted(slices.Values(o.taken))
	for _, key := range o.node.keys {
		if !slices.Contains(o.taken, key) {
			o.problem(key, "is not known here; known are "+strings.Join(known, ", "))
		}
	}
}
