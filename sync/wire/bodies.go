package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gateagent/agent/record"
	"gateagent/sync/identity"
)

// State is the body of a gate's `state`, retained, and of its last will, of
// which only Online (false), Boot and Sig are set.
type State struct {
	Online bool   `json:"online"`
	Boot   string `json:"boot"` // drawn at each start of the program; 16 to 64 hexadecimal digits

	Time    int64           `json:"time,omitzero"` // UTC milliseconds, as the box believes
	Version string          `json:"version,omitzero"`
	ID      identity.Public `json:"id,omitzero"`
	// Decides is false when the gate cannot decide; Why then says why, as a
	// code.
	Decides bool   `json:"decides,omitzero"`
	Why     string `json:"why,omitzero"`
	// Health lists the components that are not well.
	Health  []Component         `json:"health,omitzero"`
	Clock   string              `json:"clock,omitzero"` // level: none, floor, rtc, ntp, central
	Journal *JournalState       `json:"journal,omitzero"`
	Trust   uint64              `json:"trust,omitzero"` // version in force
	Policy  *PolicyState        `json:"policy,omitzero"`
	Revoked uint64              `json:"revoked,omitzero"` // version in force
	Data    map[string]SetState `json:"data,omitzero"`

	Sig Blob `json:"sig,omitzero"`
}

// Component is one component that is not well.
type Component struct {
	Name  string `json:"name"`
	Level string `json:"level"` // degraded, failed
	Code  string `json:"code"`
	Since int64  `json:"since"` // UTC milliseconds
}

// JournalState is where the journal stands.
type JournalState struct {
	Epoch  record.Epoch `json:"epoch"`
	Seq    uint64       `json:"seq"`
	Acked  uint64       `json:"acked"`  // of this epoch; 0 when nothing is
	Queued uint64       `json:"queued"` // records that wait for an acknowledgement
}

// PolicyState names the policy in force.
type PolicyState struct {
	ID  string `json:"id"`
	Ver uint64 `json:"ver"` // 0: the one built in
}

// SetState names the version of a set in force.
type SetState struct {
	Ver  uint64 `json:"ver"`             // 0: none
	AsOf int64  `json:"as_of,omitzero"`  // UTC milliseconds central vouched for
	Keys string `json:"key_id,omitzero"` // id of the key its pseudonyms are under
	// Base is the whole version that is held; Ver grew from it by deltas.
	Base uint64 `json:"base,omitzero"`
	// Fetching tells of a version under way; nil: none.
	Fetching *Fetching `json:"fetching,omitzero"`
	// Refused is why the last manifest, delta or chunk was not taken, as a
	// code; empty: it was.
	Refused string `json:"refused,omitzero"`
}

// Fetching is how far the fetching of a version has got.
type Fetching struct {
	Ver  uint64 `json:"ver"`
	Done int    `json:"done"` // messages that are here
	Of   int    `json:"of"`
}

// Hello is the body of a gate's `hello`.
type Hello struct {
	Nonce string          `json:"nonce"` // 32 hexadecimal digits, drawn for each hello
	Boot  string          `json:"boot"`
	Epoch record.Epoch    `json:"epoch"`
	Seq   uint64          `json:"seq"`  // last record; 0: none
	Head  record.Hash     `json:"head"` // its hash
	ID    identity.Public `json:"id"`
	Sig   Blob            `json:"sig,omitzero"`
}

// Position is a [record.Position] in a body.
type Position struct {
	Epoch record.Epoch `json:"epoch"`
	Seq   uint64       `json:"seq"`
	Head  record.Hash  `json:"head"`
}

// Record gives the position as record has it.
func (p Position) Record() record.Position { return record.Position(p) }

// Ack is the payload of a gate-ack+jws on `entry/ack`: central has everything
// of the epoch up to seq.
type Ack struct {
	Aud string `json:"aud"` // site/gate
	Iat int64  `json:"iat"` // Unix seconds
	// Time is iat to the millisecond: it tells an acknowledgement from before
	// central was restored from one after it, beside a reply's Time.
	Time int64 `json:"time"` // UTC milliseconds
	Position
}

// HelloReply is the payload of a gate-hello+jws on `hello/reply`.
type HelloReply struct {
	Aud   string `json:"aud"`   // site/gate
	Iat   int64  `json:"iat"`   // Unix seconds
	Nonce string `json:"nonce"` // of the hello
	Time  int64  `json:"time"`  // UTC milliseconds
	// Ack is what central has; nil when it has nothing of the gate.
	Ack *Position `json:"ack,omitempty"`
	// Keys are the secrets the gate may have, each sealed to it (sync/sealed);
	// of one set the newest comes last.
	Keys []SealedKey `json:"keys,omitempty"`
}

