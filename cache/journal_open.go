package cache

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
	"gateagent/agent/record"
)

const (
	journalName = "journal.db"
	newName     = "journal.new" // being built; thrown away when found at start
	openName    = "open"        // there while a process has the journal open
	lastName    = "last.json"
	lockName    = "lock"
)

// CauseFirst is the EpochCause of a box that had no journal before: nothing is
// missing.
const CauseFirst = "first_start"

// Why else an epoch was begun, as the event of its first record says.
const (
	causeMissing = "journal_missing"
	causeDamaged = "journal_damaged"
	causeForeign = "journal_of_another_gate"
)

func (j *Journal) boltOptions() bbolt.Options {
	return bbolt.Options{
		// Mapping the largest size at once costs addresses, not memory, and
		// means that the map never moves: no reader can hold up the writer.
		InitialMmapSize: int(j.opts.MaxBytes),
		MaxSize:         int(j.opts.MaxBytes),
	}
}

// allocSize is by how many bytes the file grows at a time: far less than the
// reserve, which must not fall to growing in steps.
func (j *Journal) allocSize() int { return int(min(j.opts.MaxBytes/64, 1<<20)) }

// openFile opens the journal or begins a new epoch. It is called by
// OpenJournal and, after a failure, by the writer.
func (j *Journal) openFile() error {
	if err := os.MkdirAll(j.quarantineDir(), dirMode); err != nil {
		return err
	}
	if j.lock == nil {
		lock, err := lockDir(j.path(lockName))
		if err != nil {
			return err
		}
		j.lock = lock
	}
	if err := removeIfThere(j.path(newName)); err != nil {
		return err
	}
	path := j.path(journalName)
	there, err := exists(path)
	if err != nil {
		return err
	}
	if !there {
		if j.begin == nil {
			j.begin = &beginning{last: j.readLast(), cause: CauseFirst}
			if !j.begin.last.Epoch.IsZero() {
				j.begin.cause = causeMissing
				j.log.Error("the journal file is missing", "last_epoch", j.begin.last.Epoch, "last_seq", j.begin.last.Seq)
			}
		}
		return j.beginEpoch()
	}
	err = j.openExisting(path)
	switch {
	case errors.Is(err, errForeign):
		return j.replaceFile(path, causeForeign, err)
	case errors.Is(err, ErrDamaged):
		return j.replaceFile(path, causeDamaged, err)
	}
	return err
}

// errForeign: the file was written by a gate of another name.
var errForeign = errors.New("the journal belongs to another gate")

// openExisting opens the file that is there; one that may be damaged is checked
// first, in a child process.
func (j *Journal) openExisting(path string) error {
	if _, err := readHeader(path); err != nil {
		return err
	}
	unclean, err := exists(j.path(openName))
	if err != nil {
		return err
	}
	if unclean {
		if err := j.check(path); err != nil {
			return err
		}
	}
	db, file, err := openBolt(path, j.boltOptions())
	if err != nil {
		return err
	}
	st, err := j.readState(db)
	if err == nil {
		err = j.mark()
	}
	if err != nil {
		return errors.Join(err, guard(db.Close))
	}
	j.use(db, file, st)
	j.log.Info("journal open", "epoch", st.epoch, "seq", st.seq, "unacked", st.seq-st.acked.Seq)
	return nil
}

// mark notes that the file is open. On a full disk it goes on without: opening
// may be what makes room.
func (j *Journal) mark() error {
	f, err := os.OpenFile(j.path(openName), os.O_WRONLY|os.O_CREATE, fileMode)
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = durable.SyncDir(j.opts.Dir)
	}
	if err != nil && noSpace(err) {
		j.log.Warn("cannot mark the journal as open", "err", err)
		return nil
	}
	return err
}

