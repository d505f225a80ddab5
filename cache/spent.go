package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

const (
	spentName = "spent.db"
	// maxSpent bounds the passes that are kept, in some 6 MiB of file and of
	// memory: two weeks' of a gate with ten thousand visitors a day.
	maxSpent = 1 << 17
	// spentGrace is how long an expired pass is kept at least.
	spentGrace = 24 * time.Hour
)

var (
	bucketSpent = []byte("spent") // id (16 bytes) -> until
	keyEver     = []byte("ever")  // in its meta bucket: how many were ever spent; missing in files of earlier versions
	keyLost     = []byte("lost")  // in its meta bucket: when a file before this one was lost; 0: never
)

// SpentOptions configure [OpenSpent].
type SpentOptions struct {
	Dir string
	// Witness is a small file outside Dir that says, when Dir is lost whole or
	// an older one is put in its place, that there were passes; empty: nothing
	// does.
	Witness string
	// Check reads a file in a child process as [CheckFile] does; see
	// [JournalOptions].
	Check func(ctx context.Context, path string) error
	// CheckWait bounds it; 0: a minute.
	CheckWait time.Duration
	// Now gives the time, zero while it cannot be believed: nothing is
	// dropped then.
	Now func() time.Time
	// MaxPasses bounds how many passes are kept; 0: 131,072.
	MaxPasses int
}

// Spent remembers the passes for one entry that were used here, durably, until
// they have expired and there is no room for them any more. The clock alone
// makes it forget nothing: one that is believed and was wrong for a while must
// not make a pass good again when it is right. So passes are dropped only from
// a full file, and of those that have expired the ones that did so first. It is
// safe for concurrent use.
type Spent struct {
	o   SpentOptions
	log *slog.Logger

	write   sync.Mutex // held while the file is opened, written or closed; guards the next five
	lock    *os.File
	db      *bbolt.DB
	file    *os.File
	ever    uint64 // passes that were ever spent, as the file says
	witness witness

	mu     sync.RWMutex // guards the following
	until  map[[16]byte]int64
	lost   time.Time
	fault  error
	closed bool
}

// SpentStatus is how it stands.
type SpentStatus struct {
	Passes int
	// Lost is when the file was last found damaged, gone or put back: which passes were
	// spent before is not known. Zero: never.
	Lost time.Time
	// Fault is why nothing can be spent; nil: it can.
	Fault error
}

// OpenSpent opens the file of spent passes in a directory of its own, or makes
// it. A damaged one goes into quarantine and a new one is begun, which says so.
// The error is [ErrInUse], or a directory that cannot be used; anything else is
// a fault in [Spent.Status], and is tried again with the next pass.
func OpenSpent(o SpentOptions, log *slog.Logger) (*Spent, error) {
	if o.CheckWait == 0 {
		o.CheckWait = time.Minute
	}
	if o.MaxPasses == 0 {
		o.MaxPasses = maxSpent
	}
	s := &Spent{o: o, log: log, until: map[[16]byte]int64{}}
	if err := os.MkdirAll(s.path("quarantine"), dirMode); err != nil {
		return nil, fmt.Errorf("open spent passes: %w", err)
	}
	lock, err := lockDir(s.path(lockName))
	if err != nil {
		return nil, fmt.Errorf("open spent passes: %w", err)
	}
	s.lock = lock
	s.write.Lock()
	defer s.write.Unlock()
	s.setFault(s.open())
	return s, nil
}

func (s *Spent) path(name string) string { return filepath.Join(s.o.Dir, name) }

// Known says whether a pass was spent here. It does not wait for the disk and
// allocates nothing.
func (s *Spent) Known(id [16]byte) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, there := s.until[id]
	return there
}

// Spend notes that a pass is used up, durably before it returns; until is when
// it expires. fresh is false, and nothing else happens, if it was spent before:
// of several calls with one id exactly one is fresh. After an error the pass is
// not spent as far as anybody knows, and nobody may be let in by it.
func (s *Spent) Spend(id [16]byte, until time.Time) (fresh bool, err error) {
	s.write.Lock()
	defer s.write.Unlock()
	switch {
	case s.isClosed():
		return false, fmt.Errorf("spend a pass: %w", ErrClosed)
	case s.Known(id):
		return false, nil
	}
	if s.db == nil {
		if err := s.open(); err != nil {
			s.setFault(err)
			return false, fmt.Errorf("spend a pass: %w", err)
		}
		if s.setFault(nil); s.Known(id) { // it was read anew
			return false, nil
		}
	}
	gone := s.expired()
	if s.count()-len(gone) >= s.o.MaxPasses {
		return false, fmt.Errorf("spend a pass: %d are kept already: %w", s.count(), ErrFull)
	}
	if err := s.put(id, until.Unix(), gone); err != nil {
		s.setFault(err)
		if !noSpace(err) {
			s.abandon()
		}
		return false, fmt.Errorf("spend a pass: %w", err)
	}
	s.ever++
	s.mu.Lock()
	s.until[id] = until.Unix()
	for _, id := range gone {
		delete(s.until, id)
	}
	s.fault = nil
	s.mu.Unlock()
	return true, nil
}

// put writes a pass down, and drops those that have expired.
func (s *Spent) put(id [16]byte, until int64, gone [][16]byte) error {
	return guard(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketSpent)
			for _, old := range gone {
				if err := b.Delete(old[:]); err != nil {
					return err
				}
			}
			if err := tx.Bucket(bucketMeta).Put(keyEver, be64(s.ever+1)); err != nil {
				return err
			}
			return b.Put(id[:], be64(uint64(until)))
		})
	})
}

// expired gives the passes that are to be dropped from a full file: those that
// expired first, an eighth of it at most, so that it is not done every time.
func (s *Spent) expired() [][16]byte {
	now := s.o.Now()
	if now.IsZero() || s.count() < s.o.MaxPasses {
		return nil
	}
	before := now.Add(-spentGrace).Unix()
	var gone [][16]byte
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, until := range s.until {
		if until < before {
			gone = append(gone, id)
		}
	}
	slices.SortFunc(gone, func(a, b [16]byte) int { return cmp.Compare(s.until[a], s.until[b]) })
	return gone[:min(len(gone), max(s.o.MaxPasses/8, 1))]
}

func (s *Spent) count() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.until)
}

func (s *Spent) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// Status says how it stands.
func (s *Spent) Status() SpentStatus {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return SpentStatus{len(s.until), s.lost, s.fault}
}

// Close closes the file. What was spent stays known.
func (s *Spent) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.isClosed() {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var err error
	if s.db != nil {
		err = guard(s.db.Close)
		s.db = nil
		if err == nil {
			err = removeIfThere(s.path(openName))
		}
		s.testify()
	}
	return errors.Join(err, s.lock.Close())
}

// setFault notes whether anything can be spent.
func (s *Spent) setFault(err error) {
	s.mu.Lock()
	was := s.fault
	s.fault = err
	s.mu.Unlock()
	if err != nil && was == nil {
		s.log.Error("passes for one entry cannot be taken", "err", err)
	}
}

// abandon gives up a file that failed: bbolt may hold its own locks for ever,
// so only the file is closed. The next pass opens it anew, after a check.
func (s *Spent) abandon() {
	s.file.Close()
	s.db, s.file = nil, nil
}
