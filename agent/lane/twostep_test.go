package lane_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/credential"
	"gateagent/agent/gate"
	"gateagent/agent/lane"
	"gateagent/agent/pass"
	"gateagent/agent/passport"

	"github.com/google/go-cmp/cmp"
)

// proofs believes what the text says: "HC1:NAME|born" is a good passport,
// "HC1:bad" a forged one; "GP1:x" is a pass of the id x, "GP1:bad" is none.
type proofs struct {
	mu    sync.Mutex
	spent map[[16]byte]bool
	err   error
	spend []string
	stale bool // the pass is found unspent although it is spent
	seen  [][]byte
}

func (p *proofs) Passport(payload []byte, _ time.Time) passport.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, payload)
	name, born, ok := strings.Cut(strings.TrimPrefix(string(payload), "HC1:"), "|")
	var d gate.Date
	if _, err := fmt.Sscanf(born, "%d-%d-%d", &d.Year, &d.Month, &d.DayOfMonth); err != nil || !ok {
		return passport.Result{Passport: gate.Passport{Proof: gate.ProofBad, Why: gate.ReasonPassportForged}}
	}
	return passport.Result{
		Passport: gate.Passport{Proof: gate.ProofGood, Event: gate.PassportVaccination, Dose: 2, Of: 2, Day: 11000},
		Holder:   passport.Holder{Name: credential.FoldName(name), Born: d},
	}
}

func (p *proofs) Pass(payload []byte, _ time.Time) pass.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.TrimPrefix(string(payload), "GP1:")
	if text == "bad" {
		return pass.Result{Pass: gate.Pass{Proof: gate.ProofBad, Why: gate.ReasonPassMalformed}}
	}
	var id [16]byte
	copy(id[:], text)
	r := pass.Result{Pass: gate.Pass{Proof: gate.ProofGood, Kind: gate.PassVisitor, Single: strings.HasPrefix(text, "one")}, ID: id}
	if p.spent[id] && !p.stale {
		r.Proof, r.Why = gate.ProofBad, gate.ReasonPassSpent
	}
	return r
}

func (p *proofs) use(id [16]byte, _ gate.Pass) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spend = append(p.spend, string(bytes.TrimRight(id[:], "\x00")))
	if p.err != nil {
		return false, p.err
	}
	fresh := !p.spent[id]
	if p.spent == nil {
		p.spent = map[[16]byte]bool{}
	}
	p.spent[id] = true
	return fresh, nil
}

// book decides as a policy does that knows passports and passes and nobody.
type book struct {
	mu    sync.Mutex
	known bool // whoever shows a card is let in
	asked []gate.Inputs
}

func (*book) Ref() gate.PolicyRef { return gate.PolicyRef{ID: "book", Version: 1} }

func (b *book) Decide(in gate.Inputs) (d gate.Decision) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, in)
	outcome := func(v gate.Verdict, why ...gate.Reason) gate.Decision {
		d.Verdict = v
		for _, r := range why {
			d.Add(r)
		}
		return d
	}
	switch in.Credential {
	case gate.KindDCC:
		if in.Passport.Proof == gate.ProofBad {
			return outcome(gate.Retry, in.Passport.Why, gate.ReasonNeedsCard)
		}
		return outcome(gate.Retry, gate.ReasonNeedsCard)
	case gate.KindCCCD:
		switch {
		case b.known:
			return outcome(gate.Allow, gate.ReasonVaccinated)
		case in.Passport.Proof == gate.ProofGood && in.Passport.Matched:
			return outcome(gate.Allow, gate.ReasonPassport)
		case in.Passport.Proof == gate.ProofGood:
			return outcome(gate.ManualCheck, gate.ReasonNoRecord, gate.ReasonPassportMismatch)
		}
		return outcome(gate.ManualCheck, gate.ReasonNoRecord)
	case gate.KindPass:
		if in.Pass.Proof == gate.ProofGood || in.Pass.Why == gate.ReasonPassSpent && in.Direction == gate.DirectionOut {
			return outcome(gate.Allow, gate.ReasonPass)
		}
		return outcome(gate.Deny, in.Pass.Why)
	case gate.KindQRQG, gate.KindBHYT:
		return outcome(gate.ManualCheck, gate.ReasonAmbiguous)
	}
	return outcome(gate.Retry, gate.ReasonUnsupported)
}

const (
	annasPassport = "HC1:Nguyen Thi Mau|1990-7-15"
	binhsPassport = "HC1:Tran Van Thu|1995-9-2"
	annasQR       = "******000018|NGUYEN THI MAU|1990-**-**|0|QID0FICTIVE01|"
)

// brief is what matters of an entry here.
type brief struct {
	Kind    gate.CredentialKind
	Verdict gate.Verdict
	Reasons string
	Needs   string
	Ref     uint64
}

