package record

import "gateagent/agent/gate"

// passport is the CBOR of [gate.Passport] within the inputs.
type passport struct {
	Good    bool   `cbor:"1,keyasint,omitzero"`
	Why     string `cbor:"2,keyasint,omitzero"`
	Matched bool   `cbor:"3,keyasint,omitzero"`
	Event   uint8  `cbor:"4,keyasint,omitzero"`
	Dose    uint8  `cbor:"5,keyasint,omitzero"`
	Of      uint8  `cbor:"6,keyasint,omitzero"`
	Day     int32  `cbor:"7,keyasint,omitzero"` // days since 1970-01-01
	Test    *test  `cbor:"8,keyasint,omitempty"`
	From    int32  `cbor:"9,keyasint,omitzero"`
	To      int32  `cbor:"10,keyasint,omitzero"`
}

func newPassport(p gate.Passport) *passport {
	if p.Proof == gate.ProofNone {
		return nil
	}
	x := &passport{
		Good: p.Proof == gate.ProofGood, Why: string(p.Why), Matched: p.Matched, Event: uint8(p.Event),
		Dose: p.Dose, Of: p.Of, Day: int32(p.Day), From: int32(p.From), To: int32(p.To),
	}
	if p.Test != (gate.Test{}) {
		x.Test = &test{Kind: uint8(p.Test.Kind), Positive: p.Test.Positive, Sampled: uint32(p.Test.Sampled)}
	}
	return x
}

func (x *passport) domain() gate.Passport {
	if x == nil {
		return gate.Passport{}
	}
	p := gate.Passport{
		Proof: proofOf(x.Good), Why: gate.Reason(x.Why), Matched: x.Matched, Event: gate.PassportEvent(x.Event),
		Dose: x.Dose, Of: x.Of, Day: gate.Day(x.Day), From: gate.Day(x.From), To: gate.Day(x.To),
	}
	if x.Test != nil {
		p.Test = gate.Test{Kind: gate.TestKind(x.Test.Kind), Positive: x.Test.Positive, Sampled: gate.Minute(x.Test.Sampled)}
	}
	return p
}

func proofOf(good bool) gate.Proof {
	if good {
		return gate.ProofGood
	}
	return gate.ProofBad
}

// pass is the CBOR of [gate.Pass] within the inputs.
type pass struct {
	Good   bool    `cbor:"1,keyasint,omitzero"`
	Why    string  `cbor:"2,keyasint,omitzero"`
	Kind   uint8   `cbor:"3,keyasint,omitzero"`
	Single bool    `cbor:"4,keyasint,omitzero"`
	Window *window `cbor:"5,keyasint,omitempty"`
	From   uint32  `cbor:"6,keyasint,omitzero"` // minutes since 1970
	To     uint32  `cbor:"7,keyasint,omitzero"`
}

func newPass(p gate.Pass) *pass {
	if p.Proof == gate.ProofNone {
		return nil
	}
	return &pass{
		Good: p.Proof == gate.ProofGood, Why: string(p.Why), Kind: uint8(p.Kind), Single: p.Single,
		Window: newWindow(p.Window), From: uint32(p.From), To: uint32(p.To),
	}
}

func (x *pass) domain() gate.Pass {
	if x == nil {
		return gate.Pass{}
	}
	return gate.Pass{
		Proof: proofOf(x.Good), Why: gate.Reason(x.Why), Kind: gate.PassKind(x.Kind), Single: x.Single,
		Window: x.Window.domain(), From: gate.Minute(x.From), To: gate.Minute(x.To),
	}
}
