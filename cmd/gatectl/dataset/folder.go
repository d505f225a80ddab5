package dataset

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gateagent/agent/durable"
	"gateagent/agent/hint"
	"gateagent/sync/wire"
)

// Folder is where a set waits to be published:
//
//	manifest.jws         the signed manifest of the newest version
//	chunks/<digest>      pieces of bases, and of deltas too large for one message
//	deltas/<n>.jws       the signed delta from version n-1 to n
//	manifests/<v>.jws    the newest manifest of each of the last bases v, to go back to
//	published.json       what is on the broker
//	rule.json            by which rule people become facts
//	.lock                held by whoever writes
type Folder struct{ dir string }

// NewFolder names a folder; it is made when something is written.
func NewFolder(dir string) Folder { return Folder{dir} }

// Dir is the path of the folder.
func (f Folder) Dir() string { return f.dir }

func (f Folder) manifest() string           { return filepath.Join(f.dir, "manifest.jws") }
func (f Folder) chunks() string             { return filepath.Join(f.dir, "chunks") }
func (f Folder) chunk(digest string) string { return filepath.Join(f.chunks(), digest) }
func (f Folder) deltas() string             { return filepath.Join(f.dir, "deltas") }
func (f Folder) manifests() string          { return filepath.Join(f.dir, "manifests") }
func (f Folder) published() string          { return filepath.Join(f.dir, "published.json") }

func document(dir string, n uint64) string {
	return filepath.Join(dir, strconv.FormatUint(n, 10)+".jws")
}

// make makes the folder.
func (f Folder) make() error {
	for _, dir := range []string{f.chunks(), f.deltas(), f.manifests()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make the folder: %w", err)
		}
	}
	return nil
}

// Lock keeps other processes from writing the folder, which is made when
// missing, and removes what one of them left behind when it died. unlock gives
// it up.
func (f Folder) Lock() (unlock func() error, err error) {
	if err := os.MkdirAll(f.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(f.dir, ".lock"))
	if errors.Is(err, errBusy) {
		return nil, hint.Wrap(fmt.Errorf("%s: %w", f.dir, errBusy), "wait until the other command has ended")
	}
	if err != nil {
		return nil, fmt.Errorf("lock the folder: %w", err)
	}
	if err := errors.Join(removeNew(f.dir, f.chunks(), f.deltas(), f.manifests()), removeDead(f.dir)); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock.Close, nil
}

// newName begins the names of files that are being written.
const newName = ".new-"

// removeNew removes files that nobody writes any more.
func removeNew(dirs ...string) error {
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, newName+"*"))
		if err != nil {
			return fmt.Errorf("look for what was left behind: %w", err)
		}
		for _, file := range files {
			if err := os.Remove(file); err != nil {
				return fmt.Errorf("remove what was left behind: %w", err)
			}
		}
	}
	return nil
}

// writeChunk writes a chunk unless it is there. It is on the disk for good
// after syncChunks.
func (f Folder) writeChunk(digest string, body []byte) error {
	if _, err := f.Chunk(digest); err == nil {
		return nil
	}
	return putFile(f.chunk(digest), body)
}

// syncChunks makes the chunks of a manifest durable.
func (f Folder) syncChunks(m wire.Manifest) error {
	for _, c := range m.Chunks {
		if err := syncFile(f.chunk(c.Digest)); err != nil {
			return err
		}
	}
	return syncFile(f.chunks())
}

func syncFile(path string) error {
	file, err := os.Open(path)
	if err == nil {
		err = errors.Join(file.Sync(), file.Close())
	}
	if err != nil {
		return fmt.Errorf("write to the disk: %w", err)
	}
	return nil
}

// writeDelta writes a signed delta.
func (f Folder) writeDelta(n, base uint64, compact string) (wire.DeltaRef, error) {
	if err := syncFile(f.chunks()); err != nil {
		return wire.DeltaRef{}, err
	}
	sum := sha256.Sum256([]byte(compact))
	ref := wire.DeltaRef{N: n, Base: base, Size: len(compact), Digest: hex.EncodeToString(sum[:])}
	return ref, writeFile(document(f.deltas(), n), append([]byte(compact), '\n'))
}

// WriteManifest puts a signed manifest into the folder: from then on its
// version is the one that is published. It removes what neither the last
// [KeepBases] bases nor what is on the broker needs.
func (f Folder) WriteManifest(compact string) error {
	m, err := readManifest([]byte(compact))
	if err != nil {
		return err
	}
	if err := f.make(); err != nil {
		return err
	}
	text := append([]byte(compact), '\n')
	if err := writeFile(document(f.manifests(), m.Base.Version), text); err != nil {
		return err
	}
	if err := writeFile(f.manifest(), text); err != nil {
		return err
	}
	return f.prune()
}

