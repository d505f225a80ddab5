package record

import (
	"fmt"

	"gateagent/agent/gate"
)

// extras is the CBOR of [gate.Extras] within the inputs, as they are.
type extras struct {
	FirstDose  int32        `cbor:"1,keyasint,omitzero"` // days
	Completed  int32        `cbor:"2,keyasint,omitzero"`
	LastDose   int32        `cbor:"3,keyasint,omitzero"`
	Positive   int32        `cbor:"4,keyasint,omitzero"`
	Recovered  int32        `cbor:"5,keyasint,omitzero"`
	Quarantine int32        `cbor:"6,keyasint,omitzero"`
	Window     *window      `cbor:"7,keyasint,omitempty"`
	Tests      []test       `cbor:"8,keyasint,omitempty"`
	Lists      []membership `cbor:"9,keyasint,omitempty"`
	Others     []other      `cbor:"10,keyasint,omitempty"`
	Beyond     bool         `cbor:"11,keyasint,omitzero"`
}

type test struct {
	_        struct{} `cbor:",toarray"`
	Kind     uint8
	Positive bool
	Sampled  uint32 // minutes
}

type window struct {
	_          struct{} `cbor:",toarray"`
	From, To   int32    // days
	Weekdays   uint8
	Start, End uint16 // minutes of the day
}

type membership struct {
	_      struct{} `cbor:",toarray"`
	List   string
	Window *window
}

type other struct {
	_        struct{} `cbor:",toarray"`
	Provider uint8
	Code     uint8
	Day      int32
}

// newExtras gives nil when none were read.
func newExtras(f gate.Facts) *extras {
	if !f.HasExtras {
		return nil
	}
	e := &f.Extras
	x := &extras{
		FirstDose: int32(e.FirstDose), Completed: int32(e.Completed), LastDose: int32(e.LastDose),
		Positive: int32(e.Positive), Recovered: int32(e.Recovered), Quarantine: int32(e.Quarantine),
		Window: newWindow(e.Window), Beyond: e.Beyond,
	}
	for _, t := range e.Tests[:min(int(e.TestN), len(e.Tests))] {
		x.Tests = append(x.Tests, test{Kind: uint8(t.Kind), Positive: t.Positive, Sampled: uint32(t.Sampled)})
	}
	for _, l := range e.Lists[:min(int(e.ListN), len(e.Lists))] {
		x.Lists = append(x.Lists, membership{List: l.List, Window: newWindow(l.Window)})
	}
	for _, o := range e.Others[:min(int(e.OtherN), len(e.Others))] {
		x.Others = append(x.Others, other{Provider: uint8(o.Provider), Code: o.Code, Day: int32(o.Day)})
	}
	return x
}

func newWindow(w gate.Window) *window {
	if w.IsZero() {
		return nil
	}
	return &window{From: int32(w.From), To: int32(w.To), Weekdays: w.Weekdays, Start: w.Start, End: w.End}
}

func (w *window) domain() gate.Window {
	if w == nil {
		return gate.Window{}
	}
	return gate.Window{From: gate.Day(w.From), To: gate.Day(w.To), Weekdays: w.Weekdays, Start: w.Start, End: w.End}
}

// fill gives the facts what x says. More of a kind than facts hold is refused:
// nothing that was read may be lost.
func (x *extras) fill(f *gate.Facts) error {
	if x == nil {
		return nil
	}
	if len(x.Tests) > gate.MaxTests || len(x.Lists) > gate.MaxMemberships || len(x.Others) > gate.MaxOthers {
		return fmt.Errorf("extras: %d tests, %d lists, %d others", len(x.Tests), len(x.Lists), len(x.Others))
	}
	f.HasExtras = true
	f.Extras = gate.Extras{
		FirstDose: gate.Day(x.FirstDose), Completed: gate.Day(x.Completed), LastDose: gate.Day(x.LastDose),
		Positive: gate.Day(x.Positive), Recovered: gate.Day(x.Recovered), Quarantine: gate.Day(x.Quarantine),
		Window: x.Window.domain(), Beyond: x.Beyond,
	}
	for _, t := range x.Tests {
		f.Extras.AddTest(gate.Test{Kind: gate.TestKind(t.Kind), Positive: t.Positive, Sampled: gate.Minute(t.Sampled)})
	}
	for _, l := range x.Lists {
		f.Extras.AddList(gate.Membership{List: l.List, Window: l.Window.domain()})
	}
	for _, o := range x.Others {
		f.Extras.AddOther(gate.Other{Provider: gate.Provider(o.Provider), Code: o.Code, Day: gate.Day(o.Day)})
	}
	return nil
}
