package credential

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/gate"
)

// Field counts of the card (PAYLOADS §1.1, §1.2). The card of 2024 has eleven,
// of which the last four are untyped; since nobody has seen them all, any
// count from eight to maxCardFields is read alike.
const (
	lossyCardFields = 6 // the old number left out
	chipCardFields  = 7
	maxCardFields   = 16
)

// maxName bounds a name in bytes; a longer one is not shown.
const maxName = 200

// idCard is the chip card of 2021 or the card of 2024:
//
//	number|old number|name|ddmmyyyy|Nam or Nữ|residence|ddmmyyyy issued[|…]
//
// The fields are parts of the text. Residence is not even looked at.
type idCard struct {
	kind         gate.CredentialKind
	number, name string
	old          string // number of the card before; not kept
	born, issued gate.Date
	sex          sex
	flags        gate.ClaimFlags
}

// splitCard takes a text apart, or says that it is something else.
func splitCard(f *fields) (idCard, bool) {
	old, name, born, of, issued := 1, 2, 3, 4, 6
	c := idCard{kind: gate.KindCCCD}
	switch {
	case f.n == lossyCardFields:
		name, born, of, issued = 1, 2, 3, 5
		c.flags |= gate.FlagSixFields
	case f.n == chipCardFields:
	case f.n > chipCardFields && f.n <= maxCardFields:
		c.kind = gate.KindCC
		for _, extra := range f.at[chipCardFields:f.n] {
			if strings.TrimSpace(extra) != "" {
				c.flags |= gate.FlagExtraFields
			}
		}
	default:
		return idCard{}, false
	}

	c.number = strings.TrimSpace(f.at[0])
	var ok bool
	if !gate.Number(c.number).Valid() {
		return idCard{}, false
	}
	if c.born, ok = cardDate(f.at[born]); !ok {
		return idCard{}, false
	}
	if c.sex = cardSex(f.at[of]); c.sex == unknownSex {
		return idCard{}, false
	}
	if c.issued, ok = cardDate(f.at[issued]); !ok && strings.TrimSpace(f.at[issued]) != "" {
		return idCard{}, false
	}
	c.name = strings.TrimSpace(f.at[name])
	if f.n != lossyCardFields {
		c.old = strings.TrimSpace(f.at[old])
	}
	return c, true
}

// readCard reads an ID card. A name that arrived damaged does not spoil it:
// number and birth date identify its bearer.
func readCard(f *fields) (gate.Claim, bool) {
	c, ok := splitCard(f)
	if !ok {
		return gate.Claim{}, false
	}
	shown := cardName(c.name)
	flags := c.flags | checkNumber(gate.Number(c.number), c.born.Year, c.sex)
	if first, _ := birthRange(c.born); c.issued.Valid() && c.issued.Day() < first.Day() {
		flags |= gate.FlagIssuedEarly
	}
	return gate.Claim{
		Kind: c.kind,
		// A copy, so that the claim does not keep the whole payload alive.
		Number:   gate.Number(strings.Clone(c.number)),
		Born:     c.born,
		Issued:   c.issued,
		Expires:  expiry(c.born, c.issued),
		Name:     shown,
		Card:     CardText(shown, c.born, c.issued),
		Warnings: flags,
	}, true
}

// cardDate reads ddmmyyyy; day and month may be 00 for "unknown".
func cardDate(s string) (gate.Date, bool) {
	s = strings.TrimSpace(s)
	if len(s) != 8 || !isDigits(s) {
		return gate.Date{}, false
	}
	d := gate.Date{Year: number(s[4:]), Month: number(s[2:4]), DayOfMonth: number(s[:2])}
	if d.Year == 0 {
		return gate.Date{}, false
	}
	if d.Month == 0 || d.DayOfMonth == 0 {
		return d, d.Month <= 12 && d.DayOfMonth <= 31
	}
	return d, d.Valid()
}

