package feed

import (
	"sync"
	"testing"
)

func seqs(ds []Decision) []uint64 {
	var out []uint64
	for _, d := range ds {
		out = append(out, d.Seq)
	}
	return out
}

func TestRecentIsNewestFirst(t *testing.T) {
	f := New(3)
	if n := len(f.Recent()); n != 0 {
		t.Fatalf("%d decisions in an empty feed", n)
	}
	want := [][]uint64{{1}, {2, 1}, {3, 2, 1}, {4, 3, 2}, {5, 4, 3}, {6, 5, 4}, {7, 6, 5}}
	for i, w := range want {
		f.Publish(Decision{Seq: uint64(i + 1)})
		got := seqs(f.Recent())
		if len(got) != len(w) {
			t.Fatalf("after %d: %v, want %v", i+1, got, w)
		}
		for j := range w {
			if got[j] != w[j] {
				t.Fatalf("after %d: %v, want %v", i+1, got, w)
			}
		}
	}
}

func TestWatcherSeesWhatComesAfter(t *testing.T) {
	f := New(2)
	f.Publish(Decision{Seq: 1})
	w := f.Watch(4)
	f.Publish(Decision{Seq: 2})
	f.Publish(Decision{Seq: 3})
	w.Close()
	w.Close()
	f.Publish(Decision{Seq: 4})
	var got []Decision
	for d := range w.C() {
		got = append(got, d)
	}
	if s := seqs(got); len(s) != 2 || s[0] != 2 || s[1] != 3 {
		t.Errorf("saw %v, want [2 3]", s)
	}
	if w.Slow() {
		t.Error("a closed watcher is not a slow one")
	}
}

func TestSlowWatcherIsDroppedAndOthersGoOn(t *testing.T) {
	f := New(1)
	slow, quick := f.Watch(1), f.Watch(10)
	defer quick.Close()
	for i := range 5 {
		f.Publish(Decision{Seq: uint64(i + 1)})
	}
	n := 0
	for range slow.C() {
		n++
	}
	if n != 1 || !slow.Slow() {
		t.Errorf("slow watcher: %d decisions, slow %v", n, slow.Slow())
	}
	slow.Close()
	if len(quick.C()) != 5 {
		t.Errorf("quick watcher has %d of 5", len(quick.C()))
	}
}

func TestConcurrentUse(t *testing.T) {
	f := New(8)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 300 {
				f.Publish(Decision{Seq: uint64(i)})
				f.Recent()
			}
		})
		wg.Go(func() {
			for range 50 {
				w := f.Watch(2)
				<-w.C()
				w.Close()
			}
		})
	}
	done := make(chan struct{})
	go func() { defer close(done); wg.Wait() }()
	for {
		select {
		case <-done:
			return
		default:
			f.Publish(Decision{})
		}
	}
}
