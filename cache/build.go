package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"

	"gateagent/cache/block"
	"gateagent/cache/overlay"
)

const (
	// buildTx is how many bytes of values one transaction loads: each writes
	// some pages again that the one before had filled in part, and holds its
	// values in memory.
	buildTx = 2 << 20
	// perKey is what a key costs beside its value.
	perKey = 24
	// maxBuildMap bounds the map with which a file begins.
	maxBuildMap = 512 << 20
)

// bucketNames are the buckets of a set file in the order of the fields of
// [overlay.Block].
var bucketNames = [...][]byte{bucketBlocks, bucketExtras, bucketAdded, bucketAddedExtras}

// builder writes the files of one version. Blocks come in ascending order; when
// a file would grow beyond its bound, the next block begins another part.
type builder struct {
	dir     string
	info    setInfo // as promised; first, part and parts as far as they are known
	maxFile int64
	size    int64 // expected, of all files

	db      *bbolt.DB // nil between files
	path    string
	tx      *bbolt.Tx
	buckets [4]*bbolt.Bucket // by bucketNames; all but the first nil until they are needed
	// digests of the file under way, if deltas are folded into it
	kept, added *block.Digest
	// values of the transaction under way: bbolt keeps them until Commit
	arena   []byte
	load    int // what it is about to write
	txBytes int

	next    uint64 // lowest block number that may come
	files   []string
	written int64 // of the files before this one
}

func newBuilder(dir string, info setInfo, maxFile, size int64) *builder {
	txBytes := int(min(buildTx, maxFile/16))
	return &builder{dir: dir, info: info, maxFile: maxFile, size: size, txBytes: txBytes}
}

// begin starts the next file.
func (b *builder) begin() (err error) {
	number := b.info.partName(len(b.files) + 1)
	b.path = filepath.Join(b.dir, partPath(strconv.FormatUint(b.info.Version, 10)+".db", number))
	b.files = append(b.files, b.path)
	b.info.first = b.next
	left := max(b.size-b.written, pageSize)
	b.db, _, err = openBolt(b.path, bbolt.Options{
		NoSync: true, NoGrowSync: true, NoStatistics: true, // synced as a whole before it counts
		InitialMmapSize: int(min(left, b.maxFile, maxBuildMap)),
	})
	if err != nil {
		return err
	}
	if b.tx, err = b.db.Begin(true); err != nil {
		return err
	}
	b.buckets = [4]*bbolt.Bucket{}
	b.kept, b.added = block.NewDigest(), block.NewDigest()
	return b.openBuckets()
}

// openBuckets prepares a transaction to be loaded.
func (b *builder) openBuckets() (err error) {
	b.arena, b.load = b.arena[:0], 0
	for i := range b.buckets {
		if i == 0 || b.buckets[i] != nil {
			if err := b.openBucket(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *builder) openBucket(i int) (err error) {
	if b.buckets[i], err = b.tx.CreateBucketIfNotExists(bucketNames[i]); err != nil {
		return err
	}
	b.buckets[i].FillPercent = 1.0 // the keys come sorted; it holds for this handle only
	return nil
}

// put adds a block whose content was checked.
func (b *builder) put(no uint64, c overlay.Block) error {
	if b.db == nil {
		if err := b.begin(); err != nil {
			return err
		}
	}
	if b.load >= b.txBytes {
		if err := b.nextTx(); err != nil {
			return err
		}
	}
	var key [4]byte
	k := block.PutKey(&key, no, b.info.Blocks)
	for i, value := range [...][]byte{c.Value, c.Extras, c.Added, c.AddedExtras} {
		if len(value) == 0 {
			continue
		}
		if b.buckets[i] == nil {
			if err := b.openBucket(i); err != nil {
				return err
			}
		}
		if err := b.buckets[i].Put(k, b.keep(value)); err != nil {
			return err
		}
	}
	if b.info.folded() {
		addTo(b.kept, no, c.Value, c.Extras)
		addTo(b.added, no, c.Added, c.AddedExtras)
	}
	b.next = no + 1
	return nil
}

func addTo(d *block.Digest, no uint64, value, extras []byte) {
	if len(value) > 0 {
		d.Add(no, value)
		d.AddExtras(no, extras)
	}
}

// keep copies a value until the transaction ends.
func (b *builder) keep(value []byte) []byte {
	from := len(b.arena)
	b.arena = append(b.arena, value...)
	b.load += len(value) + perKey
	return b.arena[from:len(b.arena):len(b.arena)]
}

// nextTx ends a transaction and begins the next, in the next file when this one
// has no room for it: it writes at most twice its values and a few pages.
func (b *builder) nextTx() (err error) {
	if err := b.tx.Commit(); err != nil {
		return err
	}
	b.tx = nil
	if b.tx, err = b.db.Begin(true); err != nil {
		return err
	}
	if room := 2*int64(b.txBytes) + 16*pageSize + int64(len(b.info.Manifest)); b.tx.Size() <= b.maxFile-room {
		return b.openBuckets()
	}
	part := b.info
	part.part, part.parts, part.end = uint32(len(b.files)), nil, b.next
	if err := b.end(part); err != nil {
		return err
	}
	b.info.parts = append(b.info.parts, b.info.first)
	return b.begin()
}

// end writes the meta bucket of a file, syncs and closes it.
func (b *builder) end(info setInfo) error {
	if info.folded() {
		info.content = contentDigest(b.kept, b.added)
	}
	if err := putSet(b.tx, info); err != nil {
		return err
	}
	if err := b.tx.Commit(); err != nil {
		return err
	}
	b.tx = nil
	if err := b.db.Sync(); err != nil {
		return err
	}
	db := b.db
	b.db = nil
	if err := db.Close(); err != nil {
		return err
	}
	written, err := os.Stat(b.path)
	if err != nil {
		return err
	}
	if b.written += written.Size(); written.Size() > b.maxFile {
		return fmt.Errorf("a file of %d bytes, at most %d may be", written.Size(), b.maxFile)
	}
	return nil
}

// finish ends the last file, which becomes part 0, and gives its path.
func (b *builder) finish() (string, error) {
	if b.db == nil { // nobody is in this version
		if err := b.begin(); err != nil {
			return "", err
		}
	}
	b.info.part, b.info.end = 0, b.info.Blocks
	if err := b.end(b.info); err != nil {
		return "", err
	}
	last := filepath.Join(b.dir, strconv.FormatUint(b.info.Version, 10)+".db")
	if err := os.Rename(b.path, last); err != nil {
		return "", err
	}
	b.files[len(b.files)-1] = last
	return last, nil
}

// discard closes and removes what was written.
func (b *builder) discard() error {
	errs := []error{guard(func() error {
		if b.db == nil {
			return nil
		}
		if b.tx != nil {
			_ = b.tx.Rollback() // closed already when its commit failed
		}
		return b.db.Close()
	})}
	b.db, b.tx = nil, nil
	for _, path := range slices.Backward(b.files) {
		errs = append(errs, removeIfThere(path))
	}
	return errors.Join(errs...)
}
