package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// reader takes values out of a document, fills in defaults and collects
// problems. A section's keys are the ones that were asked for: [reader.finish]
// reports all others.
type reader struct {
	dir      string // folder of the file; relative paths count from it
	doc      *document
	problems []Problem
	settings []Setting
	// at is where each key was written, or its section where the default
	// holds; bad are the keys whose value cannot be used.
	at  map[string]place
	set map[string]bool
	bad map[string]bool
}

// missing is a key without a default that was not written.
type missing struct{ name, example string }

// A check judges a value; an empty what means that it is good.
type check[T any] func(T) (what, hint string)

func (r *reader) report(at place, key, what, hint string) {
	r.bad[key] = true
	r.problems = append(r.problems, Problem{Line: at.line, Col: at.col, Key: key, What: what, Hint: hint})
}

func (r *reader) warn(at place, key, what, hint string) {
	r.problems = append(r.problems, Problem{Line: at.line, Col: at.col, Key: key, What: what, Hint: hint, Warning: true})
}

// outside reports something wrong with a file that the configuration names.
func (r *reader) outside(at place, key, what, hint string) {
	r.bad[key] = true
	r.problems = append(r.problems, Problem{Line: at.line, Col: at.col, Key: key, What: what, Hint: hint, Outside: true})
}

// usable says whether all keys hold values that can be judged together.
func (r *reader) usable(keys ...string) bool {
	return !slices.ContainsFunc(keys, func(k string) bool { return r.bad[k] })
}

// section gives the table under name: the one written, or an empty one that
// stands at the parent's place.
func (r *reader) section(parent *table, name string) *table {
	parent.known = append(parent.known, name)
	path := join(parent.path, name)
	e := parent.find(name)
	switch {
	case e == nil:
		return &table{path: path, at: parent.at}
	case e.val.kind == kindTable:
		return e.val.table
	case e.val.kind == kindTables:
		r.report(e.at, path, fmt.Sprintf("has double brackets, but there is only one [%s]", path), fmt.Sprintf("write [%s]", path))
		e.val.list[0].path = path
		repath(e.val.list[0])
		return e.val.list[0]
	default:
		r.report(e.at, path, fmt.Sprintf("must be a section, not %s", e.val.kind.phrase()),
			fmt.Sprintf("write [%s] on a line of its own and its keys below", path))
		return &table{path: path, at: e.at}
	}
}

// sections gives the tables of a [[name]].
func (r *reader) sections(parent *table, name string) []*table {
	parent.known = append(parent.known, name)
	path := join(parent.path, name)
	e := parent.find(name)
	switch {
	case e == nil:
		return nil
	case e.val.kind == kindTables:
		for i, t := range e.val.list {
			// Inline tables were given the path of a list item already.
			t.path = fmt.Sprintf("%s[%d]", path, i+1)
			repath(t)
		}
		return e.val.list
	case e.val.kind == kindTable:
		r.report(e.at, path, "must be written with double brackets, because there can be several",
			fmt.Sprintf("write [[%s]]", path))
		e.val.table.path = path + "[1]"
		repath(e.val.table)
		return []*table{e.val.table}
	default:
		r.report(e.at, path, fmt.Sprintf("must be a list of sections, not %s", e.val.kind.phrase()),
			fmt.Sprintf("write [[%s]] on a line of its own and its keys below", path))
		return nil
	}
}

// repath gives the sections below t their full names.
func repath(t *table) {
	for _, e := range t.entries {
		if e.val.kind == kindTable {
			e.val.table.path = join(t.path, e.name)
			repath(e.val.table)
		}
	}
}

