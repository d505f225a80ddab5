package cache

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// What the writer does when the disk or the file fails it.

const (
	// After a failure nothing is tried for retryPause; while no file can be
	// opened the pause doubles up to retryMax.
	retryPause = 500 * time.Millisecond
	retryMax   = 5 * time.Second

	recheckEvery = time.Minute
)

// commitFailed decides what a failed commit means for the file and gives the
// error for those who wait. bbolt has taken the transaction back, unless the
// failure came so late that the file shows it all the same: then nobody knows
// what would survive a power cut, and the file is opened and checked anew.
func (j *Journal) commitFailed(err error) error {
	j.failures++
	landed, lerr := j.landed()
	switch {
	case full(err) && lerr == nil && !landed:
		err = fmt.Errorf("append to journal: %w: %w", ErrFull, err)
	case lerr != nil, landed, errors.Is(err, ErrDamaged), j.failures >= 3:
		err = fmt.Errorf("append to journal: %w", errors.Join(err, lerr))
		j.abandon()
		j.failed(err, 0) // opened again at once
		return err
	default:
		err = fmt.Errorf("append to journal: %w", err)
	}
	j.failed(err, retryPause)
	return err
}

// landed says whether the file holds more than the state that was published.
func (j *Journal) landed() (bool, error) {
	st, err := j.readState(j.db)
	if err != nil {
		return false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return st.seq != j.state.seq || st.acked != j.state.acked, nil
}

// failed notes a fault and pauses, because after a failed commit bbolt reads
// the whole file to find its free pages.
func (j *Journal) failed(err error, pause time.Duration) {
	j.retryAt = time.Now().Add(pause)
	j.mu.Lock()
	first := j.health.fault == nil
	j.health.fault = err
	if first {
		j.health.since = j.opts.Now()
	}
	j.mu.Unlock()
	if first {
		j.log.Error("records cannot be taken", "err", err)
	}
}

// abandon lets go of a file that can no longer be trusted. Where a transaction
// is stuck, closing the database would wait for ever: the mapping is then left
// behind, and only the file, with the lock on it, given up.
func (j *Journal) abandon() {
	j.swap.Lock()
	db, file := j.db, j.file
	j.db = nil
	j.swap.Unlock()
	j.file = nil
	var err error
	if j.stuck {
		err = file.Close()
	} else {
		err = guard(db.Close)
	}
	if err != nil {
		j.log.Warn("cannot close the journal file", "err", err)
	}
	j.stuck = false
	j.mu.Lock()
	j.state = state{}
	j.mu.Unlock()
}

// reopen tries to get a file again.
func (j *Journal) reopen() {
	if err := j.openFile(); err != nil {
		j.failures++
		j.failed(err, min(retryPause<<min(j.failures-1, 8), retryMax))
		return
	}
	j.log.Info("the journal is open again")
}

// recheck has a file that a reader could not read checked, at most once in
// recheckEvery: it is opened anew, and set aside when it is damaged.
func (j *Journal) recheck() {
	if j.file == nil || time.Since(j.checkedAt) < recheckEvery {
		return
	}
	j.checkedAt = time.Now()
	j.log.Error("the journal could not be read and is checked")
	j.abandon()
	j.reopen()
}

func (j *Journal) suspected() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	was := j.suspect
	j.suspect = false
	return was
}

// probe finds out whether a fault is over while nobody appends: it writes what
// is there already.
func (j *Journal) probe() {
	j.mu.Lock()
	st := j.state
	j.mu.Unlock()
	if j.tooFull() {
		return
	}
	if err := j.update(func(tx *bbolt.Tx) error { return putHead(tx.Bucket(bucketMeta), st) }); err != nil {
		_ = j.commitFailed(err) // notes the fault; nobody waits for this one
		return
	}
	j.failures, j.retryAt = 0, time.Time{}
	j.mu.Lock()
	j.health.fault, j.health.since = nil, time.Time{}
	j.mu.Unlock()
	j.log.Info("records can be taken again", "seq", st.seq)
}
