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

// HeadAgain parses the head of a delta and gives it as it would be written.
func HeadAgain(data []byte) ([]byte, error) {
	h, err := parseHead(data)
	if err != nil {
		return nil, err
	}
	return append(h.append(nil), h.digest[:]...), nil
}

// SomeHead gives a head.
func SomeHead(lists ...string) []byte {
	h := logHead{base: lineage{Version: 7}, from: 8, issued: 1_760_000_000_000, people: 9, extras: 1, width: 7, pieces: 3, lists: lists}
	d := newLogDigest(9).head(&h)
	return append(h.append(nil), d[:]...)
}
