package credential

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"gateagent/agent/gate"
)

// CardText gives what the check bits of a data set are made over: name, birth
// date and issue date of a card in one form, which central and gate both use.
// It is empty when one of them is missing or the birth year alone is known, for
// then nothing can be compared.
//
// A name is folded to what clerks and printers do not differ in: letters only,
// upper case, without diacritics, đ as D, words joined by one space. What is
// left still tells one person from another; "HÒA" and "HOÀ" are the same.
func CardText(name string, born, issued gate.Date) string {
	folded := FoldName(name)
	if folded == "" || !born.Valid() || !issued.Valid() {
		return ""
	}
	return fmt.Sprintf("%s|%s|%s", folded, born, issued)
}

// FoldName gives a name as [CardText] folds it: upper-case letters without
// diacritics, đ as D, words joined by one space; everything else is dropped.
func FoldName(name string) string {
	var b strings.Builder
	space := false
	for _, r := range norm.NFD.String(name) {
		switch {
		case unicode.IsLetter(r):
			if space && b.Len() > 0 {
				b.WriteByte(' ')
			}
			space = false
			r = unicode.ToUpper(r)
			if r == 'Đ' {
				r = 'D'
			}
			b.WriteRune(r)
		case unicode.IsSpace(r):
			space = true
		}
	}
	return b.String()
}
