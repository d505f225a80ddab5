package passport

import (
	"errors"
	"strings"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
)

// Holder is whose a passport is, for one comparison with an ID card. Its
// String is masked.
type Holder struct {
	// Name is family name, then given names, folded as the names of cards are
	// (credential.FoldName): the order of Vietnamese names.
	Name string
	// Born may be a year, or a year and a month; zero when the passport does
	// not say.
	Born gate.Date
	// parts are family and given name, each without blanks: as printed, and as
	// the machine-readable form (ICAO Doc 9303) has them.
	printed, icao parts
}

type parts struct{ family, given string }

// String never shows who it is.
func (h Holder) String() string { return "holder(hidden)" }

// GoString hides it too, for %#v.
func (h Holder) GoString() string { return h.String() }

// MarshalText hides it too, so that no encoder writes it out.
func (h Holder) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// maxName bounds a name, in bytes; a longer one is as good as none. The schema
// has 80 characters.
const maxName = 400

// oldest bounds the years of birth that are taken, as the EU's schema does.
const oldest = 1900

// newHolder takes the names as printed and in machine-readable form, of which
// one will do, and the birth date. A given name may be missing; one without a
// letter, or a birth before oldest, is an error: then somebody else is meant
// or nobody.
func newHolder(family, given, familyICAO, givenICAO, born string) (Holder, error) {
	p := [2]string{fold(family), fold(given)}
	m := [2]string{fold(familyICAO), fold(givenICAO)}
	if p[0]+m[0] == "" && family+familyICAO != "" || p[1]+m[1] == "" && given+givenICAO != "" {
		return Holder{}, errors.New("a name without letters")
	}
	h := Holder{
		Born:    birthDate(born),
		printed: parts{join(p[0]), join(p[1])},
		icao:    parts{join(m[0]), join(m[1])},
	}
	if p[0]+p[1] == "" {
		p = m
	}
	h.Name = strings.TrimSpace(p[0] + " " + p[1])
	if h.Name == "" {
		return Holder{}, errors.New("no name")
	}
	if !h.Born.IsZero() && h.Born.Year < oldest {
		return Holder{}, errors.New("nobody alive was born then")
	}
	return h, nil
}

// fold is credential.FoldName for names that have their words apart by "<" or
// a hyphen as well.
func fold(name string) string {
	if len(name) > maxName {
		return ""
	}
	return credential.FoldName(strings.NewReplacer("<", " ", "-", " ").Replace(name))
}

func join(folded string) string { return strings.ReplaceAll(folded, " ", "") }

// Matches says whether the passport is of the person that an ID card names.
//
// The birth dates have to be the same, to the day, or equally unknown: a year
// alone is the same for thousands of people of one name. Names are compared
// without case, diacritics, hyphens and the blanks between words, which
// issuers set differently, as printed or as the machine-readable form has
// them, the family name first or last. No other order is taken and no word may
// be missing: Vietnam has few names, "Nguyễn Văn Anh", "Nguyễn Anh Văn" and
// "Nguyễn Anh" are three people, and on any day of birth each may have been
// born. Who does not match is not turned away but looked at by a guard.
func (h Holder) Matches(cardName string, born gate.Date) bool {
	if h.Born.IsZero() || h.Born != born {
		return false
	}
	card := join(fold(cardName))
	if card == "" {
		return false
	}
	return card == join(h.Name) || h.printed.match(card) || h.icao.match(card)
}

func (p parts) match(card string) bool {
	return card == p.family+p.given || card == p.given+p.family
}
