package cache

import (
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"gateagent/agent/durable"
)

// compactFree is how many bytes must lie idle before a file is rewritten.
const compactFree = 16 << 20

// compact rewrites the journal into a new file when it is drained: bbolt uses
// free pages again but never gives them back to the disk.
func (j *Journal) compact() error {
	j.mu.Lock()
	st := j.state
	j.mu.Unlock()
	if st.free <= compactFree || st.used > st.free/4 {
		return nil
	}
	tmp := j.path(newName)
	if err := removeIfThere(tmp); err != nil {
		return err
	}
	o := j.boltOptions()
	o.NoSync = true // synced as a whole before it counts
	db, file, err := openBolt(tmp, o)
	if err != nil {
		return err
	}
	db.AllocSize = j.allocSize()
	err = guard(func() error { return bbolt.Compact(db, j.db, compactTx) })
	if err == nil {
		err = db.Sync()
	}
	if err == nil {
		db.NoSync = false
		err = j.moveIn(db, file)
	}
	if err != nil {
		return errors.Join(err, guard(db.Close), removeIfThere(tmp))
	}
	return nil
}

const compactTx = 1 << 20

// moveIn puts a finished file in the place of the journal. No reader is inside
// while it happens, and the writer is the one who calls it.
func (j *Journal) moveIn(db *bbolt.DB, file *os.File) error {
	st, err := j.readState(db)
	if err != nil {
		return err
	}
	j.mu.Lock()
	before := j.state
	j.mu.Unlock()
	if st.seq != before.seq || st.head != before.head || st.first != before.first || st.acked != before.acked {
		return fmt.Errorf("the compacted file stands at record %d, the journal at %d", st.seq, before.seq)
	}
	j.swap.Lock()
	err = os.Rename(j.path(newName), j.path(journalName))
	old := j.db
	if err == nil {
		j.db, j.file = db, file
	}
	j.swap.Unlock()
	if err != nil {
		return err
	}
	j.mu.Lock()
	j.state = st
	j.mu.Unlock()
	j.log.Info("journal compacted", "bytes", st.used+st.free, "before", before.used+before.free)
	if err := durable.SyncDir(j.opts.Dir); err != nil {
		j.dirDirty = true // no record is taken before it is durable
		j.log.Warn("the compacted journal is in place, its name not durable yet", "err", err)
	}
	if err := guard(old.Close); err != nil {
		j.log.Warn("cannot close the journal from before compaction", "err", err)
	}
	return nil
}
