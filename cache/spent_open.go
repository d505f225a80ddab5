package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
)

// open opens the file that is there, sets a damaged one aside, and begins a new
// one where there is none. write is held.
func (s *Spent) open() (err error) {
	if s.witness, err = readWitness(s.o.Witness); err != nil {
		return err
	}
	if err := s.openFile(); err != nil {
		return err
	}
	if s.older() {
		s.log.Error("the file of spent passes is an older one: which passes were used since is not known any more")
		if err := s.forget(); err != nil {
			s.abandon()
			return err
		}
	}
	s.testify()
	return nil
}

func (s *Spent) openFile() error {
	path := s.path(spentName)
	// The folder itself may have been lost while it was in use.
	if err := os.MkdirAll(s.path("quarantine"), dirMode); err != nil {
		return err
	}
	if err := removeIfThere(s.path(newName)); err != nil {
		return err
	}
	there, err := exists(path)
	if err != nil {
		return err
	}
	// The mark is made when the file is there: a mark alone is a file lost.
	unclean, err := exists(s.path(openName))
	if err != nil {
		return err
	}
	if there {
		err := s.openExisting(path, unclean)
		if !errors.Is(err, ErrDamaged) {
			return err
		}
		name, qerr := quarantineFile(s.path("quarantine"), path, time.Now())
		if qerr != nil {
			return errors.Join(err, qerr)
		}
		s.log.Error("the file of spent passes was damaged: it is set aside, and which passes were used is not known any more",
			"quarantine", name, "err", err)
	}
	lost := time.Time{}
	if there || unclean || s.witness.there || s.count() > 0 {
		lost = s.lossTime()
		if !there {
			s.log.Error("the file of spent passes is gone: which passes were used is not known any more")
		}
	}
	if err := s.begin(path, lost); err != nil {
		return err
	}
	return s.openExisting(path, false)
}

// openExisting opens a file; one that was not closed is checked first, in a
// child process.
func (s *Spent) openExisting(path string, unclean bool) error {
	if _, err := readHeader(path); err != nil {
		return err
	}
	if unclean {
		if err := s.check(path); err != nil {
			return err
		}
	}
	db, file, err := openBoltWith(path, bbolt.Options{NoStatistics: true})
	if err != nil {
		return err
	}
	var (
		until map[[16]byte]int64
		lost  time.Time
		ever  uint64
	)
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			until, lost, ever, err = readSpent(tx)
			return err
		})
	})
	if err == nil {
		err = s.mark()
	}
	if err != nil {
		if cerr := guard(db.Close); cerr != nil {
			file.Close() // frees the lock
		}
		return fmt.Errorf("%s: %w", path, err)
	}
	s.db, s.file, s.ever = db, file, ever
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost = lost
	// What this process has promised holds, whatever the file says.
	maps.Copy(s.until, until)
	return nil
}

// mark notes that the file is open.
func (s *Spent) mark() error {
	f, err := os.OpenFile(s.path(openName), os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), durable.SyncDir(s.o.Dir))
}

func (s *Spent) check(path string) error {
	if err := probeLock(path); err != nil {
		return err // a file that somebody holds cannot be checked
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.o.CheckWait)
	defer cancel()
	err := s.o.Check(ctx, path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNotChecked):
		return fmt.Errorf("check %s: %w", path, err)
	}
	return fmt.Errorf("check %s: %w: %w", path, ErrDamaged, err)
}

// begin makes the file with what this process still knows: under another name
// first, so that there is never half of one.
func (s *Spent) begin(path string, lost time.Time) error {
	tmp := s.path(newName)
	db, file, err := openBoltWith(tmp, bbolt.Options{NoStatistics: true})
	if err != nil {
		return err
	}
	var unix uint64
	if !lost.IsZero() {
		unix = uint64(max(lost.Unix(), 1))
	}
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bucketMeta)
			if err != nil {
				return err
			}
			for key, v := range map[string][]byte{"kind": []byte(kindSpent), "schema": be32(spentSchema), string(keyLost): be64(unix), string(keyEver): be64(max(s.ever, s.witness.ever))} {
				if err := b.Put([]byte(key), v); err != nil {
					return err
				}
			}
			if b, err = tx.CreateBucket(bucketSpent); err != nil {
				return err
			}
			s.mu.RLock()
			defer s.mu.RUnlock()
			for id, until := range s.until {
				if err := b.Put(id[:], be64(uint64(until))); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if cerr := guard(db.Close); cerr != nil {
		file.Close()
		err = errors.Join(err, cerr)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin %s: %w", path, err), removeIfThere(tmp))
	}
	return durable.SyncDir(s.o.Dir)
}

// readSpent reads a file whole; what does not fit is [ErrDamaged]. ever is how
// many passes were spent, those that have been dropped included.
func readSpent(tx *bbolt.Tx) (until map[[16]byte]int64, lost time.Time, ever uint64, err error) {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return nil, lost, 0, err
	case kind != kindSpent:
		return nil, lost, 0, fmt.Errorf("%w: it is a %q, not of spent passes", ErrDamaged, kind)
	case schema > spentSchema:
		return nil, lost, 0, fmt.Errorf("schema %d: %w", schema, ErrNewerSchema)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	if at := f.u64(string(keyLost)); at != 0 {
		lost = time.Unix(int64(at), 0).UTC()
	}
	if f.b.Get(keyEver) != nil {
		ever = f.u64(string(keyEver))
	}
	b := tx.Bucket(bucketSpent)
	if f.err != nil || b == nil {
		return nil, lost, 0, fmt.Errorf("%w: a bucket or its meta is missing", ErrDamaged)
	}
	until = map[[16]byte]int64{}
	err = b.ForEach(func(k, v []byte) error {
		if len(k) != 16 || len(v) != 8 {
			return fmt.Errorf("%w: a pass of %d and %d bytes", ErrDamaged, len(k), len(v))
		}
		until[[16]byte(k)] = int64(binary.BigEndian.Uint64(v))
		return nil
	})
	return until, lost, max(ever, uint64(len(until))), err
}
