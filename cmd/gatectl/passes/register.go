// Package passes is central's register of the passes that it issued: what is
// needed to take one back and to let a list of those taken back shrink, and not
// whose they are.
//
// It owns one file, JSON lines that are only ever appended. The form of a pass
// is agent/pass's, that of the list sync/wire's.
package passes

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"gateagent/agent/pass"
	"gateagent/sync/wire"
)

// Line is one line of the register: a pass that was issued, or what became of
// one.
type Line struct {
	Time int64  `json:"time"` // Unix seconds
	Site string `json:"site"`
	// What says what happened, as below.
	What string `json:"what"`
	ID   string `json:"id"` // of the pass; of a passport its hash
	// Exp is when a pass expires, in Unix seconds.
	Exp int64 `json:"exp,omitzero"`
	// Kind, Gates and Single are there with issued.
	Kind   string   `json:"kind,omitzero"`
	Gates  []string `json:"gates,omitzero"`
	Single bool     `json:"single,omitzero"`
}

// What lines say. Of a pass or passport the last word counts.
const (
	Issued           = "issued"
	Revoked          = "revoked"
	Restored         = "restored" // revoked by mistake
	Spent            = "spent"
	Passport         = "passport"          // a passport was revoked
	PassportRestored = "passport_restored" // by mistake
)

const maxLine = 4 << 10

// Register is what the file of a register says.
type Register struct {
	path  string
	lines []Line
}

// Open reads a register; one that is not there is empty.
func Open(path string) (*Register, error) {
	r := &Register{path: path}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the register of passes: %w", err)
	}
	defer f.Close()
	in := bufio.NewScanner(f)
	in.Buffer(nil, maxLine)
	for n := 1; in.Scan(); n++ {
		var l Line
		if err := json.Unmarshal(in.Bytes(), &l); err != nil || l.ID == "" || l.What == "" {
			return nil, fmt.Errorf("read the register of passes: %s:%d is no line of one", path, n)
		}
		r.lines = append(r.lines, l)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read the register of passes: %s: %w", path, err)
	}
	return r, nil
}

// Add appends lines, durably.
func (r *Register) Add(lines ...Line) error {
	var text []byte
	for _, l := range lines {
		b, err := json.Marshal(l)
		if err != nil {
			return fmt.Errorf("write the register of passes: %w", err)
		}
		text = append(append(text, b...), '\n')
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("write the register of passes: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) // until it is closed
	if err == nil {
		text, err = afterTorn(f, text)
	}
	if err == nil {
		_, err = f.Write(text)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write the register of passes: %w", err)
	}
	r.lines = append(r.lines, lines...)
	return nil
}

// afterTorn refuses to write behind half a line, which a crash can leave.
func afterTorn(f *os.File, text []byte) ([]byte, error) {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil || end == 0 {
		return text, err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], end-1); err != nil {
		return nil, err
	}
	if last[0] != '\n' {
		return nil, errors.New("its last line is cut off; remove that line")
	}
	return text, nil
}

// Find gives the line with which a pass of a site was issued.
func (r *Register) Find(site, id string) (Line, bool) {
	i := slices.IndexFunc(r.lines, func(l Line) bool { return l.What == Issued && l.Site == site && l.ID == id })
	if i < 0 {
		return Line{}, false
	}
	return r.lines[i], true
}

// Travelling gives the passes of a site whose use at one gate the others have
// to hear of: for one entry, at several gates, neither expired nor known to be
// spent.
func (r *Register) Travelling(site string, now time.Time) []Line {
	over := map[string]bool{}
	for _, l := range r.lines {
		if l.Site == site && l.What == Spent {
			over[l.ID] = true
		}
	}
	var out []Line
	for _, l := range r.lines {
		if l.What == Issued && l.Site == site && l.Single && len(l.Gates) > 1 && !over[l.ID] && l.Exp > now.Unix() {
			out = append(out, l)
		}
	}
	return out
}

// keepExpired is how long an expired pass stays on the list: clocks of gates
// may be late.
const keepExpired = 48 * time.Hour

// List gives all that gates of a site are not to take: what the register says,
// and what was on the list before, without what has expired.
func (r *Register) List(site string, before wire.Revoked, now time.Time) (wire.Revoked, error) {
	list := wire.Revoked{Aud: site}
	passes, spent := map[wire.PassID]int64{}, map[wire.PassID]int64{}
	passports := map[wire.PassportHash]bool{}
	for _, p := range before.Passes {
		passes[p.ID] = p.Exp
	}
	for _, p := range before.Spent {
		spent[p.ID] = p.Exp
	}
	for _, h := range before.Passports {
		passports[h] = true
	}
	for _, l := range r.lines {
		if l.Site != site {
			continue
		}
		switch l.What {
		case Revoked, Restored, Spent:
			id, err := pass.ParseID(l.ID)
			if err != nil {
				return list, fmt.Errorf("register of passes: %w", err)
			}
			switch l.What {
			case Revoked:
				passes[wire.PassID(id)] = l.Exp
			case Restored:
				delete(passes, wire.PassID(id))
			default:
				spent[wire.PassID(id)] = l.Exp
			}
		case Passport, PassportRestored:
			var h wire.PassportHash
			if err := h.UnmarshalText([]byte(l.ID)); err != nil {
				return list, fmt.Errorf("register of passes: a passport: %w", err)
			}
			if l.What == Passport {
				passports[h] = true
			} else {
				delete(passports, h)
			}
		}
	}
	list.Passes, list.Spent = sorted(passes, now), sorted(spent, now)
	for h := range passports {
		list.Passports = append(list.Passports, h)
	}
	slices.SortFunc(list.Passports, func(a, b wire.PassportHash) int { return slices.Compare(a[:], b[:]) })
	return list, nil
}

func sorted(passes map[wire.PassID]int64, now time.Time) []wire.RevokedPass {
	var out []wire.RevokedPass
	for id, exp := range passes {
		if exp > now.Add(-keepExpired).Unix() {
			out = append(out, wire.RevokedPass{ID: id, Exp: exp})
		}
	}
	slices.SortFunc(out, func(a, b wire.RevokedPass) int { return slices.Compare(a.ID[:], b.ID[:]) })
	return out
}
