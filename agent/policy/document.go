package policy

import (
	"fmt"
	"time"

	"gateagent/agent/gate"
)

// Bounds of a policy document.
const (
	MaxDocument = 64 << 10 // bytes
	maxText     = 300      // bytes of one sentence
	maxID       = 64
)

// Header is what the publisher adds to a draft: the claims that every signed
// document has (DESIGN §4.3). Zero members are left out.
type Header struct {
	Audience string // the site
	Version  uint64 // from 1 on
	Issued   time.Time
	Expires  time.Time // last instant at which it may be taken into force
}

// Parse reads the payload of a signed policy. Signature, audience and expiry
// are the caller's business; that the claims are there is checked here. The
// error is a [Problems] that lists all that is wrong.
func Parse(payload []byte) (*Policy, error) { return parse(payload, false) }

// ParseDraft reads a policy that is being written: like [Parse], but aud, ver,
// iat and exp may be missing.
func ParseDraft(payload []byte) (*Policy, error) { return parse(payload, true) }

func parse(payload []byte, draft bool) (*Policy, error) {
	if len(payload) > MaxDocument {
		return nil, Problems{{Text: fmt.Sprintf("a policy has at most %d bytes; this one has %d", MaxDocument, len(payload))}}
	}
	root, problems := readTree(payload)
	if root == nil {
		return nil, problems
	}
	r := &reader{problems: problems}
	p := r.policy(root, draft)
	if len(r.problems) > 0 {
		return nil, r.problems
	}
	p.compile()
	return p, nil
}

// judgedClasses are the classes that the action table has a row for.
var judgedClasses = [...]gate.Class{gate.Green, gate.Yellow, gate.Red, gate.Unknown, gate.Block}
