package cache_test

import (
	"bytes"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/cache/cachetest"
)

// clock is a box's clock that the test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.set(time.UnixMilli(1_760_000_000_000))
	return c
}

func (c *clock) set(t time.Time)       { c.ns.Store(t.UnixNano()) }
func (c *clock) now() time.Time        { return time.Unix(0, c.ns.Load()) }
func (c *clock) move(by time.Duration) { c.ns.Add(int64(by)) }

func TestAcknowledgedRecordsStayADay(t *testing.T) {
	c := newClock()
	o := cachetest.Options(memDir(t))
	o.Now = c.now
	j := openJournal(t, o)
	first := cachetest.Fill(t, j, 1500)
	if err := j.Ack(first); err != nil {
		t.Fatal(err)
	}
	c.move(23 * time.Hour)
	second := cachetest.Fill(t, j, 10)
	if err := j.Ack(second); err != nil {
		t.Fatal(err)
	}
	if st := j.Status(); st.First != 1 {
		t.Fatalf("after 23 hours the oldest is %d", st.First)
	}
	c.move(2 * time.Hour)
	cachetest.Fill(t, j, 1)
	eventually(t, func() bool { return j.Status().First == first.Seq+1 })
	all := cachetest.All(t, j)
	if all[0].Seq != first.Seq+1 || all[0].Prev != first.Head {
		t.Errorf("the oldest kept is %d", all[0].Seq)
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}

	// A central from an older copy can have what is kept and is told the rest.
	var gone *cache.GoneError
	if err := j.Rewind(record.Position{}); !errors.As(err, &gone) || *gone != (cache.GoneError{First: 1, Last: first.Seq}) {
		t.Fatalf("rewind: %v", err)
	}
	if j.Acked() != first {
		t.Errorf("acknowledged %+v, want %+v", j.Acked(), first)
	}
	closeJournal(t, j)
	if err := cachetest.Check(t.Context(), filepath.Join(o.Dir, "journal.db")); err != nil {
		t.Error(err)
	}
	j = openJournal(t, o)
	if j.Acked() != first {
		t.Errorf("after reopening: acknowledged %+v", j.Acked())
	}
	c.move(100 * 24 * time.Hour)
	cachetest.Fill(t, j, 1)
	if st := j.Status(); st.First != first.Seq+1 {
		t.Errorf("unacknowledged records went: the oldest is %d", st.First)
	}
}

func TestClockSetBackKeepsLonger(t *testing.T) {
	c := newClock()
	o := cachetest.Options(memDir(t))
	o.Now = c.now
	j := openJournal(t, o)
	now := c.now()
	c.set(now.Add(20 * 365 * 24 * time.Hour))
	if err := j.Ack(cachetest.Fill(t, j, 1200)); err != nil {
		t.Fatal(err)
	}
	c.set(now)
	second := cachetest.Fill(t, j, 10)
	if err := j.Ack(second); err != nil {
		t.Fatal(err)
	}
	c.move(23 * time.Hour)
	cachetest.Fill(t, j, 1)
	if st := j.Status(); st.First != 1 {
		t.Errorf("the oldest is %d", st.First)
	}
	c.move(2 * time.Hour)
	cachetest.Fill(t, j, 1)
	eventually(t, func() bool { return j.Status().First == second.Seq+1 })
}

