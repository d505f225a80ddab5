package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

// goldenBlocks are the records of the golden chunks: enough of them that their
// words are worth a table.
func goldenBlocks(width int) []Block {
	p := newPopulation(200, width)
	p.word, p.extras = withExtras, realExtras
	out := p.held()
	for i := range out {
		out[i].No += 70_000
		if out[i].Extras == nil {
			out[i].Extras = []byte{}
		}
	}
	return out
}

// goldenFile gives a file of testdata that holds bytes in hexadecimal.
func goldenFile(t testing.TB, name string, now []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update && now != nil {
		var text strings.Builder
		for s := hex.EncodeToString(now); len(s) > 0; s = s[min(len(s), 100):] {
			text.WriteString(s[:min(len(s), 100)] + "\n")
		}
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(string(text), "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The codings are pinned: a publisher and boxes of different age meet. What an
// encoder makes may change with the library, so it is the reading that must
// not.
func TestGoldenCodings(t *testing.T) {
	for name, width := range map[string]int{"chunk7.hex": widthPlain, "chunk9.hex": widthCheck} {
		want := goldenBlocks(width)
		now, err := EncodeChunk(CodingColumns, width, want)
		if err != nil {
			t.Fatal(err)
		}
		body := goldenFile(t, name, now)
		if diff := cmp.Diff(want, gather(t, width, body)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if !bytes.Equal(body, now) {
			t.Logf("%s is written otherwise now: %d bytes, were %d", name, len(now), len(body))
		}
	}
	for name, want := range map[string][]gate.Change{
		"changes_rank.hex": goldenChanges(), "changes_rem.hex": byRemainder(goldenChanges()), "changes_few.hex": sampleChanges(),
	} {
		pieces, err := EncodeChanges(want, widthCheck)
		if err != nil || len(pieces) != 1 {
			t.Fatal(err)
		}
		body := goldenFile(t, name, pieces[0])
		if diff := cmp.Diff(want, decodeAll(t, [][]byte{body})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	// What the samples of the documents hold is read, too.
	b, err := os.ReadFile("testdata/delta.json")
	if err != nil {
		t.Fatal(err)
	}
	var plain bytes.Buffer
	if err := json.Compact(&plain, b); err != nil {
		t.Fatal(err)
	}
	d, err := ParseDelta(plain.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var got []gate.Change
	if err := d.Changes(nil, func(c gate.Change) error {
		c.Extras = bytes.Clone(c.Extras)
		got = append(got, c)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sampleChanges(), got); diff != "" {
		t.Error(diff)
	}
}

func goldenChanges() []gate.Change {
	out := realChanges(150, 1000, withExtras)
	for i := range out {
		if out[i].Gone {
			continue
		}
		out[i].Check = uint16(i * 40503)
		if out[i].Word.Extras() && i%3 > 0 {
			out[i].Extras = bytes.Repeat([]byte{byte(i), 7}, 5)
		}
	}
	return out
}

// A chunk's digest is checked before it is read; but should a wrong one come
// so far, it costs nothing but itself. Every single bit is turned.
func TestEveryWrongBit(t *testing.T) {
	for _, width := range []int{widthPlain, widthCheck} {
		blocks := goldenBlocks(width)
		body, err := EncodeChunk(CodingColumns, width, blocks)
		if err != nil {
			t.Fatal(err)
		}
		refused := 0
		flips(body, func(bad []byte) {
			if !soundChunk(t, width, bad) {
				refused++
			}
		})
		t.Logf("width %d: %d of %d wrong bits are refused without the digest", width, refused, 8*len(body))
	}
	pieces, err := EncodeChanges(goldenChanges(), widthCheck)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	flips(pieces[0], func(bad []byte) {
		if !soundChanges(t, bad) {
			refused++
		}
	})
	t.Logf("changes: %d of %d wrong bits are refused without the digest", refused, 8*len(pieces[0]))
}

func flips(body []byte, f func(bad []byte)) {
	for i := range 8 * len(body) {
		bad := bytes.Clone(body)
		bad[i/8] ^= 1 << (i % 8)
		f(bad)
	}
}

// soundChunk reads a chunk that anyone may have written and says whether it was
// taken. What comes out is in order and bounded even of one that is refused.
func soundChunk(t testing.TB, width int, body []byte) bool {
	next, size := uint64(0), 0
	err := DecodeChunk(CodingColumns, width, body, func(no uint64, value, extras []byte) error {
		n := len(value) / width
		if no < next || no >= maxBlocks || n == 0 || n > maxPerBlock || n*width != len(value) {
			t.Fatalf("block %d has %d bytes, after block %d", no, len(value), next)
		}
		next = no + 1
		if size += len(value) + len(extras); size > MaxChunkPeople*(widthCheck+entryHead)+MaxInflated {
			t.Fatalf("%d bytes came of %d", size, len(body))
		}
		least := uint64(0)
		for v := value; len(v) > 0; v = v[width:] {
			rem := uint64(v[0])<<32 | uint64(binary.BigEndian.Uint32(v[1:]))
			if rem < least {
				t.Fatalf("block %d is out of order", no)
			}
			least = rem + 1
			if binary.BigEndian.Uint16(v[5:])&extrasFlag != 0 && len(extras) > 0 && bytes.Equal(extras[:remBytes], v[:remBytes]) {
				extras = extras[entryHead+int(extras[remBytes]):]
			}
		}
		if len(extras) > 0 {
			t.Fatalf("block %d has extras of nobody", no)
		}
		return nil
	})
	return err == nil
}

func soundChanges(t testing.TB, body []byte) bool {
	var last gate.Change
	n, size := 0, 0
	err := DecodeChanges(body, func(c gate.Change) error {
		if n > 0 && CompareChanges(last, c) >= 0 || c.Block >= maxBlocks || c.Place >= maxPerBlock || c.Place < -1 || c.Rem > remMask {
			t.Fatalf("change %+v after %+v", c, last)
		}
		if c.Gone && (c.Word != 0 || c.Check != 0) || len(c.Extras) > 0 && !c.Word.Extras() {
			t.Fatalf("change %+v", c)
		}
		n, last, size = n+1, c, size+len(c.Extras)
		return nil
	})
	if n > maxPieceChanges || size > MaxInflated {
		t.Fatalf("%d changes and %d bytes came of %d", n, size, len(body))
	}
	return err == nil
}

// A chunk of few bytes that says it holds much.
func TestBombs(t *testing.T) {
	number := binary.AppendUvarint
	head := func(n uint64) []byte { return number(number(nil, 5), n) }
	positions := func(n int) []byte {
		return append(number([]byte{0}, uint64(n+7)/8), bytes.Repeat([]byte{0xff}, (n+7)/8)...)
	}
	sameWords := func(word uint16) []byte {
		b := number(number(nil, 1), uint64(word>>lowBits))
		b = append(b, columnRaw, 0)                            // the upper part's column
		b = append(b, columnRun, 0)                            // upper parts
		return append(b, columnRun, byte(word)&(1<<lowBits-1)) // lower parts
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	const n = 1 << 17
	for name, body := range map[string][]byte{
		"nobody":              join(head(0), positions(0), sameWords(0)),
		"too many people":     join(head(n+1), positions(n+1), sameWords(0)),
		"more than says":      join(head(100), positions(n), sameWords(0)),
		"fewer":               join(head(n), positions(100), sameWords(0)),
		"crowded block":       join(head(256), positions(256), sameWords(0)),
		"endless gap":         join(head(1), []byte{0}, number(nil, 200_000), make([]byte, 200_000), sameWords(0)),
		"large parameter":     join(head(1), []byte{57, 8}, bytes.Repeat([]byte{0xff}, 8), sameWords(0)),
		"far block":           join(number(number(nil, maxBlocks), 1), positions(1), sameWords(0)),
		"far from first":      join(number(number(nil, maxBlocks-1), 1), []byte{56, 8, 0, 0, 1, 0, 0, 0, 0, 0}, sameWords(0)),
		"huge extras":         join(head(200), positions(200), sameWords(extrasFlag), []byte{columnRun, 255}, number(nil, 9), make([]byte, 9)),
		"large extras":        join(head(n), positions(n), sameWords(extrasFlag), []byte{columnRun, 255}, number(nil, 9), make([]byte, 9)),
		"a column of no kind": join(head(1), positions(1), []byte{1, 0, 9}),
		"upper part":          join(head(1), positions(1), []byte{1, 0xff, 0x04, columnRaw, 0, columnRun, 0, columnRun, 0}),
		"upper parts":         join(head(1), positions(1), []byte{2, 0xff, 0x03, 0, columnRaw, 0, 0, columnRun, 0, columnRun, 0}),
		"many upper parts":    join(head(1), positions(1), number(nil, 257)),
		"upper unlisted":      join(head(1), positions(1), []byte{1, 0, columnRaw, 0, columnRun, 1, columnRun, 0}),
		"lower part":          join(head(1), positions(1), []byte{1, 0, columnRaw, 0, columnRun, 0, columnRun, 128}),
		"something behind":    join(head(1), positions(1), sameWords(0), []byte{0}),
		"long":                make([]byte, MaxChunk+1),
		"empty":               nil,
	} {
		for _, width := range []int{widthPlain, widthCheck} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if soundChunk(t, width, body) {
				t.Errorf("%s was taken", name)
			}
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 2*MaxInflated {
				t.Errorf("%s took %d bytes of memory", name, after.TotalAlloc-before.TotalAlloc)
			}
		}
	}
	if !soundChunk(t, widthPlain, join(head(8), positions(8), sameWords(0x1234))) {
		t.Error("the rule that the others break is wrong itself")
	}
	for name, body := range map[string][]byte{
		"nothing":       join([]byte{0}, head(0), positions(0)),
		"too many":      join([]byte{0}, head(n+1), positions(n+1), []byte{columnRun, 0}),
		"other flags":   join([]byte{2}, head(1), positions(1)),
		"operation":     join([]byte{0}, head(1), positions(1), []byte{columnRun, 4}),
		"same twice":    join([]byte{0}, head(8), positions(8), []byte{columnRun, opGone}, []byte{columnRun, 3}),
		"place":         join([]byte{0}, head(1), positions(1), []byte{columnRun, opGone}, []byte{columnRun, 255}),
		"cut remainder": join([]byte{0}, head(1), positions(1), []byte{columnRun, opGone | opRem}, []byte{1, 2, 3, 4}),
		"far block":     join([]byte{0}, number(number(nil, maxBlocks-1), 1), []byte{0, 1, 2}, []byte{columnRun, opGone}, []byte{columnRun, 3}),
		"long":          make([]byte, MaxChunk+1),
	} {
		if soundChanges(t, body) {
			t.Errorf("%s: it was taken", name)
		}
	}
}

func TestEncodeColumnsRefuses(t *testing.T) {
	v := func(rem byte, word uint16) []byte { return []byte{0, 0, 0, 0, rem, byte(word >> 8), byte(word)} }
	entry := func(rem byte, body ...byte) []byte { return append([]byte{0, 0, 0, 0, rem, byte(len(body))}, body...) }
	for name, b := range map[string]Block{
		"out of order":      {Value: append(v(2, 0), v(1, 0)...)},
		"same twice":        {Value: append(v(2, 0), v(2, 0)...)},
		"extras of nobody":  {Value: v(2, extrasFlag), Extras: entry(1, 1)},
		"extras, no flag":   {Value: v(2, 0), Extras: entry(2, 1)},
		"empty extras":      {Value: v(2, extrasFlag), Extras: entry(2)},
		"extras cut":        {Value: v(2, extrasFlag), Extras: entry(2, 1, 2)[:7]},
		"extras cut before": {Value: v(2, extrasFlag), Extras: entry(2, 1, 2)[:5]},
		"extras twice":      {Value: v(2, extrasFlag), Extras: append(entry(2, 1), entry(2, 1)...)},
	} {
		if _, err := EncodeChunk(CodingColumns, widthPlain, []Block{b}); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	for name, blocks := range map[string][]Block{
		"nothing":     nil,
		"empty block": {{No: 1}},
		"odd length":  {{No: 1, Value: []byte("123456")}},
		"out of turn": {{No: 2, Value: v(1, 0)}, {No: 1, Value: v(1, 0)}},
		"same number": {{No: 2, Value: v(1, 0)}, {No: 2, Value: v(1, 0)}},
		"far block":   {{No: maxBlocks, Value: v(1, 0)}},
		"crowded":     {{No: 1, Value: make([]byte, 7*(maxPerBlock+1))}},
	} {
		if _, err := EncodeChunk(CodingColumns, widthPlain, blocks); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if err := DecodeChunk(CodingColumns, 0, nil, nil); err == nil {
		t.Error("a width of zero was read")
	}
	if _, err := EncodeChunk("rows", widthPlain, []Block{{Value: v(1, 0)}}); err == nil {
		t.Error("a coding of no name was written")
	}
	if _, err := EncodeChunk(CodingColumns, widthPlain, []Block{{Value: v(1, 0)}, {No: maxChunkBlocks, Value: v(1, 0)}}); err == nil {
		t.Error("blocks too far from each other were written")
	}
	if err := DecodeChunk("rows", widthPlain, nil, nil); err == nil {
		t.Error("a coding of no name was read")
	}
}

func TestFitsBlocks(t *testing.T) {
	for _, c := range []struct {
		people, blocks uint64
		fits           bool
	}{
		{0, 1, true},
		{0, 0, false},
		{0, 2, false},
		{1, 1, true},
		{62, 1, true},
		{63, 2, true},
		{71, 1, true},
		{72, 1, false},
		{100, 2, true},
		{6200, 100, true},
		{5580, 100, true},
		{5579, 100, false},
		{7130, 100, true},
		{7131, 100, false},
		{98_000_000, 1_580_646, true},
		{1 << 38, 1 << 32, false},
		{maxPeople, maxBlocks, true},
		{maxPeople + 1, maxBlocks, false},
		{1<<64 - 1, 1, false},
		{62, 1 << 63, false},
	} {
		if got := FitsBlocks(c.people, c.blocks); got != c.fits {
			t.Errorf("%d people in %d blocks: %v", c.people, c.blocks, got)
		}
	}
}

func FuzzDecodeColumns(f *testing.F) {
	for _, width := range []int{widthPlain, widthCheck} {
		body, err := EncodeChunk(CodingColumns, width, goldenBlocks(width))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, width == widthCheck)
		noise := goldenBlocks(width)
		for i := range noise {
			for at := 5; at < len(noise[i].Value); at += width {
				noise[i].Value[at], noise[i].Value[at+1] = byte(at*59)&0x7f, byte(at*31)
			}
			noise[i].Extras = nil
		}
		if body, err = EncodeChunk(CodingColumns, width, noise[:2]); err != nil {
			f.Fatal(err)
		}
		f.Add(body, width == widthCheck)
	}
	f.Add(goldenFile(f, "chunk7.hex", nil), false)
	f.Add(goldenFile(f, "chunk9.hex", nil), true)
	f.Fuzz(func(t *testing.T, body []byte, check bool) {
		width := widthPlain
		if check {
			width = widthCheck
		}
		if !soundChunk(t, width, body) {
			return
		}
		blocks := gather(t, width, body)
		again, err := EncodeChunk(CodingColumns, width, blocks)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(blocks, gather(t, width, again)); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecodeChanges(f *testing.F) {
	for _, changes := range [][]gate.Change{goldenChanges(), byRemainder(goldenChanges()), sampleChanges()} {
		pieces, err := EncodeChanges(changes, widthCheck)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(pieces[0])
	}
	for _, name := range []string{"changes_rank.hex", "changes_rem.hex", "changes_few.hex"} {
		f.Add(goldenFile(f, name, nil))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !soundChanges(t, body) {
			return
		}
		changes := decodeAll(t, [][]byte{body})
		pieces, err := EncodeChanges(changes, widthCheck)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(changes, decodeAll(t, pieces)); diff != "" {
			t.Fatal(diff)
		}
	})
}