func briefs(entries []gate.Entry) (out []brief) {
	for _, e := range entries {
		var words []string
		for _, r := range e.Reasons {
			words = append(words, string(r))
		}
		out = append(out, brief{e.Credential, e.Verdict, strings.Join(words, " "), e.Needs, e.Ref})
	}
	return out
}

func inBook(t *testing.T, b *book, p *proofs, change func(*lane.Options), f func(w *world)) {
	t.Helper()
	inWorld(t, func(o *lane.Options) {
		o.Policy = func() lane.Rules { return b }
		o.Proofs, o.Spend = p, p.use
		o.EntryKey = func() (gate.Key, bool) { return gate.Key{7}, true }
		if change != nil {
			change(o)
		}
	}, f)
}

const (
	dcc  = gate.KindDCC
	cccd = gate.KindCCCD
)

// Entry 1 is followed by no passage, so that the next has number 2; an entry
// that opens is followed by one.
func TestTwoSteps(t *testing.T) {
	first := brief{dcc, gate.Retry, "needs_card", "card", 0}
	alone := brief{cccd, gate.ManualCheck, "no_record", "passport", 0}
	for name, tt := range map[string]struct {
		show []string // "20s" waits
		want []brief
	}{
		"passport, then card": {[]string{annasPassport, anna}, []brief{first, {cccd, gate.Allow, "passport", "", 1}}},
		"card, then passport": {[]string{anna, annasPassport}, []brief{alone, {cccd, gate.Allow, "passport", "", 1}}},
		"passport, then somebody else's card": {[]string{annasPassport, binh}, []brief{
			first, {cccd, gate.ManualCheck, "no_record passport_mismatch", "passport", 0},
		}},
		"somebody else came between": {[]string{annasPassport, binh, anna}, []brief{
			first, {cccd, gate.ManualCheck, "no_record passport_mismatch", "passport", 0}, alone,
		}},
		"card, then somebody else's passport, then the card": {[]string{anna, binhsPassport, "4s", anna}, []brief{
			alone, first, {cccd, gate.ManualCheck, "no_record passport_mismatch", "passport", 0},
		}},
		"card, somebody else's passport, his card": {[]string{anna, binhsPassport, binh}, []brief{
			alone, first, {cccd, gate.Allow, "passport", "", 2},
		}},
		"just in time": {[]string{annasPassport, "19900ms", anna}, []brief{first, {cccd, gate.Allow, "passport", "", 1}}},
		"too late":     {[]string{annasPassport, "20s", anna}, []brief{first, alone}},
		"passport too late": {[]string{anna, "20s", annasPassport}, []brief{
			alone, first,
		}},
		"a link between does not matter": {[]string{annasPassport, "https://example.vn", anna}, []brief{
			first, {gate.KindURL, gate.Retry, "unsupported", "", 0}, {cccd, gate.Allow, "passport", "", 1},
		}},
		"a forged passport after the card does not matter": {[]string{anna, "HC1:bad", annasPassport}, []brief{
			alone, {dcc, gate.Retry, "passport_forged needs_card", "", 0}, {cccd, gate.Allow, "passport", "", 1},
		}},
		"a forged passport is nothing to wait with": {[]string{"HC1:bad", anna}, []brief{
			{dcc, gate.Retry, "passport_forged needs_card", "", 0}, alone,
		}},
		"a pass between is somebody else": {[]string{annasPassport, "GP1:many", anna}, []brief{
			first, {gate.KindPass, gate.Allow, "pass", "", 0}, alone,
		}},
		"a personal QR between is somebody else": {[]string{annasPassport, annasQR, anna}, []brief{
			first, {gate.KindQRQG, gate.ManualCheck, "ambiguous", "", 0}, alone,
		}},
		"it helps once": {[]string{annasPassport, anna, "4s", anna}, []brief{
			first, {cccd, gate.Allow, "passport", "", 1}, alone,
		}},
		"the newer passport counts": {[]string{binhsPassport, annasPassport, anna}, []brief{
			first, first, {cccd, gate.Allow, "passport", "", 2},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBook(t, &book{}, &proofs{}, nil, func(w *world) {
				for _, what := range tt.show {
					if d, err := time.ParseDuration(what); err == nil {
						time.Sleep(d)
						continue
					}
					w.show(what)
					synctest.Wait()
				}
				entries, _ := w.journal.written()
				if diff := cmp.Diff(tt.want, briefs(entries)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				for _, e := range entries {
					if e.HasSubject != (e.Credential == cccd || e.Credential == gate.KindPass) {
						t.Errorf("%v with a subject: %v", e.Credential, e.HasSubject)
					}
					if e.Credential != e.Inputs.Credential || e.Inputs.Passport.Matched != (e.Ref != 0) {
						t.Errorf("inputs %+v", e.Inputs)
					}
					// Nothing of what another person's passport says is kept with a card.
					if pp := e.Inputs.Passport; e.Credential == cccd && !pp.Matched && pp != (gate.Passport{Proof: pp.Proof}) {
						t.Errorf("of somebody else: %+v", pp)
					}
				}
			})
		})
	}
}

// TestHeldIsWiped: what the first half holds is overwritten when its time is
// over, when it has been used, and at the end.
func TestHeldIsWiped(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"time is over": func(*world) { time.Sleep(20 * time.Second) },
		"used":         func(w *world) { w.show(anna) },
		"dropped":      func(w *world) { w.show(binh) },
	} {
		t.Run(name, func(t *testing.T) {
			inBook(t, &book{}, &proofs{}, nil, func(w *world) {
				payload := []byte(annasPassport)
				w.scanner.scans <- gate.Scan{Payload: payload, Seen: time.Now()}
				synctest.Wait()
				if string(payload) != annasPassport {
					t.Fatal("not held")
				}
				end(w)
				synctest.Wait()
				if bytes.ContainsFunc(payload, func(r rune) bool { return r != 0 }) {
					t.Error("it lies in memory still")
				}
			})
		})
	}
	t.Run("the end", func(t *testing.T) {
		payload := []byte(annasPassport)
		inBook(t, &book{}, &proofs{}, nil, func(w *world) {
			w.scanner.scans <- gate.Scan{Payload: payload, Seen: time.Now()}
			synctest.Wait()
		})
		if bytes.ContainsFunc(payload, func(r rune) bool { return r != 0 }) {
			t.Error("it lies in memory still")
		}
	})
	t.Run("nothing is held of who is let in", func(t *testing.T) {
		inBook(t, &book{known: true}, &proofs{}, nil, func(w *world) {
			payload := []byte(anna)
			w.scanner.scans <- gate.Scan{Payload: payload, Seen: time.Now()}
			synctest.Wait()
			if bytes.ContainsFunc(payload, func(r rune) bool { return r != 0 }) {
				t.Error("it lies in memory")
			}
		})
	})
}

