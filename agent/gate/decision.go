package gate

import (
	"slices"
	"time"
)

// Inputs is exactly what a policy is given: no identity, no clock, no disk.
// The same Inputs under the same policy give the same [Decision] for ever;
// they are recorded with each entry (DESIGN §4.4 `inputs`).
type Inputs struct {
	Now        int64 // UTC milliseconds
	Direction  Direction
	Credential CredentialKind
	Flags      ClaimFlags
	// CardExpires is the first day the card is no longer good; 0: never.
	CardExpires Day
	Facts       Facts
	Passport    Passport
	Pass        Pass
	Passages    Passages
	// DataAge is the age in seconds of the oldest set asked; -1: no data.
	DataAge int64
	Clock   ClockLevel
}

// MaxReasons bounds the reasons of one decision. It is more than all modules of
// a policy and all flags of a claim give together, so that none is dropped; the
// tests of agent/policy hold it to that.
const MaxReasons = 32

// Decision is the outcome of a policy. The zero value is DENY without reasons.
type Decision struct {
	Verdict Verdict
	Class   Class
	// Reasons, most important first; only the first N are set.
	Reasons [MaxReasons]Reason
	N       int
}

// Add appends a reason; repeats and those beyond [MaxReasons] are dropped.
func (d *Decision) Add(r Reason) {
	if d.N < MaxReasons && !slices.Contains(d.Reasons[:d.N], r) {
		d.Reasons[d.N] = r
		d.N++
	}
}

// ReasonList gives the reasons that are set, most important first. It shares
// memory with d.
func (d *Decision) ReasonList() []Reason { return d.Reasons[:d.N] }

// PolicyRef names a policy in force.
type PolicyRef struct {
	ID      string
	Version uint64
}

// Entry is one decided scan (`gate.entry.v1`).
type Entry struct {
	Time       time.Time
	Lane       string
	Direction  Direction
	Verdict    Verdict
	Reasons    []Reason
	Class      Class
	Credential CredentialKind
	// Subject is the pseudonym under the site entry key; HasSubject is false
	// when the credential has no number or the key is missing.
	Subject    Pseudonym
	HasSubject bool
	Policy     PolicyRef
	Data       []SetVersion
	DataAge    int64 // seconds; -1: no data
	Clock      ClockLevel
	Inputs     Inputs
	Decode     time.Duration
	Lookup     time.Duration
	Decide     time.Duration
	// Ref and Needs join the two halves of a two-step scan; zero where none.
	Ref   uint64
	Needs string
	// Count is how many thinned scans this entry stands for; 0 means one.
	Count uint32
	// Shadow is the outcome of a policy that is evaluated, not acted on.
	Shadow *Shadow
}

// Shadow is what another policy would have decided.
type Shadow struct {
	Policy  PolicyRef
	Verdict Verdict
	Reasons []Reason
}

// Door is what the door contact said after an opening.
type Door uint8

// The door states; DoorUnknown where there is no contact.
const (
	DoorUnknown Door = iota
	DoorPassed
	DoorNotPassed
	DoorHeld
	DoorForced
)

var doorNames = [...]string{"unknown", "passed", "not_passed", "held", "forced"}

func (d Door) String() string { return nameOf(doorNames[:], uint8(d), "Door") }

// ParseDoor is the inverse of [Door.String].
func ParseDoor(s string) (Door, error) {
	i, err := indexOf(doorNames[:], s, "door state")
	return Door(i), err
}

// Passage is what followed an entry (`gate.passage.v1`).
type Passage struct {
	Time   time.Time
	Lane   string
	Ref    uint64 // seq of the entry
	Opened bool
	// Late is true when the entry was not durable within record.wait.
	Late bool
	// RelayFault is a code such as "relay_error"; empty when the relay obeyed.
	RelayFault string
	Door       Door
	Record     time.Duration // decision to durable
	Actuate    time.Duration // frame handed over to relay told
}

// Override is an opening that no policy decided (`gate.override.v1`).
type Override struct {
	Time     time.Time
	Lane     string
	By       string // guard, button, command, fire
	Operator string
	Reason   string
	Ref      uint64
}

// Event is anything else worth keeping (`gate.event.v1`).
type Event struct {
	Time time.Time
	Kind EventKind
	// Details are short texts and whole numbers by key; keys are listed in
	// agent/record and published in its README.
	Details map[string]any
}

// EventKind names an event.
type EventKind string

// The event kinds of DESIGN §4.4.
const (
	EventEpoch     EventKind = "epoch" // first record of a journal
	EventStart     EventKind = "start"
	EventStop      EventKind = "stop"
	EventConfig    EventKind = "config"
	EventPolicy    EventKind = "policy"
	EventData      EventKind = "data"
	EventTrust     EventKind = "trust"
	EventClock     EventKind = "clock"
	EventTamper    EventKind = "tamper"
	EventFault     EventKind = "fault"
	EventErase     EventKind = "erase"
	EventSeal      EventKind = "seal"
	EventNoSubject EventKind = "no_subject" // entries carry no subject: the entry key is missing
	EventSubject   EventKind = "subject"    // entries carry a subject again, or under another key
)
