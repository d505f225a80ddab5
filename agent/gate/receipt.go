package gate

// Receipt is the promise that a record becomes durable. The journal makes it
// with [NewReceipt] and fulfils it once with [Receipt.Fulfil]; any number of
// goroutines may wait on Done.
type Receipt struct {
	done chan struct{}
	seq  uint64
	err  error
}

// NewReceipt makes an open promise.
func NewReceipt() *Receipt { return &Receipt{done: make(chan struct{})} }

// Fulfil closes the promise: the record is durable under seq, or err says why
// it never will be. It is called exactly once.
func (r *Receipt) Fulfil(seq uint64, err error) {
	r.seq, r.err = seq, err
	close(r.done)
}

// Done is closed when the record is durable or has failed.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Wait blocks until the promise is fulfilled and gives its outcome.
func (r *Receipt) Wait() (seq uint64, err error) {
	<-r.done
	return r.seq, r.err
}
