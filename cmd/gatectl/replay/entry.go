package replay

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// Entry is what replaying needs of one recorded entry. It holds no subject.
type Entry struct {
	At      Place
	Time    time.Time
	Policy  gate.PolicyRef
	Verdict gate.Verdict
	Class   gate.Class
	Reasons []gate.Reason
	Inputs  gate.Inputs
	// Shadow is what a policy on trial would have decided; nil where none was.
	Shadow *gate.Shadow
	// Erased is true where inputs and subject were erased.
	Erased bool
}

// Place names an entry the way an operator finds it again.
type Place struct {
	Source string // "/site/gate"
	Epoch  string
	Seq    uint64
}

func (p Place) String() string {
	return fmt.Sprintf("%s %s %d", p.Source[min(1, len(p.Source)):], p.Epoch, p.Seq)
}

// event holds the members of an entry's event that matter here. Whether the
// rest is as the gate wrote it is for gatectl verify to say: it reads every
// byte, and takes several times as long.
type event struct {
	Type   string    `json:"type"`
	Source string    `json:"source"`
	Time   time.Time `json:"time"`
	Data   struct {
		Epoch   string        `json:"epoch"`
		Seq     uint64        `json:"seq"`
		Verdict string        `json:"verdict"`
		Class   string        `json:"class"`
		Reasons []gate.Reason `json:"reasons"`
		Policy  policyRef     `json:"policy"`
		Shadow  *struct {
			Policy  policyRef     `json:"policy"`
			Verdict string        `json:"verdict"`
			Reasons []gate.Reason `json:"reasons"`
		} `json:"shadow"`
		Inputs string `json:"inputs"`
		Digest string `json:"digest"`
	} `json:"data"`
}

type policyRef struct {
	ID      string `json:"id"`
	Version uint64 `json:"version"`
}

func (r policyRef) ref() gate.PolicyRef { return gate.PolicyRef{ID: r.ID, Version: r.Version} }

var (
	entryType = []byte(`"` + record.TypeEntry.String() + `"`)
	anyType   = []byte(`"type":"gate.`)
)

// ParseEntry reads a line as ingest keeps it. ok is false for a record of
// another type.
func ParseEntry(line []byte) (e Entry, ok bool, err error) {
	if !bytes.Contains(line, entryType) {
		if !bytes.Contains(line, anyType) {
			return Entry{}, false, errors.New("not an event of a gate")
		}
		return Entry{}, false, nil
	}
	var ev event
	if err := json.Unmarshal(line, &ev); err != nil {
		return Entry{}, false, fmt.Errorf("not an event: %w", err)
	}
	if ev.Type != record.TypeEntry.String() {
		return Entry{}, false, nil
	}
	d := &ev.Data
	e = Entry{
		At: Place{Source: ev.Source, Epoch: d.Epoch, Seq: d.Seq}, Time: ev.Time, Reasons: d.Reasons,
		Policy: d.Policy.ref(), Erased: d.Digest != "",
	}
	var err1, err2, err3 error
	e.Verdict, err1 = gate.ParseVerdict(d.Verdict)
	e.Class, err2 = gate.ParseClass(d.Class)
	if x := d.Shadow; x != nil {
		e.Shadow = &gate.Shadow{Policy: x.Policy.ref(), Reasons: x.Reasons}
		e.Shadow.Verdict, err3 = gate.ParseVerdict(x.Verdict)
	}
	if err := errors.Join(err1, err2, err3); err != nil {
		return Entry{}, false, fmt.Errorf("entry %v: %w", e.At, err)
	}
	if e.Erased {
		return e, true, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(d.Inputs)
	if err == nil {
		e.Inputs, err = record.DecodeInputs(b)
	}
	if err != nil {
		return Entry{}, false, fmt.Errorf("entry %v: %w", e.At, err)
	}
	return e, true, nil
}

// OnFault says whether the lane answered by itself because the data or the
// journal could not be used, as on_fault says: no policy decided it, and none
// ever gives these reasons.
func (e *Entry) OnFault() bool {
	return len(e.Reasons) > 0 && (e.Reasons[0] == gate.ReasonStoreFault || e.Reasons[0] == gate.ReasonRecordFault)
}

// Same says whether d is what was recorded, reasons and their order included.
func (e *Entry) Same(d *gate.Decision) bool {
	if e.Verdict != d.Verdict || e.Class != d.Class || len(e.Reasons) != d.N {
		return false
	}
	for i, r := range d.ReasonList() {
		if e.Reasons[i] != r {
			return false
		}
	}
	return true
}