// number reads decimal digits, which the caller has checked.
func number(s string) int {
	n := 0
	for i := range len(s) {
		n = n*10 + int(s[i]-'0')
	}
	return n
}

func cardSex(s string) sex {
	switch s = strings.TrimSpace(s); {
	case strings.EqualFold(s, "Nam"):
		return male
	case strings.EqualFold(s, "Nữ"):
		return female
	}
	return unknownSex
}

// cardName gives the name as it may be shown, every kind of space in it a plain
// one, or nothing when it holds what no name holds (invisible or
// direction-changing characters) or is too long.
func cardName(s string) string {
	s = strings.TrimSpace(strings.Map(plainSpace, s))
	if len(s) > maxName {
		return ""
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			return ""
		}
	}
	return strings.Clone(s)
}

// plainSpace folds the spaces of word processors and phones: no-break, narrow,
// ideographic and the rest. A line separator is none.
func plainSpace(r rune) rune {
	if unicode.Is(unicode.Zs, r) {
		return ' '
	}
	return r
}

// renewalAges are the birthdays at which a card has to be renewed (Law on
// Identification 2023, art. 21). A card issued within graceYears before one is
// good until the next.
var renewalAges = [...]int{14, 25, 40, 60}

const graceYears = 2

// expiry gives the first day a card is no longer good; the zero date for a
// card that does not expire, or whose dates do not say. Where day or month of
// birth is unknown the bearer has the benefit of the doubt.
func expiry(born, issued gate.Date) gate.Date {
	if born.IsZero() || !issued.Valid() {
		return gate.Date{}
	}
	first, last := birthRange(born)
	// The earliest birth is the first for which no renewal is left.
	if expiryOf(first, issued).IsZero() {
		return gate.Date{}
	}
	// The later the birth, the later each renewal, but for the two-year rule:
	// one day too late, and the age before it is the next. So the latest expiry
	// comes with the last day or with the last that the rule still helps, which
	// a 29 February may put a day earlier.
	latest := expiryOf(last, issued)
	for _, age := range renewalAges {
		helped := birthday(issued, graceYears-age)
		for _, b := range [...]gate.Date{helped, dayBefore(helped)} {
			if b.Day() < first.Day() || b.Day() > last.Day() {
				continue
			}
			if e := expiryOf(b, issued); e.Day() > latest.Day() {
				latest = e
			}
		}
	}
	return latest
}

func expiryOf(born, issued gate.Date) gate.Date {
	for _, age := range renewalAges {
		if issued.Day() < birthday(born, age-graceYears).Day() {
			return birthday(born, age)
		}
	}
	return gate.Date{}
}

// birthRange gives the first and the last day that a birth date with unknown
// parts can mean.
func birthRange(d gate.Date) (first, last gate.Date) {
	switch {
	case d.Month == 0:
		return gate.Date{Year: d.Year, Month: 1, DayOfMonth: 1}, gate.Date{Year: d.Year, Month: 12, DayOfMonth: 31}
	case d.DayOfMonth == 0:
		end := time.Date(d.Year, time.Month(d.Month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
		return gate.Date{Year: d.Year, Month: d.Month, DayOfMonth: 1}, gate.Date{Year: d.Year, Month: d.Month, DayOfMonth: end}
	}
	return d, d
}

// birthday gives the day on which age is reached; who was born on 29 February
// reaches it on 1 March in other years.
func birthday(born gate.Date, age int) gate.Date {
	t := time.Date(born.Year+age, time.Month(born.Month), born.DayOfMonth, 0, 0, 0, 0, time.UTC)
	return gate.Date{Year: t.Year(), Month: int(t.Month()), DayOfMonth: t.Day()}
}

func dayBefore(d gate.Date) gate.Date {
	t := time.Date(d.Year, time.Month(d.Month), d.DayOfMonth-1, 0, 0, 0, 0, time.UTC)
	return gate.Date{Year: t.Year(), Month: int(t.Month()), DayOfMonth: t.Day()}
}
