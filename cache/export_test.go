package cache

import (
	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// HoldView keeps a read transaction of the journal open until release is
// closed; it gives after the transaction has begun.
func (j *Journal) HoldView(release <-chan struct{}) (done <-chan error) {
	begun, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- j.view(func(*bbolt.Tx) error {
			close(begun)
			<-release
			return nil
		})
	}()
	<-begun
	return ended
}

// LastReadable is lastReadable.
var LastReadable = lastReadable

// HasRecord looks a pseudonym up in a set, as Facts does after the HMAC.
func (s *Sets) HasRecord(set string, p gate.Pseudonym) bool {
	g := s.byName(set).inForce()
	if g == nil {
		return false
	}
	defer g.release()
	l := g.take(g.key.Load())
	defer g.put(l)
	no, rem := block.Place(p, g.info.Blocks)
	_, ok, err := g.record(g.grown.Load(), l, no, rem)
	return ok && err == nil
}