func TestFullJournal(t *testing.T) {
	o := cachetest.Options(memDir(t))
	o.MaxBytes = 4 << 20
	j := openJournal(t, o)
	n, err := fillUntil(j)
	if !errors.Is(err, cache.ErrFull) {
		t.Fatalf("after %d records: %v", n, err)
	}
	st := j.Status()
	if !errors.Is(st.Fault, cache.ErrFull) || st.First != 1 || st.Unacked != st.Position.Seq || st.Position.Seq != uint64(n)+1 {
		t.Errorf("after %d records: %+v", n, st)
	}
	if n < 12_000 {
		t.Errorf("only %d records in 4 MiB", n)
	}
	all := cachetest.All(t, j)
	half := all[len(all)/2]
	if err := j.Ack(record.Position{Epoch: st.Position.Epoch, Seq: half.Seq, Head: half.Hash()}); err != nil {
		t.Fatalf("acknowledging when full: %v", err)
	}
	for i := range 3 { // the oldest acknowledged ones make room, and only they
		more, err := fillUntil(j)
		if !errors.Is(err, cache.ErrFull) {
			t.Fatal(err)
		}
		if i == 0 && more < n/3 {
			t.Errorf("acknowledging half of %d made room for %d", n, more)
		}
		if st := j.Status(); st.First > half.Seq+1 {
			t.Fatalf("unacknowledged records went: the oldest is %d, acknowledged up to %d", st.First, half.Seq)
		}
	}
	if err := j.Ack(j.Position()); err != nil {
		t.Fatal(err)
	}
	cachetest.Fill(t, j, 2000)
	cachetest.All(t, j)
	if st := j.Status(); st.Fault != nil {
		t.Errorf("fault %v", st.Fault)
	}
	closeJournal(t, j)
	info, err := os.Stat(filepath.Join(o.Dir, "journal.db"))
	if err != nil || info.Size() > o.MaxBytes {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	if err := cachetest.Check(t.Context(), filepath.Join(o.Dir, "journal.db")); err != nil {
		t.Error(err)
	}
}

// fillUntil appends until a record is refused; it gives how many were taken.
func fillUntil(j *cache.Journal) (int, error) {
	for n := 0; ; {
		var batch []*gate.Receipt
		for i := range 100 {
			batch = append(batch, j.Append(cachetest.Entry(i)))
		}
		var failed error
		for _, r := range batch {
			if _, err := r.Wait(); err != nil {
				failed = err
			} else {
				n++
			}
		}
		if failed != nil {
			return n, failed
		}
	}
}

func TestCompaction(t *testing.T) {
	c := newClock()
	o := cachetest.Options(memDir(t))
	o.Now, o.KeepAcked = c.now, time.Minute
	j := openJournal(t, o)
	pos := cachetest.Fill(t, j, 85_000)
	before := j.Status()
	if before.Used < 17<<20 {
		t.Fatalf("only %d bytes to begin with", before.Used)
	}
	t.Logf("%.1f bytes a record", float64(before.Used)/85_000)
	if err := j.Ack(pos); err != nil {
		t.Fatal(err)
	}
	c.move(time.Hour)
	cachetest.Fill(t, j, 1)
	eventually(t, func() bool { st := j.Status(); return st.Used+st.Free < 1<<20 })
	path := filepath.Join(o.Dir, "journal.db")
	if info, err := os.Stat(path); err != nil || info.Size() > 4<<20 {
		t.Errorf("%d bytes on disk, %v", info.Size(), err)
	}
	last := cachetest.Fill(t, j, 100)
	if last.Seq != pos.Seq+101 || last.Epoch != pos.Epoch {
		t.Errorf("goes on at %+v", last)
	}
	cachetest.All(t, j)
	closeJournal(t, j)
	if err := cachetest.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
	if j := openJournal(t, o); j.Position() != last {
		t.Errorf("after reopening at %+v", j.Position())
	}
}

func TestHeldReaderDoesNotBlockTheWriter(t *testing.T) {
	j := openJournal(t, cachetest.Options(memDir(t)))
	release := make(chan struct{})
	done := j.HoldView(release)
	cachetest.Fill(t, j, 20_000) // the file grows by several steps meanwhile
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
	cachetest.All(t, j)
}

// TestFullDisk: nothing that was promised is lost, and records are taken again
// when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=6m"); err != nil {
		t.Skipf("needs root to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	writeFile(t, ballast, make([]byte, 4<<20))
	o := cachetest.Options(filepath.Join(dir, "journal"))
	j := openJournal(t, o)
	n, err := fillUntil(j)
	if !errors.Is(err, cache.ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d records: %v", n, err)
	}
	if st := j.Status(); st.Position.Seq != uint64(n)+1 {
		t.Errorf("after %d records: %+v", n, st)
	}
	cachetest.All(t, j)
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); { // a few small ones may still fit
		more, err := fillUntil(j)
		if !errors.Is(err, cache.ErrFull) {
			t.Fatalf("still full: %v", err)
		}
		n += more
	}
	if st := j.Status(); !errors.Is(st.Fault, cache.ErrFull) {
		t.Errorf("fault %v", st.Fault)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return j.Status().Fault == nil }) // nobody appends
	if seq, err := j.Append(cachetest.Entry(1)).Wait(); err != nil || seq != uint64(n)+2 {
		t.Errorf("the next record: %d, %v", seq, err)
	}
	cachetest.Fill(t, j, 100)
	if st := j.Status(); st.Fault != nil {
		t.Errorf("fault %v", st.Fault)
	}
	cachetest.All(t, j)
	closeJournal(t, j)
	if err := cachetest.Check(t.Context(), filepath.Join(o.Dir, "journal.db")); err != nil {
		t.Error(err)
	}

	// And a start on a full disk.
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, o)
	if st := j.Status(); st.Fault == nil || !st.Position.Epoch.IsZero() {
		t.Errorf("a start on a full disk: %+v", st)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return j.Append(cachetest.Entry(1)) != nil && j.Position().Seq > 0 })
	cachetest.All(t, j)
}

