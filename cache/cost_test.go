package cache_test

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"gateagent/cache"
	"gateagent/cache/cachetest"
)

// bareCommit is the baseline: one small record per transaction in bbolt, with
// the options of the journal and nothing of ours around it.
func bareCommit(t testing.TB, value []byte) func() {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "bare.db"), 0o600, &bbolt.Options{
		PageSize: 4096, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 64 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("records"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	return func() {
		seq++
		err := db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte("records"))
			b.FillPercent = 1
			return b.Put(binary.BigEndian.AppendUint64(nil, seq), value)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// TestAppendAgainstABareCommit: a lone durable append takes at most twice a bare
// bbolt commit; 16 callers share one commit between at least three.
func TestAppendAgainstABareCommit(t *testing.T) {
	if testing.Short() {
		t.Skip("measures time; not with -short")
	}
	j := openJournal(t, cachetest.Options(t.TempDir()))
	bare := bareCommit(t, make([]byte, 250))
	one := func() {
		if _, err := j.Append(cachetest.Entry(1)).Wait(); err != nil {
			t.Fatal(err)
		}
	}
	var ratio float64
	for range 5 { // the machine may be busy with something else
		var ours, theirs []time.Duration
		for range 150 {
			start := time.Now()
			one()
			ours = append(ours, time.Since(start))
			start = time.Now()
			bare()
			theirs = append(theirs, time.Since(start))
		}
		a, b := median(ours), median(theirs)
		ratio = float64(a) / float64(b)
		t.Logf("append p50 %v, bare commit p50 %v: %.2f times", a, b, ratio)
		if ratio <= 2 {
			break
		}
	}
	if ratio > 2 {
		t.Errorf("an append takes %.2f times a bare commit", ratio)
	}

	const n = 320
	before := j.Status().Commits
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range n / 16 {
				if _, err := j.Append(cachetest.Entry(1)).Wait(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	commits := j.Status().Commits - before
	t.Logf("16 callers: %.1f records a commit", float64(n)/float64(commits))
	if commits*3 > n {
		t.Errorf("16 callers: %d commits for %d records", commits, n)
	}
}

// written gives the bytes that this process has passed to write calls.
func written(t testing.TB) int64 {
	t.Helper()
	n, err := cachetest.Written()
	if err != nil {
		t.Skip(err)
	}
	return n
}

// TestBytesWritten: a commit writes at most 17 KB, also just after a backlog of
// many records was drained; acknowledging costs at most 30 bytes a record.
func TestBytesWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("counting what 30,000 records cost is left to the long form")
	}
	c := newClock()
	o := cachetest.Options(t.TempDir())
	o.Now, o.KeepAcked = c.now, time.Minute
	j := openJournal(t, o)
	perCommit := func() float64 {
		const n = 100
		before := written(t)
		for range n {
			if _, err := j.Append(cachetest.Entry(1)).Wait(); err != nil {
				t.Fatal(err)
			}
		}
		return float64(written(t)-before) / n
	}
	cachetest.Fill(t, j, 100)
	if got := perCommit(); got > 17*1024 {
		t.Errorf("%.0f bytes a commit in a small journal", got)
	} else {
		t.Logf("%.0f bytes a commit in a small journal", got)
	}

	const n = 30_000 // too few to be compacted, so that the file is full of free pages
	pos := cachetest.Fill(t, j, n)
	if used := j.Status().Used; used > n*240 {
		t.Errorf("%.1f bytes a record", float64(used)/n)
	}
	before := written(t)
	if err := j.Ack(pos); err != nil {
		t.Fatal(err)
	}
	c.move(time.Hour)
	cachetest.Fill(t, j, 1)
	eventually(t, func() bool { return j.Status().First >= pos.Seq })
	if per := float64(written(t)-before) / n; per > 30 {
		t.Errorf("acknowledging and removing writes %.1f bytes a record", per)
	} else {
		t.Logf("acknowledging and removing writes %.1f bytes a record", per)
	}
	if got := perCommit(); got > 17*1024 {
		t.Errorf("%.0f bytes a commit after draining", got)
	} else {
		t.Logf("%.0f bytes a commit after draining, %d bytes free in the file", got, j.Status().Free)
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			j := openJournal(b, cachetest.Options(b.TempDir()))
			var wg sync.WaitGroup
			b.ResetTimer()
			for c := range callers {
				wg.Go(func() {
					for i := c; i < b.N; i += callers {
						if _, err := j.Append(cachetest.Entry(i)).Wait(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
	b.Run("bare bbolt commit", func(b *testing.B) {
		commit := bareCommit(b, make([]byte, 250))
		for b.Loop() {
			commit()
		}
	})
}

var _ cachetest.Store = (*cache.Sets)(nil)
