package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
	"gateagent/agent/gate"
	"gateagent/cache/overlay"
)

// The delta log keeps the changes since the set file in force was built:
// sets/<set>/delta.db, one bucket of pieces and, behind the pieces of each
// delta, its head. A delta counts once its head is there; head and last pieces
// are written by one transaction.
//
// Pieces are small, because bbolt rewrites the neighbours of what it appends
// and does not split a page with fewer than five values (STORE §9, trap 12b).
// Unlike our other files the list of free pages is written to the file: it
// stays short here, and opening a file without it makes bbolt read all pages in
// a goroutine of its own, where a damaged one ends the process.
const (
	logName   = "delta.db"
	pieceSize = 980     // so that four lie on a page
	logTx     = 1 << 20 // bytes of pieces in one transaction
	headPiece = math.MaxUint32
	maxIssued = 1 << 53
)

var (
	bucketDeltas = []byte("deltas") // delta log: number, piece -> piece or head
	keyNewest    = []byte("newest") // in its meta bucket: number of the newest delta that has a head
)

// lineage names the whole version that deltas grow from.
type lineage struct {
	Version uint64
	Digest  [sha256.Size]byte
}

// logHead describes one entry of the log: usually a delta, after a log was
// lost all since the file.
type logHead struct {
	base   lineage
	from   uint64 // version before it
	issued int64  // UTC milliseconds
	people uint64 // records after it
	extras uint64 // people with extras after it
	width  int
	pieces uint32
	lists  []string // in force after it; empty: those before
	digest [sha256.Size]byte
}

// append gives the head as it is stored, all but the digest.
func (h *logHead) append(to []byte) []byte {
	to = binary.BigEndian.AppendUint64(to, h.base.Version)
	to = append(to, h.base.Digest[:]...)
	for _, v := range [...]uint64{h.from, uint64(h.issued), h.people, h.extras} {
		to = binary.BigEndian.AppendUint64(to, v)
	}
	to = binary.BigEndian.AppendUint32(to, h.pieces)
	to = append(to, byte(h.width), byte(len(h.lists)))
	for _, name := range h.lists {
		to = append(to, byte(len(name)))
		to = append(to, name...)
	}
	return to
}

// parseHead is the inverse of append and digest.
func parseHead(data []byte) (h logHead, err error) {
	const fixed = 8 + sha256.Size + 4*8 + 4 + 2
	bad := fmt.Errorf("%w: the head of a delta", ErrDamaged)
	if len(data) < fixed+sha256.Size {
		return h, bad
	}
	u64 := func(at int) uint64 { return binary.BigEndian.Uint64(data[at:]) }
	h.base.Version = u64(0)
	copy(h.base.Digest[:], data[8:])
	at := 8 + sha256.Size
	h.from, h.issued, h.people, h.extras = u64(at), int64(u64(at+8)), u64(at+16), u64(at+24)
	at += 4 * 8
	h.pieces, h.width = binary.BigEndian.Uint32(data[at:]), int(data[at+4])
	names, rest := int(data[fixed-1]), data[fixed:len(data)-sha256.Size]
	for range names {
		if len(rest) == 0 || len(rest) <= int(rest[0]) {
			return h, bad
		}
		end := 1 + int(rest[0])
		h.lists = append(h.lists, string(rest[1:end]))
		rest = rest[end:]
	}
	if len(rest) != 0 || names > gate.MaxListNames || h.issued < 0 || h.issued > maxIssued || h.pieces == headPiece {
		return h, bad
	}
	copy(h.digest[:], data[len(data)-sha256.Size:])
	return h, nil
}

// logDigest is SHA-256 over the number of an entry, its pieces, each with its
// length, and its head.
type logDigest struct{ h hash.Hash }

func newLogDigest(n uint64) logDigest {
	d := logDigest{sha256.New()}
	d.h.Write(be64(n))
	return d
}

func (d logDigest) piece(piece []byte) {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(piece)))
	d.h.Write(size[:])
	d.h.Write(piece)
}

func (d logDigest) head(h *logHead) (sum [sha256.Size]byte) {
	d.h.Write(h.append(nil))
	d.h.Sum(sum[:0])
	return sum
}

func logKey(n uint64, piece uint32) []byte {
	return binary.BigEndian.AppendUint32(be64(n), piece)
}

