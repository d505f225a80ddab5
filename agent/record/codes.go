package record

import "fmt"

// The code tables of the format: the index is the number in CBOR, the text is
// the word in JSON. They only ever grow at the end; a word that agent/gate
// renames or renumbers keeps its number here.
var (
	typeNames = table{"", "gate.entry.v1", "gate.passage.v1", "gate.override.v1", "gate.event.v1"}

	verdictNames    = table{"DENY", "DENY_ALERT", "MANUAL_CHECK", "RETRY", "ALLOW_NOTICE", "ALLOW"}
	classNames      = table{"NONE", "GREEN", "YELLOW", "RED", "UNKNOWN", "BLOCK"}
	credentialNames = table{
		"unsupported", "unreadable", "cccd", "cc", "qrqg", "bhyt", "dcc", "pass", "vneid_dynamic", "url",
	}
	directionNames = table{"in", "out"}
	clockNames     = table{"none", "floor", "rtc", "ntp", "central"}
	timingNames    = table{"in_time", "late"}
	doorNames      = table{"unknown", "passed", "not_passed", "held", "forced"}
)

// Type is the type of a record.
type Type uint8

// The record types; the numbers are key 1 of the public part.
const (
	TypeEntry    Type = 1 // gate.entry.v1
	TypePassage  Type = 2 // gate.passage.v1
	TypeOverride Type = 3 // gate.override.v1
	TypeEvent    Type = 4 // gate.event.v1
)

// String gives the CloudEvents type, for example "gate.entry.v1".
func (t Type) String() string {
	if s, err := typeNames.text(uint8(t)); err == nil && len(s) > 0 {
		return string(s)
	}
	return fmt.Sprintf("Type(%d)", uint8(t))
}

// parseType is the inverse of [Type.String].
func parseType(s string) (Type, error) {
	n, err := typeNames.number(s)
	if n == 0 && err == nil {
		err = fmt.Errorf("unknown type %q", s)
	}
	return Type(n), err
}

type table []string

func (t table) text(n uint8) ([]byte, error) {
	if int(n) >= len(t) {
		return nil, fmt.Errorf("code %d is unknown", n)
	}
	return []byte(t[n]), nil
}

func (t table) number(s string) (uint8, error) {
	for i, name := range t {
		if name == s {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("unknown word %q", clip(s))
}

func (t table) parse(into *uint8, b []byte) error {
	n, err := t.number(string(b))
	*into = n
	return err
}

// Codes are numbers in CBOR and words in JSON.
type (
	verdictCode    uint8
	classCode      uint8
	credentialCode uint8
	directionCode  uint8
	clockCode      uint8
	timingCode     uint8
	doorCode       uint8
)

func (c verdictCode) MarshalText() ([]byte, error)    { return verdictNames.text(uint8(c)) }
func (c classCode) MarshalText() ([]byte, error)      { return classNames.text(uint8(c)) }
func (c credentialCode) MarshalText() ([]byte, error) { return credentialNames.text(uint8(c)) }
func (c directionCode) MarshalText() ([]byte, error)  { return directionNames.text(uint8(c)) }
func (c clockCode) MarshalText() ([]byte, error)      { return clockNames.text(uint8(c)) }
func (c timingCode) MarshalText() ([]byte, error)     { return timingNames.text(uint8(c)) }
func (c doorCode) MarshalText() ([]byte, error)       { return doorNames.text(uint8(c)) }

func (c *verdictCode) UnmarshalText(b []byte) error    { return verdictNames.parse((*uint8)(c), b) }
func (c *classCode) UnmarshalText(b []byte) error      { return classNames.parse((*uint8)(c), b) }
func (c *credentialCode) UnmarshalText(b []byte) error { return credentialNames.parse((*uint8)(c), b) }

func (c *directionCode) UnmarshalText(b []byte) error { return directionNames.parse((*uint8)(c), b) }
func (c *clockCode) UnmarshalText(b []byte) error     { return clockNames.parse((*uint8)(c), b) }
func (c *timingCode) UnmarshalText(b []byte) error    { return timingNames.parse((*uint8)(c), b) }
func (c *doorCode) UnmarshalText(b []byte) error      { return doorNames.parse((*uint8)(c), b) }
