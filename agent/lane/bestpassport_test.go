package lane_test

import "gateagent/agent/gate"

// The rules of the tests take any passport that is good and the holder's.

func goodPassport() gate.Passport { return gate.Passport{Proof: gate.ProofGood, Matched: true} }

func (*rules) BestPassport(gate.Inputs) gate.Passport { return goodPassport() }
func (*book) BestPassport(gate.Inputs) gate.Passport  { return goodPassport() }
func (onceIn) BestPassport(gate.Inputs) gate.Passport { return goodPassport() }
