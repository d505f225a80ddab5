package passes

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"gateagent/agent/gate"
	"gateagent/agent/pass"
	"gateagent/agent/record"
)

// Subjects are passes by what entries call them.
type Subjects map[gate.Pseudonym]Line

// Add adds passes under an entry key.
func (s Subjects) Add(key gate.Key, lines []Line) error {
	p := gate.NewPseudonymer(key)
	for _, l := range lines {
		id, err := pass.ParseID(l.ID)
		if err != nil {
			return fmt.Errorf("register of passes: %w", err)
		}
		s[p.OfPass(id)] = l
	}
	return nil
}

// Watch looks through a growing file of entries. It remembers which passes were
// seen to be used, so that a pass that comes into the register after its entry
// is found all the same.
type Watch struct {
	path, site string
	at         int64
	used       map[gate.Pseudonym]bool
	// Unpublished is for the caller: something is written down that no gate
	// was told.
	Unpublished bool
}

// NewWatch begins at the beginning of the file.
func NewWatch(path, site string) *Watch {
	return &Watch{path: path, site: site, used: map[gate.Pseudonym]bool{}}
}

// maxEvent bounds a line of the file.
const maxEvent = record.MaxEvent + 1<<10

// Used reads on and gives the passes that were used to get in.
func (w *Watch) Used(subjects Subjects) ([]Line, error) {
	if err := w.read(); err != nil {
		return nil, fmt.Errorf("read entries: %w", err)
	}
	var out []Line
	seen := map[string]bool{}
	for who, l := range subjects {
		if w.used[who] && !seen[l.ID] {
			seen[l.ID] = true
			out = append(out, l)
		}
	}
	return out, nil
}

func (w *Watch) read() error {
	f, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < w.at {
		w.at = 0 // another file, such as a copy that was put back
	}
	if _, err := f.Seek(w.at, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(f, 64<<10)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil // what there is of a line is read when it is whole
		}
		if err != nil {
			return err
		}
		w.at += int64(len(line))
		if len(line) <= maxEvent {
			w.take(line)
		}
	}
}

// hasPass is in each entry made with a pass; most lines are told from them
// without being read.
var hasPass = []byte(`"credential":"pass"`)

func (w *Watch) take(line []byte) {
	if !bytes.Contains(line, hasPass) {
		return
	}
	e, err := record.ParseEvent(bytes.TrimSpace(line))
	if err != nil || e.Type() != record.TypeEntry || e.Origin().Site != w.site {
		return // whether the file is whole is for gatectl verify
	}
	entry, err := e.Link().Record.Entry()
	if err != nil || !entry.HasSubject || entry.Credential != gate.KindPass || !entry.Verdict.Opens() {
		return
	}
	w.used[entry.Subject] = true
}
