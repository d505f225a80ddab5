// Package credential turns the text of a code into what it claims.
//
// It owns the payload formats and their limits (PAYLOADS §0 to §4) and nothing
// else: no device, no clock, no key, no log. The text is hostile: anybody can
// print a code. [Parse] therefore never fails and never panics, allocates a
// bounded amount whatever it is given, and hands on only what a gate needs:
// address, old number and the untyped fields of the 2024 card, the QID and the
// extension of the national QR, the number of an insurance card are read over
// and dropped here. Passports and passes are only recognised: what they say has
// to be verified (agent/passport, agent/pass).
//
// Cards are unsigned. A [gate.Claim] says what is printed, never that it
// is true.
package credential

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"gateagent/agent/gate"

	"golang.org/x/text/unicode/norm"
)

// Parse reads a payload. What is not understood, too long, not UTF-8 or holds
// control characters comes back as [gate.KindUnsupported], in the last case with
// a flag, as it is often an engine that is set up badly; kinds that are
// recognised but not read carry their Kind and nothing else. The claim shares
// no memory with payload, which the caller may overwrite.
func Parse(payload []byte) gate.Claim {
	text, flags := clean(payload)
	if text == "" {
		return gate.Claim{Warnings: flags}
	}
	var f fields
	f.split(text)
	for _, form := range forms {
		if claim, ok := form.read(text, &f); ok {
			return claim
		}
	}
	return gate.Claim{}
}

// form is one kind of payload: read says whether text has its shape, and what
// it claims.
type form struct {
	name string // for tests and messages
	read func(text string, f *fields) (gate.Claim, bool)
}

// forms is the detection table of PAYLOADS §0; the first that fits wins. The
// order matters: an unmasked national QR also has six fields and begins with
// twelve digits, and only the shape of its date tells it from a card.
var forms = [...]form{
	{"vaccine passport", func(t string, _ *fields) (gate.Claim, bool) { return kindOnly(gate.KindDCC, isPassport(t)) }},
	{"own pass", func(t string, _ *fields) (gate.Claim, bool) { return kindOnly(gate.KindPass, isPass(t)) }},
	{"ID card", func(_ string, f *fields) (gate.Claim, bool) { return readCard(f) }},
	{"national QR", func(_ string, f *fields) (gate.Claim, bool) { return readNational(f) }},
	{"health insurance", func(_ string, f *fields) (gate.Claim, bool) { return readInsurance(f) }},
	{"link", func(t string, _ *fields) (gate.Claim, bool) { return kindOnly(gate.KindURL, isLink(t)) }},
	{"VNeID", func(t string, _ *fields) (gate.Claim, bool) { return kindOnly(gate.KindVNeIDDynamic, isOpaque(t)) }},
}

func kindOnly(kind gate.CredentialKind, fits bool) (gate.Claim, bool) {
	return gate.Claim{Kind: kind}, fits
}

// clean applies the limits that hold for every kind and gives the text in NFC,
// empty when it is refused.
func clean(payload []byte) (string, gate.ClaimFlags) {
	if len(payload) > gate.MaxPayload {
		return "", 0
	}
	// Engines, phones and printed codes begin or end the text with these, CR and
	// LF together, NUL by the dozen.
	payload = bytes.TrimRight(bytes.TrimPrefix(payload, []byte("\ufeff")), "\r\n\x00\t ")
	switch {
	case len(payload) == 0, !utf8.Valid(payload):
		return "", 0
	case bytes.ContainsFunc(payload, unicode.IsControl):
		return "", gate.FlagControlChars
	case norm.NFC.IsNormal(payload):
		return string(payload), 0
	}
	return string(norm.NFC.Bytes(payload)), 0
}

// maxFields bounds how far a payload is taken apart; the longest known form,
// the insurance card, has 17.
const maxFields = 24

// fields are the parts between the bars, empty ones included: dropping an
// empty old number would shift all that follows. n is maxFields+1 when there
// are more parts than any form has.
type fields struct {
	at [maxFields]string
	n  int
}

func (f *fields) split(text string) {
	start := 0
	for i := 0; i <= len(text); i++ {
		if i < len(text) && text[i] != '|' {
			continue
		}
		if f.n == maxFields {
			f.n++
			return
		}
		f.at[f.n] = text[start:i]
		f.n++
		start = i + 1
	}
}
