package central

import (
	"strings"

	"gateagent/sync/sealed"
	"gateagent/sync/wire"
)

// keysFor seals what a gate may have to the identity that is pinned for it, and
// says so once for each run of the gate.
func (c *Central) keysFor(h helloDue) []wire.SealedKey {
	if c.o.Keys == nil {
		return nil
	}
	secrets, err := c.o.Keys(h.origin)
	defer clear(secrets)
	if err != nil {
		c.withhold(h, "the keys cannot be read: "+err.Error())
		return nil
	}
	if len(secrets) == 0 {
		return nil
	}
	g := c.gate(h.origin)
	pin, known := c.o.Pins.Get(h.origin)
	switch {
	case !known || pin != h.id:
		c.withhold(h, "another identity is pinned by now")
		return nil
	case !g.twin.IsZero() && c.o.Now().Sub(g.twin) < twinWithin:
		c.withhold(h, "no keys: two copies of this box were at work within the last hour")
		return nil
	case !c.o.HandLearned && c.o.Pins.learnt(h.origin):
		c.withhold(h, "no keys: its identity was learnt in this run and nobody has confirmed it")
		return nil
	case len(secrets) > wire.MaxKeys:
		c.withhold(h, "no keys: there are more than one answer holds")
		return nil
	}
	keys := make([]wire.SealedKey, 0, len(secrets))
	var named []string
	for _, s := range secrets {
		b, err := sealed.Seal(pin.X25519, sealed.Label{Site: h.origin.Site, Gate: h.origin.Gate, Set: s.Set, Kid: s.Kid}, s.Key)
		if err != nil {
			c.withhold(h, err.Error())
			return nil
		}
		keys = append(keys, wire.SealedKey{Set: s.Set, Kid: s.Kid, Sealed: b})
		named = append(named, s.Set+": "+s.Kid)
	}
	c.count(func(s *Stats) { s.Keys += uint64(len(keys)) })
	text := "keys handed to the gate: " + strings.Join(named, ", ")
	if handed := h.boot + " " + text; g.handed != handed {
		g.handed = handed
		c.report(Report{Kind: ReportKeys, Origin: h.origin, Text: text})
	}
	return keys
}

func (c *Central) withhold(h helloDue, why string) {
	c.gate(h.origin).handed = ""
	c.report(Report{Kind: ReportWithheld, Origin: h.origin, Text: why})
}
