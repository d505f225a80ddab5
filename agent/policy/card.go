package policy

import "gateagent/agent/gate"

// Acceptance is what a policy makes of one kind of credential.
type Acceptance uint8

// The choices; the zero value accepts nothing.
const (
	AcceptNot      Acceptance = iota // RETRY: show something else
	AcceptManual                     // judged, but the guard lets in
	AcceptNotice                     // judged, but passes with notice at most
	AcceptJudged                     // judged
	AcceptWithCard                   // of a passport: judged together with the card
)

var acceptanceNames = [...]string{"retry", "manual", "notice", "judge", "with_card"}

func (a Acceptance) String() string {
	if int(a) < len(acceptanceNames) {
		return acceptanceNames[a]
	}
	return "invalid"
}

// credential numbers the credentials that a policy has a say about.
type credential uint8

const (
	credCCCD credential = iota
	credCC
	credQRQG
	credMasked // a national QR with stars
	credBHYT
	credDCC
	credPass
	numCredentials
)

// credentialRules says by which word a document names a credential, and what
// may be chosen for it. Masked codes and insurance cards name nobody here, so
// that they cannot be judged.
var credentialRules = [numCredentials]struct {
	name    string
	choices []Acceptance
}{
	credCCCD:   {"cccd", []Acceptance{AcceptNot, AcceptJudged}},
	credCC:     {"cc", []Acceptance{AcceptNot, AcceptJudged}},
	credQRQG:   {"qrqg", []Acceptance{AcceptNot, AcceptManual, AcceptNotice, AcceptJudged}},
	credMasked: {"qrqg_masked", []Acceptance{AcceptNot, AcceptManual}},
	credBHYT:   {"bhyt", []Acceptance{AcceptNot, AcceptManual}},
	credDCC:    {"dcc", []Acceptance{AcceptNot, AcceptWithCard}},
	credPass:   {"pass", []Acceptance{AcceptNot, AcceptJudged}},
}

type acceptance [numCredentials]Acceptance

// credentialOf says which rule a scan falls under; false where none does.
func credentialOf(kind gate.CredentialKind, flags gate.ClaimFlags) (credential, bool) {
	switch kind {
	case gate.KindCCCD:
		return credCCCD, true
	case gate.KindCC:
		return credCC, true
	case gate.KindQRQG:
		if flags.NamesNobody() {
			return credMasked, true
		}
		return credQRQG, true
	case gate.KindBHYT:
		return credBHYT, true
	case gate.KindDCC:
		return credDCC, true
	case gate.KindPass:
		return credPass, true
	}
	return 0, false
}

// nobody says whether a credential names nobody whom this box could look up.
func (c credential) nobody() bool { return c == credMasked || c == credBHYT }

// Hints say what doubts about an unsigned card do when their weights come to
// [Params.Doubts]. They refuse nobody.
type Hints struct {
	Effect HintEffect
	Weight [numHints]int
}

// HintEffect is what doubts about a card do.
type HintEffect uint8

// The effects.
const (
	HintNote   HintEffect = iota // a reason, nothing more
	HintNotice                   // who would pass, passes with notice
	HintManual                   // everybody who is not refused sees the guard
)

var hintEffectNames = [...]string{"note", "notice", "manual"}

func (e HintEffect) String() string {
	if int(e) < len(hintEffectNames) {
		return hintEffectNames[e]
	}
	return "invalid"
}

// The hints, in the order of a document.
const (
	hintSex = iota
	hintBirthYear
	hintPlaceCode
	hintCardData
	hintSixFields
	hintExtraFields
	hintProxy
	numHints
)

// hintRules give each hint its word, which is its reason, and its flag; none
// for what the data sets say.
var hintRules = [numHints]struct {
	reason gate.Reason
	flag   gate.ClaimFlags
}{
	hintSex:         {gate.ReasonSexMismatch, gate.FlagSexMismatch},
	hintBirthYear:   {gate.ReasonBirthYearMismatch, gate.FlagBirthYearMismatch},
	hintPlaceCode:   {gate.ReasonUnknownPlaceCode, gate.FlagUnknownPlaceCode},
	hintCardData:    {gate.ReasonCardDataMismatch, 0},
	hintSixFields:   {gate.ReasonSixFields, gate.FlagSixFields},
	hintExtraFields: {gate.ReasonExtraFields, gate.FlagExtraFields},
	hintProxy:       {gate.ReasonProxy, gate.FlagProxy},
}

// doubts weighs what speaks against a card.
func (h *Hints) doubts(in *gate.Inputs) (sum int) {
	for i := range hintRules {
		if flag := hintRules[i].flag; flag != 0 && in.Flags.Has(flag) || flag == 0 && in.Facts.CardMismatch {
			sum += h.Weight[i]
		}
	}
	return sum
}
