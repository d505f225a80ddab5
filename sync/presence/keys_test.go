package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/sync/identity"
	"gateagent/sync/sealed"
	"gateagent/sync/wire"
)

// sealedFor seals a key as central does.
func sealedFor(t *testing.T, to identity.Public, set, kid string, first byte) wire.SealedKey {
	t.Helper()
	b, err := sealed.Seal(to.X25519, sealed.Label{Site: origin.Site, Gate: origin.Gate, Set: set, Kid: kid}, gate.Key{first})
	if err != nil {
		t.Fatal(err)
	}
	return wire.SealedKey{Set: set, Kid: kid, Sealed: b}
}

// TestKeys: what an answer to our own nonce brings is opened and handed on in
// its order; what is not for this box or this purpose is left out.
func TestKeys(t *testing.T) {
	bubble(t, func(s *stand) {
		var got []string
		s.o.Open = func(l sealed.Label, b []byte) (gate.Key, error) { return sealed.Open(s.id, l, b) }
		s.o.Keys = func(keys []sealed.Secret) {
			s.set(func() {
				for _, k := range keys {
					got = append(got, fmt.Sprintf("%s %s %d", k.Set, k.Kid, k.Key[0]))
				}
			})
		}
		other, err := identity.New()
		if err != nil {
			t.Fatal(err)
		}
		moved := sealedFor(t, s.id.Public(), "vn", "k1", 9)
		moved.Set = "entry"
		s.set(func() {
			s.answer = func(h wire.Hello) (wire.HelloReply, bool) {
				return wire.HelloReply{Nonce: h.Nonce, Keys: []wire.SealedKey{
					sealedFor(t, s.id.Public(), "vn", "k1", 1), sealedFor(t, s.id.Public(), "vn", "k2", 2),
					sealedFor(t, other.Public(), "lists", "k7", 7), moved,
					sealedFor(t, s.id.Public(), "entry", "k3", 3),
				}}, true
			}
		})
		s.trust()
		s.linkUp()
		time.Sleep(time.Second)
		synctest.Wait()
		s.set(func() {
			if want := []string{"vn k1 1", "vn k2 2", "entry k3 3"}; !slices.Equal(got, want) {
				t.Errorf("handed on %q, want %q", got, want)
			}
			got = nil
		})
		if st := s.Status(); st.Keys != 3 || st.Unopened != 2 {
			t.Errorf("%+v", st)
		}
		// The same answer once more names a nonce that is used up.
		replay := wire.HelloReply{
			Aud: "hn01/g1", Iat: time.Now().Unix(), Time: time.Now().UnixMilli(), Nonce: strings.Repeat("0f", 16),
			Keys: []wire.SealedKey{sealedFor(t, s.id.Public(), "vn", "k1", 1)},
		}
		s.takeReply(s.sign(replay))
		synctest.Wait()
		s.set(func() {
			if len(got) > 0 {
				t.Errorf("an answer to another nonce handed on %q", got)
			}
		})
	})
}

// TestAsk: while something is missing, central is greeted again, less and less
// often; something else that is missing starts anew; nothing missing ends it.
func TestAsk(t *testing.T) {
	bubble(t, func(s *stand) {
		hellos := func() int { return s.count("/hello") }
		s.trust()
		s.linkUp()
		time.Sleep(time.Second)
		if n := hellos(); n != 1 {
			t.Fatalf("%d hellos on connect", n)
		}
		s.Ask("vn k2")
		time.Sleep(askFirst)
		if n := hellos(); n != 2 {
			t.Errorf("%d hellos after something is missing", n)
		}
		for range 3600 { // asked each second, as the box does
			s.Ask("vn k2")
			time.Sleep(time.Second)
		}
		if n := hellos(); n < 12 || n > 18 {
			t.Errorf("%d hellos within an hour in which a key does not come", n)
		}
		before := hellos()
		s.Ask("vn k3")
		time.Sleep(askFirst + time.Millisecond)
		if n := hellos() - before; n != 1 {
			t.Errorf("%d hellos for another key", n)
		}
		s.Ask("")
		before = hellos()
		time.Sleep(helloPeriod - time.Minute)
		if n := hellos() - before; n != 0 {
			t.Errorf("%d hellos with nothing missing", n)
		}
		// While an answer is awaited it is not made void by a new nonce.
		s.set(func() { s.answer = func(wire.Hello) (wire.HelloReply, bool) { return wire.HelloReply{}, false } })
		before = hellos()
		s.Ask("vn k4")
		time.Sleep(replyWithin - time.Second)
		if n := hellos() - before; n != 1 {
			t.Errorf("%d hellos while the answer to one is under way", n)
		}
	})
}
