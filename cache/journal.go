package cache

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/agent/record"
)

// JournalOptions say where the journal is and how much of it is kept.
type JournalOptions struct {
	Dir    string // made when missing
	Origin record.Origin
	// MaxBytes bounds the file, which is mapped whole; 0 means 256 MiB. It is
	// between 4 MiB and 1 GiB, on a 32-bit machine 512 MiB.
	MaxBytes int64
	// KeepAcked is how long records stay after central acknowledged them; 0
	// means 24 hours.
	KeepAcked time.Duration
	// Check runs [CheckFile] in a child process on a file that may be
	// damaged: after an unclean end, or when reading it failed. Nil checks
	// in this process, which a badly damaged file can end.
	Check func(ctx context.Context, path string) error
	// CheckWait bounds Check; 0 means a minute and a second for each 4 MiB.
	CheckWait time.Duration
	// Now is the clock of the box; nil means time.Now.
	Now func() time.Time
}

const (
	defaultMaxBytes  = 256 << 20
	minMaxBytes      = 4 << 20
	maxMaxBytes      = (256 << 20) << (strconv.IntSize / 32)
	defaultKeepAcked = 24 * time.Hour
	maxWaiting       = 1024 // records that wait for the disk
	maxBatch         = 256  // records of one transaction
)

// Journal is the gap-free, hash-chained sequence of what the box did. Records
// are appended by a single writer goroutine: it takes whatever waits while the
// last fsync runs and commits it in one transaction, so a lone record waits for
// nobody and many share one fsync. All methods may be called at the same time.
//
// Sequence number, link to the record before and salt are given at the commit. A
// receipt is fulfilled when the record is durable, or with an error: then it
// is not known to be.
type Journal struct {
	opts JournalOptions
	log  *slog.Logger
	lock *os.File

	changed chan struct{}
	wake    chan struct{}
	done    chan struct{} // closed when the writer has ended

	mu      sync.Mutex // guards the fields below
	waiting []*request
	closed  bool
	state   state
	health  health
	suspect bool // a reader met damage
	commits uint64

	// swap guards db: readers hold it for one short view, the writer while it
	// puts another file in its place.
	swap sync.RWMutex
	db   *bbolt.DB

	// The writer's own:
	file      *os.File  // behind db; nil while no file is open
	retryAt   time.Time // after a failure records are not tried before
	failures  int       // in a row
	dirDirty  bool      // the file's name may not survive a power cut yet
	stuck     bool      // a transaction was left open by a panic
	begin     *beginning
	checkedAt time.Time
	savedAt   time.Time // last.json
	savedSeq  uint64
	prunedAt  time.Time
	closeErr  error
}

// state is where the journal stands; it changes only by a durable commit.
type state struct {
	epoch record.Epoch
	first uint64 // lowest sequence number kept
	seq   uint64 // newest; 0 while no file is open
	head  record.Hash
	acked record.Position
	// ackedAt is when the newest acknowledgement came, to the minute.
	ackedAt time.Time
	used    int64 // bytes in use of the file
	free    int64 // bytes inside the file that can be used again
}

func (s state) position() record.Position {
	return record.Position{Epoch: s.epoch, Seq: s.seq, Head: s.head}
}

type health struct {
	fault error
	since time.Time
	cause string // why the newest epoch of this run was begun
}

// JournalStatus is the state of the journal, for the page and for `state`.
type JournalStatus struct {
	Position record.Position
	Acked    record.Position
	First    uint64 // lowest sequence number kept
	Unacked  uint64 // records central has not acknowledged
	// AckedAt is when the newest acknowledgement came, to the minute; zero
	// when none is remembered.
	AckedAt time.Time
	Used    int64 // bytes
	Free    int64 // bytes inside the file, to be used again
	Max     int64 // bytes
	// Commits of this run; many records a commit mean that the disk is slow
	// for what the lanes ask.
	Commits uint64
	// EpochCause says why a new epoch was begun in this run; empty when none
	// was.
	EpochCause string
	// Quarantined are the damaged files kept, oldest first.
	Quarantined []string
	// Fault is why records cannot be taken, since Since; nil when they can.
	Fault error
	Since time.Time
}

