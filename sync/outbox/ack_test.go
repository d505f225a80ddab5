package outbox

import (
	"encoding/json"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// Central is put back and started again within one second: what it
// acknowledged before, still retained at the broker, does not count, and what
// it acknowledges afterwards does.
func TestAcksOfOneSecond(t *testing.T) {
	root, err := signed.NewSigner("root1", signed.RoleRoot)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signed.NewSigner("ack1", signed.RoleAck)
	if err != nil {
		t.Fatal(err)
	}
	second := time.Now().Truncate(time.Second)
	moment := signed.Moment{Now: second, Level: gate.ClockNTP}
	v := signed.NewVerifier([]signed.Root{root.Root()}, origin.Site, origin.Gate)
	list, err := json.Marshal(signed.Trust{
		Aud: origin.Site, Ver: 1, Iat: second.Unix(), Exp: second.Unix() + 60, Keys: []signed.TrustKey{key.TrustKey()},
	})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := root.Sign(signed.TypeTrust, list)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.TakeTrust([]byte(trust), moment); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, 30)
	w.o.o.Verifier, w.o.o.Moment = v, func() signed.Moment { return moment }
	w.o.verify = w.o.verifySigned
	ack := func(p record.Position, ms int) []byte {
		at := second.Add(time.Duration(ms) * time.Millisecond)
		b, err := wire.Ack{Aud: origin.Site + "/" + origin.Gate, Iat: at.Unix(), Time: at.UnixMilli(), Position: wire.Position(p)}.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		compact, err := key.Sign(signed.TypeAck, b)
		if err != nil {
			t.Fatal(err)
		}
		return []byte(compact)
	}
	before := ack(w.j.at(20), 100)
	w.o.TakeAck(before)
	w.o.Replied(w.j.at(10), w.j.at(20), second.Add(600*time.Millisecond))
	w.o.TakeAck(before)
	if st := w.o.Status(); st.Acked.Seq != 10 || st.Stale != 1 || st.Rewinds != 1 {
		t.Fatalf("after central went back: acknowledged %d, %d stale, %d rewinds", st.Acked.Seq, st.Stale, st.Rewinds)
	}
	w.o.TakeAck(ack(w.j.at(15), 700))
	if st := w.o.Status(); st.Acked.Seq != 15 {
		t.Errorf("a new acknowledgement does not count: %d", st.Acked.Seq)
	}
}
