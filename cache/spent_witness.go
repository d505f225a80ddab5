package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
)

// witness says, from outside the folder of spent passes, that there is one and
// how many were ever spent when it was last opened or closed. Without it a
// folder that was lost whole would look like a new box, and every pass would be
// good once more.
type witness struct {
	path  string // empty: there is none
	there bool
	ever  uint64 // spent by then; 0 where it cannot be read
}

// readWitness reads the witness at path. What is there and cannot be read
// still says that there were passes.
func readWitness(path string) (witness, error) {
	w := witness{path: path}
	if path == "" {
		return w, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return w, nil
	}
	if err != nil {
		return w, err
	}
	w.there = true
	if n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 64); err == nil {
		w.ever = n
	}
	return w, nil
}

// write notes how many passes were ever spent.
func (w *witness) write(ever uint64) error {
	if w.path == "" || w.there && w.ever == ever {
		return nil
	}
	if err := durable.WriteFile(w.path, strconv.AppendUint(nil, ever, 10), fileMode); err != nil {
		return err
	}
	w.there, w.ever = true, ever
	return nil
}

// testify has the witness say what the file says. Passes can be spent without
// it: only their loss would not be noticed.
func (s *Spent) testify() {
	if err := s.witness.write(s.ever); err != nil {
		s.log.Warn("that passes were spent is kept in one place only", "err", err)
	}
}

// older says that the file that was opened is a copy from before, put back: it
// knows of fewer passes than were ever spent.
func (s *Spent) older() bool { return s.ever < s.witness.ever }

// forget writes down that passes which were spent are not known any more.
func (s *Spent) forget() error {
	lost := s.lossTime()
	err := guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketMeta)
			if err := b.Put(keyEver, be64(s.witness.ever)); err != nil {
				return err
			}
			return b.Put(keyLost, be64(uint64(max(lost.Unix(), 1))))
		})
	})
	if err != nil {
		return err
	}
	s.ever = s.witness.ever
	s.mu.Lock()
	s.lost = lost.Truncate(time.Second).UTC()
	s.mu.Unlock()
	return nil
}

// lossTime is the time at which a loss is noticed.
func (s *Spent) lossTime() time.Time {
	if now := s.o.Now(); !now.IsZero() {
		return now
	}
	return time.Now()
}
