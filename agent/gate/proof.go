package gate

// Proof is what became of a signed credential.
type Proof uint8

// The zero value is none: nothing that was forgotten counts for somebody.
const (
	ProofNone Proof = iota // no such credential was shown
	ProofGood              // its signature and its times hold
	ProofBad               // it does not count; the reason says why
)

var proofNames = [...]string{"none", "good", "bad"}

func (p Proof) String() string { return nameOf(proofNames[:], uint8(p), "Proof") }

// Passport is what a vaccine passport says that was verified on the box,
// without who its holder is.
type Passport struct {
	Proof Proof
	Why   Reason // of ProofBad: one of the passport reasons
	// Matched is true when name and birth date are those of the card that was
	// shown with it. Without a card nothing is known about that.
	Matched bool
	Event   PassportEvent
	// Dose and Of count doses; a dose above the number of the series is a
	// booster.
	Dose, Of uint8
	Day      Day  // of the dose, or of the first positive result
	Test     Test // of a test
	From, To Day  // of a recovery: first and last day it is stated for
}

// PassportEvent is what a passport is about.
type PassportEvent uint8

// The events; numbers are part of the journal format.
const (
	PassportNothing PassportEvent = iota
	PassportVaccination
	PassportTest
	PassportRecovery
)

var passportNames = [...]string{"nothing", "vaccination", "test", "recovery"}

func (e PassportEvent) String() string { return nameOf(passportNames[:], uint8(e), "PassportEvent") }

// Pass is what a pass of our own says, without who its holder is.
type Pass struct {
	Proof  Proof
	Why    Reason // of ProofBad: one of the pass reasons
	Kind   PassKind
	Single bool // good for one entry, at the gates it names
	// Window is the days and hours the pass itself is for; From and To bound
	// it to the minute, To excluded.
	Window   Window
	From, To Minute
}

// PassKind is whom a pass is for.
type PassKind uint8

// The kinds; numbers are part of the pass and of the journal format.
const (
	PassNobody  PassKind = iota
	PassVisitor          // a guest of somebody
	PassChild            // who has no card yet
	PassPaper            // who has no card with a chip
	PassStaff            // who works here and has no card at hand
)

var passKindNames = [...]string{"nobody", "visitor", "child", "paper", "staff"}

func (k PassKind) String() string { return nameOf(passKindNames[:], uint8(k), "PassKind") }

// ParsePassKind is the inverse of [PassKind.String].
func ParsePassKind(s string) (PassKind, error) {
	i, err := indexOf(passKindNames[:], s, "kind of pass")
	return PassKind(i), err
}

// Passages are the last times a person passed this box's lanes, in UTC
// milliseconds; 0: not within the time that is remembered.
type Passages struct {
	In, Out int64
	// Unknown is true when there may have been later ones than these: what the
	// journal says has not been read back since the start, or the key is
	// missing by which the person would be known again.
	Unknown bool
}