// OpenJournal opens the journal, or begins a new epoch where there is none that
// can be used: it is missing, damaged (it is then set aside) or of another gate.
//
// It fails when the options are no good, with ErrInUse when another agent has
// the directory, and with ErrNewerSchema. When the disk does not let it work
// (full, read-only, no permission) it gives a Journal all the same: records
// fail, Status says why, and it tries again by itself.
func OpenJournal(o JournalOptions, log *slog.Logger) (*Journal, error) {
	if err := o.Origin.Check(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxBytes < minMaxBytes || o.MaxBytes > maxMaxBytes {
		return nil, fmt.Errorf("open journal: a size of %d MiB is not between %d and %d", o.MaxBytes>>20, minMaxBytes>>20, maxMaxBytes>>20)
	}
	if o.KeepAcked == 0 {
		o.KeepAcked = defaultKeepAcked
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Check == nil {
		o.Check = func(_ context.Context, path string) error { return CheckFile(path) }
	}
	j := &Journal{
		opts: o, log: log,
		changed: make(chan struct{}, 1),
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
	if err := j.openFile(); err != nil {
		if errors.Is(err, ErrInUse) || errors.Is(err, ErrNewerSchema) {
			return nil, errors.Join(fmt.Errorf("open journal: %w", err), j.unlock())
		}
		j.failed(err, retryPause)
	}
	go j.write()
	return j, nil
}

func (j *Journal) path(name string) string { return filepath.Join(j.opts.Dir, name) }

// Append appends an entry; the receipt is fulfilled once it is durable.
func (j *Journal) Append(v gate.Entry) *gate.Receipt {
	return j.append(func(e record.Epoch, seq uint64) (record.Record, error) {
		return record.FromEntry(j.opts.Origin, e, seq, v)
	})
}

// AppendPassage appends what followed an entry.
func (j *Journal) AppendPassage(v gate.Passage) *gate.Receipt {
	return j.append(func(e record.Epoch, seq uint64) (record.Record, error) {
		return record.FromPassage(j.opts.Origin, e, seq, v)
	})
}

// AppendOverride appends an opening that no policy decided.
func (j *Journal) AppendOverride(v gate.Override) *gate.Receipt {
	return j.append(func(e record.Epoch, seq uint64) (record.Record, error) {
		return record.FromOverride(j.opts.Origin, e, seq, v)
	})
}

// AppendEvent appends anything else worth keeping.
func (j *Journal) AppendEvent(v gate.Event) *gate.Receipt {
	return j.append(func(e record.Epoch, seq uint64) (record.Record, error) {
		return record.FromEvent(j.opts.Origin, e, seq, v)
	})
}

func (j *Journal) append(build func(record.Epoch, uint64) (record.Record, error)) *gate.Receipt {
	r := &request{build: build, receipt: gate.NewReceipt()}
	if err := j.enqueue(r); err != nil {
		r.receipt.Fulfil(0, err)
	}
	return r.receipt
}

// enqueue hands a request to the writer.
func (j *Journal) enqueue(r *request) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return fmt.Errorf("journal: %w", ErrClosed)
	case r.build != nil && len(j.waiting) >= maxWaiting:
		return fmt.Errorf("journal: %w: %d", ErrBusy, len(j.waiting))
	}
	j.waiting = append(j.waiting, r)
	notify(j.wake)
	return nil
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Position is the place of the newest durable record; the zero Position while
// no journal file can be opened.
func (j *Journal) Position() record.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.position()
}

// Acked is the place up to which central has acknowledged.
func (j *Journal) Acked() record.Position {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.acked
}

// Changed is a wake-up for one consumer: it delivers after records were
// appended, the cursor was moved back or the epoch changed. It carries no data;
// several changes may give one wake-up.
func (j *Journal) Changed() <-chan struct{} { return j.changed }

// Status gives the state of the journal.
func (j *Journal) Status() JournalStatus {
	j.mu.Lock()
	s, h, commits := j.state, j.health, j.commits
	j.mu.Unlock()
	st := JournalStatus{
		Position: s.position(), Acked: s.acked, First: s.first, Unacked: s.seq - s.acked.Seq, AckedAt: s.ackedAt,
		Used: s.used, Free: s.free, Max: j.opts.MaxBytes, Commits: commits,
		EpochCause: h.cause, Fault: h.fault, Since: h.since,
	}
	st.Quarantined, _ = listQuarantine(j.quarantineDir()) // a status has no better word than the empty list
	return st
}

// Close takes what waits, closes the file cleanly and ends the writer. Later
// appends fail with ErrClosed.
func (j *Journal) Close() error {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	notify(j.wake)
	<-j.done
	return j.closeErr
}

// Keys and values of the records bucket: the key is the sequence number (8 bytes
// big-endian), the value the hash of the record before (32 bytes) and the
// record as agent/record marshals it.

func seqKey(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

func marshalLink(l record.Link) ([]byte, error) {
	data, err := l.Record.Marshal()
	if err != nil {
		return nil, err
	}
	return append(append(make([]byte, 0, len(l.Prev)+len(data)), l.Prev[:]...), data...), nil
}

// parseLink reads a key and value; the link shares no memory with them.
func parseLink(key, value []byte) (record.Link, error) {
	var l record.Link
	if len(key) != 8 || len(value) <= len(l.Prev) {
		return l, fmt.Errorf("%w: record with a key of %d and a value of %d bytes", ErrDamaged, len(key), len(value))
	}
	l.Seq = binary.BigEndian.Uint64(key)
	copy(l.Prev[:], value)
	if err := l.Record.Unmarshal(bytes.Clone(value[len(l.Prev):])); err != nil {
		return l, fmt.Errorf("%w: record %d: %w", ErrDamaged, l.Seq, err)
	}
	return l, nil
}

// linkAt reads one record.
func linkAt(tx *bbolt.Tx, seq uint64) (record.Link, error) {
	key := seqKey(seq)
	v := tx.Bucket(bucketRecords).Get(key)
	if v == nil {
		return record.Link{}, fmt.Errorf("%w: record %d is missing", ErrDamaged, seq)
	}
	return parseLink(key, v)
}
