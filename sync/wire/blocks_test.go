package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestChunkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Block
		var no uint64
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			no += rapid.Uint64Range(0, 5).Draw(t, "gap")
			want = append(want, Block{No: no, Value: rapid.SliceOfN(rapid.Byte(), 7, 7).Draw(t, "value")})
			want[len(want)-1].Value = bytes.Repeat(want[len(want)-1].Value, rapid.IntRange(1, 90).Draw(t, "n"))
			no++
		}
		body, err := EncodeChunk(CodingBlocks, 7, want)
		if err != nil {
			t.Fatal(err)
		}
		var got []Block
		err = DecodeChunk(CodingBlocks, 7, body, func(no uint64, value, _ []byte) error {
			got = append(got, Block{No: no, Value: bytes.Clone(value)})
			return nil
		})
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

// The coding of chunks is pinned: a publisher and boxes of different age meet.
func TestChunkGolden(t *testing.T) {
	const zstdRaw = "28b52ffd" // any encoder may compress otherwise: only the magic and the inflated bytes are fixed
	body, err := EncodeChunk(CodingBlocks, 7, []Block{{No: 3, Value: []byte("aaaaaaa")}, {No: 300, Value: []byte("bbbbbbbccccccc")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(body[:4]); got != zstdRaw {
		t.Errorf("magic %s", got)
	}
	plain, err := hex.DecodeString("0301" + hex.EncodeToString([]byte("aaaaaaa")) + "a90202" + hex.EncodeToString([]byte("bbbbbbbccccccc")))
	if err != nil {
		t.Fatal(err)
	}
	if got := inflate(t, body); !bytes.Equal(got, plain) {
		t.Errorf("inflated %x, want %x", got, plain)
	}
}

func TestChunkRefuses(t *testing.T) {
	for name, blocks := range map[string][]Block{
		"nothing":     nil,
		"empty block": {{No: 1, Value: nil}},
		"odd length":  {{No: 1, Value: []byte("123456")}},
		"out of turn": {{No: 2, Value: []byte("1234567")}, {No: 1, Value: []byte("1234567")}},
		"same number": {{No: 2, Value: []byte("1234567")}, {No: 2, Value: []byte("1234567")}},
		"crowded":     {{No: 1, Value: make([]byte, 7*(maxPerBlock+1))}},
	} {
		if _, err := EncodeChunk(CodingBlocks, 7, blocks); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	big := make([]byte, MaxInflated+1024)
	for name, body := range map[string][]byte{
		"no zstd":       []byte("hello"),
		"cut varint":    deflate(t, []byte{0x80}),
		"cut count":     deflate(t, []byte{0x01}),
		"cut records":   deflate(t, []byte{0x01, 0x02, 1, 2, 3, 4, 5, 6, 7}),
		"no records":    deflate(t, []byte{0x01, 0x00}),
		"block again":   deflate(t, []byte{0x01, 0x01, 1, 2, 3, 4, 5, 6, 7, 0x00, 0x01, 1, 2, 3, 4, 5, 6, 7}),
		"far block":     deflate(t, append(bytes.Repeat([]byte{0xff}, 9), 0x01, 0x01, 1, 2, 3, 4, 5, 6, 7)),
		"many records":  deflate(t, []byte{0x01, 0xff, 0xff, 0xff, 0xff, 0x0f}),
		"a bomb":        deflate(t, big),
		"long":          make([]byte, MaxChunk+1),
		"trailing junk": append(deflate(t, []byte{0x01, 0x01, 1, 2, 3, 4, 5, 6, 7}), 1, 2, 3),
	} {
		if err := DecodeChunk(CodingBlocks, 7, body, func(uint64, []byte, []byte) error { return nil }); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	stop := errors.New("stop")
	body, err := EncodeChunk(CodingBlocks, 7, []Block{{No: 1, Value: []byte("1234567")}, {No: 2, Value: []byte("1234567")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := DecodeChunk(CodingBlocks, 7, body, func(uint64, []byte, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("the caller's error is lost: %v", err)
	}
	if err := DecodeChunk(CodingBlocks, 0, body, func(uint64, []byte, []byte) error { return nil }); err == nil {
		t.Error("a width of zero was taken")
	}
}

func FuzzDecodeBlocks(f *testing.F) {
	chunk, err := EncodeChunk(CodingBlocks, 7, []Block{{No: 1, Value: []byte("1234567")}, {No: 900, Value: []byte("12345671234567")}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(chunk)
	f.Fuzz(func(t *testing.T, b []byte) {
		size, next := 0, uint64(0)
		_ = DecodeChunk(CodingBlocks, 7, b, func(no uint64, value, _ []byte) error {
			if size += len(value); size > MaxInflated || len(value)%7 != 0 || len(value) == 0 {
				t.Fatal("more than the bound came out, or half a record")
			}
			if no < next {
				t.Fatal("blocks do not ascend")
			}
			next = no + 1
			return nil
		})
	})
}