// readLog walks through a log under the care of the caller's guard. want says
// of the head of each entry whether its pieces are needed, and take is given
// those. What comes after the newest finished delta is passed over.
func readLog(tx *bbolt.Tx, want func(n uint64, h logHead) bool, take func(n uint64, h logHead, run *overlay.Overlay) error) error {
	b := tx.Bucket(bucketDeltas)
	if b == nil {
		return fmt.Errorf("%w: no deltas", ErrDamaged)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	newest := f.u64(string(keyNewest))
	if f.err != nil {
		return f.err
	}
	c := b.Cursor()
	k, v := c.First()
	for last := uint64(0); ; {
		if k == nil && last < newest {
			return fmt.Errorf("%w: it ends with delta %d instead of %d", ErrDamaged, last, newest)
		}
		if k == nil {
			return nil
		}
		if len(k) != 12 {
			return fmt.Errorf("%w: key %x", ErrDamaged, k)
		}
		n := binary.BigEndian.Uint64(k)
		if n == math.MaxUint64 {
			return fmt.Errorf("%w: delta %d", ErrDamaged, n)
		}
		stored := b.Get(logKey(n, headPiece))
		if stored == nil {
			if last < newest {
				return fmt.Errorf("%w: delta %d has no head", ErrDamaged, n)
			}
			return nil
		}
		last = n
		h, err := parseHead(stored)
		if err != nil {
			return err
		}
		wanted, run := want(n, h), overlay.NewBuilder(h.width)
		digest := newLogDigest(n)
		for piece := range h.pieces {
			if !bytes.Equal(k, logKey(n, piece)) {
				return fmt.Errorf("%w: delta %d lacks piece %d", ErrDamaged, n, piece)
			}
			if wanted {
				if err := run.AddPiece(v); err != nil {
					return fmt.Errorf("%w: delta %d: %w", ErrDamaged, n, err)
				}
			}
			digest.piece(v)
			k, v = c.Next()
		}
		if !bytes.Equal(k, logKey(n, headPiece)) {
			return fmt.Errorf("%w: delta %d has more than %d pieces", ErrDamaged, n, h.pieces)
		}
		if digest.head(&h) != h.digest {
			return fmt.Errorf("%w: delta %d does not have its digest", ErrDamaged, n)
		}
		if wanted {
			if err := take(n, h, run.Overlay()); err != nil {
				return err
			}
		}
		k, v = c.Next()
	}
}

// verifyLog is the check of CheckFile: every entry, whatever its base.
func verifyLog(tx *bbolt.Tx) error {
	return readLog(tx, func(uint64, logHead) bool { return true },
		func(uint64, logHead, *overlay.Overlay) error { return nil })
}

// viewLog opens a log for reading only and hands its transaction to fn.
func viewLog(path, set string, fn func(tx *bbolt.Tx) error) error {
	if _, err := readHeader(path); err != nil {
		return err
	}
	db, _, err := openBolt(path, bbolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	err = guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			if err := checkLogMeta(tx, set); err != nil {
				return err
			}
			return fn(tx)
		})
	})
	if cerr := guard(db.Close); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func checkLogMeta(tx *bbolt.Tx, set string) error {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return err
	case kind != kindDeltas:
		return fmt.Errorf("%w: it is a %q, no delta log", ErrDamaged, kind)
	case schema > deltasSchema:
		return fmt.Errorf("schema %d: %w", schema, ErrNewerSchema)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	if name := f.text("set"); f.err == nil && name != set {
		f.err = fmt.Errorf("%w: it is the log of data set %q", ErrDamaged, name)
	}
	return f.err
}

// deltaLog is a log open for appending.
type deltaLog struct {
	db   *bbolt.DB
	file *os.File
	lost bool // a fault left bbolt's locks taken
}

