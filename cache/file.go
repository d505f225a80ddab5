package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// pageSize is pinned: bbolt would take the kernel's, which on some arm64
	// kernels is 16 or 64 KiB, and a copied file would then not be the same.
	pageSize = 4096
	// lockWait is how long to wait for another process to let go of a file.
	lockWait = 2 * time.Second

	dirMode  = 0o700
	fileMode = 0o600
)

// guard runs fn and turns a fault of mapped memory, or any other panic of it,
// into ErrDamaged. It protects this goroutine only.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return fn()
}

// header is what bbolt's meta page says about a file (bbolt internal/common,
// type Meta, version 2; in the byte order of the machine).
type header struct {
	pageSize int64
	pages    int64 // high water mark: pages 0..pages-1 may be in use
}

const (
	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	metaOffset  = 16 // behind the page header
)

// readHeader reads a database's header with plain reads, because mapping a
// file that is shorter than it says ends in a fault. It gives ErrDamaged for a
// file that is no database or is shorter than its own high water mark.
func readHeader(path string) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	readSparsely(f)
	info, err := f.Stat()
	if err != nil {
		return header{}, err
	}
	if !info.Mode().IsRegular() {
		return header{}, fmt.Errorf("%s: %w: not a regular file", path, ErrDamaged)
	}
	var best header
	var txid uint64
	found := false
	for page := range int64(2) {
		h, id, err := readMeta(f, page*pageSize)
		if err != nil {
			return header{}, fmt.Errorf("%s: %w", path, err)
		}
		if h.pageSize != 0 && (!found || id > txid) {
			best, txid, found = h, id, true
		}
	}
	if !found {
		return header{}, fmt.Errorf("%s: %w: no database header", path, ErrDamaged)
	}
	if best.pageSize != pageSize {
		return header{}, fmt.Errorf("%s: %w: pages of %d bytes", path, ErrDamaged, best.pageSize)
	}
	if best.pages < 4 || best.pages > info.Size()/pageSize {
		return header{}, fmt.Errorf("%s: %w: %d bytes, its header says %d pages", path, ErrDamaged, info.Size(), best.pages)
	}
	return best, nil
}

// readMeta reads one meta page; the zero header when it is not valid.
func readMeta(f *os.File, at int64) (h header, txid uint64, err error) {
	var buf [metaOffset + metaSize]byte
	if _, err := f.ReadAt(buf[:], at); err != nil {
		if errors.Is(err, io.EOF) {
			return header{}, 0, nil
		}
		return header{}, 0, err
	}
	m, e := buf[metaOffset:], binary.NativeEndian
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	if e.Uint32(m) != metaMagic || e.Uint32(m[4:]) != metaVersion || e.Uint64(m[56:]) != sum.Sum64() {
		return header{}, 0, nil
	}
	return header{pageSize: int64(e.Uint32(m[8:])), pages: int64(e.Uint64(m[40:]))}, e.Uint64(m[48:]), nil
}

// openBolt opens a database file under guard and translates bbolt's errors. It
// gives the file beside the database: closing it frees the lock of a database
// that cannot be closed any more.
func openBolt(path string, o bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	o.NoFreelistSync = true
	return openBoltWith(path, o)
}

// openBoltWith is openBolt for a file that may hold its list of free pages.
func openBoltWith(path string, o bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	o.Timeout = lockWait
	o.PageSize = pageSize
	o.FreelistType = bbolt.FreelistMapType
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if file = f; err == nil && o.ReadOnly {
			readSparsely(f)
		}
		return f, err
	}
	err = guard(func() error {
		db, err = bbolt.Open(path, fileMode, &o)
		return err
	})
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, berrors.ErrTimeout):
		err = ErrInUse
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	case errors.Is(err, ErrDamaged) && file != nil:
		file.Close()
	}
	return nil, nil, fmt.Errorf("open %s: %w", path, err)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Values of meta buckets: unsigned numbers are big-endian and as long as their
// type, so that a file reads the same on every machine.

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
func be64(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }

// fields reads the values of a meta bucket and keeps the first fault.
type fields struct {
	b   *bbolt.Bucket
	err error
}

func (f *fields) bytes(key string, size int) []byte {
	v := f.b.Get([]byte(key))
	if f.err == nil && (v == nil || (size >= 0 && len(v) != size)) {
		f.err = fmt.Errorf("%w: meta %q is missing or has the wrong length", ErrDamaged, key)
	}
	if f.err != nil {
		return make([]byte, max(size, 0))
	}
	return bytes.Clone(v)
}

func (f *fields) u32(key string) uint32  { return binary.BigEndian.Uint32(f.bytes(key, 4)) }
func (f *fields) u64(key string) uint64  { return binary.BigEndian.Uint64(f.bytes(key, 8)) }
func (f *fields) text(key string) string { return string(f.bytes(key, -1)) }

// Kinds and schema versions of our files, in the meta bucket of each.
const (
	kindSet     = "set"
	kindDeltas  = "deltas"
	kindJournal = "journal"
	kindSpent   = "spent"

	setSchema     = 2 // 1: no extras, no check bits, one file; still read
	deltasSchema  = 1
	journalSchema = 1
	spentSchema   = 1
)

var (
	bucketMeta   = []byte("meta")
	bucketBlocks = []byte("blocks") // set: block key -> records
	bucketExtras = []byte("extras") // set: block key -> extras of those records
	// In set files into which deltas were folded: who is not in the base.
	bucketAdded       = []byte("added")        // block key -> records
	bucketAddedExtras = []byte("added_extras") // block key -> extras of those records
	bucketDocuments   = []byte("documents")    // set: "manifest" -> the signed document
	bucketRecords     = []byte("records")      // journal: seq -> prev, record
	bucketAcks        = []byte("acks")         // journal: minute -> seq acknowledged in it
)

// kindOf reads kind and schema of an open file.
func kindOf(tx *bbolt.Tx) (kind string, schema uint32, err error) {
	b := tx.Bucket(bucketMeta)
	if b == nil {
		return "", 0, fmt.Errorf("%w: no meta bucket", ErrDamaged)
	}
	f := fields{b: b}
	kind, schema = f.text("kind"), f.u32("schema")
	return kind, schema, f.err
}