// A phone lies before the camera all the time; its owner takes longer than the
// gate waits to find the card.
func TestSecondHalfAfterTheWaiting(t *testing.T) {
	for name, halves := range map[string][2]string{"passport first": {annasPassport, anna}, "card first": {anna, annasPassport}} {
		t.Run(name, func(t *testing.T) {
			inBook(t, &book{}, &proofs{}, nil, func(w *world) {
				w.hold(halves[0], 25*time.Second)
				for range 10 * 15 { // both in view
					w.show(halves[0])
					w.show(halves[1])
					time.Sleep(time.Second / 15)
				}
				entries, _ := w.journal.written()
				got := briefs(entries)
				if len(got) != 3 || got[2].Verdict != gate.Allow || got[2].Ref != 2 {
					t.Errorf("%+v", got)
				}
			})
		})
	}
	// Of two people who stand there for ever, each is read a few times at most.
	inBook(t, &book{}, &proofs{}, nil, func(w *world) {
		for range 120 * 5 {
			w.show(annasPassport)
			w.show(binh)
			time.Sleep(time.Second / 5)
		}
		if entries, _ := w.journal.written(); len(entries) > 8 {
			t.Errorf("%d entries in two minutes", len(entries))
		}
	})
}

// A first half whose entry is late has its number by the time of the second.
func TestLateFirstHalf(t *testing.T) {
	inBook(t, &book{}, &proofs{}, nil, func(w *world) {
		w.journal.is(time.Second, false, nil)
		w.show(annasPassport)
		time.Sleep(2 * time.Second)
		w.journal.is(0, false, nil)
		w.show(anna)
		entries, _ := w.journal.written()
		if got := briefs(entries); len(got) != 2 || got[1].Ref != 1 {
			t.Errorf("%+v", got)
		}
	})
}

// TestFirstHalvesAreNotThinned: each passport of a queue has its entry.
func TestFirstHalvesAreNotThinned(t *testing.T) {
	inBook(t, &book{}, &proofs{}, nil, func(w *world) {
		for i := range 100 {
			w.show(fmt.Sprintf("HC1:Nguyen Thi Mau|1990-7-%d", i))
			synctest.Wait()
			w.show(fmt.Sprintf("HC1:bad%d", i))
			synctest.Wait()
		}
		entries, _ := w.journal.written()
		good := 0
		for _, e := range entries {
			if e.Needs != "" {
				good++
			}
		}
		if good != 100 || len(entries) > 140 {
			t.Errorf("%d first halves of %d entries", good, len(entries))
		}
	})
}