// CentralState is the body of `central/state`, retained, and of central's last
// will (Online false). It is unsigned: information, never time.
type CentralState struct {
	Online bool   `json:"online"`
	Boot   string `json:"boot,omitzero"`
	Since  int64  `json:"since,omitzero"` // UTC milliseconds
}

// Check reports what no box would send.
func (s State) Check() error {
	switch {
	case !isHex(s.Boot, 16, 64):
		return errors.New("boot is not 16 to 64 hexadecimal digits")
	case !s.Online && (s.Time != 0 || !s.ID.IsZero() || s.Journal != nil):
		return errors.New("a will says nothing but online, boot and sig")
	case s.Online && s.ID.IsZero():
		return errors.New("it names no identity")
	}
	for name, d := range s.Data {
		switch f := d.Fetching; {
		case !ValidSet(name):
			return fmt.Errorf("data set %q is not a name", clip(name))
		case f != nil && (f.Ver == 0 || f.Done < 0 || f.Of < f.Done):
			return fmt.Errorf("data set %s: %d of %d are fetched", name, f.Done, f.Of)
		case len(d.Refused) > 64:
			return fmt.Errorf("data set %s: the reason is no code", name)
		}
	}
	return nil
}

// Check reports what no box would send.
func (h Hello) Check() error {
	switch {
	case !isHex(h.Nonce, 32, 32):
		return errors.New("nonce is not 32 hexadecimal digits")
	case !isHex(h.Boot, 16, 64):
		return errors.New("boot is not 16 to 64 hexadecimal digits")
	case h.ID.IsZero():
		return errors.New("it names no identity")
	case h.Seq > record.MaxSeq:
		return errors.New("seq is out of range")
	}
	return nil
}

func isHex(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// ParseState reads a state. Its signature is checked by [VerifyBody]; an empty
// body (a cleared topic) is an error.
func ParseState(body []byte) (State, error) {
	var s State
	if err := parse("state", body, &s, MaxState); err != nil {
		return State{}, err
	}
	if err := s.Check(); err != nil {
		return State{}, fmt.Errorf("state: %w", err)
	}
	return s, nil
}

// ParseHello reads a hello. Its signature is checked by [VerifyBody].
func ParseHello(body []byte) (Hello, error) {
	var h Hello
	if err := parse("hello", body, &h, MaxHello); err != nil {
		return Hello{}, err
	}
	if err := h.Check(); err != nil {
		return Hello{}, fmt.Errorf("hello: %w", err)
	}
	return h, nil
}

// ParseCentralState reads central's state.
func ParseCentralState(body []byte) (CentralState, error) {
	var s CentralState
	return s, parse("central/state", body, &s, MaxCentralState)
}

// Marshal writes central's state.
func (s CentralState) Marshal() ([]byte, error) { return json.Marshal(s) }

// ParseAck reads the payload of an acknowledgement whose signature holds.
func ParseAck(payload []byte) (Ack, error) {
	var a Ack
	if err := parse("entry/ack", payload, &a, 4<<10); err != nil {
		return Ack{}, err
	}
	if a.Seq == 0 || a.Seq > record.MaxSeq || a.Epoch.IsZero() {
		return Ack{}, errors.New("entry/ack: it names no record")
	}
	if a.Time/1000 != a.Iat {
		return Ack{}, errors.New("entry/ack: time and iat differ")
	}
	return a, nil
}

// Marshal writes the payload, to be signed.
func (a Ack) Marshal() ([]byte, error) { return json.Marshal(a) }

// ParseHelloReply reads the payload of a reply whose signature holds.
func ParseHelloReply(payload []byte) (HelloReply, error) {
	var r HelloReply
	if err := parse("hello/reply", payload, &r, 64<<10); err != nil {
		return HelloReply{}, err
	}
	switch {
	case !isHex(r.Nonce, 32, 32):
		return HelloReply{}, errors.New("hello/reply: nonce is not 32 hexadecimal digits")
	case r.Time <= 0 || r.Time > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli():
		return HelloReply{}, errors.New("hello/reply: time is out of range")
	case r.Ack != nil && (r.Ack.Seq == 0 || r.Ack.Seq > record.MaxSeq || r.Ack.Epoch.IsZero()):
		return HelloReply{}, errors.New("hello/reply: ack names no record")
	case len(r.Keys) > MaxKeys:
		return HelloReply{}, fmt.Errorf("hello/reply: %d keys", len(r.Keys))
	}
	for _, k := range r.Keys {
		if err := k.check(); err != nil {
			return HelloReply{}, fmt.Errorf("hello/reply: %w", err)
		}
	}
	return r, nil
}

// Marshal writes the payload, to be signed.
func (r HelloReply) Marshal() ([]byte, error) { return json.Marshal(r) }
