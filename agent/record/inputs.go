package record

import (
	"errors"
	"fmt"

	"gateagent/agent/gate"
)

// maxInputs bounds the inputs of one entry, in bytes.
const maxInputs = 2 << 10

// inputs is the CBOR of [gate.Inputs]: integer keys, a value of zero is
// absent.
type inputs struct {
	Now         int64          `cbor:"1,keyasint,omitzero"` // UTC milliseconds
	Direction   directionCode  `cbor:"2,keyasint,omitzero"`
	Credential  credentialCode `cbor:"3,keyasint,omitzero"`
	Flags       uint16         `cbor:"4,keyasint,omitzero"`
	CardExpires int32          `cbor:"5,keyasint,omitzero"` // day
	Found       bool           `cbor:"6,keyasint,omitzero"`
	Word        uint16         `cbor:"7,keyasint,omitzero"`
	Base        int32          `cbor:"8,keyasint,omitzero"` // day
	DataAge     int64          `cbor:"9,keyasint,omitzero"` // seconds
	Clock       clockCode      `cbor:"10,keyasint,omitzero"`
	Extras      *extras        `cbor:"11,keyasint,omitempty"` // nil: none were read
	Passport    *passport      `cbor:"12,keyasint,omitempty"` // nil: none was shown
	Pass        *pass          `cbor:"13,keyasint,omitempty"` // nil: none was shown
	LastIn      int64          `cbor:"14,keyasint,omitzero"`  // UTC milliseconds
	LastOut     int64          `cbor:"15,keyasint,omitzero"`
	Mismatch    bool           `cbor:"16,keyasint,omitzero"`
	Unknown     bool           `cbor:"17,keyasint,omitzero"` // of the passages
}

// EncodeInputs gives the deterministic CBOR of what a policy was given. It
// fails only for a value outside its enumeration.
func EncodeInputs(in gate.Inputs) ([]byte, error) {
	direction, err1 := directionNames.number(in.Direction.String())
	credential, err2 := credentialNames.number(in.Credential.String())
	clock, err3 := clockNames.number(in.Clock.String())
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	return encMode.Marshal(inputs{
		Now:         in.Now,
		Direction:   directionCode(direction),
		Credential:  credentialCode(credential),
		Flags:       uint16(in.Flags),
		CardExpires: int32(in.CardExpires),
		Found:       in.Facts.Found,
		Word:        uint16(in.Facts.Word),
		Base:        int32(in.Facts.Base),
		DataAge:     in.DataAge,
		Clock:       clockCode(clock),
		Extras:      newExtras(in.Facts),
		Passport:    newPassport(in.Passport),
		Pass:        newPass(in.Pass),
		LastIn:      in.Passages.In,
		LastOut:     in.Passages.Out,
		Mismatch:    in.Facts.CardMismatch,
		Unknown:     in.Passages.Unknown,
	})
}

// DecodeInputs is the inverse of [EncodeInputs]. It refuses keys that it does
// not know: without them a decision could not be judged again.
func DecodeInputs(b []byte) (gate.Inputs, error) {
	if len(b) > maxInputs {
		return gate.Inputs{}, fmt.Errorf("inputs of %d bytes, at most %d are read", len(b), maxInputs)
	}
	var in inputs
	if err := decMode.Unmarshal(b, &in); err != nil {
		return gate.Inputs{}, fmt.Errorf("inputs: %w", err)
	}
	if err := sameBytes(in, b); err != nil {
		return gate.Inputs{}, fmt.Errorf("inputs: %w", err)
	}
	direction, err1 := word(directionNames, uint8(in.Direction), gate.ParseDirection)
	credential, err2 := word(credentialNames, uint8(in.Credential), gate.ParseCredentialKind)
	clock, err3 := word(clockNames, uint8(in.Clock), gate.ParseClockLevel)
	facts := gate.Facts{Found: in.Found, Word: gate.Word(in.Word), Base: gate.Day(in.Base), CardMismatch: in.Mismatch}
	err4 := in.Extras.fill(&facts)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return gate.Inputs{}, fmt.Errorf("inputs: %w", err)
	}
	return gate.Inputs{
		Now:         in.Now,
		Direction:   direction,
		Credential:  credential,
		Flags:       gate.ClaimFlags(in.Flags),
		CardExpires: gate.Day(in.CardExpires),
		Facts:       facts,
		Passport:    in.Passport.domain(),
		Pass:        in.Pass.domain(),
		Passages:    gate.Passages{In: in.LastIn, Out: in.LastOut, Unknown: in.Unknown},
		DataAge:     in.DataAge,
		Clock:       clock,
	}, nil
}

// word turns a code of the format into the domain's value.
func word[T any](t table, code uint8, parse func(string) (T, error)) (T, error) {
	name, err := t.text(code)
	if err != nil {
		var zero T
		return zero, err
	}
	return parse(string(name))
}
