package cache

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
	"gateagent/agent/record"
)

const (
	tickEvery = time.Minute // retention, and last.json

	saveEvery   = 10 * time.Minute
	saveRecords = 1000

	// reserveShare is the part of the size that new records leave free.
	reserveShare = 16
	// maxRun is how many commits under a flood come before one step of upkeep.
	maxRun = 64
)

// request is what the writer is asked to do: append a record or change the
// cursor. Exactly one of build and change is set.
type request struct {
	build   func(record.Epoch, uint64) (record.Record, error)
	receipt *gate.Receipt

	change func(*bbolt.Tx, *state) error
	result chan error // buffered

	seq uint64
	err error
}

// finish tells whoever asked.
func (r *request) finish() {
	switch {
	case r.change != nil:
		r.result <- r.err
	case r.err != nil:
		r.receipt.Fulfil(0, r.err)
	case r.seq == 0: // a relay hangs on this: only a number says that it is durable
		r.receipt.Fulfil(0, errNoFile)
	default:
		r.receipt.Fulfil(r.seq, nil)
	}
}

func finish(batch []*request, err error) {
	for _, r := range batch {
		if err != nil { // whatever became of the request, it is not durable
			r.err = err
		}
		r.finish()
	}
}

// write is the writer goroutine.
func (j *Journal) write() {
	defer close(j.done)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	due, run := false, 0
	for {
		batch, closed := j.take()
		switch {
		case len(batch) > 0 && run < maxRun:
			j.commit(batch)
			due = true
			run++
			continue
		case len(batch) > 0: // under a flood, upkeep has its turn too
			j.commit(batch)
			j.maintain(false)
			run = 0
			continue
		case closed:
			j.closeErr = j.shut()
			return
		}
		run = 0
		if j.suspected() {
			j.recheck()
		}
		if due { // one short step, then new records come first again
			due = j.maintain(false)
			continue
		}
		var retry <-chan time.Time
		switch {
		case j.file == nil:
			retry = time.After(time.Until(j.retryAt))
		case j.fault() != nil:
			retry = time.After(retryMax)
		}
		select {
		case <-j.wake:
		case <-tick.C:
			due = j.maintain(true)
		case <-retry:
			if j.file == nil {
				j.reopen()
			} else {
				j.probe()
			}
		}
	}
}

// take gives what waits, at most one batch.
func (j *Journal) take() (batch []*request, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := min(len(j.waiting), maxBatch)
	batch = j.waiting[:n:n]
	j.waiting = j.waiting[n:]
	if len(j.waiting) == 0 {
		j.waiting = nil
	}
	return batch, j.closed
}

// commit makes a batch durable and tells everyone who asked.
func (j *Journal) commit(batch []*request) {
	if j.file == nil && time.Now().After(j.retryAt) {
		j.reopen()
	}
	if j.file == nil {
		err := j.fault()
		if err == nil {
			err = errNoFile
		}
		finish(batch, err)
		return
	}
	if fault := j.fault(); fault != nil && time.Now().Before(j.retryAt) {
		batch = refuse(batch, fault)
	}
	if j.tooFull() {
		if gone, err := j.makeRoom(); err != nil {
			finish(batch, j.commitFailed(err))
			return
		} else if !gone {
			err := fmt.Errorf("append to journal: %w: it has reached its size, and central has not acknowledged what is in it", ErrFull)
			if rest := refuse(batch, err); len(rest) < len(batch) {
				j.failed(err, 0)
				batch = rest
			}
		}
	}
	if len(batch) == 0 {
		return
	}
	st, err := j.try(batch)
	if err != nil && full(err) {
		var gone bool
		if gone, err = j.again(err); gone {
			st, err = j.try(batch)
		}
	}
	if err != nil {
		err = j.commitFailed(err)
		batch = refuse(batch, err) // the cursor may fit where records do not
		if j.file != nil && len(batch) > 0 {
			if st, err = j.try(batch); err != nil {
				err = j.commitFailed(err)
			}
		}
	}
	if err == nil {
		j.publish(st)
	}
	finish(batch, err)
	if err == nil && st.seq-j.savedSeq >= saveRecords {
		j.saveLast(st)
	}
}

var errNoFile = errors.New("the journal has no file")

// again makes room after a commit failed for want of it. It gives that failure
// back when there is nothing to remove, or the one of removing.
func (j *Journal) again(failure error) (gone bool, err error) {
	if gone, err = j.makeRoom(); err != nil && !full(err) {
		return false, err
	}
	return gone, failure
}

// refuse fails the records of a batch and gives the rest of it.
func refuse(batch []*request, err error) (rest []*request) {
	for _, r := range batch {
		if r.build == nil {
			rest = append(rest, r)
			continue
		}
		r.err = err
		r.finish()
	}
	return rest
}

func (j *Journal) fault() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.health.fault
}

// tooFull says whether new records would use what acknowledgements and
// deletions need, which take pages too before they give any back.
func (j *Journal) tooFull() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.used > j.opts.MaxBytes-j.opts.MaxBytes/reserveShare
}

