package cachetest

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/cache"
)

// PassUntil is when the passes of these tests expire.
var PassUntil = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// PassID makes the id of a pass out of a number.
func PassID(n uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// SpentOptions are those of spent passes in dir that are checked in a child
// process.
func SpentOptions(dir string) cache.SpentOptions {
	return cache.SpentOptions{Dir: dir, Check: Check, Now: time.Now}
}

// spendForEver spends passes from several goroutines, each pass from two at
// once, and prints "done <n> <n>" when one of them was told that it is fresh.
func spendForEver(dir string) error {
	s, err := cache.OpenSpent(SpentOptions(dir), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := s.Status().Fault; err != nil {
		return err
	}
	fmt.Println("open")
	var next atomic.Uint64
	next.Store(uint64(time.Now().UnixNano()))
	fail := make(chan error)
	for range 2 {
		go func() {
			for {
				n := next.Add(1)
				var fresh atomic.Int32
				var both sync.WaitGroup
				for range 2 {
					both.Go(func() {
						ok, err := s.Spend(PassID(n), PassUntil)
						if err != nil {
							fail <- err
						} else if ok {
							fresh.Add(1)
							fmt.Printf("done %d %d\n", n, n) // unbuffered
						}
					})
				}
				if both.Wait(); fresh.Load() != 1 {
					fail <- fmt.Errorf("a pass was spent %d times", fresh.Load())
				}
			}
		}()
	}
	return <-fail
}

// CheckSpent opens what is left of spent passes and compares it with what was
// said.
func (s *Survivor) CheckSpent(t testing.TB) {
	t.Helper()
	spent, err := cache.OpenSpent(SpentOptions(s.Dir), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := spent.Close(); err != nil {
			t.Error(err)
		}
	}()
	if st := spent.Status(); st.Fault != nil || !st.Lost.IsZero() || st.Passes < len(s.Done) {
		t.Fatalf("%+v, %d were spent", st, len(s.Done))
	}
	for n := range s.Done {
		if !spent.Known(PassID(n)) {
			t.Errorf("pass %d was spent and is forgotten", n)
		} else if fresh, err := spent.Spend(PassID(n), PassUntil); fresh || err != nil {
			t.Errorf("pass %d could be spent again: %t, %v", n, fresh, err)
		}
	}
}
