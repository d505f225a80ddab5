package cache_test

import (
	"encoding/binary"
	"testing"

	"go.etcd.io/bbolt"

	"gateagent/agent/gate"
	"gateagent/cache/block"
)

// writeSchema1 writes a set file as the first version of the agent did.
func writeSchema1(t testing.TB, path string, g gate.Generation, rows []block.Row) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096, NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u32 := func(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }
	u64 := func(v uint64) []byte { return binary.BigEndian.AppendUint64(nil, v) }
	err = db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		for key, value := range map[string][]byte{
			"kind": []byte("set"), "schema": u32(1), "set": []byte(g.Set), "version": u64(g.Version),
			"people": u64(g.People), "blocks": u64(g.Blocks), "width": u32(7), "key_id": []byte(g.KeyID),
			"base_day": u32(uint32(g.BaseDay)), "issued": u64(uint64(g.Issued.UnixMilli())),
			"digest": g.Digest[:], "manifest": g.Manifest,
		} {
			if err := meta.Put([]byte(key), value); err != nil {
				return err
			}
		}
		blocks, err := tx.CreateBucket([]byte("blocks"))
		if err != nil {
			return err
		}
		var buf [4]byte
		for no, value := range block.Pack(rows, block.Width) {
			key := append([]byte(nil), block.PutKey(&buf, no, g.Blocks)...)
			if err := blocks.Put(key, append([]byte(nil), value...)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
