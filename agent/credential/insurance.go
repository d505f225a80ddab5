package credential

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"gateagent/agent/gate"

	"golang.org/x/text/unicode/norm"
)

// Lengths of the number of a health-insurance card: ten digits, or on old
// cards two letters and thirteen digits.
const (
	newInsuranceLen = 10
	oldInsuranceLen = 15
)

// noValue stands where a health-insurance card says nothing.
const noValue = "-"

// insurance is the health-insurance card (PAYLOADS §4):
//
//	number|name in hex|dd/mm/yyyy|1 male, 2 female|address in hex or -|…|$
//
// of whose seventeen fields the first four are looked at. The fields are parts
// of the text but the name, which is decoded.
type insurance struct {
	number, name string
	born         gate.Date // a year alone on some cards; zero when it cannot be read
	sex          sex
}

// minInsuranceFields: number, name, birth date and sex, whatever they say. A
// number and two letters are no card.
const minInsuranceFields = 4

// splitInsurance takes a text apart, or says that it is something else. What
// follows the name may be unreadable, and behind the sex missing: the order of
// the rest is known from few cards.
func splitInsurance(f *fields) (insurance, bool) {
	number, name := strings.TrimSpace(f.at[0]), strings.TrimSpace(f.at[1])
	if f.n < minInsuranceFields || !isInsuranceNumber(number) || !isHex(name) && name != noValue {
		return insurance{}, false
	}
	i := insurance{number: number, name: hexName(name)}
	var ok bool
	i.born, ok = insuranceDate(strings.TrimSpace(f.at[2]))
	if name == noValue && !ok {
		return insurance{}, false // too little to tell it from anything else
	}
	i.sex = sexOf(strings.TrimSpace(f.at[3]))
	return i, true
}

// readInsurance reads a health-insurance card. Its number is that of the social
// insurance and names nobody here; name and birth are for the guard.
func readInsurance(f *fields) (gate.Claim, bool) {
	i, ok := splitInsurance(f)
	if !ok {
		return gate.Claim{}, false
	}
	return gate.Claim{Kind: gate.KindBHYT, Born: i.born, Name: cardName(i.name)}, true
}

func isInsuranceNumber(s string) bool {
	switch len(s) {
	case newInsuranceLen:
		return isDigits(s)
	case oldInsuranceLen:
		return isUpper(s[0]) && isUpper(s[1]) && isDigits(s[2:])
	}
	return false
}

// hexName decodes a name, which may be padded with NUL, or gives nothing when
// there is none, it is too long or not UTF-8.
func hexName(s string) string {
	if len(s) > 2*maxName {
		return ""
	}
	raw, err := hex.DecodeString(s)
	if err != nil || !utf8.Valid(raw) {
		return ""
	}
	return norm.NFC.String(strings.TrimRight(string(raw), "\x00"))
}

// insuranceDate reads dd/mm/yyyy, or a year alone; day and month may be 00.
func insuranceDate(s string) (gate.Date, bool) {
	switch {
	case len(s) == 4 && isDigits(s):
		d := gate.Date{Year: number(s)}
		return d, d.Year > 0
	case len(s) == 10 && s[2] == '/' && s[5] == '/':
		if d, ok := cardDate(s[:2] + s[3:5] + s[6:]); ok {
			return d, true
		}
	}
	return gate.Date{}, false
}
