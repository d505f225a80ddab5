// Package signed checks what comes down from central and signs it on the other
// side: JWS compact documents by Ed25519, each with its own type, role and
// audience (DESIGN §4.3 "Signatures down").
//
// It owns the table of types, the rules of refusal with their reason codes,
// the trust list in force and the form of key files. It does not know what a
// document says beyond its head (aud, ver or n, iat, exp), writes no file and
// asks no clock: the caller says what time it is and how far to believe it.
package signed

import (
	"fmt"
	"time"

	"gateagent/agent/gate"
)

// Type is the `typ` of a document.
type Type string

// The document types.
const (
	TypeTrust    Type = "gate-trust+jws"
	TypeManifest Type = "gate-manifest+jws"
	TypeDelta    Type = "gate-delta+jws"
	TypePolicy   Type = "gate-policy+jws"
	TypeRevoked  Type = "gate-revoked+jws"
	TypeAck      Type = "gate-ack+jws"
	TypeHello    Type = "gate-hello+jws"
	TypeCommand  Type = "gate-command+jws"
	TypeUpdate   Type = "gate-update+jws"
)

// Role is what a key may sign.
type Role string

// The roles. The first six sign documents of this package; keys of the others
// are carried by the trust list for those who use them.
const (
	RoleRoot     Role = "root"
	RoleSnapshot Role = "snapshot"
	RolePolicy   Role = "policy"
	RoleAck      Role = "ack"
	RoleCommand  Role = "command"
	RoleUpdate   Role = "update"
	RolePass     Role = "pass"
	RoleSeal     Role = "seal"
	RolePassport Role = "passport"
)

// rule is one row of the table of DESIGN §4.3.
type rule struct {
	role    Role
	version string // name of the number that rises: "ver", "n", or "" for none
	expires bool   // must carry exp
	size    int    // longest compact form taken, in bytes
}

var rules = map[Type]rule{
	TypeTrust:    {RoleRoot, "ver", true, 512 << 10},
	TypeManifest: {RoleSnapshot, "ver", true, 768 << 10},
	TypeDelta:    {RoleSnapshot, "n", true, 64 << 10},
	TypePolicy:   {RolePolicy, "ver", true, 128 << 10},
	TypeRevoked:  {RolePass, "ver", true, 256 << 10},
	TypeAck:      {RoleAck, "", false, 4 << 10},
	TypeHello:    {RoleAck, "", false, 64 << 10},
	TypeCommand:  {RoleCommand, "n", true, 16 << 10},
	TypeUpdate:   {RoleUpdate, "ver", true, 64 << 10},
}

// MaxSize gives the longest compact form of a type that is taken, in bytes; 0
// for an unknown type.
func MaxSize(t Type) int { return rules[t].size }

// Moment is what time it is and how far that can be believed.
type Moment struct {
	Now   time.Time
	Level gate.ClockLevel
	// Floor is the earliest time it can be: central's newest word.
	Floor time.Time
}

// notBefore gives the time against which an end of validity is judged: now at
// clock level rtc or better, below that the floor.
func (m Moment) notBefore() time.Time {
	if m.Level >= gate.ClockRTC {
		return m.Now
	}
	return m.Floor
}

// notAfter gives the time against which a beginning of validity is judged; ok
// is false when the clock says nothing about how late it may be.
func (m Moment) notAfter() (t time.Time, ok bool) { return m.Now, m.Level >= gate.ClockRTC }

// Document is a document that was verified.
type Document struct {
	Type Type
	Kid  string
	Aud  string
	// Ver is `ver` or `n`; 0 for types that have neither.
	Ver uint64
	Iat time.Time
	Exp time.Time // zero for types that do not expire
	// Payload is the JSON as it was signed. Its form inside is for the
	// reader to check.
	Payload []byte
}

// The codes of [Refusal]. They stand in events, faults and metrics.
const (
	CodeMalformed       = "malformed"        // not a document of ours at all, or too large
	CodeForbiddenHeader = "forbidden_header" // another algorithm, or a header parameter other than alg, kid, typ
	CodeWrongType       = "wrong_type"       // a document of another type
	CodeWrongRole       = "wrong_role"       // the key may sign other things, not this
	CodeWrongAudience   = "wrong_audience"   // meant for another site, set or gate
	CodeWrongSite       = "wrong_site"       // the key is not for this site
	CodeUnknownKey      = "unknown_key"      // neither pinned nor in the trust list
	CodeExpiredKey      = "expired_key"      // outside the key's validity
	CodeExpired         = "expired"          // past its exp
	CodeOlderVersion    = "older_version"    // not newer than what is in force
	CodeBadSignature    = "bad_signature"    // tampered with
)

// Refusal says why a document was refused.
type Refusal struct {
	Code   string // one of the codes above
	Detail string // for people; holds no payload
}

func (r *Refusal) Error() string { return "document refused: " + r.Code + ": " + r.Detail }

func refuse(code, format string, args ...any) error {
	return &Refusal{Code: code, Detail: fmt.Sprintf(format, args...)}
}
