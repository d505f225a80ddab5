package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/record"
)

const (
	// pruneRecords is how many records one transaction removes at most: it
	// makes the waiting of a new entry short and the writing per record small
	// (STORE §3).
	pruneRecords = 1000
	// pruneEvery is how long fewer than that may stay beyond their time.
	pruneEvery = 10 * time.Minute
)

// GoneError says that a central which is behind cannot have all it lacks:
// records First to Last are no longer kept. The cursor stands before the oldest
// that is.
type GoneError struct{ First, Last uint64 }

func (e *GoneError) Error() string {
	return fmt.Sprintf("records %d to %d are no longer kept and cannot be sent again", e.First, e.Last)
}

// Ack records that central has everything up to p. It fails with ErrAckMismatch
// unless p is of this epoch, not beyond the newest record, and names the hash
// that the journal has there; nothing is then forgotten. An acknowledgement
// that is older than the newest one changes nothing. It returns when the cursor
// is durable.
func (j *Journal) Ack(p record.Position) error {
	j.mu.Lock()
	same := p == j.state.acked && j.state.seq > 0
	j.mu.Unlock()
	if same {
		return nil
	}
	return j.change("acknowledge", func(tx *bbolt.Tx, st *state) error { return j.ack(tx, st, p) })
}

// Rewind moves the cursor back to p, for a central that was restored from an
// older copy: what came after p is offered again. It fails with ErrAckMismatch
// like Ack, and with a [*GoneError] after moving back as far as records are
// kept. A p that is not behind changes nothing. The zero Position is before the
// first record.
func (j *Journal) Rewind(p record.Position) error {
	return j.change("rewind", func(tx *bbolt.Tx, st *state) error { return rewind(tx, st, p) })
}

