package publish

import (
	"sync"

	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// InForce is which versions the gates of a site say that they have. It helps a
// new document to lie above them where the broker has forgotten the one before,
// as a broker does that is killed before it saves. States are not verified: a
// wrong one makes a number higher than it had to be, and no more.
type InForce struct {
	mu                     sync.Mutex // guards all following
	trust, policy, revoked Version
}

// Version is a version and the gate that has it in force; 0 for none.
type Version struct {
	N    uint64
	Gate string // site/gate
}

// plausible bounds what is believed of a state, well below maxVersion.
const plausible = 1 << 52

// Follow subscribes to the states of a site, before the link runs.
func (f *InForce) Follow(link *mqttlink.Link, topics wire.Topics, site string) {
	link.Add(mqttlink.Subscription{
		Filter: topics.Of(wire.Address{Kind: wire.KindState, Site: site, Gate: "+"}),
		Queue:  1024, Once: true, MaxBody: wire.MaxState,
		Handle: func(topic string, body []byte, _ bool) { f.take(topics, topic, body) },
	})
}

func (f *InForce) take(topics wire.Topics, topic string, body []byte) {
	at, ok := topics.Parse(topic)
	if !ok {
		return
	}
	s, err := wire.ParseState(body)
	if err != nil {
		return
	}
	raise := func(v *Version, n uint64) {
		if n > v.N && n < plausible {
			*v = Version{n, at.Site + "/" + at.Gate}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	raise(&f.trust, s.Trust)
	raise(&f.revoked, s.Revoked)
	if s.Policy != nil {
		raise(&f.policy, s.Policy.Ver)
	}
}

// Trust gives the highest version of the trust list.
func (f *InForce) Trust() Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.trust
}

// Policy gives the highest version of the policy.
func (f *InForce) Policy() Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.policy
}

// Revoked gives the highest version of the list of what is revoked.
func (f *InForce) Revoked() Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.revoked
}
