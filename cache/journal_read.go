package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/record"
)

// readBytes is how much one view copies when the whole journal is read: short
// views, because pages that a view can see are not used again.
const readBytes = 128 << 10

// view runs fn in a short read transaction. What fn keeps it must copy.
func (j *Journal) view(fn func(tx *bbolt.Tx) error) error {
	j.swap.RLock()
	defer j.swap.RUnlock()
	if j.db == nil {
		j.mu.Lock()
		defer j.mu.Unlock()
		switch {
		case j.closed:
			return ErrClosed
		case j.health.fault != nil:
			return j.health.fault
		}
		return ErrClosed
	}
	err := guard(func() error { return j.db.View(fn) })
	if errors.Is(err, ErrDamaged) {
		j.mu.Lock()
		j.suspect = true
		j.mu.Unlock()
		notify(j.wake)
	}
	return err
}

// Read gives records in order from sequence number from on: as many as fit
// maxBytes as they are stored, at least one if there is one. Where older ones
// are no longer kept it begins with the oldest that is. The links share no
// memory with the journal.
func (j *Journal) Read(from uint64, maxBytes int) ([]record.Link, error) {
	var links []record.Link
	err := j.view(func(tx *bbolt.Tx) error {
		size := 0
		c := tx.Bucket(bucketRecords).Cursor()
		for k, v := c.Seek(seqKey(from)); k != nil; k, v = c.Next() {
			if size += len(v); len(links) > 0 && size > maxBytes {
				return nil
			}
			l, err := parseLink(k, v)
			if err != nil {
				return err
			}
			links = append(links, l)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal from %d: %w", from, err)
	}
	return links, nil
}

// Entries calls fn for each record kept whose time is not before since, oldest
// first, until fn gives an error. Records appended meanwhile are included.
func (j *Journal) Entries(since time.Time, fn func(record.Link) error) error {
	for next := uint64(1); ; {
		links, err := j.Read(next, readBytes)
		if err != nil || len(links) == 0 {
			return err
		}
		for _, l := range links {
			h, err := l.Record.Header()
			if err != nil {
				return fmt.Errorf("record %d: %w", l.Seq, err)
			}
			if h.Time.Before(since) {
				continue
			}
			if err := fn(l); err != nil {
				return err
			}
		}
		next = links[len(links)-1].Seq + 1
	}
}

// Verify walks the whole chain that is kept and gives the number of records
// walked. It fails with ErrDamaged at the first record that does not fit.
func (j *Journal) Verify(ctx context.Context) (records uint64, err error) {
	var c chain
	for next := uint64(1); ; {
		if err := ctx.Err(); err != nil {
			return c.records, err
		}
		links, err := j.Read(next, readBytes)
		if err != nil || len(links) == 0 {
			return c.records, err
		}
		if links[0].Seq != next && c.records > 0 {
			if j.Acked().Seq+1 < links[0].Seq {
				return c.records, fmt.Errorf("%w: records %d to %d are missing", ErrDamaged, next, links[0].Seq-1)
			}
			c = chain{} // retention was faster than we
		}
		for _, l := range links {
			if err := c.add(l); err != nil {
				return c.records, err
			}
		}
		next = links[len(links)-1].Seq + 1
	}
}

// chain checks that links follow each other.
type chain struct {
	records uint64
	origin  record.Origin
	epoch   record.Epoch
	seq     uint64
	head    record.Hash
}

func (c *chain) add(l record.Link) error {
	h, err := l.Record.Header()
	switch {
	case err != nil:
		return fmt.Errorf("%w: record %d: %w", ErrDamaged, l.Seq, err)
	case h.Seq != l.Seq:
		return fmt.Errorf("%w: record %d calls itself %d", ErrDamaged, l.Seq, h.Seq)
	case l.Seq == 1 && l.Prev != (record.Hash{}):
		return fmt.Errorf("%w: there is something before record 1", ErrDamaged)
	case c.records > 0 && (h.Epoch != c.epoch || h.Origin != c.origin):
		return fmt.Errorf("%w: record %d is of another journal", ErrDamaged, l.Seq)
	case c.records > 0 && l.Seq != c.seq+1:
		return fmt.Errorf("%w: record %d follows %d", ErrDamaged, l.Seq, c.seq)
	case c.records > 0 && l.Prev != c.head:
		return fmt.Errorf("%w: the chain breaks before record %d", ErrDamaged, l.Seq)
	}
	c.records++
	c.origin, c.epoch, c.seq, c.head = h.Origin, h.Epoch, l.Seq, l.Hash()
	return nil
}

// verifyJournal checks the whole content of a journal file.
func verifyJournal(tx *bbolt.Tx) error {
	meta := fields{b: tx.Bucket(bucketMeta)}
	source, err := record.ParseSource(meta.text("source"))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, errors.Join(meta.err, err))
	}
	st, err := stateOf(tx, source)
	if err != nil {
		return err
	}
	var c chain
	err = tx.Bucket(bucketRecords).ForEach(func(k, v []byte) error {
		l, err := parseLink(k, v)
		if err != nil {
			return err
		}
		if l.Seq == st.first && l.Seq == st.acked.Seq+1 && l.Prev != st.acked.Head {
			return fmt.Errorf("%w: the cursor does not fit record %d", ErrDamaged, l.Seq)
		}
		if err := c.add(l); err != nil {
			return err
		}
		if l.Seq == st.acked.Seq && c.head != st.acked.Head {
			return fmt.Errorf("%w: the cursor does not fit record %d", ErrDamaged, l.Seq)
		}
		return nil
	})
	if err == nil && (c.epoch != st.epoch || c.origin != source) {
		err = fmt.Errorf("%w: the records are of %s, epoch %s, the file of %s, %s",
			ErrDamaged, c.origin.Source(), c.epoch, source.Source(), st.epoch)
	}
	return err
}