// check runs the check of the options on a suspect file.
func (j *Journal) check(path string) error {
	if err := probeLock(path); err != nil {
		return err // a file that somebody holds cannot be checked, which is no fault of it
	}
	wait := j.opts.CheckWait
	if wait == 0 {
		wait = time.Minute
		if info, err := os.Stat(path); err == nil {
			wait += time.Duration(info.Size()>>22) * time.Second
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	start := time.Now()
	err := j.opts.Check(ctx, path)
	switch {
	case err == nil:
		j.log.Info("the journal was not closed; it was checked and is whole", "took", time.Since(start).Round(time.Millisecond))
		return nil
	case errors.Is(err, ErrNotChecked):
		return fmt.Errorf("check %s: %w", path, err)
	}
	return fmt.Errorf("check %s: %w: %w", path, ErrDamaged, err)
}

// readState reads where the journal stands.
func (j *Journal) readState(db *bbolt.DB) (state, error) {
	var st state
	err := guard(func() error {
		return db.View(func(tx *bbolt.Tx) (err error) {
			st, err = stateOf(tx, j.opts.Origin)
			return err
		})
	})
	st.measure(db)
	return st, err
}

func stateOf(tx *bbolt.Tx, origin record.Origin) (state, error) {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return state{}, err
	case kind != kindJournal:
		return state{}, fmt.Errorf("%w: it is a %q, no journal", ErrDamaged, kind)
	case schema > journalSchema:
		return state{}, fmt.Errorf("schema %d: %w", schema, ErrNewerSchema)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	var st state
	copy(st.epoch[:], f.bytes("epoch", len(st.epoch)))
	source := f.text("source")
	st.acked = record.Position{Epoch: st.epoch, Seq: f.u64("acked_seq")}
	copy(st.acked.Head[:], f.bytes("acked_head", len(st.acked.Head)))
	newest, head := f.u64("seq"), record.Hash(f.bytes("head", len(st.head)))
	if f.err != nil {
		return state{}, f.err
	}
	if source != origin.Source() {
		return state{}, fmt.Errorf("%w: %s", errForeign, source)
	}
	records, acks := tx.Bucket(bucketRecords), tx.Bucket(bucketAcks)
	if records == nil || acks == nil {
		return state{}, fmt.Errorf("%w: a bucket is missing", ErrDamaged)
	}
	k, _ := records.Cursor().First()
	last, v := records.Cursor().Last()
	if len(k) != 8 {
		return state{}, fmt.Errorf("%w: no records", ErrDamaged)
	}
	l, err := parseLink(last, v)
	if err != nil {
		return state{}, err
	}
	st.first, st.seq, st.head = binary.BigEndian.Uint64(k), l.Seq, l.Hash()
	if st.seq != newest || st.head != head {
		return state{}, fmt.Errorf("%w: the newest record is %d with another hash than noted for %d", ErrDamaged, st.seq, newest)
	}
	if st.acked.Seq > st.seq || st.first > st.acked.Seq+1 {
		return state{}, fmt.Errorf("%w: records %d to %d, acknowledged up to %d", ErrDamaged, st.first, st.seq, st.acked.Seq)
	}
	if minute, _ := acks.Cursor().Last(); len(minute) == 8 {
		st.ackedAt = time.Unix(int64(binary.BigEndian.Uint64(minute))*60, 0).UTC()
	}
	return st, nil
}

// measure asks bbolt how much of the file is in use.
func (s *state) measure(db *bbolt.DB) {
	stats := db.Stats()
	s.free = int64(stats.FreePageN+stats.PendingPageN) * pageSize
	_ = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			s.used = tx.Size() - s.free
			return nil
		})
	})
}

// use puts an open file in place. The writer owns it from here on.
func (j *Journal) use(db *bbolt.DB, file *os.File, st state) {
	db.AllocSize = j.allocSize()
	j.swap.Lock()
	j.db = db
	j.swap.Unlock()
	j.file = file
	j.retryAt, j.failures = time.Time{}, 0
	j.mu.Lock()
	j.state = st
	j.health.fault, j.health.since = nil, time.Time{}
	j.mu.Unlock()
	j.saveLast(st)
	notify(j.changed)
}

// beginning is what the first record of a new epoch will say. It is kept until
// the epoch could be begun.
type beginning struct {
	last       record.Position
	cause      string
	quarantine string // file name there; empty when nothing was set aside
}

