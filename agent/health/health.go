// Package health keeps the last word of every component of the box and
// answers one question from it: can this gate decide?
//
// It owns the registry of components, the catalogue of fault codes with their
// causes and next steps in Vietnamese and English, and the rule that turns
// levels into "can decide". The page, `gateagent status` and the MQTT state
// are three views of the one value that [Registry.Report] gives. It does not
// find faults: components return errors and figures, and the wiring brings
// both here. It starts no goroutine and touches no device.
package health

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Level is how well a component works.
type Level uint8

// The levels, best first. The zero value is OK, so a [Report] of nothing is
// empty rather than broken; what a component is before its first word is
// Degraded with the fault [Starting].
const (
	OK       Level = iota // works
	Degraded              // works with limits, or is still starting
	Failed                // does not work
)

var levelNames = [...]string{"ok", "degraded", "failed"}

// String gives the name used in JSON, for example "degraded".
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return "failed"
}

// ParseLevel is the inverse of [Level.String]; ok is false for other words.
func ParseLevel(s string) (l Level, ok bool) {
	i := slices.Index(levelNames[:], s)
	if i < 0 {
		return Failed, false
	}
	return Level(i), true
}

// Need says who cannot decide without a component.
type Need uint8

// The needs.
const (
	Aside  Need = iota // nobody: decisions go on without it (broker, central, clock, …)
	ByLane             // its lane (the lane's scanner)
	ByGate             // every lane (the journal)
)

// Component is the last word of one part of the box.
type Component struct {
	// Name is a kind, or a kind and an instance: "journal", "scanner:main",
	// "data:vn". [Title] puts it into words.
	Name string
	Need Need
	// Lane is the lane the component belongs to; empty for the whole box.
	Lane  string
	Level Level
	// Fault is empty when Level is OK.
	Fault Fault
	// Since is when Level or the fault's code last changed.
	Since time.Time
}

// Report is the health of the box at one instant.
type Report struct {
	// CanDecide says whether at least one lane can decide, and Why puts it in
	// one or two sentences.
	CanDecide bool
	Why       Text
	// Level is the worst of all components.
	Level      Level
	Components []Component
}

// Registry keeps the components. It is safe for concurrent use.
type Registry struct {
	now func() time.Time

	mu      sync.Mutex // guards all following fields
	order   []*Component
	byName  map[string]*Component
	changed chan struct{} // closed at the next change, then replaced
}

// New makes an empty registry that takes the time of changes from now.
func New(now func() time.Time) *Registry {
	return &Registry{now: now, byName: make(map[string]*Component), changed: make(chan struct{})}
}

// Declare adds a component before its first word, so that it is listed as
// starting, and says who needs it. lane is empty for parts of the whole box.
// Components are reported in the order of their declaration. Declaring one
// again changes its need and lane and keeps its last word.
func (r *Registry) Declare(name string, need Need, lane string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.component(name)
	c.Need, c.Lane = need, lane
	r.wake()
}

// OK records that the component works.
func (r *Registry) OK(name string) { r.Set(name, OK, Fault{}) }

// Set records the last word of a component. A component that was not
// declared is added as one nobody needs. Listeners are woken only when level,
// code or detail differ from the last word, and Since moves only when level
// or code do.
func (r *Registry) Set(name string, level Level, f Fault) {
	if level == OK {
		f = Fault{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.component(name)
	if c.Level != level || c.Fault.Code != f.Code {
		c.Since = r.now()
	} else if c.Fault == f {
		return
	}
	c.Level, c.Fault = level, f
	r.wake()
}

// Remove forgets a component, for parts that left the configuration.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c, ok := r.byName[name]
	if !ok {
		return
	}
	delete(r.byName, name)
	r.order = slices.DeleteFunc(r.order, func(o *Component) bool { return o == c })
	r.wake()
}

// Changed gives a channel that is closed at the next change. A listener takes
// the channel first, then reads the report, then waits:
//
//	for {
//		changed := reg.Changed()
//		show(reg.Report())
//		select {
//		case <-changed:
//		case <-ctx.Done():
//			return
//		}
//	}
func (r *Registry) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Snapshot gives a copy of all components in the order of declaration.
func (r *Registry) Snapshot() []Component {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Component, len(r.order))
	for i, c := range r.order {
		out[i] = *c
	}
	return out
}

