package dataset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gateagent/agent/gate"
	"gateagent/cache/block"
	"gateagent/sync/wire"
)

// Folder is where a set waits to be published: manifest.jws, the chunks under
// their digests, and a note of what was published.
type Folder struct{ dir string }

// NewFolder names a folder; it is made when something is written.
func NewFolder(dir string) Folder { return Folder{dir} }

func (f Folder) manifest() string           { return filepath.Join(f.dir, "manifest.jws") }
func (f Folder) chunks() string             { return filepath.Join(f.dir, "chunks") }
func (f Folder) chunk(digest string) string { return filepath.Join(f.chunks(), digest) }
func (f Folder) published() string          { return filepath.Join(f.dir, "published.json") }

// chunkRaw bounds the records of a chunk, in bytes: what zstd cannot shrink,
// and pseudonyms it cannot, must still fit wire.MaxChunk.
const chunkRaw = wire.MaxChunk - 8<<10

// Head is what a manifest says beside its chunks.
type Head struct {
	Set     string
	Version uint64
	KeyID   string
	KeyHold string
	BaseDay gate.Day
	Issued  time.Time
	Expires time.Time
	SpreadS uint32
}

// WriteChunks writes the chunks of rows, which Builder.Rows gave, and gives
// the manifest that names them, not yet signed.
func (f Folder) WriteChunks(rows []block.Row, h Head) (wire.Manifest, error) {
	m := wire.Manifest{
		Aud: h.Set, Ver: h.Version, Iat: h.Issued.Unix(), Exp: h.Expires.Unix(),
		Coding: wire.CodingBlocks, KeyHold: h.KeyHold, SpreadS: h.SpreadS,
		Base: wire.Base{
			Version: h.Version, People: uint64(len(rows)), Blocks: block.Blocks(uint64(len(rows))),
			Width: block.Width, BaseDay: h.BaseDay.String(), KeyID: h.KeyID,
		},
		Chunks: []wire.Chunk{},
	}
	if err := os.MkdirAll(f.chunks(), 0o755); err != nil {
		return m, fmt.Errorf("make the folder: %w", err)
	}
	digest := block.NewDigest()
	var (
		pending []wire.Block
		size    int
	)
	flush := func() error {
		if len(pending) == 0 {
			return nil
		}
		c, err := f.writeChunk(pending)
		m.Chunks = append(m.Chunks, c)
		pending, size = pending[:0], 0
		return err
	}
	for no, value := range block.Pack(rows, block.Width) {
		if err := block.Check(value, block.Width); err != nil {
			return m, fmt.Errorf("block %d: %w", no, err)
		}
		digest.Add(no, value)
		if size+len(value) > chunkRaw {
			if err := flush(); err != nil {
				return m, err
			}
		}
		pending = append(pending, wire.Block{No: no, Value: append([]byte(nil), value...)})
		size += len(value)
	}
	if err := flush(); err != nil {
		return m, err
	}
	sum := digest.Sum()
	m.Base.Digest = hex.EncodeToString(sum[:])
	return m, m.Check()
}

func (f Folder) writeChunk(blocks []wire.Block) (wire.Chunk, error) {
	body, err := wire.EncodeChunk(wire.CodingBlocks, block.Width, blocks)
	if err != nil {
		return wire.Chunk{}, err
	}
	sum := sha256.Sum256(body)
	c := wire.Chunk{
		Digest: hex.EncodeToString(sum[:]), Size: len(body),
		First: blocks[0].No, Last: blocks[len(blocks)-1].No,
	}
	for _, b := range blocks {
		c.People += uint64(len(b.Value) / block.Width)
	}
	return c, writeFile(f.chunk(c.Digest), body)
}

// WriteManifest puts a signed manifest into the folder: from then on its
// version is the one that is published.
func (f Folder) WriteManifest(compact string) error {
	return writeFile(f.manifest(), append([]byte(compact), '\n'))
}

// Manifest gives the signed manifest. The error is fs.ErrNotExist before the
// first build.
func (f Folder) Manifest() ([]byte, error) {
	b, err := os.ReadFile(f.manifest())
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	for len(b) > 0 && (b[len(b)-1] == '\n' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
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

// Publication is a version that was published.
type Publication struct {
	Version uint64   `json:"version"`
	Digests []string `json:"chunks"`
}

// keepPublished is how many versions stay on the broker: a box may be in the
// middle of reading the one before.
const keepPublished = 2

// Published gives the versions that are on the broker, newest first.
func (f Folder) Published() ([]Publication, error) {
	b, err := os.ReadFile(f.published())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was published: %w", err)
	}
	var all []Publication
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("read what was published: %s: %w", f.published(), err)
	}
	return all, nil
}

// Note writes down that m is on the broker. It gives the digests of chunks
// that neither m nor the version before names any more and that can be
// cleared; the note keeps them until [Folder.Cleared].
func (f Folder) Note(m wire.Manifest) (stale []string, err error) {
	all, err := f.Published()
	if err != nil {
		return nil, err
	}
	now := Publication{Version: m.Ver}
	for _, c := range m.Chunks {
		now.Digests = append(now.Digests, c.Digest)
	}
	if len(all) > 0 && all[0].Version == m.Ver {
		all = all[1:]
	}
	all = append([]Publication{now}, all...)
	if err := f.writeNote(all); err != nil {
		return nil, err
	}
	named := map[string]bool{}
	for i, p := range all {
		for _, d := range p.Digests {
			switch {
			case i < keepPublished:
				named[d] = true
			case !named[d]:
				named[d] = true // once
				stale = append(stale, d)
			}
		}
	}
	return stale, nil
}

// Cleared says that what Note called stale is off the broker. It removes the
// files of chunks that neither the versions still there nor m need.
func (f Folder) Cleared(m wire.Manifest) error {
	all, err := f.Published()
	if err != nil {
		return err
	}
	all = all[:min(len(all), keepPublished)]
	needed := map[string]bool{}
	for _, c := range m.Chunks {
		needed[c.Digest] = true
	}
	for _, p := range all {
		for _, d := range p.Digests {
			needed[d] = true
		}
	}
	files, err := os.ReadDir(f.chunks())
	if err != nil {
		return fmt.Errorf("look through the chunks: %w", err)
	}
	for _, file := range files {
		if needed[file.Name()] || !wire.ValidDigest(file.Name()) {
			continue
		}
		if err := os.Remove(f.chunk(file.Name())); err != nil {
			return fmt.Errorf("remove a chunk: %w", err)
		}
	}
	return f.writeNote(all)
}

func (f Folder) writeNote(all []Publication) error {
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("note what was published: %w", err)
	}
	return writeFile(f.published(), append(b, '\n'))
}

// writeFile writes a file in whole or not at all.
func writeFile(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
	}
	return nil
}