// openLog opens the log at path, or makes a new one there. A new one is to be
// made under another name and renamed once it holds its first entry.
func openLog(path, set string, fresh bool) (*deltaLog, error) {
	if !fresh {
		if _, err := readHeader(path); err != nil {
			return nil, err
		}
	}
	db, file, err := openBoltWith(path, bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return nil, err
	}
	err = guard(func() error {
		if !fresh {
			return db.View(func(tx *bbolt.Tx) error { return checkLogMeta(tx, set) })
		}
		return db.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucket(bucketMeta)
			if err != nil {
				return err
			}
			for _, f := range [...]struct {
				key   string
				value []byte
			}{{"kind", []byte(kindDeltas)}, {"schema", be32(deltasSchema)}, {"set", []byte(set)}} {
				if err := b.Put([]byte(f.key), f.value); err != nil {
					return err
				}
			}
			_, err = tx.CreateBucket(bucketDeltas)
			return err
		})
	})
	if err != nil {
		if cerr := guard(db.Close); errors.Is(cerr, ErrDamaged) {
			file.Close() // frees the lock
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &deltaLog{db: db, file: file}, nil
}

// close closes the log. After a fault bbolt would wait for itself, so then only
// the file is closed, which frees its lock; its map stays until the process ends.
func (l *deltaLog) close() error {
	if l.lost {
		return l.file.Close()
	}
	return guard(l.db.Close)
}

// holds says whether the newest entry is n and grew from base. What was left
// unfinished behind it does not count.
func (l *deltaLog) holds(n uint64, base lineage) error {
	return guard(func() error {
		return l.db.View(func(tx *bbolt.Tx) error {
			v := tx.Bucket(bucketDeltas).Get(logKey(n, headPiece))
			if v == nil {
				return fmt.Errorf("%w: it lacks delta %d", ErrDamaged, n)
			}
			h, err := parseHead(v)
			if err == nil && h.base != base {
				err = fmt.Errorf("%w: delta %d is of another base", ErrDamaged, n)
			}
			return err
		})
	})
}

// add appends entry n and gives nil once it is durable. What lies at or above n
// was not finished, or was reported as failed, and goes first. After an error
// the log must be closed.
func (l *deltaLog) add(n uint64, h logHead, run *overlay.Overlay) error {
	l.lost = true
	return guard(func() error {
		w := logWriter{db: l.db, left: run.Bytes()}
		err := w.add(n, h, run)
		if err != nil && w.tx != nil {
			_ = w.tx.Rollback() // closed already when its commit failed
		}
		l.lost = false
		return err
	})
}

// logWriter writes one entry, in several transactions when it is a large one.
type logWriter struct {
	db    *bbolt.DB
	tx    *bbolt.Tx
	b     *bbolt.Bucket
	arena []byte // pieces of the transaction under way: bbolt keeps them until Commit
	left  int    // about how many bytes are still to come
}

func (w *logWriter) begin() (err error) {
	if w.tx, err = w.db.Begin(true); err != nil {
		return err
	}
	if w.b = w.tx.Bucket(bucketDeltas); w.b == nil {
		return fmt.Errorf("%w: no deltas", ErrDamaged)
	}
	w.b.FillPercent = 1.0 // the keys come sorted; it holds for this handle only
	if w.arena == nil {
		w.arena = make([]byte, 0, min(w.left+w.left/4, logTx)+2*pieceSize)
	}
	w.arena = w.arena[:0]
	return nil
}

func (w *logWriter) add(n uint64, h logHead, run *overlay.Overlay) error {
	if err := w.begin(); err != nil {
		return err
	}
	for {
		k, _ := w.b.Cursor().Seek(logKey(n, 0))
		if k == nil {
			break
		}
		if err := w.b.Delete(bytes.Clone(k)); err != nil {
			return err
		}
	}
	digest := newLogDigest(n)
	for piece := range run.Pieces(pieceSize) {
		if len(w.arena)+len(piece) > cap(w.arena) {
			if err := w.tx.Commit(); err != nil {
				return err
			}
			if err := w.begin(); err != nil {
				return err
			}
		}
		from := len(w.arena)
		w.arena = append(w.arena, piece...)
		if err := w.b.Put(logKey(n, h.pieces), w.arena[from:len(w.arena):len(w.arena)]); err != nil {
			return err
		}
		digest.piece(piece)
		h.pieces++
	}
	h.digest = digest.head(&h)
	if err := w.b.Put(logKey(n, headPiece), append(h.append(nil), h.digest[:]...)); err != nil {
		return err
	}
	meta := w.tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("%w: no meta", ErrDamaged)
	}
	if err := meta.Put(keyNewest, be64(n)); err != nil {
		return err
	}
	return w.tx.Commit()
}

// removeLog removes a log and what was left of making one.
func removeLog(dir string) error {
	path := filepath.Join(dir, logName)
	there, err := exists(path)
	if err == nil && there {
		if err = os.Remove(path); err == nil {
			err = durable.SyncDir(dir)
		}
	}
	return errors.Join(err, removeIfThere(newLogPath(dir)))
}

func newLogPath(dir string) string { return filepath.Join(dir, logName+".new") }