// Manifest gives the signed manifest. The error is fs.ErrNotExist before the
// first build.
func (f Folder) Manifest() ([]byte, error) { return readDocument(f.manifest()) }

func readDocument(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b, nil
}

// Newest gives the manifest of the newest version. The signature is not
// judged: what is here was written here.
func (f Folder) Newest() (wire.Manifest, error) {
	compact, err := f.Manifest()
	if err != nil {
		return wire.Manifest{}, err
	}
	m, err := readManifest(compact)
	if err != nil {
		return wire.Manifest{}, fmt.Errorf("the version in %s: %w", f.dir, err)
	}
	return m, nil
}

func readManifest(compact []byte) (wire.Manifest, error) {
	payload, err := payload(compact)
	if err != nil {
		return wire.Manifest{}, err
	}
	return wire.ParseManifest(payload)
}

// payload gives what a compact document says.
func payload(compact []byte) ([]byte, error) {
	parts := strings.Split(string(compact), ".")
	if len(parts) != 3 {
		return nil, errors.New("no signed document")
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, errors.New("no signed document")
	}
	return b, nil
}

// Chunk reads a chunk and holds it to its digest.
func (f Folder) Chunk(digest string) ([]byte, error) {
	b, err := os.ReadFile(f.chunk(digest))
	if err != nil {
		return nil, fmt.Errorf("read a chunk: %w", err)
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != digest {
		return nil, fmt.Errorf("chunk %s does not hold what its name says", digest)
	}
	return b, nil
}

// Delta gives the signed delta that leads to version n. The error is
// fs.ErrNotExist when there is none.
func (f Folder) Delta(n uint64) ([]byte, error) {
	b, err := readDocument(document(f.deltas(), n))
	if err != nil {
		return nil, fmt.Errorf("delta %d: %w", n, err)
	}
	return b, nil
}

// Deltas gives the numbers of the deltas that the newest manifest names.
func (f Folder) Deltas() ([]uint64, error) {
	m, err := f.Newest()
	if err != nil {
		return nil, err
	}
	var all []uint64
	for _, ref := range m.Deltas {
		all = append(all, ref.N)
	}
	return all, nil
}

// deltaDoc reads a delta and holds it to the manifest that names it.
func (f Folder) deltaDoc(ref wire.DeltaRef) (wire.DeltaDoc, error) {
	compact, err := f.Delta(ref.N)
	if err != nil {
		return wire.DeltaDoc{}, err
	}
	if sum := sha256.Sum256(compact); hex.EncodeToString(sum[:]) != ref.Digest {
		return wire.DeltaDoc{}, fmt.Errorf("delta %d is not the one that the manifest names", ref.N)
	}
	text, err := payload(compact)
	if err != nil {
		return wire.DeltaDoc{}, fmt.Errorf("delta %d: %w", ref.N, err)
	}
	return wire.ParseDelta(text)
}

// deltaSize is how many bytes of changes a delta has.
func deltaSize(d wire.DeltaDoc) (n int64) {
	for _, p := range d.Chunks {
		n += int64(p.Size)
	}
	return n
}

// Digests gives the digests of all chunks that a manifest needs: those of its
// base, and those of its deltas.
func (f Folder) Digests(m wire.Manifest) ([]string, error) {
	var all []string
	for _, c := range m.Chunks {
		all = append(all, c.Digest)
	}
	for _, ref := range m.Deltas {
		doc, err := f.deltaDoc(ref)
		if err != nil {
			return nil, err
		}
		for _, p := range doc.Chunks {
			all = append(all, p.Digest)
		}
	}
	return all, nil
}

// Lists gives the names of lists that extras of the version refer to.
func (f Folder) Lists(m wire.Manifest) ([]string, error) {
	for _, ref := range slices.Backward(m.Deltas) {
		if ref.N <= m.Base.Version {
			break
		}
		doc, err := f.deltaDoc(ref)
		if err != nil {
			return nil, err
		}
		if len(doc.Lists) > 0 {
			return doc.Lists, nil
		}
	}
	return m.Base.Lists, nil
}

// writeFile writes a file in whole or not at all, for good.
func writeFile(path string, b []byte) error {
	if err := durable.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// putFile writes a file in whole or not at all; whether it lasts is up to
// [syncFile].
func putFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), newName+"*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
	}
	return nil
}

// exists says whether a file is there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