func TestPassIsSpentBeforeTheRelay(t *testing.T) {
	p := &proofs{}
	inBook(t, &book{}, p, nil, func(w *world) {
		key := gate.NewPseudonymer(gate.Key{7})
		w.show("GP1:one")
		synctest.Wait()
		w.show("GP1:many")
		synctest.Wait()
		time.Sleep(10 * time.Second)
		w.show("GP1:one")
		synctest.Wait()
		w.show("GP1:many")
		synctest.Wait()
		w.show("GP1:bad")
		entries, passages := w.journal.written()
		want := []brief{
			{gate.KindPass, gate.Allow, "pass", "", 0},
			{gate.KindPass, gate.Allow, "pass", "", 0},
			{gate.KindPass, gate.Deny, "pass_spent", "", 0},
			{gate.KindPass, gate.Allow, "pass", "", 0},
			{gate.KindPass, gate.Deny, "pass_malformed", "", 0},
		}
		if diff := cmp.Diff(want, briefs(entries)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if !slices.Equal(p.spend, []string{"one"}) || len(passages) != 3 {
			t.Errorf("spent %v, %d passages", p.spend, len(passages))
		}
		if one := key.OfPass([16]byte{'o', 'n', 'e'}); entries[0].Subject != one || entries[2].Subject != one || entries[1].Subject == one || entries[4].HasSubject {
			t.Error("the subject is not the pass")
		}
	})
}

// Two lanes decided at once; the other one was first.
func TestPassSpentMeanwhile(t *testing.T) {
	p := &proofs{stale: true, spent: map[[16]byte]bool{{'o', 'n', 'e'}: true}}
	inBook(t, &book{}, p, nil, func(w *world) {
		w.show("GP1:one")
		entries, _ := w.journal.written()
		if got := briefs(entries); len(got) != 1 || got[0].Verdict != gate.Deny || got[0].Reasons != "pass_spent" || len(w.relay.heard()) != 0 {
			t.Errorf("%+v, relay %v", got, w.relay.heard())
		}
		if e := entries[0]; e.Inputs.Pass.Why != gate.ReasonPassSpent || e.Inputs.Pass.Proof != gate.ProofBad {
			t.Errorf("inputs %+v", e.Inputs.Pass)
		}
	})
}

func TestPassThatCannotBeSpent(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*lane.Options)
		err    error
	}{
		"the disk refuses": {err: errors.New("disk on fire")},
		"no account":       {change: func(o *lane.Options) { o.Spend = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			inBook(t, &book{}, &proofs{err: tt.err}, tt.change, func(w *world) {
				w.show("GP1:one")
				synctest.Wait()
				w.show("GP1:many")
				entries, _ := w.journal.written()
				want := []brief{{gate.KindPass, gate.ManualCheck, "store_fault pass", "", 0}, {gate.KindPass, gate.Allow, "pass", "", 0}}
				if diff := cmp.Diff(want, briefs(entries)); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// A pass for one entry leads out as well, as often as it is shown.
func TestPassLeadsOut(t *testing.T) {
	p := &proofs{spent: map[[16]byte]bool{{'o', 'n', 'e'}: true}}
	inBook(t, &book{}, p, func(o *lane.Options) { o.Direction = gate.DirectionOut }, func(w *world) {
		w.show("GP1:one")
		synctest.Wait()
		w.show("GP1:one2")
		entries, _ := w.journal.written()
		if len(entries) != 2 || !entries[0].Verdict.Opens() || !entries[1].Verdict.Opens() || len(p.spend) != 0 {
			t.Errorf("%+v, spent %v", briefs(entries), p.spend)
		}
	})
}

func TestShadowIsRecordedAndNotActedOn(t *testing.T) {
	shadow := &rules{verdict: map[gate.CredentialKind]gate.Verdict{cccd: gate.DenyAlert}}
	inBook(t, &book{known: true}, &proofs{}, func(o *lane.Options) { o.Shadow = func() lane.Rules { return shadow } }, func(w *world) {
		w.show(anna)
		entries, _ := w.journal.written()
		want := &gate.Shadow{Policy: gate.PolicyRef{ID: "test", Version: 3}, Verdict: gate.DenyAlert, Reasons: []gate.Reason{gate.ReasonNoRecord}}
		if diff := cmp.Diff(want, entries[0].Shadow); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if entries[0].Verdict != gate.Allow || len(w.relay.heard()) != 1 {
			t.Errorf("%v", entries[0].Verdict)
		}
		if diff := cmp.Diff(entries[0].Inputs, shadow.asked[0]); diff != "" {
			t.Errorf("the shadow was asked something else:\n%s", diff)
		}
	})
}