// replaceFile sets the file aside and begins a new epoch that names the last
// position which can still be read.
func (j *Journal) replaceFile(path, cause string, why error) error {
	kept, err := j.quarantine(path)
	if err != nil {
		return errors.Join(why, fmt.Errorf("set the journal aside: %w", err))
	}
	last := lastReadable(filepath.Join(j.quarantineDir(), kept))
	if saved := j.readLast(); last.Epoch.IsZero() || saved.Epoch == last.Epoch && saved.Seq >= last.Seq {
		last = saved
	}
	j.log.Error("the journal cannot be used and was set aside; a new epoch begins",
		"cause", cause, "file", kept, "last_epoch", last.Epoch, "last_seq", last.Seq, "err", why)
	j.begin = &beginning{last: last, cause: cause, quarantine: kept}
	return j.beginEpoch()
}

// beginEpoch builds a journal with its first record beside the old place and
// moves it there when it is whole.
func (j *Journal) beginEpoch() error {
	tmp, path := j.path(newName), j.path(journalName)
	db, file, err := openBolt(tmp, j.boltOptions())
	if err != nil {
		return errors.Join(fmt.Errorf("begin a new epoch: %w", err), removeIfThere(tmp))
	}
	db.AllocSize = j.allocSize()
	epoch := record.NewEpoch()
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error { return j.putFirst(tx, epoch) })
	})
	if err == nil {
		err = j.mark()
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = durable.SyncDir(j.opts.Dir)
	}
	var st state
	if err == nil {
		st, err = j.readState(db)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin a new epoch: %w", err), guard(db.Close), removeIfThere(tmp))
	}
	j.log.Info("a new epoch of the journal begins", "epoch", epoch, "cause", j.begin.cause)
	j.mu.Lock()
	j.health.cause = j.begin.cause
	j.mu.Unlock()
	j.begin = nil
	j.use(db, file, st)
	return nil
}

func (j *Journal) putFirst(tx *bbolt.Tx, epoch record.Epoch) error {
	now := j.opts.Now()
	if now.Unix() < 0 {
		now = time.Unix(0, 0) // a clock that wrong must not keep the gate shut
	}
	ev := record.FirstEvent(now, j.begin.last, j.begin.cause)
	if j.begin.quarantine != "" {
		ev.Details["quarantine"] = j.begin.quarantine
	}
	first, err := record.FromEvent(j.opts.Origin, epoch, 1, ev)
	if err != nil {
		return err
	}
	l := record.Link{Seq: 1, Record: first}
	value, err := marshalLink(l)
	if err != nil {
		return err
	}
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		key   string
		value []byte
	}{
		{"kind", []byte(kindJournal)},
		{"schema", be32(journalSchema)},
		{"epoch", epoch[:]},
		{"source", []byte(j.opts.Origin.Source())},
		{"acked_seq", be64(0)},
		{"acked_head", make([]byte, len(record.Hash{}))},
	} {
		if err := meta.Put([]byte(f.key), f.value); err != nil {
			return err
		}
	}
	if err := putHead(meta, state{seq: 1, head: l.Hash()}); err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketAcks); err != nil {
		return err
	}
	records, err := tx.CreateBucket(bucketRecords)
	if err != nil {
		return err
	}
	return records.Put(seqKey(1), value)
}

// lastFile is the content of last.json: a position that was durable once. It
// serves only to say, after a loss, what there had been.
type lastFile struct {
	Epoch record.Epoch `json:"epoch"`
	Seq   uint64       `json:"seq"`
	Head  record.Hash  `json:"head"`
}

func (j *Journal) readLast() record.Position {
	data, err := os.ReadFile(j.path(lastName))
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			j.log.Warn("cannot read the last position", "err", err)
		}
		return record.Position{}
	}
	var l lastFile
	if err := json.Unmarshal(data, &l); err != nil {
		j.log.Warn("cannot read the last position", "err", err)
		return record.Position{}
	}
	return record.Position(l)
}

// saveLast writes last.json; that it failed matters only after a loss.
func (j *Journal) saveLast(st state) {
	j.savedAt, j.savedSeq = time.Now(), st.seq
	data, err := json.Marshal(lastFile(st.position()))
	if err == nil {
		err = durable.WriteFile(j.path(lastName), data, fileMode)
	}
	if err != nil {
		j.log.Warn("cannot save the last position", "err", err)
	}
}

func (j *Journal) unlock() error {
	if j.lock == nil {
		return nil
	}
	err := j.lock.Close()
	j.lock = nil
	return err
}