// take finds a key of the wanted kind. ok is false when the default holds.
func (r *reader) take(t *table, name string, want kind, example string) (v *value, ok bool) {
	t.known = append(t.known, name)
	key := join(t.path, name)
	e := t.find(name)
	if e == nil {
		r.at[key] = t.at
		return nil, false
	}
	r.at[key], r.set[key] = e.at, true
	if e.val.kind != want {
		what := "must be " + want.phrase()
		r.report(e.val.at, key, fmt.Sprintf("%s, not %s", what, e.val.kind.phrase()),
			fmt.Sprintf("write %s = %s", name, example))
		return nil, false
	}
	return e.val, true
}

// require notes that a key without a default was not written.
func (r *reader) require(t *table, name, example string) {
	key := join(t.path, name)
	if r.set[key] || r.doc.damaged[key] {
		return
	}
	r.bad[key] = true
	t.missing = append(t.missing, missing{name, example})
}

func (r *reader) note(t *table, name, written string) {
	key := join(t.path, name)
	line := 0
	if r.set[key] {
		line = r.at[key].line
	}
	r.settings = append(r.settings, Setting{Key: key, Value: written, Line: line})
}

// text reads text. An empty example marks a key that has a default.
func (r *reader) text(t *table, name, def, example string, good check[string]) string {
	sample := example
	if sample == "" {
		sample = strconv.Quote(def)
	}
	v, ok := r.take(t, name, kindText, sample)
	s := def
	if ok {
		s = v.text
		if good != nil {
			if what, hint := good(s); what != "" {
				r.report(v.at, join(t.path, name), what, hint)
				s = def
			}
		}
	} else if example != "" {
		r.require(t, name, example)
	}
	r.note(t, name, strconv.Quote(s))
	return s
}

// choice reads one word out of several.
func (r *reader) choice(t *table, name, def string, words ...string) string {
	return r.text(t, name, def, "", func(s string) (what, hint string) {
		if slices.Contains(words, s) {
			return "", ""
		}
		hint = "write one of these"
		if n := nearest(s, words); n != "" {
			hint = fmt.Sprintf("did you mean %q?", n)
		}
		return fmt.Sprintf("must be %s, not %q", quoted(words), clip(s)), hint
	})
}

// integer reads a whole number within lo and hi, both included. A negative def
// marks a key without a default, of which example is one.
func (r *reader) integer(t *table, name string, def, lo, hi int, example string) int {
	sample := example
	if sample == "" {
		sample = strconv.Itoa(def)
	}
	v, ok := r.take(t, name, kindInteger, sample)
	n := def
	if ok {
		got, err := strconv.ParseInt(strings.TrimPrefix(v.text, "+"), 0, 64)
		if err != nil || got < int64(lo) || got > int64(hi) {
			r.report(v.at, join(t.path, name), fmt.Sprintf("must be between %d and %d, not %s", lo, hi, clip(v.text)),
				fmt.Sprintf("write %s = %s", name, sample))
		} else {
			n = int(got)
		}
	} else if example != "" {
		r.require(t, name, example)
	}
	r.note(t, name, strconv.Itoa(n))
	return n
}

// truth reads true or false.
func (r *reader) truth(t *table, name string, def bool) bool {
	b := def
	if v, ok := r.take(t, name, kindTruth, strconv.FormatBool(def)); ok {
		b = v.text == "true"
	}
	r.note(t, name, strconv.FormatBool(b))
	return b
}

// duration reads a time span within lo and hi, both included.
func (r *reader) duration(t *table, name string, def, lo, hi time.Duration) time.Duration {
	t.known = append(t.known, name)
	key := join(t.path, name)
	d := def
	if e := t.find(name); e == nil {
		r.at[key] = t.at
	} else {
		r.at[key], r.set[key] = e.at, true
		sample := fmt.Sprintf("write %s = %q", name, span(def))
		got, err := time.ParseDuration(e.val.text)
		switch {
		case e.val.kind == kindInteger || e.val.kind == kindFraction:
			r.report(e.val.at, key, "is a number without a unit", fmt.Sprintf("%s; units are ms, s, m and h", sample))
		case e.val.kind != kindText:
			r.report(e.val.at, key, fmt.Sprintf("must be a time in quotation marks, not %s", e.val.kind.phrase()), sample)
		case err != nil && days(e.val.text) > 0:
			r.report(e.val.at, key, fmt.Sprintf("%q is not a time that can be read: days are written in hours", clip(e.val.text)),
				fmt.Sprintf("write %s = \"%dh\"", name, 24*days(e.val.text)))
		case err != nil:
			r.report(e.val.at, key, fmt.Sprintf("%q is not a time", clip(e.val.text)), fmt.Sprintf("%s; units are ms, s, m and h", sample))
		case got < lo || got > hi:
			r.report(e.val.at, key, fmt.Sprintf("must be between %s and %s, not %s", span(lo), span(hi), span(got)), sample)
		default:
			d = got
		}
	}
	r.note(t, name, strconv.Quote(span(d)))
	return d
}

