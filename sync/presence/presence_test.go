package presence

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

var origin = record.Origin{Site: "hn01", Gate: "g1"}

const boot = "00112233445566778899aabbccddeeff"

type message struct {
	topic    string
	body     []byte
	retained bool
}

// stand is a presence with a broker and a central of a test's making.
type stand struct {
	*Presence
	t        *testing.T
	id       *identity.Identity
	topics   wire.Topics
	ack      signed.Signer
	trust    func()
	position record.Position
	acked    record.Position

	mu      sync.Mutex
	down    bool
	mute    bool
	answer  func(h wire.Hello) (wire.HelloReply, bool)
	delay   time.Duration
	sent    []message
	policy  uint64
	central []time.Duration // how far central's time was off, as told
	trips   []time.Duration
	replied [][2]uint64
	faults  []string
}

func newStand(t *testing.T) *stand {
	s := &stand{t: t, policy: 1}
	var err error
	if s.id, err = identity.New(); err != nil {
		t.Fatal(err)
	}
	if s.topics, err = wire.NewTopics("p"); err != nil {
		t.Fatal(err)
	}
	_, rootKey, _ := ed25519.GenerateKey(nil)
	_, ackKey, _ := ed25519.GenerateKey(nil)
	root := signed.Signer{Kid: "root1", Role: signed.RoleRoot, Key: rootKey}
	s.ack = signed.Signer{Kid: "ack1", Role: signed.RoleAck, Key: ackKey}
	v := signed.NewVerifier([]signed.Root{{Kid: "root1", Key: rootKey.Public().(ed25519.PublicKey)}}, origin.Site, origin.Gate)
	moment := func() signed.Moment { return signed.Moment{Now: time.Now(), Level: gate.ClockRTC} }
	s.trust = func() {
		doc, err := json.Marshal(signed.Trust{
			Aud: origin.Site, Ver: 1, Iat: time.Now().Unix(), Exp: time.Now().Unix() + 86400,
			Keys: []signed.TrustKey{{Kid: "ack1", Role: signed.RoleAck, Alg: signed.AlgEdDSA, Key: signed.Bytes(ackKey.Public().(ed25519.PublicKey))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		compact, err := root.Sign(signed.TypeTrust, doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.TakeTrust([]byte(compact), moment()); err != nil {
			t.Fatal(err)
		}
	}
	s.position = record.Position{Epoch: record.NewEpoch(), Seq: 7, Head: record.Hash{1}}
	s.acked = record.Position{Epoch: s.position.Epoch, Seq: 5, Head: record.Hash{2}}
	s.answer = func(h wire.Hello) (wire.HelloReply, bool) {
		return wire.HelloReply{Nonce: h.Nonce, Ack: &wire.Position{Epoch: h.Epoch, Seq: 6, Head: record.Hash{3}}}, true
	}
	s.Presence = newPresence(Options{
		Origin: origin, Topics: s.topics, Boot: boot, Public: s.id.Public(), Sign: s.id.Sign,
		Verifier: v, Moment: moment,
		State: func() wire.State {
			s.mu.Lock()
			defer s.mu.Unlock()
			return wire.State{Time: time.Now().UnixMilli(), Decides: true, Policy: &wire.PolicyState{ID: "x", Ver: s.policy}}
		},
		Central: func(at time.Time, trip time.Duration) {
			s.set(func() { s.central, s.trips = append(s.central, time.Since(at)), append(s.trips, trip) })
		},
		Replied: func(has, then record.Position, _ time.Time) {
			s.set(func() { s.replied = append(s.replied, [2]uint64{has.Seq, then.Seq}) })
		},
		OnFault: func(f Fault) { s.faults = append(s.faults, f.Code) },
	}, s, s, slog.New(slog.DiscardHandler))
	return s
}

func (s *stand) Position() record.Position { return s.position }
func (s *stand) Acked() record.Position    { return s.acked }

func (s *stand) Publish(_ context.Context, topic string, body []byte, qos byte, retained bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errors.New("not connected")
	}
	if qos != 1 {
		s.t.Errorf("QoS %d", qos)
	}
	s.sent = append(s.sent, message{topic, body, retained})
	switch topic {
	case s.topics.State(origin):
		if !s.mute {
			go s.sawState(body, false)
		}
	case s.topics.Hello(origin):
		if err := wire.VerifyBody(topic, body, s.id.Public().Ed25519); err != nil {
			s.t.Error(err)
		}
		h, err := wire.ParseHello(body)
		if err != nil {
			s.t.Error(err)
		}
		r, ok := s.answer(h)
		delay := s.delay
		if ok {
			go func() {
				time.Sleep(delay / 2)
				r.Aud, r.Iat, r.Time = "hn01/g1", time.Now().Unix(), time.Now().UnixMilli()
				time.Sleep(delay - delay/2)
				s.takeReply(s.sign(r))
			}()
		}
	default:
		s.t.Errorf("published on %s", topic)
	}
	return nil
}

func (s *stand) sign(r wire.HelloReply) []byte {
	b, err := r.Marshal()
	if err != nil {
		s.t.Error(err)
	}
	out, err := s.ack.Sign(signed.TypeHello, b)
	if err != nil {
		s.t.Error(err)
	}
	return []byte(out)
}

// count gives how many messages went out on the topic that ends so.
func (s *stand) count(end string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.sent {
		if strings.HasSuffix(m.topic, end) {
			n++
		}
	}
	return n
}

func (s *stand) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func bubble(t *testing.T, f func(s *stand)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStand(t)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if err := s.Run(ctx); err != nil {
				t.Error(err)
			}
		}()
		f(s)
		cancel()
		time.Sleep(time.Minute) // answers under way
		synctest.Wait()
	})
}

func (s *stand) fault(what, code string) {
	s.t.Helper()
	synctest.Wait()
	if f := s.Status().Fault; f.Code != code {
		s.t.Errorf("%s: fault %v, want %q", what, f, code)
	}
}

func TestStateOnConnectAndChange(t *testing.T) {
	bubble(t, func(s *stand) {
		synctest.Wait()
		if len(s.sent) != 0 {
			t.Fatalf("%d messages without a link", len(s.sent))
		}
		s.linkUp()
		synctest.Wait()
		first := s.sent[0]
		st, err := wire.ParseState(first.body)
		if err != nil || !first.retained || !st.Online || st.Boot != boot || st.ID != s.id.Public() || !st.Decides {
			t.Errorf("%+v, %v", st, err)
		}
		if err := wire.VerifyBody(first.topic, first.body, st.ID.Ed25519); err != nil {
			t.Error(err)
		}
		s.fault("echoed", "")

		for range 50 { // many changes at once make one state, and not at once
			s.set(func() { s.policy++ })
			s.Changed()
		}
		time.Sleep(stateGap)
		synctest.Wait()
		if n := s.count("/state"); n != 2 {
			t.Errorf("%d states after a change", n)
		}
		s.set(func() { s.policy++ }) // one that nobody told of
		time.Sleep(stateLook)
		synctest.Wait()
		if n := s.count("/state"); n != 3 {
			t.Errorf("%d states after a silent change", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := s.count("/state"); n != 9 {
			t.Errorf("%d states after a quiet hour", n)
		}
		s.linkDown()
		s.linkUp()
		synctest.Wait()
		if n := s.count("/state"); n != 10 {
			t.Errorf("%d states after a new connection", n)
		}
	})
}

func TestWillOutOfSeason(t *testing.T) {
	bubble(t, func(s *stand) {
		will, err := Will(origin, s.topics, boot, s.id.Sign)
		if err != nil {
			t.Fatal(err)
		}
		if err := wire.VerifyBody(will.Topic, will.Body, s.id.Public().Ed25519); err != nil || !will.Retained {
			t.Errorf("will %+v, %v", will, err)
		}
		s.sawState(will.Body, true) // what was there before we came
		s.linkUp()
		synctest.Wait()
		if n := s.count("/state"); n != 1 {
			t.Errorf("%d states", n)
		}
		s.sawState(will.Body, false)
		time.Sleep(stateGap)
		s.fault("own will", "")
		if n := s.count("/state"); n != 2 {
			t.Errorf("%d states after our own will", n)
		}
	})
}

func TestTwin(t *testing.T) {
	foreign := func(s *stand, id *identity.Identity, at time.Time) []byte {
		b, err := wire.SignBody(s.topics.State(origin), wire.State{
			Online: true, Boot: strings.Repeat("ab", 16), Time: at.UnixMilli(), ID: id.Public(),
		}, id.Sign)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, c := range []struct {
		name     string
		same     bool // the same keys
		age      time.Duration
		retained bool
		before   bool // seen before our first word
		want     string
	}{
		{"another box", false, 0, false, false, FaultTwin},
		{"a copied card", true, 0, false, false, FaultTwin},
		{"another box, read as retained", false, 0, true, false, FaultTwin},
		{"our last boot, kept by the broker", true, time.Hour, true, false, ""},
		{"the box before us, kept by the broker", false, time.Hour, true, false, ""},
		{"what was there before we came", false, 0, true, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(s *stand) {
				time.Sleep(24 * time.Hour)
				id := s.id
				if !c.same {
					id, _ = identity.New()
				}
				if !c.before {
					s.linkUp()
				}
				synctest.Wait()
				time.Sleep(time.Second)
				s.sawState(foreign(s, id, time.Now().Add(-c.age)), c.retained)
				if c.before {
					s.linkUp()
				}
				s.fault("seen", c.want)
				time.Sleep(twinGap)
				synctest.Wait()
				if n := s.count("/state"); n != 2 && !c.before {
					t.Errorf("%d states: ours must be there again", n)
				}
				time.Sleep(twinFor)
				s.fault("long after", "")
			})
		})
	}
	t.Run("two that write in turn do not flood the broker", func(t *testing.T) {
		bubble(t, func(s *stand) {
			id, _ := identity.New()
			s.linkUp()
			synctest.Wait()
			for range 600 {
				s.sawState(foreign(s, id, time.Now()), false)
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
			if n := s.count("/state"); n > 9 {
				t.Errorf("%d states in a minute", n)
			}
		})
	})
}

func TestMuteBroker(t *testing.T) {
	bubble(t, func(s *stand) {
		s.mute = true
		s.linkUp()
		time.Sleep(echoWithin - time.Second)
		s.fault("still waiting", "")
		time.Sleep(2 * time.Second)
		s.fault("not echoed", FaultMute)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := s.count("/state"); n < 8 || n > 12 {
			t.Errorf("%d states in five minutes", n)
		}
		s.set(func() { s.mute = false })
		time.Sleep(muteAgain)
		s.fault("echoed", "")
	})
}

func TestHello(t *testing.T) {
	bubble(t, func(s *stand) {
		s.trust()
		s.delay = 4 * time.Second
		s.linkUp()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(s.trips) != 1 || s.trips[0] != 4*time.Second || s.central[0] < 2*time.Second || s.central[0] > 2001*time.Millisecond {
			t.Errorf("round trips %v, off by %v", s.trips, s.central)
		}
		if len(s.replied) != 1 || s.replied[0] != [2]uint64{6, 5} {
			t.Errorf("replied %v", s.replied)
		}
		st := s.Status()
		if st.Hellos != 1 || st.RoundTrip != 4*time.Second || st.Refused != 0 {
			t.Errorf("%+v", st)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := s.count("/hello"); n != 6 {
			t.Errorf("%d hellos in an hour", n)
		}
		s.sawCentral(true, false)
		synctest.Wait()
		s.sawCentral(true, false) // read again: no news
		synctest.Wait()
		s.sawCentral(true, true) // restarted
		synctest.Wait()
		if n := s.count("/hello"); n != 8 {
			t.Errorf("%d hellos", n)
		}
	})
}

func TestHelloAnswersThatDoNotCount(t *testing.T) {
	bubble(t, func(s *stand) {
		s.trust()
		var nonces []string
		s.answer = func(h wire.Hello) (wire.HelloReply, bool) {
			nonces = append(nonces, h.Nonce)
			return wire.HelloReply{}, false
		}
		s.linkUp()
		synctest.Wait()
		now := time.Now()
		good := wire.HelloReply{Aud: "hn01/g1", Iat: now.Unix(), Time: now.UnixMilli(), Nonce: nonces[0]}
		for name, change := range map[string]func(*wire.HelloReply){
			"another nonce": func(r *wire.HelloReply) { r.Nonce = strings.Repeat("0", 32) },
			"another gate":  func(r *wire.HelloReply) { r.Aud = "hn01/g2" },
			"no time":       func(r *wire.HelloReply) { r.Time = 0 },
		} {
			r := good
			change(&r)
			before := s.Status().Refused
			s.takeReply(s.sign(r))
			if len(s.replied) != 0 || s.Status().Refused != before+1 {
				t.Errorf("%s: taken", name)
			}
		}
		s.takeReply([]byte("nonsense"))
		s.takeReply(nil)
		time.Sleep(40 * time.Second) // late: good for the acknowledgement, not for the time
		s.takeReply(s.sign(good))
		s.takeReply(s.sign(good)) // twice
		if len(s.replied) != 1 || s.replied[0] != [2]uint64{0, 5} || len(s.central) != 0 {
			t.Errorf("replied %v, central's time %v", s.replied, s.central)
		}
	})
}

// An unanswered hello is repeated, ever more rarely.
func TestHelloUnanswered(t *testing.T) {
	bubble(t, func(s *stand) {
		s.answer = func(wire.Hello) (wire.HelloReply, bool) { return wire.HelloReply{}, false }
		s.linkUp()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := s.count("/hello"); n < 8 || n > 10 {
			t.Errorf("%d hellos in an hour", n)
		}
	})
}

// The answer may be there before the trust list that knows its key.
func TestHelloBeforeTrust(t *testing.T) {
	bubble(t, func(s *stand) {
		s.linkUp()
		synctest.Wait()
		time.Sleep(20 * time.Second)
		s.trust()
		s.Retry()
		if len(s.central) != 1 || s.central[0].Abs() > time.Millisecond || s.trips[0] > time.Second {
			t.Errorf("off by %v after %v", s.central, s.trips)
		}
	})
}

func TestLinkTakesNothing(t *testing.T) {
	bubble(t, func(s *stand) {
		s.down = true
		s.linkUp()
		time.Sleep(time.Minute)
		s.fault("not taken is not mute", "")
		s.set(func() { s.down = false })
		time.Sleep(pauseFor)
		synctest.Wait()
		if s.count("/state") != 1 || s.count("/hello") != 1 {
			t.Errorf("%d states, %d hellos", s.count("/state"), s.count("/hello"))
		}
	})
}
