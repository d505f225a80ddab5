package credential

import (
	"strings"

	"gateagent/agent/gate"
)

// nationalFields is the field count of the national personal QR.
const nationalFields = 6

// national is the national personal QR (PAYLOADS §3, Decision 1405/QĐ-BTTTT):
//
//	number|NAME|YYYY-MM-DD|0 or 1|QID|EXT
//
// in which stars usually cover the first six characters of the number and day
// and month of birth. The fields are parts of the text.
type national struct {
	number, name string
	born         gate.Date // parts under stars are 0
	masked       bool
	proxy        bool   // somebody else declared for the bearer
	qid          string // issued by the national platform; not kept
	ext          extension
}

// splitNational takes a text apart, or says that it is something else.
func splitNational(f *fields) (national, bool) {
	if f.n != nationalFields {
		return national{}, false
	}
	n := national{
		number: strings.TrimSpace(f.at[0]), name: strings.TrimSpace(f.at[1]),
		qid: strings.TrimSpace(f.at[4]), ext: splitExtension(f.at[5]),
	}
	born, starred, ok := nationalDate(strings.TrimSpace(f.at[2]))
	if !ok || !isDocumentNumber(n.number) {
		return national{}, false
	}
	// A short health-insurance card has six fields, too: its date is none of the
	// decision's form.
	if !strings.Contains(f.at[2], "-") && isInsuranceNumber(n.number) && (isHex(n.name) || n.name == noValue) {
		return national{}, false
	}
	n.born = born
	n.masked = starred || strings.Contains(n.number, "*")
	switch strings.TrimSpace(f.at[3]) {
	case "0":
	case "1":
		n.proxy = true
	default:
		return national{}, false
	}
	return n, true
}

// readNational reads the national QR. Masked it names nobody: a suffix fits
// many. Neither does the number of a passport or of an old card with nine
// digits: people are on record under the personal number, and who has one has a
// card that shows it. What the code shows of name and birth is for the guard.
func readNational(f *fields) (gate.Claim, bool) {
	n, ok := splitNational(f)
	if !ok {
		return gate.Claim{}, false
	}
	c := gate.Claim{Kind: gate.KindQRQG, Born: n.born, Name: cardName(n.name)}
	if n.masked {
		c.Warnings |= gate.FlagMasked
	}
	if n.proxy {
		c.Warnings |= gate.FlagProxy
	}
	switch number := gate.Number(n.number); {
	case strings.Contains(n.number, "*"):
	case !number.Valid():
		c.Warnings |= gate.FlagOtherNumber
	case !n.masked:
		c.Number = gate.Number(strings.Clone(n.number))
		c.Warnings |= checkNumber(number, n.born.Year, n.ext.sex)
	}
	return c, true
}

// maxDocument bounds the number of an identity document, in characters.
const maxDocument = 20

// isDocumentNumber: the number of a card, old card or passport, maybe with
// stars.
func isDocumentNumber(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && !isLetter(s[i]) && s[i] != '*' {
			return false
		}
	}
	return s != "" && len(s) <= maxDocument
}

// nationalDate reads year, month and day between hyphens or, as some apps had
// them, slashes, without leading zeros if need be ("1989/3/3"). How stars are
// set is not certain, so the order of Vietnam ("**/**/1990") and a year alone
// are taken, too. A part under stars, or 00, is 0; a year under stars leaves the
// date empty.
func nationalDate(s string) (d gate.Date, starred, ok bool) {
	sep := "-"
	if strings.Contains(s, "/") {
		sep = "/"
	}
	year, rest, _ := strings.Cut(s, sep)
	month, day, _ := strings.Cut(rest, sep)
	switch {
	case year == s && isDigits(year):
		month, day = "0", "0"
	case len(year) < 4 && len(day) == 4:
		year, day = day, year
	}
	starred = strings.Contains(s, "*")
	y, okYear := datePart(year, 4, 4)
	m, okMonth := datePart(month, 1, 2)
	dd, okDay := datePart(day, 1, 2)
	switch {
	case !okYear || !okMonth || !okDay || y == 0 && !strings.Contains(year, "*"):
		return gate.Date{}, false, false
	case y == 0:
		return gate.Date{}, starred, true
	case m == 0:
		return gate.Date{Year: y}, starred, dd <= 31
	}
	d = gate.Date{Year: y, Month: m, DayOfMonth: dd}
	if dd == 0 {
		return d, starred, m <= 12
	}
	return d, starred, d.Valid()
}

// datePart reads a number of least to most digits; with a star among them it
// is 0.
func datePart(s string, least, most int) (n int, ok bool) {
	if len(s) < least || len(s) > most {
		return 0, false
	}
	for i := range len(s) {
		if !isDigit(s[i]) && s[i] != '*' {
			return 0, false
		}
	}
	if strings.Contains(s, "*") {
		return 0, true
	}
	return number(s), true
}

// extension is what a national QR says besides: tokens between "<" of which
// any may be missing and whose order with all of them present is not known, so
// each is told by its shape. Only the sex is used, for one comparison.
type extension struct {
	sex sex
	// found counts the tokens of each shape.
	found [numTokens]int
}

// token is the shape of a part of the extension.
type token uint8

const (
	tokenOther     token = iota // a signature, whose form is not published, or anything else
	tokenQID                    // of the person who declared
	tokenSex                    // 0 unknown, 1 male, 2 female
	tokenInsurance              // health-insurance number, maybe masked
	tokenPhone                  // maybe masked
	numTokens      = iota
)

// maxTokens bounds how many parts of an extension are looked at.
const maxTokens = 8

func splitExtension(s string) extension {
	var e extension
	for range maxTokens {
		part, rest, more := strings.Cut(s, "<")
		part = strings.TrimSpace(part)
		if part != "" {
			kind := tokenOf(part)
			e.found[kind]++
			if kind == tokenSex {
				e.sex = sexOf(part)
			}
		}
		if !more {
			break
		}
		s = rest
	}
	if e.found[tokenSex] > 1 {
		e.sex = unknownSex // one of them is something else
	}
	return e
}

// tokenShapes is the table of shapes; the first that fits wins.
var tokenShapes = [...]struct {
	kind token
	fits func(s string) bool
}{
	{tokenSex, func(s string) bool { return s == "0" || s == "1" || s == "2" }},
	{tokenPhone, func(s string) bool {
		s = strings.TrimPrefix(strings.TrimPrefix(s, "+"), "84")
		s = strings.TrimPrefix(s, "0")
		return len(s) == 9 && strings.IndexByte("35789", s[0]) >= 0 && isStarred(s)
	}},
	{tokenInsurance, func(s string) bool {
		if len(s) == newInsuranceLen {
			return isStarred(s)
		}
		// Stars were seen to stand for more characters than there are of them.
		return len(s) > 2 && isUpper(s[0]) && isUpper(s[1]) && isStarred(s[2:]) &&
			(len(s) == oldInsuranceLen || len(s) < oldInsuranceLen && strings.Contains(s, "*"))
	}},
	// Alphabet and length of a QID are not published: a word of letters and
	// digits that is too short for a signature.
	{tokenQID, func(s string) bool { return len(s) >= 8 && len(s) <= 32 && isWord(s) }},
}

func tokenOf(s string) token {
	for _, shape := range tokenShapes {
		if shape.fits(s) {
			return shape.kind
		}
	}
	return tokenOther
}

// isStarred: digits, of which some may be under stars.
func isStarred(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && s[i] != '*' {
			return false
		}
	}
	return s != ""
}

// isWord: letters and digits.
func isWord(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) && !isLetter(s[i]) {
			return false
		}
	}
	return s != ""
}