// days gives the whole number of days that s means, such as "7d"; 0 when it
// does not mean days.
func days(s string) int {
	n, ok := strings.CutSuffix(strings.TrimSpace(s), "d")
	days, err := strconv.Atoi(strings.TrimSpace(n))
	if !ok || err != nil || days < 1 || days > 3650 {
		return 0
	}
	return days
}

// span writes a duration without empty parts: 24h, 80ms, 1m30s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// path reads the name of a file and makes it absolute.
func (r *reader) path(t *table, name, def, example string, good check[string]) string {
	p := r.text(t, name, def, example, good)
	if p == "" || p == "-" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(r.dir, p)
}

// finish reports the keys of a section that nobody asked for, and then the
// required ones that are missing and were not merely misspelt.
func (r *reader) finish(t *table) {
	meant := map[string]bool{}
	for _, e := range t.entries {
		if slices.Contains(t.known, e.name) {
			continue
		}
		key := join(t.path, e.name)
		near := nearest(e.name, t.known)
		meant[near] = true
		r.report(e.at, key, r.unknown(t, e), r.unknownHint(t, e, near))
	}
	for _, m := range t.missing {
		if meant[m.name] {
			continue
		}
		key := join(t.path, m.name)
		what, hint := "is missing and has no default", fmt.Sprintf("add the line %s = %s", m.name, m.example)
		if t.explicit && t.path != "" {
			hint += fmt.Sprintf(" below [%s]", bracketless(t.path))
		} else if t.path != "" {
			hint = fmt.Sprintf("add the section [%s] and in it %s = %s", bracketless(t.path), m.name, m.example)
		}
		r.report(t.at, key, what, hint)
	}
}

func (r *reader) unknown(t *table, e *entry) string {
	if e.val.kind == kindTable || e.val.kind == kindTables {
		return "there is no such section"
	}
	if t.path == "" {
		return "there is no such key outside a section"
	}
	return "there is no such key in this section"
}

func (r *reader) unknownHint(t *table, e *entry, near string) string {
	if near != "" {
		if e.val.kind == kindTable || e.val.kind == kindTables {
			return fmt.Sprintf("did you mean [%s]?", bracketless(join(t.path, near)))
		}
		return fmt.Sprintf("did you mean %q?", near)
	}
	if home := homes[e.name]; home != "" && home != bracketless(t.path) {
		return fmt.Sprintf("%s belongs in [%s]", e.name, home)
	}
	return fmt.Sprintf("known here: %s; delete the line if it is none of them", strings.Join(t.known, ", "))
}

// bracketless takes the numbers out of a name, as a header is written:
// "lane[2].scanner" is [lane.scanner].
func bracketless(path string) string {
	for {
		open := strings.IndexByte(path, '[')
		if open < 0 {
			return path
		}
		end := strings.IndexByte(path[open:], ']')
		if end < 0 {
			return path
		}
		path = path[:open] + path[open+end+1:]
	}
}

// clip shortens a value for a message.
func clip(s string) string {
	if rs := []rune(s); len(rs) > 40 {
		return string(rs[:40]) + "…"
	}
	return s
}