// TestFullDiskAndAcknowledgements: with the disk full to the last byte central
// can still acknowledge, and what it has goes first.
func TestFullDiskAndAcknowledgements(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("needs root to mount a small disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	j := openJournal(t, cachetest.Options(filepath.Join(dir, "journal")))
	n := 0
	for range 3 { // to the last page
		more, err := fillUntil(j)
		if !errors.Is(err, cache.ErrFull) {
			t.Fatal(err)
		}
		n += more
		time.Sleep(600 * time.Millisecond)
	}
	all := cachetest.All(t, j)
	half := all[len(all)/2]
	if err := j.Ack(record.Position{Epoch: j.Position().Epoch, Seq: half.Seq, Head: half.Hash()}); err != nil {
		t.Fatalf("acknowledging: %v", err)
	}
	more := 0
	for range 2 {
		m, err := fillUntil(j)
		if !errors.Is(err, cache.ErrFull) {
			t.Fatal(err)
		}
		more += m
		time.Sleep(600 * time.Millisecond)
	}
	t.Logf("%d records filled the disk, acknowledging half made room for %d", n, more)
	if more < n/3 {
		t.Errorf("acknowledging half of %d made room for %d", n, more)
	}
	if st := j.Status(); st.First > half.Seq+1 || st.First < half.Seq/2 {
		t.Errorf("the oldest is %d, acknowledged up to %d", st.First, half.Seq)
	}
	cachetest.All(t, j)
}

func TestFileSizeLimit(t *testing.T) {
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	j := openJournal(t, cachetest.Options(memDir(t)))
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	limit := was
	limit.Cur = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Skipf("cannot limit the size of files: %v", err)
	}
	n, err := fillUntil(j)
	if rerr := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); rerr != nil {
		t.Fatal(rerr)
	}
	if !errors.Is(err, cache.ErrFull) {
		t.Errorf("after %d records: %v", n, err)
	}
	eventually(t, func() bool {
		seq, err := j.Append(cachetest.Entry(1)).Wait()
		return err == nil && seq == uint64(n)+2
	})
	cachetest.All(t, j)
}

// TestDirectoryInTheWay: a directory that cannot be used gives a journal that
// refuses and tries again. (Root may write anywhere: a file stands in for a
// read-only disk.)
func TestDirectoryInTheWay(t *testing.T) {
	dir := filepath.Join(memDir(t), "journal")
	writeFile(t, dir, nil)
	j := openJournal(t, cachetest.Options(dir))
	if st := j.Status(); !errors.Is(st.Fault, syscall.ENOTDIR) || st.Since.IsZero() {
		t.Fatalf("status %+v", st)
	}
	if _, err := j.Append(cachetest.Entry(1)).Wait(); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("append: %v", err)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { _, err := j.Append(cachetest.Entry(1)).Wait(); return err == nil })
	if st := j.Status(); st.Fault != nil {
		t.Errorf("status %+v", st)
	}
}

// TestReadOnlyDisk remounts the disk under a running journal.
func TestReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("needs root to mount a disk: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	o := cachetest.Options(filepath.Join(dir, "journal"))
	closeJournal(t, openJournal(t, o))
	remount := func(flags uintptr) {
		t.Helper()
		if err := syscall.Mount("tmpfs", dir, "tmpfs", flags|syscall.MS_REMOUNT, "size=16m"); err != nil {
			t.Skipf("cannot remount: %v", err)
		}
	}
	remount(syscall.MS_RDONLY)
	j := openJournal(t, o)
	if st := j.Status(); !errors.Is(st.Fault, syscall.EROFS) {
		t.Errorf("status %+v", st)
	}
	if _, err := j.Append(cachetest.Entry(1)).Wait(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("append: %v", err)
	}
	remount(0)
	eventually(t, func() bool { _, err := j.Append(cachetest.Entry(1)).Wait(); return err == nil })
	if st := j.Status(); st.Fault != nil || st.EpochCause != "" {
		t.Errorf("status %+v", st)
	}
}

// TestJournalCutWhileRunning: a file that loses its end under the agent is set
// aside, and the gate goes on in a new epoch.
func TestJournalCutWhileRunning(t *testing.T) {
	for name, use := range map[string]func(*cache.Journal){
		"noticed by a writer": func(j *cache.Journal) { j.Append(cachetest.Entry(1)).Wait() },
		"noticed by a reader": func(j *cache.Journal) { _, _ = j.Read(1, 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			o := cachetest.Options(memDir(t))
			j := openJournal(t, o)
			was := cachetest.Fill(t, j, 500)
			if err := os.Truncate(filepath.Join(o.Dir, "journal.db"), 8192); err != nil {
				t.Fatal(err)
			}
			use(j)
			eventually(t, func() bool { p := j.Position(); return !p.Epoch.IsZero() && p.Epoch != was.Epoch })
			if _, cause := lastOf(t, j); cause != "journal_damaged" {
				t.Errorf("cause %q", cause)
			}
			cachetest.Fill(t, j, 5)
			cachetest.All(t, j)
		})
	}
}

func TestLastReadable(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	was := cachetest.Fill(t, j, 2000)
	closeJournal(t, j)
	path := filepath.Join(o.Dir, "journal.db")
	if got := cache.LastReadable(path); got != was {
		t.Errorf("of a whole file: %+v", got)
	}
	whole := readFile(t, path)
	damaged := bytes.Clone(whole)
	at := lastPage(whole) / 2 * 4096
	clear(damaged[at : at+4096])
	writeFile(t, path, damaged)
	got := cache.LastReadable(path)
	if got.Epoch != was.Epoch || got.Seq == 0 || got.Seq >= was.Seq {
		t.Errorf("of a file with a hole: %+v", got)
	}
}
