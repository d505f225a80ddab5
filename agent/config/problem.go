package config

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is one thing wrong, or worth a look, in a configuration.
type Problem struct {
	// Line and Col count from 1; Col counts characters. A key that is missing
	// stands at its section, or at 1:1 when the section is missing too.
	Line, Col int
	// Key is the full name, for example "lane[1].scanner.device" (lanes and
	// sets count from 1); "file" and "syntax" where there is none.
	Key string
	// What says what is wrong, Hint what to do.
	What, Hint string
	// Warning is true when the configuration can be used all the same.
	Warning bool
	// Outside is true when the file itself is right and what is missing is
	// outside it: a file that it names.
	Outside bool
}

// Text gives "FILE:LINE:COL: KEY: WHAT" and a line "hint: …".
func (p Problem) Text(file string) string {
	what := p.What
	if p.Warning {
		what = "warning: " + what
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s\nhint: %s", file, p.Line, p.Col, p.Key, what, p.Hint)
}

// Setting is one key as written, or its default.
type Setting struct {
	Key   string // full name, for example "record.wait"
	Value string // as it would be written in the file
	Line  int    // 0: not written, the default holds
}

// Report is the outcome of reading one configuration.
type Report struct {
	// File is the path as it was given.
	File string
	// Problems in the order of their lines.
	Problems []Problem
	// Settings is every known key as written, defaults included, in the order
	// of the sample. It is incomplete when there are problems.
	Settings []Setting

	config *Config // nil while anything is wrong
	// resolved has defaults where a value could not be used; only a last good
	// copy whose problems lie outside it may be run on it.
	resolved *Config
	source   []byte
	salvage  Salvage
}

// Salvage is what the agent needs to say that its configuration is broken.
// Each value is the one written where that can be used, else the default.
type Salvage struct {
	StorageDir string
	Listen     string
	Socket     string
}

// OK says whether the configuration can be used; warnings do not count.
func (r Report) OK() bool { return r.config != nil }

// Config gives the settings in force; nil unless [Report.OK].
func (r Report) Config() *Config { return r.config }

// Salvage gives what could be saved from a broken configuration.
func (r Report) Salvage() Salvage { return r.salvage }

// Counts gives how many problems keep the configuration from being used and
// how many are only warnings.
func (r Report) Counts() (wrong, warnings int) {
	for _, p := range r.Problems {
		if p.Warning {
			warnings++
		} else {
			wrong++
		}
	}
	return wrong, warnings
}

// WriteText writes each problem in two lines and a last line that sums up.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, p := range r.Problems {
		b.WriteString(p.Text(r.File))
		b.WriteByte('\n')
	}
	wrong, warnings := r.Counts()
	switch {
	case wrong > 0 && warnings > 0:
		fmt.Fprintf(&b, "%s: not good: %s, %s\n", r.File, count(wrong, "problem"), count(warnings, "warning"))
	case wrong > 0:
		fmt.Fprintf(&b, "%s: not good: %s\n", r.File, count(wrong, "problem"))
	case warnings > 0:
		fmt.Fprintf(&b, "%s: good, with %s\n", r.File, count(warnings, "warning"))
	default:
		fmt.Fprintf(&b, "%s: good\n", r.File)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// sortProblems orders by place and keeps the order of finding within one.
func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
