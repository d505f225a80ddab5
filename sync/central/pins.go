package central

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"gateagent/agent/durable"
	"gateagent/agent/record"
	"gateagent/agent/record/strict"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// maxPins bounds the file of gates, in bytes.
const maxPins = 8 << 20

// Pins says which identity each gate has. It is safe for concurrent use.
type Pins struct {
	path  string // empty: in memory only
	learn bool

	mu    sync.Mutex // guards the following
	gates map[record.Origin]identity.Public
	fresh map[record.Origin]bool // learnt since LoadPins
}

// pinFile is the form on disk: {"gates":{"site/gate":{"ed25519":…,"x25519":…}}}.
type pinFile struct {
	Gates map[string]identity.Public `json:"gates"`
}

// LoadPins reads the file of gates; with an empty path there is none. With
// learn, the first identity seen under a name is pinned and written to the
// file, which need not be there yet.
func LoadPins(path string, learn bool) (*Pins, error) {
	p := &Pins{path: path, learn: learn, gates: map[record.Origin]identity.Public{}, fresh: map[record.Origin]bool{}}
	if path == "" {
		return p, nil
	}
	b, err := os.ReadFile(path)
	if learn && errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, fmt.Errorf("file of gates: %w", err)
	}
	var f pinFile
	if err := strict.Unmarshal(b, &f, strict.Limits{Size: maxPins, Depth: 4}); err != nil {
		return nil, fmt.Errorf("file of gates %s: %w", path, err)
	}
	for name, id := range f.Gates {
		site, gate, ok := strings.Cut(name, "/")
		if !ok || !wire.ValidSite(site) || !wire.ValidGate(gate) || id.IsZero() {
			return nil, fmt.Errorf("file of gates %s: %q is not site/gate with its keys", path, name)
		}
		p.gates[record.Origin{Site: site, Gate: gate}] = id
	}
	return p, nil
}

// Get gives the identity pinned for a gate.
func (p *Pins) Get(o record.Origin) (identity.Public, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, ok := p.gates[o]
	return id, ok
}

// Len gives the number of gates.
func (p *Pins) Len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.gates)
}

// Pin sets the identity of a gate, also in place of another: for whoever has
// replaced a box on purpose.
func (p *Pins) Pin(o record.Origin, id identity.Public) error { return p.pin(o, id, false) }

// learnt says whether the identity of a gate is the first one seen in this run
// and not one that somebody has named.
func (p *Pins) learnt(o record.Origin) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fresh[o]
}

func (p *Pins) pin(o record.Origin, id identity.Public, learnt bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, had := p.gates[o]
	p.gates[o], p.fresh[o] = id, learnt
	if err := p.write(); err != nil {
		if delete(p.gates, o); had {
			p.gates[o] = old
		}
		return fmt.Errorf("pin %s/%s: %w", o.Site, o.Gate, err)
	}
	return nil
}

// write puts the file in place whole. mu is held.
func (p *Pins) write() error {
	if p.path == "" {
		return nil
	}
	f := pinFile{Gates: make(map[string]identity.Public, len(p.gates))}
	for o, id := range p.gates {
		f.Gates[o.Site+"/"+o.Gate] = id
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if len(b) >= maxPins {
		return fmt.Errorf("%d gates are too many for one file", len(p.gates)) // it could not be read again
	}
	return durable.WriteFile(p.path, append(b, '\n'), 0o600)
}

// pinError is a refusal that has a kind of its own.
type pinError struct {
	kind ReportKind
	text string
}

func (e *pinError) Error() string { return e.text }

// admit decides whether a message that names an identity is believed: it must
// be signed by that identity, and that identity must be the one pinned, or the
// first one seen where first ones are learnt.
func (c *Central) admit(o record.Origin, id identity.Public, m message) error {
	pinned, known := c.o.Pins.Get(o)
	switch {
	case known && pinned != id:
		return &pinError{ReportForeign, "another identity (" + id.Ed25519.String() + ") speaks under this name; it is refused"}
	case !known && !c.o.Pins.learn:
		return &pinError{ReportUnknown, "no list names this gate (" + id.Ed25519.String() + "); it is refused"}
	}
	if err := wire.VerifyBody(m.topic, m.body, id.Ed25519); err != nil || known {
		return err
	}
	if err := c.o.Pins.pin(o, id, true); err != nil {
		return &pinError{ReportSink, err.Error()}
	}
	c.report(Report{Kind: ReportPinned, Origin: o, Text: "first identity seen is pinned: " + id.Ed25519.String()})
	return nil
}

// waiting keeps entries that came before their gate said who it is, where
// first identities are learnt: state, hello and entries may overtake each
// other. It is bounded; what does not fit comes again by itself.
type waiting struct {
	messages map[record.Origin][]message
	bytes    int
}

// Bounds of what waits, in bytes: in all, and of one gate. A gate has no more
// than 256 KiB under way.
const (
	maxWaiting     = 8 << 20
	maxWaitingGate = 512 << 10
)

// add says whether the message was kept.
func (w *waiting) add(o record.Origin, m message) bool {
	of := len(m.body)
	for _, earlier := range w.messages[o] {
		of += len(earlier.body)
	}
	if of > maxWaitingGate || w.bytes+len(m.body) > maxWaiting {
		return false
	}
	if w.messages == nil {
		w.messages = map[record.Origin][]message{}
	}
	w.messages[o] = append(w.messages[o], m)
	w.bytes += len(m.body)
	return true
}

// take gives a gate's messages in the order they came, and forgets them.
func (w *waiting) take(o record.Origin) []message {
	out := w.messages[o]
	delete(w.messages, o)
	for _, m := range out {
		w.bytes -= len(m.body)
	}
	return out
}
