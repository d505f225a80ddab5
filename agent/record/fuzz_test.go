package record

import (
	"bytes"
	"testing"

	"gateagent/agent/gate"
)

// FuzzRecord: what lies in a journal is read, or refused, whatever a disk made of
// it; and what is read is written the same again.
func FuzzRecord(f *testing.F) {
	for _, l := range goldenLinks(f) {
		b, err := l.Record.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		if b, err = l.Record.Erase().Marshal(); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if err := r.Unmarshal(b); err != nil {
			return
		}
		_, _ = r.Header()
		_, err1 := r.Entry()
		_, err2 := r.Passage()
		_, err3 := r.Override()
		_, err4 := r.Event()
		read := 0
		for _, err := range []error{err1, err2, err3, err4} {
			if err == nil {
				read++
			}
		}
		if read == 0 {
			return
		}
		if read > 1 {
			t.Fatal("one record of two types")
		}
		h, err := r.Header()
		if err != nil {
			t.Fatal(err)
		}
		l := Link{Seq: h.Seq, Record: r}
		throughJSON(t, l)
		again, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		var back Record
		if err := back.Unmarshal(again); err != nil || !bytes.Equal(back.Public, r.Public) || back.Digest != r.Digest {
			t.Fatalf("%x came back as another record: %v", b, err)
		}
	})
}

// FuzzInputs: inputs have one form.
func FuzzInputs(f *testing.F) {
	for _, in := range []gate.Inputs{
		{},
		{Now: 1, Credential: gate.KindQRQG, Flags: gate.FlagMasked, Clock: gate.ClockCentral},
		{Facts: manyFacts(), Pass: gate.Pass{Proof: gate.ProofGood}, Passport: gate.Passport{Proof: gate.ProofBad}},
		{Passages: gate.Passages{In: 5, Out: -5, Unknown: true}, DataAge: 1 << 40},
	} {
		b, err := EncodeInputs(in)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := DecodeInputs(b)
		if err != nil {
			return
		}
		if again, err := EncodeInputs(in); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is written as %x, %v", b, again, err)
		}
	})
}