// CanDecide says whether the gate can decide, and why.
func (r *Registry) CanDecide() (bool, Text) { return Judge(r.Snapshot()) }

// Report gives the whole value at one instant.
func (r *Registry) Report() Report {
	cs := r.Snapshot()
	rep := Report{Components: cs}
	rep.CanDecide, rep.Why = Judge(cs)
	for _, c := range cs {
		rep.Level = max(rep.Level, c.Level)
	}
	return rep
}

// component gives the entry under name, made when absent. mu is held.
func (r *Registry) component(name string) *Component {
	c, ok := r.byName[name]
	if !ok {
		c = &Component{Name: name, Level: Degraded, Fault: NewFault(Starting, ""), Since: r.now()}
		r.byName[name] = c
		r.order = append(r.order, c)
	}
	return c
}

// wake tells every listener. mu is held.
func (r *Registry) wake() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// blocks says whether a component keeps those who need it from deciding.
func (c Component) blocks() bool {
	return c.Need != Aside && (c.Level == Failed || c.Fault.Code == Starting)
}

// maxNamed bounds how many failed parts are named on top of a page.
const maxNamed = 2

// Judge is the rule: the gate can decide when nothing that every lane needs is
// failed or still starting, and at least one lane has all that it needs.
func Judge(cs []Component) (bool, Text) {
	var stops []Component // what stops everything
	lanes, blocked := map[string]bool{}, map[string][]Component{}
	var failed []Component // what nobody needs in order to decide
	limited := false
	for _, c := range cs {
		if c.Need == ByLane {
			lanes[c.Lane] = true
		}
		switch {
		case c.blocks() && c.Need == ByGate:
			stops = append(stops, c)
		case c.blocks():
			blocked[c.Lane] = append(blocked[c.Lane], c)
		case c.Level == Failed:
			failed = append(failed, c)
		case c.Level != OK:
			limited = true
		}
	}
	switch {
	case len(stops) > 0:
		return false, because(stops)
	case len(lanes) == 0:
		return false, Text{VI: "Chưa có làn nào được cấu hình.", EN: "No lane is set up yet."}
	case len(blocked) == len(lanes):
		var all []Component
		for _, c := range cs {
			if c.blocks() {
				all = append(all, c)
			}
		}
		return false, because(all)
	case len(blocked) > 0:
		var all []Component
		for _, c := range cs {
			if c.blocks() {
				all = append(all, c)
			}
		}
		why := because(all)
		return true, Text{
			VI: "Một phần các làn hoạt động. " + why.VI,
			EN: "Some lanes work. " + why.EN,
		}
	case len(failed) > 0:
		why := because(failed[:min(len(failed), maxNamed)])
		return true, Text{
			VI: "Các làn hoạt động, có giới hạn. " + why.VI,
			EN: "The lanes work, with limits. " + why.EN,
		}
	case limited:
		return true, Text{
			VI: "Các làn hoạt động, có giới hạn: xem các mục bên dưới.",
			EN: "The lanes work, with limits: see the parts below.",
		}
	default:
		return true, Text{VI: "Mọi bộ phận hoạt động.", EN: "Every part works."}
	}
}

// because names each component and its cause.
func because(cs []Component) Text {
	var vi, en []string
	for _, c := range cs {
		t := Title(c.Name)
		vi = append(vi, t.VI+": "+c.Fault.Cause.VI)
		en = append(en, t.EN+": "+c.Fault.Cause.EN)
	}
	return Text{VI: strings.Join(vi, " "), EN: strings.Join(en, " ")}
}
