package cache_test

import (
	"os"
	"path/filepath"
	"testing"

	"gateagent/cache"
	"gateagent/cache/cachetest"
)

// FuzzLastReadable: whatever lies in quarantine is read without a panic, a hang
// or a position that the journal never had.
func FuzzLastReadable(f *testing.F) {
	o := cachetest.Options(f.TempDir())
	j, err := cache.OpenJournal(o, quiet)
	if err != nil {
		f.Fatal(err)
	}
	was := cachetest.Fill(f, j, 200)
	if err := j.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(o.Dir, "journal.db"))
	if err != nil {
		f.Fatal(err)
	}
	whole = whole[:(lastPage(whole)+1)*4096]
	f.Add(uint32(4096*2), []byte{0xff}, uint32(len(whole)))
	f.Add(uint32(4096*3+10), []byte{0xff, 0xff}, uint32(len(whole)))
	f.Add(uint32(16), make([]byte, 64), uint32(5000))
	f.Fuzz(func(t *testing.T, at uint32, patch []byte, size uint32) {
		b := append([]byte(nil), whole...)
		copy(b[int(at)%len(b):], patch)
		b = b[:int(size)%(len(b)+1)]
		path := filepath.Join(memDir(t), "x.db")
		writeFile(t, path, b)
		got := cache.LastReadable(path)
		if got.Seq > was.Seq {
			t.Errorf("record %d of %d", got.Seq, was.Seq)
		}
	})
}
