package gate

import "time"

// Extras is what a [Word] has no room for: the facts of a person about whom
// one kind and one day do not say everything. Zero days mean "not so". The
// zero value adds nothing.
type Extras struct {
	// FirstDose is the day of the first dose, Completed of the dose that
	// completed the primary series, LastDose of the last one given.
	FirstDose, Completed, LastDose Day
	// Positive is the day of the last positive result, Recovered of the last
	// recovery.
	Positive, Recovered Day
	// Quarantine is the last day of it that is in force.
	Quarantine Day
	// Window bounds when the person is expected at all.
	Window Window
	// Tests, newest first; only the first TestN are set.
	Tests [MaxTests]Test
	TestN uint8
	// Lists the person is on, in the order of the sets; only the first ListN
	// are set.
	Lists [MaxMemberships]Membership
	ListN uint8
	// Others are facts of other providers; only the first OtherN are set.
	Others [MaxOthers]Other
	OtherN uint8
	// Beyond is true when the record says something that this version must
	// not pass over and cannot read, or more than it keeps: nothing may be
	// decided from the rest.
	Beyond bool
}

// How much of each the facts of one person hold at most.
const (
	MaxTests       = 6
	MaxMemberships = 8
	MaxOthers      = 4
)

// TestKind is how a laboratory test was made.
type TestKind uint8

// The kinds of tests. Numbers are part of the file format.
const (
	TestOther TestKind = iota
	TestPCR
	TestAntigen
)

var testNames = [...]string{"other", "pcr", "antigen"}

func (k TestKind) String() string { return nameOf(testNames[:], uint8(k), "TestKind") }

// ParseTestKind is the inverse of [TestKind.String].
func ParseTestKind(s string) (TestKind, error) {
	i, err := indexOf(testNames[:], s, "test kind")
	return TestKind(i), err
}

// Test is one laboratory test.
type Test struct {
	Kind     TestKind
	Positive bool
	// Sampled is when the sample was taken, to the minute.
	Sampled Minute
}

// Minute is an instant as minutes since 1970-01-01 00:00 UTC.
type Minute uint32

// MinuteOf gives the minute in which t lies; before 1970 it gives 0.
func MinuteOf(t time.Time) Minute {
	return Minute(min(max(t.Unix(), 0)/60, 1<<32-1))
}

// Time gives the beginning of the minute.
func (m Minute) Time() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Window is a span of days and, within them, hours of certain weekdays. The
// zero value excludes nothing.
type Window struct {
	// From and To are the first and the last day; 0: unbounded.
	From, To Day
	// Weekdays has bit 0 for Monday to bit 6 for Sunday; 0: every day.
	Weekdays uint8
	// Start and End are minutes of the day, End excluded and at most 1440;
	// both 0: the whole day. End before Start goes over midnight.
	Start, End uint16
}

// IsZero says whether the window excludes nothing.
func (w Window) IsZero() bool { return w == Window{} }

// Contains says whether the window takes in a minute (0 to 1439) of a day. A
// window that goes over midnight belongs to the day on which it begins.
func (w Window) Contains(day Day, minute int) bool {
	if w.Start != w.End {
		if over := w.End < w.Start; over && minute < int(w.End) {
			day-- // the morning after
		} else if minute < int(w.Start) || !over && minute >= int(w.End) {
			return false
		}
	}
	weekday := (int64(day)%7 + 10) % 7 // 1970-01-01 was a Thursday; 0 is Monday
	return (w.From == 0 || day >= w.From) && (w.To == 0 || day <= w.To) &&
		(w.Weekdays == 0 || w.Weekdays>>weekday&1 != 0)
}

// Membership says that a person is on a list, and within which window.
type Membership struct {
	List   string // name of the list, such as "staff"
	Window Window
}

// Provider tells who states a fact that is not about health.
type Provider uint8

// The providers that are named so far. Numbers are part of the file format.
const (
	ProviderSocialSecurity Provider = 1 + iota
	ProviderHealthInsurance
	ProviderSchool
)

// Other is a fact of another provider. Which policies ask for it is theirs.
type Other struct {
	Provider Provider
	Code     uint8 // the provider's own
	Day      Day   // what it means belongs to the code
}

// AddTest keeps a test; beyond [MaxTests] the record counts as [Extras.Beyond].
func (e *Extras) AddTest(t Test) {
	if int(e.TestN) == len(e.Tests) {
		e.Beyond = true
		return
	}
	e.Tests[e.TestN] = t
	e.TestN++
}

// AddList keeps a membership; beyond [MaxMemberships] the record counts as
// [Extras.Beyond].
func (e *Extras) AddList(m Membership) {
	if int(e.ListN) == len(e.Lists) {
		e.Beyond = true
		return
	}
	e.Lists[e.ListN] = m
	e.ListN++
}

// AddOther keeps another provider's fact; beyond [MaxOthers] the record counts
// as [Extras.Beyond].
func (e *Extras) AddOther(o Other) {
	if int(e.OtherN) == len(e.Others) {
		e.Beyond = true
		return
	}
	e.Others[e.OtherN] = o
	e.OtherN++
}

// AddFact keeps the one fact of a [Word]: what one set says in its word and
// another in its extras meet here. A day that is there already stays, but for
// a blocking one, of which the later counts.
func (e *Extras) AddFact(kind FactKind, day Day) {
	first := func(d *Day) {
		if *d == 0 {
			*d = day
		}
	}
	switch kind {
	case FactNothing:
	case FactCompleted:
		first(&e.Completed)
	case FactRecovered:
		first(&e.Recovered)
	case FactBegun:
		first(&e.FirstDose)
	case FactPositive:
		e.Positive = max(e.Positive, day)
	case FactQuarantine:
		e.Quarantine = max(e.Quarantine, day)
	default:
		e.Beyond = true
	}
}
