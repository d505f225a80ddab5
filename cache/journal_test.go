package cache_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"gateagent/agent/record"
	"gateagent/cache"
	"gateagent/cache/cachetest"
)

func openJournal(t testing.TB, o cache.JournalOptions) *cache.Journal {
	t.Helper()
	j, err := cache.OpenJournal(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

func closeJournal(t testing.TB, j *cache.Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournalSuite(t *testing.T) {
	cachetest.TestJournal(t, func(t *testing.T) cachetest.Journal {
		return openJournal(t, cachetest.Options(memDir(t)))
	}, cache.ErrAckMismatch)
}

func TestJournalEndsItsGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	j := openJournal(t, cachetest.Options(memDir(t)))
	cachetest.Fill(t, j, 3)
	closeJournal(t, j)
	if _, err := j.Append(cachetest.Entry(1)).Wait(); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("append after Close: %v", err)
	}
	if _, err := j.Read(1, 100); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
}

func TestJournalGoesOnAfterReopening(t *testing.T) {
	o := cachetest.Options(memDir(t))
	o.Check = func(context.Context, string) error {
		t.Error("a clean file was checked")
		return nil
	}
	j := openJournal(t, o)
	before := cachetest.Fill(t, j, 40)
	half, err := j.Read(20, 1)
	if err != nil {
		t.Fatal(err)
	}
	acked := record.Position{Epoch: before.Epoch, Seq: 20, Head: half[0].Hash()}
	if err := j.Ack(acked); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	if _, err := os.Stat(filepath.Join(o.Dir, "open")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("marker after a clean end: %v", err)
	}
	j = openJournal(t, o)
	if j.Position() != before || j.Acked() != acked {
		t.Errorf("at %+v, acknowledged %+v", j.Position(), j.Acked())
	}
	if st := j.Status(); st.EpochCause != "" || st.Unacked != 21 || st.First != 1 || st.Used <= 0 || st.AckedAt.IsZero() {
		t.Errorf("status %+v", st)
	}
	if after := cachetest.Fill(t, j, 1); after.Seq != before.Seq+1 || after.Epoch != before.Epoch {
		t.Errorf("went on at %+v", after)
	}
	cachetest.All(t, j)
}

// TestJournalKillAndReopen: 30 kills while appending and 15 while the journal
// is also acknowledged, pruned and compacted.
func TestJournalKillAndReopen(t *testing.T) {
	if testing.Short() {
		t.Skip("kills children; not with -short")
	}
	for role, kills := range map[string]int{"append": 30, "churn": 15} {
		t.Run(role, func(t *testing.T) {
			s := cachetest.Survivor{Dir: t.TempDir(), Done: map[uint64]uint64{}}
			if role == "churn" {
				s.Dir = memDir(t) // many more commits between two kills
			}
			for i := range kills {
				if err := s.Kill(role, time.Duration(5+31*i%90)*time.Millisecond); err != nil {
					t.Fatal(err)
				}
				s.Check(t)
				if t.Failed() {
					t.FailNow()
				}
			}
			t.Logf("%d kills, %d receipts fulfilled, acknowledged up to %d", s.Kills, len(s.Done), s.Acked)
			if len(s.Done) < kills {
				t.Errorf("only %d receipts were fulfilled", len(s.Done))
			}
		})
	}
}

func TestOneAgentPerDirectory(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	start := time.Now()
	if _, err := cache.OpenJournal(o, quiet); !errors.Is(err, cache.ErrInUse) {
		t.Fatalf("a second agent: %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	cachetest.Fill(t, j, 1)
}

func TestAnotherProgramHoldsTheFile(t *testing.T) {
	o := cachetest.Options(memDir(t))
	closeJournal(t, openJournal(t, o))
	db, err := bbolt.Open(filepath.Join(o.Dir, "journal.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cache.OpenJournal(o, quiet)
	if !errors.Is(err, cache.ErrInUse) {
		t.Errorf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if st := openJournal(t, o).Status(); st.EpochCause != "" {
		t.Errorf("a new epoch because of %q", st.EpochCause)
	}
}

// setMeta changes a value in the meta bucket of a closed journal.
func setMeta(t *testing.T, path, key string, value []byte) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte(key), value)
	}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNewerSchemaIsNotTouched(t *testing.T) {
	for _, unclean := range []bool{false, true} {
		o := cachetest.Options(memDir(t))
		closeJournal(t, openJournal(t, o))
		path := filepath.Join(o.Dir, "journal.db")
		setMeta(t, path, "schema", []byte{0, 0, 0, 9})
		before := readFile(t, path)
		if unclean {
			writeFile(t, filepath.Join(o.Dir, "open"), nil)
		}
		if _, err := cache.OpenJournal(o, quiet); !errors.Is(err, cache.ErrNewerSchema) {
			t.Fatalf("unclean %v: %v", unclean, err)
		}
		if !bytes.Equal(before, readFile(t, path)) {
			t.Errorf("unclean %v: the file was changed", unclean)
		}
	}
}

// lastOf reads what the first record of a new epoch says.
func lastOf(t *testing.T, j *cache.Journal) (record.Position, string) {
	t.Helper()
	links, err := j.Read(1, 1)
	if err != nil || len(links) == 0 {
		t.Fatalf("%d records, %v", len(links), err)
	}
	last, cause, ok := record.FirstOf(links[0].Record)
	if !ok || links[0].Seq != 1 {
		t.Fatal("the first record is no epoch event")
	}
	return last, cause
}

func TestDeletedJournalBeginsANewEpoch(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	if last, cause := lastOf(t, j); cause != "first_start" || !last.Epoch.IsZero() {
		t.Errorf("the first epoch: %q after %+v", cause, last)
	}
	was := cachetest.Fill(t, j, 12)
	closeJournal(t, j)
	if err := os.Remove(filepath.Join(o.Dir, "journal.db")); err != nil {
		t.Fatal(err)
	}
	j = openJournal(t, o)
	if last, cause := lastOf(t, j); cause != "journal_missing" || last != was {
		t.Errorf("%q after %+v, want %+v", cause, last, was)
	}
	if p := j.Position(); p.Epoch == was.Epoch || p.Seq != 1 {
		t.Errorf("at %+v", p)
	}
}

func TestJournalOfAnotherGate(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	was := cachetest.Fill(t, j, 3)
	closeJournal(t, j)
	o.Origin.Gate = "south-2"
	j = openJournal(t, o)
	if last, cause := lastOf(t, j); cause != "journal_of_another_gate" || last != was {
		t.Errorf("%q after %+v", cause, last)
	}
	if len(j.Status().Quarantined) != 1 {
		t.Errorf("set aside: %v", j.Status().Quarantined)
	}
}

// TestDamagedJournal: whatever is done to the file, the agent starts, keeps the
// damaged file, and says the last thing that it can still read.
func TestDamagedJournal(t *testing.T) {
	base := cachetest.Options(memDir(t))
	j := openJournal(t, base)
	was := cachetest.Fill(t, j, 300)
	closeJournal(t, j)
	whole := readFile(t, filepath.Join(base.Dir, "journal.db"))
	lastJSON := readFile(t, filepath.Join(base.Dir, "last.json"))
	used := lastPage(whole)
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	page := func(i int, change func([]byte)) func([]byte) []byte {
		return func(b []byte) []byte { change(b[i*4096 : (i+1)*4096]); return b }
	}
	zero := func(p []byte) { clear(p) }
	noise := func(p []byte) {
		for i := range p {
			p[i] = byte(i*7 + 13)
		}
	}
	kinds := map[string]func([]byte) []byte{
		"empty":               cut(0),
		"one byte":            cut(1),
		"one page":            cut(4096),
		"two pages":           cut(8192),
		"half":                cut(used / 2 * 4096),
		"lost the last page":  cut(used * 4096),
		"torn in a page":      cut(used*4096 + 17),
		"both metas zero":     func(b []byte) []byte { clear(b[:8192]); return b },
		"text":                func([]byte) []byte { return []byte(strings.Repeat("no database\n", 9000)) },
		"all noise but metas": func(b []byte) []byte { noise(b[8192:]); return b },
		"a bit in the meta":   func(b []byte) []byte { flipText(t, b, "north"); return b },
		"a bit in a record":   func(b []byte) []byte { flipText(t, b, "vaccinated"); return b },
	}
	step := 1
	if testing.Short() {
		step = 3
	}
	for i := 2; i <= used; i += step {
		kinds["zeroed page "+sprint(uint64(i))] = page(i, zero)
		kinds["noise in page "+sprint(uint64(i))] = page(i, noise)
	}
	for _, saved := range []bool{true, false} {
		for name, change := range kinds {
			o := cachetest.Options(memDir(t))
			path := filepath.Join(o.Dir, "journal.db")
			damaged := change(bytes.Clone(whole))
			if len(damaged) > 0 {
				writeFile(t, path, damaged)
			} else {
				writeFile(t, path, nil)
			}
			writeFile(t, filepath.Join(o.Dir, "open"), nil)
			if saved {
				writeFile(t, filepath.Join(o.Dir, "last.json"), lastJSON)
			}
			j, err := cache.OpenJournal(o, quiet)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			st := j.Status()
			if st.EpochCause == "" { // damage in a page that is not in use
				if st.Position != was {
					t.Errorf("%s: goes on at %+v", name, st.Position)
				}
				if _, err := j.Verify(t.Context()); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else {
				last, cause := lastOf(t, j)
				if cause != "journal_damaged" || len(st.Quarantined) != 1 {
					t.Errorf("%s: cause %q, set aside %v", name, cause, st.Quarantined)
				}
				if saved && last != was {
					t.Errorf("%s: last %+v", name, last)
				}
				if !last.Epoch.IsZero() && (last.Epoch != was.Epoch || last.Seq > was.Seq) {
					t.Errorf("%s: last %+v", name, last)
				}
			}
			if st.Fault != nil {
				t.Errorf("%s: fault %v", name, st.Fault)
			}
			cachetest.Fill(t, j, 2)
			closeJournal(t, j)
		}
	}
}

// lastPage gives the number of the last page that is not all zero.
func lastPage(b []byte) int {
	last := len(b)/4096 - 1
	for last > 0 && len(bytes.Trim(b[last*4096:(last+1)*4096], "\x00")) == 0 {
		last--
	}
	return last
}

// flipText changes one bit of a text inside a record.
func flipText(t *testing.T, b []byte, text string) {
	t.Helper()
	i := bytes.LastIndex(b, []byte(text))
	if i < 0 {
		t.Fatalf("no %q in the file", text)
	}
	b[i] ^= 1
}

func TestQuarantineIsBounded(t *testing.T) {
	o := cachetest.Options(memDir(t))
	for i := range 6 {
		j := openJournal(t, o)
		cachetest.Fill(t, j, i)
		closeJournal(t, j)
		if err := os.Truncate(filepath.Join(o.Dir, "journal.db"), 9000); err != nil {
			t.Fatal(err)
		}
	}
	q := openJournal(t, o).Status().Quarantined
	if len(q) != 3 || !strings.HasPrefix(q[0], "000004-") || !strings.HasPrefix(q[2], "000006-") {
		t.Errorf("kept %v", q)
	}
}

func TestCheckThatCannotRun(t *testing.T) {
	o := cachetest.Options(memDir(t))
	j := openJournal(t, o)
	was := cachetest.Fill(t, j, 3)
	closeJournal(t, j)
	writeFile(t, filepath.Join(o.Dir, "open"), nil)
	runs := 0
	o.Check = func(ctx context.Context, path string) error {
		if runs++; runs == 1 {
			return cache.ErrNotChecked
		}
		return cachetest.Check(ctx, path)
	}
	j = openJournal(t, o)
	if st := j.Status(); !errors.Is(st.Fault, cache.ErrNotChecked) || len(st.Quarantined) != 0 {
		t.Fatalf("status %+v", st)
	}
	if _, err := j.Append(cachetest.Entry(1)).Wait(); !errors.Is(err, cache.ErrNotChecked) {
		t.Errorf("append: %v", err)
	}
	eventually(t, func() bool {
		seq, err := j.Append(cachetest.Entry(1)).Wait()
		return err == nil && seq == was.Seq+1
	})
}

func TestCheckThatTakesTooLong(t *testing.T) {
	o := cachetest.Options(memDir(t))
	closeJournal(t, openJournal(t, o))
	writeFile(t, filepath.Join(o.Dir, "open"), nil)
	o.CheckWait = 50 * time.Millisecond
	o.Check = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	if st := openJournal(t, o).Status(); st.EpochCause != "journal_damaged" || len(st.Quarantined) != 1 {
		t.Errorf("status %+v", st)
	}
}

// eventually waits for something that the journal does by itself.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it did not come about")
}
