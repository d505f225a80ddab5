package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"gateagent/agent/durable"
)

// Check reads and judges the configuration at path. It opens no device.
func Check(path string) Report {
	raw, problem := readFile(path)
	if problem != nil {
		return Report{File: path, Problems: []Problem{*problem}, salvage: defaultSalvage()}
	}
	return judge(path, raw, filepath.Dir(path))
}

// Loaded is what the agent starts with.
type Loaded struct {
	// Config is in force; nil means that there is nothing to run with, and
	// only the page that says what is wrong may be served.
	Config *Config
	// Report is about the file that was asked for.
	Report Report
	// UsedLastGood is true when Config is the last good copy, because the
	// file that was asked for has problems.
	UsedLastGood bool
	// LastGood is about the copy; its file is empty when it was not needed.
	LastGood Report
}

// Load reads the configuration at path. When it has problems it takes the last
// good copy at lastGoodPath instead; an empty lastGoodPath stands for
// [LastGoodPath] of the storage folder that the broken file names. There are
// no other defaults to start on.
//
// A copy whose only problems lie outside it (a key file that is gone) is used:
// the gate goes on and the part concerned reports its fault.
func Load(path, lastGoodPath string) Loaded {
	l := Loaded{Report: Check(path)}
	if l.Report.OK() {
		l.Config = l.Report.Config()
		return l
	}
	if lastGoodPath == "" {
		lastGoodPath = LastGoodPath(l.Report.Salvage().StorageDir)
	}
	raw, problem := readFile(lastGoodPath)
	if problem != nil {
		return l
	}
	// Relative paths in the copy count from where the original stands.
	l.LastGood = judge(lastGoodPath, raw, filepath.Dir(path))
	outsideOnly := !slices.ContainsFunc(l.LastGood.Problems, func(p Problem) bool { return !p.Warning && !p.Outside })
	if outsideOnly {
		l.Config, l.UsedLastGood = l.LastGood.resolved, true
	}
	return l
}

// LastGoodPath gives where the last good copy is kept below a storage folder.
func LastGoodPath(storageDir string) string {
	return filepath.Join(storageDir, "config", "last-good.toml")
}

// SaveLastGood keeps the configuration of a good report at path, atomically:
// after a power cut there is the old copy or the new one, whole. A copy that
// is the same already is left alone.
func SaveLastGood(r Report, path string) error {
	if !r.OK() {
		return errors.New("save the last good configuration: this one has problems")
	}
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, r.source) {
		return nil
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("save the last good configuration: %w", err)
	}
	if err := durable.WriteFile(path, r.source, 0o600); err != nil {
		return fmt.Errorf("save the last good configuration: %w", err)
	}
	return nil
}

// judge reads a configuration whose relative paths count from dir.
func judge(file string, raw []byte, dir string) Report {
	rep := Report{File: file, source: raw, salvage: defaultSalvage()}
	text, problems, stop := plainText(raw)
	if stop {
		rep.Problems = problems
		return rep
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	doc := parse(text)
	r := &reader{
		dir: dir, doc: doc, problems: append(problems, doc.problems...),
		at: map[string]place{}, set: map[string]bool{}, bad: map[string]bool{},
	}
	if len(doc.root.entries) == 0 && len(r.problems) == 0 {
		r.report(place{1, 1}, "file", "is empty: site.id, site.gate, trust.root_keys and one [[lane]] with a scanner and a relay have no default",
			"begin with a copy of the annotated sample, gateagent.toml")
	}
	c := r.read()
	r.together(c)
	sortProblems(r.problems)
	r.problems = withoutEchoes(r.problems, problems)
	rep.Problems, rep.Settings, rep.resolved = bounded(r.problems), r.settings, &c
	rep.salvage = Salvage{StorageDir: c.Storage.Dir, Listen: c.Page.Listen, Socket: c.Local.Socket}
	if wrong, _ := rep.Counts(); wrong == 0 {
		rep.config = &c
	}
	return rep
}

// maxProblems bounds one report: beyond it nobody reads.
const maxProblems = 100

func bounded(ps []Problem) []Problem {
	if len(ps) <= maxProblems {
		return ps
	}
	last := ps[maxProblems]
	last.What = fmt.Sprintf("from here on there are %d more problems", len(ps)-maxProblems)
	last.Hint = "mend those above first, then check again"
	last.Warning, last.Outside = false, false
	return append(ps[:maxProblems:maxProblems], last)
}

// withoutEchoes drops what was found on a line whose characters are wrong: it
// follows from them.
func withoutEchoes(all, characters []Problem) []Problem {
	return slices.DeleteFunc(all, func(p Problem) bool {
		sameLine := func(c Problem) bool { return c.Line == p.Line }
		return slices.ContainsFunc(characters, sameLine) && !slices.Contains(characters, p)
	})
}

func defaultSalvage() Salvage {
	return Salvage{StorageDir: DefaultStorageDir, Listen: DefaultListen, Socket: DefaultSocket}
}

// readFile reads a configuration, or says in our words why it cannot be read.
func readFile(path string) ([]byte, *Problem) {
	wrong := func(what, hint string) *Problem {
		return &Problem{Line: 1, Col: 1, Key: "file", What: what, Hint: hint, Outside: true}
	}
	f, err := os.Open(path)
	if err != nil {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, wrong("is not there", "correct the path behind --config, or copy the annotated sample, gateagent.toml, to this place")
		case errors.Is(err, fs.ErrPermission):
			return nil, wrong("cannot be read by this user", "run the command with sudo, or give the user the right to read the file")
		default:
			return nil, wrong("cannot be opened", "correct the path behind --config")
		}
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, wrong("is a folder", "name the file in it, for example "+filepath.Join(path, "gateagent.toml"))
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, wrong("cannot be read to its end", "check the disk; copy the file again")
	}
	return raw, nil
}