// change has the writer change the cursor. A *GoneError is an answer, not a
// failure: the change that it comes with is committed.
func (j *Journal) change(what string, fn func(*bbolt.Tx, *state) error) error {
	r := &request{change: fn, result: make(chan error, 1)}
	err := j.enqueue(r)
	if err == nil {
		err = <-r.result
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// fits compares a position with the journal; seq 0 is before the first record.
func fits(tx *bbolt.Tx, st *state, p record.Position) error {
	if p.Seq == 0 && p.Epoch.IsZero() && p.Head == (record.Hash{}) {
		return nil
	}
	if p.Epoch != st.epoch {
		return fmt.Errorf("%w: it is of epoch %s, not %s", ErrAckMismatch, p.Epoch, st.epoch)
	}
	if p.Seq > st.seq {
		return fmt.Errorf("%w: it names record %d, the newest is %d", ErrAckMismatch, p.Seq, st.seq)
	}
	own, known, err := hashAt(tx, st, p.Seq)
	if err != nil {
		return err
	}
	if known && own != p.Head {
		return fmt.Errorf("%w: record %d has another hash here", ErrAckMismatch, p.Seq)
	}
	return nil
}

// hashAt gives the hash of a record; known is false for one that is not kept.
func hashAt(tx *bbolt.Tx, st *state, seq uint64) (h record.Hash, known bool, err error) {
	switch {
	case seq == 0:
		return record.Hash{}, true, nil
	case seq == st.seq:
		return st.head, true, nil
	case seq == st.acked.Seq:
		return st.acked.Head, true, nil
	case seq+1 < st.first:
		return record.Hash{}, false, nil
	}
	next, err := linkAt(tx, seq+1)
	return next.Prev, err == nil, err
}

func (j *Journal) ack(tx *bbolt.Tx, st *state, p record.Position) error {
	if err := fits(tx, st, p); err != nil {
		return err
	}
	if p.Seq <= st.acked.Seq {
		return nil
	}
	now := j.opts.Now()
	if err := putAckMark(tx.Bucket(bucketAcks), now, p.Seq); err != nil {
		return err
	}
	st.ackedAt = now.Truncate(time.Minute).UTC()
	return putAcked(tx, st, p)
}

func putAcked(tx *bbolt.Tx, st *state, p record.Position) error {
	p.Epoch = st.epoch
	meta := tx.Bucket(bucketMeta)
	if err := meta.Put([]byte("acked_seq"), be64(p.Seq)); err != nil {
		return err
	}
	if err := meta.Put([]byte("acked_head"), p.Head[:]); err != nil {
		return err
	}
	st.acked = p
	return nil
}

func rewind(tx *bbolt.Tx, st *state, p record.Position) error {
	if err := fits(tx, st, p); err != nil {
		return err
	}
	if p.Seq >= st.acked.Seq {
		return nil
	}
	var gone *GoneError
	if p.Seq+1 < st.first {
		gone = &GoneError{First: p.Seq + 1, Last: st.first - 1}
		oldest, err := linkAt(tx, st.first)
		if err != nil {
			return err
		}
		p.Seq, p.Head = st.first-1, oldest.Prev
	}
	acks := tx.Bucket(bucketAcks)
	for k, v := acks.Cursor().Last(); k != nil; k, v = acks.Cursor().Last() {
		if len(v) != 8 || binary.BigEndian.Uint64(v) <= p.Seq {
			break
		}
		if err := acks.Delete(k); err != nil {
			return err
		}
	}
	if err := putAcked(tx, st, p); err != nil {
		return err
	}
	if gone != nil {
		return gone
	}
	return nil
}

// Marks of the acks bucket say what was acknowledged when: the key is the minute
// (8 bytes big-endian, minutes since 1970 by the box's clock), the value the
// highest sequence number acknowledged in it. Retention counts from there, not
// from the time of a record, so that a restored central finds what it had
// acknowledged after its copy was made.

func putAckMark(acks *bbolt.Bucket, now time.Time, seq uint64) error {
	minute := max(now.Unix()/60, 0)
	// The clock was set back: marks of the future count from now.
	for k, _ := acks.Cursor().Last(); k != nil && int64(binary.BigEndian.Uint64(k)) > minute; k, _ = acks.Cursor().Last() {
		if err := acks.Delete(k); err != nil {
			return err
		}
	}
	return acks.Put(be64(uint64(minute)), be64(seq))
}

// expired gives the highest sequence number that was acknowledged long enough
// ago, and the marks that lead up to it.
func expired(acks *bbolt.Bucket, before time.Time) (seq uint64, marks [][]byte) {
	limit := before.Unix() / 60
	c := acks.Cursor()
	for k, v := c.First(); len(k) == 8 && len(v) == 8 && int64(binary.BigEndian.Uint64(k)) < limit; k, v = c.Next() {
		seq = max(seq, binary.BigEndian.Uint64(v))
		marks = append(marks, append([]byte(nil), k...))
	}
	return seq, marks
}

// prune removes records whose time is over, at most pruneRecords of them and
// never an unacknowledged one or the newest; with force, any acknowledged one.
// It says how many went.
func (j *Journal) prune(force bool) (int, error) {
	j.mu.Lock()
	st := j.state
	j.mu.Unlock()
	force = force || st.used > j.opts.MaxBytes-j.opts.MaxBytes/reserveShare*2
	last := min(st.acked.Seq, st.seq-1)
	if st.seq == 0 || last < st.first {
		return 0, nil
	}
	removed := 0
	after := st
	err := j.update(func(tx *bbolt.Tx) error {
		acks, records := tx.Bucket(bucketAcks), tx.Bucket(bucketRecords)
		upto, marks := expired(acks, j.opts.Now().Add(-j.opts.KeepAcked))
		upto = min(upto, last)
		if force {
			upto = last
		}
		due := int64(upto) - int64(st.first) + 1
		if due <= 0 || !force && due < pruneRecords && time.Since(j.prunedAt) < pruneEvery {
			return errNothing
		}
		upto = min(upto, st.first+pruneRecords-1)
		for seq := st.first; seq <= upto; seq++ {
			if err := records.Delete(seqKey(seq)); err != nil {
				return err
			}
			removed++
		}
		for _, k := range marks {
			if v := acks.Get(k); binary.BigEndian.Uint64(v) <= upto {
				if err := acks.Delete(k); err != nil {
					return err
				}
			}
		}
		after.first = upto + 1
		return nil
	})
	if errors.Is(err, errNothing) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("remove acknowledged records: %w", err)
	}
	if removed < pruneRecords {
		j.prunedAt = time.Now()
	}
	after.measure(j.db)
	j.mu.Lock()
	j.state = after
	j.mu.Unlock()
	return removed, nil
}