// try commits a batch in one transaction. A request that cannot be carried out
// fails alone; a record that fails takes no sequence number.
func (j *Journal) try(batch []*request) (state, error) {
	if j.dirDirty { // the name of the file that we write to is not durable yet
		if err := durable.SyncDir(j.opts.Dir); err != nil {
			return state{}, err
		}
		j.dirDirty = false
	}
	j.mu.Lock()
	before := j.state
	j.mu.Unlock()
	after := before
	err := j.update(func(tx *bbolt.Tx) error {
		for _, r := range batch {
			if r.change != nil {
				r.err = r.change(tx, &after)
			} else {
				r.seq, r.err = j.put(tx, r, &after)
			}
			if errors.Is(r.err, ErrDamaged) {
				return r.err
			}
		}
		if after == before {
			return errNothing
		}
		if after.seq != before.seq {
			return putHead(tx.Bucket(bucketMeta), after)
		}
		return nil
	})
	if errors.Is(err, errNothing) {
		return before, nil
	}
	if err != nil {
		return before, err
	}
	after.measure(j.db)
	return after, nil
}

// putHead notes the newest record in the meta bucket: nothing follows that
// record, so nothing else would show that it was changed. The bucket is so small
// that bbolt keeps it inside a page that every commit writes anyway.
func putHead(meta *bbolt.Bucket, st state) error {
	if err := meta.Put([]byte("seq"), be64(st.seq)); err != nil {
		return err
	}
	return meta.Put([]byte("head"), st.head[:])
}

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to do")

// update runs fn in a write transaction. Where fn or the commit panics, the
// transaction is left as it is: bbolt would read the whole file to take it back,
// in a goroutine that no guard protects. The file is then abandoned.
func (j *Journal) update(fn func(*bbolt.Tx) error) error {
	return guard(func() error {
		j.stuck = true
		tx, err := j.db.Begin(true)
		if err == nil {
			if err = fn(tx); err != nil {
				err = errors.Join(err, tx.Rollback())
			} else {
				err = tx.Commit()
			}
		}
		j.stuck = false
		return err
	})
}

func full(err error) bool { return errors.Is(err, berrors.ErrMaxSizeReached) || noSpace(err) }

// put appends one record.
func (j *Journal) put(tx *bbolt.Tx, r *request, st *state) (uint64, error) {
	seq := st.seq + 1
	rec, err := r.build(st.epoch, seq)
	if err != nil {
		return 0, err
	}
	l := record.Link{Seq: seq, Prev: st.head, Record: rec}
	value, err := marshalLink(l)
	if err != nil {
		return 0, err
	}
	b := tx.Bucket(bucketRecords)
	b.FillPercent = 1.0 // the keys come in order; it holds for this handle only
	if err := b.Put(seqKey(seq), value); err != nil {
		return 0, err
	}
	st.seq, st.head = seq, l.Hash()
	return seq, nil
}

// publish shows a state that has become durable.
func (j *Journal) publish(st state) {
	j.mu.Lock()
	appended := st.seq != j.state.seq
	back := st.acked.Seq < j.state.acked.Seq
	j.state = st
	j.commits++
	recovered := appended && j.health.fault != nil
	if appended {
		j.health.fault, j.health.since = nil, time.Time{}
	}
	j.mu.Unlock()
	j.failures, j.retryAt = 0, time.Time{}
	if recovered {
		j.log.Info("records are taken again", "seq", st.seq)
	}
	if appended || back {
		notify(j.changed)
	}
}

// makeRoom removes the oldest acknowledged records, whatever their age. It says
// whether anything went.
func (j *Journal) makeRoom() (gone bool, err error) {
	for range 8 { // some thousands: enough for the batch, and bounded in time
		n, err := j.prune(true)
		if err != nil {
			return gone, err
		}
		if n == 0 {
			break
		}
		gone = true
	}
	return gone, nil
}

// maintain does what can wait: retention, compaction, last.json. It says
// whether more of it is due at once.
func (j *Journal) maintain(tick bool) (more bool) {
	if j.file == nil || time.Now().Before(j.retryAt) {
		return false
	}
	n, err := j.prune(false)
	if err != nil {
		j.log.Warn("cannot remove old records", "err", err)
		_ = j.commitFailed(err) // notes the fault; nobody waits for this one
		return false
	}
	if n == pruneRecords {
		return true
	}
	if err := j.compact(); err != nil {
		j.log.Warn("cannot compact the journal", "err", err)
	}
	if tick {
		j.mu.Lock()
		st := j.state
		j.mu.Unlock()
		if st.seq != j.savedSeq && time.Since(j.savedAt) >= saveEvery {
			j.saveLast(st)
		}
	}
	return false
}

// shut closes the file cleanly.
func (j *Journal) shut() error {
	var err error
	if j.file != nil {
		j.mu.Lock()
		st := j.state
		j.mu.Unlock()
		if st.seq != j.savedSeq {
			j.saveLast(st)
		}
		j.swap.Lock()
		err = guard(j.db.Close)
		j.db = nil
		j.swap.Unlock()
		j.file = nil
		if err == nil {
			err = os.Remove(j.path(openName))
		}
		if err == nil {
			err = durable.SyncDir(j.opts.Dir)
		}
	}
	if err = errors.Join(err, j.unlock()); err != nil {
		return fmt.Errorf("close journal: %w", err)
	}
	return nil
}
