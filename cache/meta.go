package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// setInfo is what the meta bucket of a set file says. The manifest is not among
// it, because it can be long: see manifestIn.
type setInfo struct {
	gate.Generation
	// Base and BaseDigest name the whole version that the blocks come from;
	// where it is not Version itself, deltas were folded into the file.
	Base       uint64
	BaseDigest [32]byte

	// A large version lies in several files. Parts 1, 2, … hold its lower
	// blocks, part 0, which counts, the last ones.
	part  uint32
	first uint64   // lowest number of the blocks in this part
	end   uint64   // above the highest number that may lie in it
	parts []uint64 // in part 0: first of the parts 1, 2, …

	// content is, in a file into which deltas were folded, the digest of what
	// it holds. Central promised none, so Digest only names the version there:
	// see foldedDigest.
	content [32]byte
}

// folded says whether deltas were folded into the file.
func (i *setInfo) folded() bool { return i.Base != i.Version }

const (
	holdFile   = "file"   // the key may lie in a file
	holdMemory = "memory" // it must not
)

var keyManifest = []byte("manifest")

// readSet reads the meta bucket of a set file.
func readSet(tx *bbolt.Tx) (setInfo, error) {
	kind, schema, err := kindOf(tx)
	switch {
	case err != nil:
		return setInfo{}, err
	case kind != kindSet:
		return setInfo{}, fmt.Errorf("%w: it is a %q, no data set", ErrDamaged, kind)
	case schema > setSchema:
		return setInfo{}, fmt.Errorf("schema %d: %w", schema, ErrNewerSchema)
	}
	f := fields{b: tx.Bucket(bucketMeta)}
	info := setInfo{Generation: gate.Generation{
		Set:     f.text("set"),
		Version: f.u64("version"),
		People:  f.u64("people"),
		Blocks:  f.u64("blocks"),
		Width:   int(f.u32("width")),
		KeyID:   f.text("key_id"),
		BaseDay: gate.Day(int32(f.u32("base_day"))),
		Issued:  time.UnixMilli(int64(f.u64("issued"))).UTC(),
	}}
	copy(info.Digest[:], f.bytes("digest", len(info.Digest)))
	info.Base, info.BaseDigest = info.Version, info.Digest
	if schema >= 2 {
		info.Extras = f.u64("extras")
		info.Base = f.u64("base")
		copy(info.BaseDigest[:], f.bytes("base_digest", len(info.BaseDigest)))
		info.part, info.first, info.end = f.u32("part"), f.u64("first"), f.u64("end")
		info.KeyInMemory = f.oneOf("key_hold", holdFile, holdMemory) == 1
		info.Lists = f.list("lists")
		info.parts = f.u64s("parts")
	}
	if info.folded() {
		copy(info.content[:], f.bytes("content", len(info.content)))
	}
	if f.err == nil {
		f.err = info.check()
	}
	return info, f.err
}

func (i *setInfo) check() error {
	switch {
	case !block.ValidWidth(i.Width):
		return fmt.Errorf("%w: records of %d bytes", ErrDamaged, i.Width)
	case i.Blocks == 0 || i.Blocks > 1<<32 || !i.folded() && !block.Fits(i.People, i.Blocks):
		return fmt.Errorf("%w: %d people in %d blocks", ErrDamaged, i.People, i.Blocks)
	case i.Extras > i.People:
		return fmt.Errorf("%w: %d people, %d of them with extras", ErrDamaged, i.People, i.Extras)
	}
	for k, first := range i.parts {
		if k == 0 && first != 0 || k > 0 && first <= i.parts[k-1] || first >= i.first {
			return fmt.Errorf("%w: its parts are in no order", ErrDamaged)
		}
	}
	if i.part == 0 && len(i.parts) == 0 && i.first != 0 {
		return fmt.Errorf("%w: it begins with block %d", ErrDamaged, i.first)
	}
	return nil
}

// putSet writes the meta bucket of a set file, and in part 0 the manifest into
// a bucket of its own, so that opening does not read it.
func putSet(tx *bbolt.Tx, info setInfo) error {
	b, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	hold := holdFile
	if info.KeyInMemory {
		hold = holdMemory
	}
	for _, f := range []struct {
		key   string
		value []byte
	}{
		{"kind", []byte(kindSet)},
		{"schema", be32(setSchema)},
		{"set", []byte(info.Set)},
		{"version", be64(info.Version)},
		{"people", be64(info.People)},
		{"extras", be64(info.Extras)},
		{"blocks", be64(info.Blocks)},
		{"width", be32(uint32(info.Width))},
		{"key_id", []byte(info.KeyID)},
		{"key_hold", []byte(hold)},
		{"base_day", be32(uint32(int32(info.BaseDay)))},
		{"lists", putList(info.Lists)},
		{"issued", be64(uint64(info.Issued.UnixMilli()))},
		{"digest", info.Digest[:]},
		{"base", be64(info.Base)},
		{"base_digest", info.BaseDigest[:]},
		{"part", be32(info.part)},
		{"first", be64(info.first)},
		{"end", be64(info.end)},
		{"parts", putU64s(info.parts)},
	} {
		if err := b.Put([]byte(f.key), f.value); err != nil {
			return err
		}
	}
	if info.folded() {
		if err := b.Put([]byte("content"), info.content[:]); err != nil {
			return err
		}
	}
	if info.part != 0 {
		return nil
	}
	if b, err = tx.CreateBucket(bucketDocuments); err != nil {
		return err
	}
	return b.Put(keyManifest, info.Manifest)
}

// manifestIn gives the manifest of a set file, in mapped memory. Files of schema
// 1 have it in the meta bucket.
func manifestIn(tx *bbolt.Tx) []byte {
	if b := tx.Bucket(bucketDocuments); b != nil {
		return b.Get(keyManifest)
	}
	return tx.Bucket(bucketMeta).Get(keyManifest)
}

// putList packs short texts: each as its length in one byte and its bytes.
func putList(texts []string) []byte {
	var out []byte
	for _, t := range texts {
		out = append(append(out, byte(len(t))), t...)
	}
	return out
}

func (f *fields) list(key string) (out []string) {
	for b := f.bytes(key, -1); len(b) > 0; {
		n := 1 + int(b[0])
		if len(b) < n || len(out) == gate.MaxListNames {
			f.fail(key)
			return nil
		}
		out, b = append(out, string(b[1:n])), b[n:]
	}
	return out
}

func putU64s(numbers []uint64) []byte {
	var out []byte
	for _, n := range numbers {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	return out
}

func (f *fields) u64s(key string) (out []uint64) {
	b := f.bytes(key, -1)
	if len(b)%8 != 0 {
		f.fail(key)
		return nil
	}
	for ; len(b) > 0; b = b[8:] {
		out = append(out, binary.BigEndian.Uint64(b))
	}
	return out
}

func (f *fields) oneOf(key string, texts ...string) int {
	v := f.bytes(key, -1)
	for i, t := range texts {
		if bytes.Equal(v, []byte(t)) {
			return i
		}
	}
	f.fail(key)
	return 0
}

func (f *fields) fail(key string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: meta %q cannot be read", ErrDamaged, key)
	}
}
