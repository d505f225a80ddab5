package health

import (
	"time"

	"gateagent/agent/gate"
)

// Box is everything the box says about itself at one instant, ready to be
// shown: by the page, by `gateagent status`, in the MQTT state. The wiring
// fills it from the components' own figures. It holds nothing about people.
type Box struct {
	Report

	Site, Gate string
	Version    string // of the program, for example "v0.1.0 (1b0a1f5)"
	Boot       string // 16 hexadecimal digits, new at each start
	// Identity is the box's public Ed25519 key as central lists it; "" while
	// there is none.
	Identity string
	Now      time.Time
	Started  time.Time
	Clock    gate.ClockLevel

	Policy  PolicyState
	Trust   DocumentState
	Proofs  ProofState
	Sets    []SetState
	Journal JournalState
	Link    LinkState
	Lanes   []LaneState
	Theft   Theft
}

// DocumentState names a signed document in force; Version 0 means none.
type DocumentState struct {
	Version uint64
	Issued  time.Time
}

// PolicyState names the policy in force.
type PolicyState struct {
	gate.PolicyRef
	Level   int // site level 1 to 4
	BuiltIn bool
	Issued  time.Time // zero for the built-in one
	// Shadow is the policy on trial; zero: there is none.
	Shadow gate.PolicyRef
	// Window is how long last passages are remembered for the policy, Passed
	// how many people's are.
	Window time.Duration
	Passed int
}

// ProofState is what is in force for signed credentials.
type ProofState struct {
	PassportKeys, PassKeys int
	Revoked                DocumentState
	Spent                  int // passes for one entry that were used here
	Counts                 []ProofCount
}

// ProofCount is how many signed credentials had one outcome since the start.
type ProofCount struct {
	What    string // passport, pass; spend: a pass for one entry that was to be used up
	Outcome string // verified, or the reason why it does not count
	Count   uint64
}

// SetState is one data set; Version 0 means that none is in force.
type SetState struct {
	Set     string
	Version uint64
	People  uint64
	// Issued is when central last vouched for this version: age counts from it.
	Issued time.Time
	HasKey bool
	KeyID  string // of the version in force; "" for none
	// Hold says how the box may hold its key; HoldUnknown while no version is
	// in force.
	Hold KeyHold
	// Fetch is the version under way, if any.
	Fetch Fetch
}

// KeyHold is how a box may hold the key of a data set.
type KeyHold uint8

// The ways to hold a key.
const (
	HoldUnknown KeyHold = iota
	HoldFile            // from a file
	HoldMemory          // from central after each start, never on the disk
)

func (h KeyHold) String() string { return [...]string{"unknown", "file", "memory"}[min(h, HoldMemory)] }

// JournalState is the journal and with it the queue: entries are queued until
// central has acknowledged them.
type JournalState struct {
	Epoch      string // 16 hexadecimal digits; empty while there is no journal
	Seq, Acked uint64
	Bytes, Max int64 // of the file; Max is the bound
	// Oldest is the time of the oldest record not acknowledged; zero when
	// there is none.
	Oldest time.Time
}

// Queue gives how many records central has not acknowledged.
func (j JournalState) Queue() uint64 { return j.Seq - min(j.Seq, j.Acked) }

// LinkState is the way to central.
type LinkState struct {
	Broker    string // address without password
	Connected bool
	// Since is when Connected last changed; Central when central last spoke.
	Since, Central time.Time
}

// LaneState is what one lane has done since the start.
type LaneState struct {
	Name      string
	Direction gate.Direction
	Scanner   string // driver
	Relay     string // driver
	Decisions map[gate.Verdict]uint64
	// Picture is the age of the newest camera picture; negative for scanners
	// without pictures.
	Picture time.Duration
}

// MaxPictureAge is the age beyond which a lane's picture counts as frozen
// (DESIGN §4.5).
const MaxPictureAge = 2 * time.Second

// Frozen names the first lane whose picture is older than [MaxPictureAge];
// ok is false when there is none.
func (b Box) Frozen() (lane string, ok bool) {
	for _, l := range b.Lanes {
		if l.Picture > MaxPictureAge {
			return l.Name, true
		}
	}
	return "", false
}
