package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// place is a position in the file; both count from 1, col in characters. The
// zero place means that there is none.
type place struct{ line, col int }

// kind is the kind of a value.
type kind uint8

const (
	kindText kind = iota
	kindInteger
	kindFraction
	kindTruth
	kindDate
	kindList
	kindTable
	kindTables // [[name]]
)

// phrase puts a kind into the words of a message.
func (k kind) phrase() string {
	return [...]string{
		"text in quotation marks", "a whole number", "a number with a fraction", "true or false",
		"a date", "a list", "a section", "a list of sections",
	}[k]
}

// value is one value of the file.
type value struct {
	kind  kind
	at    place
	text  string   // of a text its content, else as written
	items []*value // of a list
	table *table
	list  []*table
}

// entry is a key with its value.
type entry struct {
	name string
	at   place // of the key
	val  *value
}

// table is a section.
type table struct {
	path     string // "site", "lane[2].scanner"; "" for the whole file
	at       place
	explicit bool // has a header or braces of its own
	entries  []*entry
	// known and missing are kept by the reader.
	known   []string
	missing []missing
}

func (t *table) find(name string) *entry {
	for _, e := range t.entries {
		if e.name == name {
			return e
		}
	}
	return nil
}

func (t *table) add(name string, at place, v *value) {
	t.entries = append(t.entries, &entry{name: name, at: at, val: v})
}

var barePattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// join gives the full name of a key within a section; a name that is not a
// plain word stands in quotation marks.
func join(path, name string) string {
	if !barePattern.MatchString(name) {
		name = strconv.Quote(clip(name))
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// document is a parsed file.
type document struct {
	root     *table
	problems []Problem
	// damaged holds the full names of keys whose lines could not be read, so
	// that they are not called missing as well.
	damaged map[string]bool
}

// maxSyntax bounds how many lines of one file are reported as unreadable.
const maxSyntax = 20

// parse reads a whole file. A line that cannot be read is reported, taken out,
// and the rest read again, so that one slip does not hide the others.
func parse(text []byte) *document {
	lines := strings.Split(string(text), "\n")
	var problems []Problem
	damaged := map[string]bool{}
	for {
		b := &builder{text: []byte(strings.Join(lines, "\n"))}
		err := b.run()
		if err == nil || len(problems) >= maxSyntax {
			return &document{root: b.root, problems: append(problems, b.problems...), damaged: damaged}
		}
		first, last := b.broken(lines, err)
		at := b.place(b.offset(err))
		if at.line != first+1 && has(err.Message, "incomplete", "not terminated") {
			// Nothing ever closed it: the place to look is where it begins.
			before, _, _ := strings.Cut(lines[first], "=")
			at = place{first + 1, min(utf8.RuneCountInString(before)+3, utf8.RuneCountInString(lines[first]))}
		}
		key := "syntax"
		repair := ""
		switch line := lines[first]; {
		case headerLine.MatchString(line):
			m := headerLine.FindStringSubmatch(line)
			key = m[2]
			if m[1] == "[[" {
				repair = "[[" + m[2] + "]]"
			} else {
				repair = "[" + m[2] + "]"
			}
			if repair == strings.TrimSpace(line) {
				repair = ""
			}
		case keyLine.MatchString(line):
			key = strings.TrimPrefix(b.current.path+"."+keyLine.FindStringSubmatch(line)[1], ".")
			damaged[key] = true
		}
		what, hint := explainSyntax(lines[at.line-1], at.col, first+1 != at.line, err.Message)
		problems = append(problems, Problem{Line: at.line, Col: at.col, Key: key, What: what, Hint: hint})
		for i := first; i <= last; i++ {
			lines[i] = ""
		}
		lines[first] = repair
	}
}

var (
	headerLine = regexp.MustCompile(`^\s*(\[\[?)\s*([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)`)
	keyLine    = regexp.MustCompile(`^\s*([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\s*(?:[=:]|\s|$)`)
	// severalLines opens something that may go on below.
	severalLines = regexp.MustCompile("=\\s*(?:\\[|\\{|\"\"\"|''')")
	// freshLine looks like the beginning of something.
	freshLine = regexp.MustCompile(`^\s*(?:#|\[\[?\s*[A-Za-z"']|["']?[A-Za-z0-9_.-]+["']?\s*[=:])`)
)

// builder turns the parser's expressions into tables.
type builder struct {
	text     []byte
	parser   unstable.Parser
	root     *table
	current  *table
	done     int // offset behind the last expression that was read
	problems []Problem
}

func (b *builder) run() *unstable.ParserError {
	b.root = &table{at: place{1, 1}, explicit: true}
	b.current = b.root
	b.parser.Reset(b.text)
	for b.parser.NextExpression() {
		n := b.parser.Expression()
		switch n.Kind {
		case unstable.KeyValue:
			b.keyValue(b.current, n)
			b.done = int(n.Raw.Offset + n.Raw.Length)
		case unstable.Table, unstable.ArrayTable:
			b.header(n, n.Kind == unstable.ArrayTable)
			for it := n.Key(); it.Next(); {
				k := it.Node()
				b.done = int(k.Raw.Offset + k.Raw.Length)
			}
		}
	}
	err := b.parser.Error()
	if err == nil {
		return nil
	}
	var perr *unstable.ParserError
	if !errors.As(err, &perr) {
		perr = &unstable.ParserError{Highlight: b.text[len(b.text):], Message: err.Error()}
	}
	return perr
}

// offset gives where in the text an error stands.
func (b *builder) offset(err *unstable.ParserError) int {
	return int(b.parser.Range(err.Highlight).Offset)
}

// place turns an offset into a line and a column.
func (b *builder) place(offset int) place {
	before := b.text[:min(offset, len(b.text))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return place{
		line: 1 + bytes.Count(before, []byte{'\n'}),
		col:  1 + utf8.RuneCount(before[start:]),
	}
}

// broken gives the first and last line (from 0) of the expression that could
// not be read: from behind the last good one to the error, and on to the next
// line that looks like a beginning.
func (b *builder) broken(lines []string, err *unstable.ParserError) (first, last int) {
	bad := b.place(b.offset(err)).line - 1
	first = b.place(b.done).line - 1
	if b.done > 0 && first < bad {
		first++
	}
	for first < bad {
		s := strings.TrimSpace(lines[first])
		if s != "" && s[0] != '#' {
			break
		}
		first++
	}
	last = first
	if b.offset(err) < len(bytes.TrimRight(b.text, " \r\n"))-1 {
		last = max(first, bad)
	}
	if last == first && !severalLines.MatchString(lines[first]) {
		return first, last
	}
	for last+1 < len(lines) && !freshLine.MatchString(lines[last+1]) {
		last++
	}
	return first, last
}

func (b *builder) report(at place, key, what, hint string) {
	b.problems = append(b.problems, Problem{Line: at.line, Col: at.col, Key: key, What: what, Hint: hint})
}

// part is one part of a dotted key.
type part struct {
	name string
	at   place
}

func (b *builder) parts(n *unstable.Node) []part {
	var out []part
	for it := n.Key(); it.Next(); {
		k := it.Node()
		out = append(out, part{name: string(k.Data), at: b.place(int(k.Raw.Offset))})
	}
	return out
}

// header enters the section that a [name] or [[name]] opens.
func (b *builder) header(n *unstable.Node, many bool) {
	parts := b.parts(n)
	t := b.root
	for _, p := range parts[:len(parts)-1] {
		t = b.descend(t, p)
	}
	p := parts[len(parts)-1]
	path := join(t.path, p.name)
	e := t.find(p.name)
	fresh := func() *table {
		return &table{path: path, at: p.at, explicit: true}
	}
	switch {
	case e == nil && many:
		first := fresh()
		first.path = path + "[1]"
		t.add(p.name, p.at, &value{kind: kindTables, at: p.at, list: []*table{first}})
		b.current = first
	case e == nil:
		b.current = fresh()
		t.add(p.name, p.at, &value{kind: kindTable, at: p.at, table: b.current})
	case many && e.val.kind == kindTables:
		next := fresh()
		next.path = fmt.Sprintf("%s[%d]", path, len(e.val.list)+1)
		e.val.list = append(e.val.list, next)
		b.current = next
	case !many && e.val.kind == kindTable && !e.val.table.explicit:
		e.val.table.explicit, e.val.table.at = true, p.at
		b.current = e.val.table
	case !many && e.val.kind == kindTable:
		b.report(p.at, path, fmt.Sprintf("the section [%s] stands twice; the first is at line %d", path, e.at.line),
			"put all its keys into one section")
		b.current = e.val.table
	case e.val.kind == kindTable || e.val.kind == kindTables:
		b.report(p.at, path, fmt.Sprintf("stands with single and with double brackets; the first is at line %d", e.at.line),
			fmt.Sprintf("write [[%s]] each time for things there can be several of, [%s] for one", path, path))
		b.current = &table{path: path, at: p.at}
		if e.val.kind == kindTables {
			b.current = e.val.list[len(e.val.list)-1]
		}
	default:
		b.report(p.at, path, fmt.Sprintf("is a section here, but a value at line %d", e.at.line), "keep one of the two")
		b.current = fresh()
	}
}

// descend enters a section on the way to a deeper one, making it when needed.
func (b *builder) descend(t *table, p part) *table {
	path := join(t.path, p.name)
	e := t.find(p.name)
	if e == nil {
		next := &table{path: path, at: p.at}
		t.add(p.name, p.at, &value{kind: kindTable, at: p.at, table: next})
		return next
	}
	switch e.val.kind {
	case kindTable:
		return e.val.table
	case kindTables:
		return e.val.list[len(e.val.list)-1]
	default:
		b.report(p.at, path, fmt.Sprintf("is a section here, but a value at line %d", e.at.line), "keep one of the two")
		return &table{path: path, at: p.at}
	}
}

// keyValue adds one key to a section.
func (b *builder) keyValue(t *table, n *unstable.Node) {
	parts := b.parts(n)
	for _, p := range parts[:len(parts)-1] {
		t = b.descend(t, p)
	}
	p := parts[len(parts)-1]
	path := join(t.path, p.name)
	v := b.value(n.Value(), path, p.at)
	if e := t.find(p.name); e != nil {
		b.report(p.at, path, fmt.Sprintf("is set twice; the first is at line %d", e.at.line), "delete one of the two lines")
		return
	}
	t.add(p.name, p.at, v)
}

// value copies a value out of the parser, which reuses its memory.
func (b *builder) value(n *unstable.Node, path string, at place) *value {
	if n.Raw.Length > 0 {
		at = b.place(int(n.Raw.Offset))
	}
	v := &value{at: at, text: string(n.Data)}
	switch n.Kind {
	case unstable.String:
		v.kind = kindText
	case unstable.Integer:
		v.kind = kindInteger
	case unstable.Float:
		v.kind = kindFraction
	case unstable.Bool:
		v.kind = kindTruth
	case unstable.Array:
		v.kind = kindList
		tables := 0
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.Comment {
				continue
			}
			item := b.value(it.Node(), fmt.Sprintf("%s[%d]", path, len(v.items)+1), at)
			if item.kind == kindTable {
				tables++
				v.list = append(v.list, item.table)
			}
			v.items = append(v.items, item)
		}
		if tables > 0 && tables == len(v.items) {
			v.kind, v.items = kindTables, nil
		}
	case unstable.InlineTable:
		v.kind = kindTable
		v.table = &table{path: path, at: at, explicit: true}
		for it := n.Children(); it.Next(); {
			if it.Node().Kind == unstable.KeyValue {
				b.keyValue(v.table, it.Node())
			}
		}
	default:
		v.kind = kindDate
	}
	return v
}
