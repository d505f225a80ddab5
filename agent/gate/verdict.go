package gate

import "fmt"

// Verdict is what the gate does with one scan. The zero value is Deny, so a
// forgotten assignment never opens a gate.
type Verdict uint8

// The verdicts, in the order of DESIGN §4.4 turned round so that zero refuses.
const (
	Deny        Verdict = iota // refused for cause
	DenyAlert                  // refused, and the guard is called
	ManualCheck                // the guard decides
	Retry                      // nothing decided: show something else, or the second of two
	AllowNotice                // opened, with a sentence for the person
	Allow                      // opened
)

var verdictNames = [...]string{"DENY", "DENY_ALERT", "MANUAL_CHECK", "RETRY", "ALLOW_NOTICE", "ALLOW"}

// String gives the name used in entries and metrics, for example "ALLOW_NOTICE".
func (v Verdict) String() string { return nameOf(verdictNames[:], uint8(v), "Verdict") }

// ParseVerdict is the inverse of [Verdict.String].
func ParseVerdict(s string) (Verdict, error) {
	i, err := indexOf(verdictNames[:], s, "verdict")
	return Verdict(i), err
}

// Opens says whether the relay is told.
func (v Verdict) Opens() bool { return v == Allow || v == AllowNotice }

// Verdicts lists all verdicts, for tables and metrics.
func Verdicts() []Verdict {
	return []Verdict{Allow, AllowNotice, Retry, ManualCheck, Deny, DenyAlert}
}

// Class is the traffic-light colour that the health rules give a person
// before the level of the site turns it into a verdict.
type Class uint8

// The classes. ClassNone stands on scans that were not judged (RETRY).
const (
	ClassNone Class = iota
	Green
	Yellow
	Red
	Unknown
	Block
)

var classNames = [...]string{"NONE", "GREEN", "YELLOW", "RED", "UNKNOWN", "BLOCK"}

// String gives the name used in entries, for example "GREEN".
func (c Class) String() string { return nameOf(classNames[:], uint8(c), "Class") }

// ParseClass is the inverse of [Class.String].
func ParseClass(s string) (Class, error) {
	i, err := indexOf(classNames[:], s, "class")
	return Class(i), err
}

// Direction is the way a lane leads.
type Direction uint8

// The directions. DirectionIn is the default of a lane.
const (
	DirectionIn Direction = iota
	DirectionOut
)

var directionNames = [...]string{"in", "out"}

func (d Direction) String() string { return nameOf(directionNames[:], uint8(d), "Direction") }

// ParseDirection is the inverse of [Direction.String].
func ParseDirection(s string) (Direction, error) {
	i, err := indexOf(directionNames[:], s, "direction")
	return Direction(i), err
}

// ClockLevel says how far the box's time can be believed, worst first.
type ClockLevel uint8

// The levels of DESIGN §5.
const (
	ClockNone    ClockLevel = iota // before the floor: certainly wrong
	ClockFloor                     // after the floor, nothing better known
	ClockRTC                       // a hardware clock set the time at boot
	ClockNTP                       // the kernel says it is synchronised
	ClockCentral                   // central answered our nonce in time
)

var clockNames = [...]string{"none", "floor", "rtc", "ntp", "central"}

func (c ClockLevel) String() string { return nameOf(clockNames[:], uint8(c), "ClockLevel") }

// ParseClockLevel is the inverse of [ClockLevel.String].
func ParseClockLevel(s string) (ClockLevel, error) {
	i, err := indexOf(clockNames[:], s, "clock level")
	return ClockLevel(i), err
}

// OnFault is what a lane does while it cannot decide or record (DESIGN §3.3).
type OnFault uint8

// OnFaultClosed is the default: fail-secure.
const (
	OnFaultClosed OnFault = iota // keep shut
	OnFaultOpen                  // hold open (fail-safe)
	OnFaultGuard                 // keep shut and send everybody to the guard
)

var onFaultNames = [...]string{"closed", "open", "guard"}

func (f OnFault) String() string { return nameOf(onFaultNames[:], uint8(f), "OnFault") }

// ParseOnFault is the inverse of [OnFault.String].
func ParseOnFault(s string) (OnFault, error) {
	i, err := indexOf(onFaultNames[:], s, "on_fault")
	return OnFault(i), err
}

func nameOf(names []string, i uint8, kind string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", kind, i)
}

func indexOf(names []string, s, kind string) (uint8, error) {
	for i, n := range names {
		if n == s {
			return uint8(i), nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q", kind, s)
}
