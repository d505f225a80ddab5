package cache

import "go.etcd.io/bbolt"

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
