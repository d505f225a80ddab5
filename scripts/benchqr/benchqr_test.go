package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/driver/frame"
)

func TestParseMeta(t *testing.T) {
	const text = "/elsewhere/size/000_1.pgm\tsize\t1.4\t1280x720\t1.400\t8\t1\t6d61cc836e\n" +
		"/elsewhere/noqr480/001_0.pgm\tnoqr480\t0\t640x480\t2.000\t8\t0\t-\n"
	items, err := parseMeta(strings.NewReader(text), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || items[0].category != "size" || items[0].level != 1.4 || items[1].category != "noqr480" {
		t.Fatalf("items %+v", items)
	}
	if want := []string{"ma\u0303n"}; !cmp.Equal(items[0].want, want) || items[1].want != nil {
		t.Errorf("texts %q and %q", items[0].want, items[1].want)
	}
	for name, bad := range map[string]string{
		"too few fields": "a\tb\t1\n",
		"level":          "a\tb\tx\t1x1\t1\t1\t1\t-\n",
		"payload":        "a\tb\t1\t1x1\t1\t1\t1\txyz\n",
	} {
		if _, err := parseMeta(strings.NewReader(bad), ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFoldersWithTexts(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/1.pgm": "P5\n2 1\n255\nab", "a/1.txt": "one", "b/2.pgm": "P5\n2 1\n255\ncd", "b/notes.md": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	items, err := load(options{dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != 2 || items[0].category != "a" || !cmp.Equal(items[0].want, []string{"one"}) || items[1].want != nil {
		t.Fatalf("items %+v", items)
	}
	var g frame.Gray
	if err := items[1].load(&g); err != nil || string(g.Pix) != "cd" {
		t.Errorf("picture %q, %v", g.Pix, err)
	}
	if items, err = load(options{dir: dir, only: "b,c"}); err != nil || len(items) != 1 {
		t.Errorf("%d items of b, %v", len(items), err)
	}
	if _, err := load(options{dir: dir, only: "c"}); err == nil {
		t.Error("nothing to measure, and no error")
	}
}

func TestTurn(t *testing.T) {
	src := frame.Gray{Pix: []byte("abc.def."), Width: 3, Height: 2, Stride: 4}
	for quarters, want := range []string{"abcdef", "daebfc", "fedcba", "cfbead"} {
		var dst frame.Gray
		turn(&dst, &src, quarters)
		if string(dst.Pix) != want || dst.Check() != nil {
			t.Errorf("%d quarters: %q, want %q", quarters, dst.Pix, want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		v    []int64
		want float64
	}{{[]int64{5}, 5}, {[]int64{9, 1, 5}, 5}, {[]int64{4, 1, 9, 2}, 3}} {
		before := append([]int64(nil), tt.v...)
		if got := median(tt.v); got != tt.want || !cmp.Equal(before, tt.v) {
			t.Errorf("median of %v is %v, want %v; left %v", before, got, tt.want, tt.v)
		}
	}
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		texts, want  []string
		right, wrong bool
	}{
		"read":          {[]string{"a"}, []string{"a"}, true, false},
		"not read":      {nil, []string{"a"}, false, false},
		"another text":  {[]string{"b"}, []string{"a"}, false, true},
		"one of two":    {[]string{"a"}, []string{"a", "b"}, false, false},
		"both and more": {[]string{"b", "c", "a"}, []string{"a", "b"}, true, true},
		"nothing there": {nil, nil, false, false},
		"fooled":        {[]string{"a"}, nil, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			if right, wrong := judge(tt.texts, tt.want); right != tt.right || wrong != tt.wrong {
				t.Errorf("judge(%q, %q) = %v, %v", tt.texts, tt.want, right, wrong)
			}
		})
	}
}

// sample is what two readers made of three frames in two categories.
func sample() []result {
	const ms = 1e6
	return []result{
		{"empty", 720, false, []outcome{{nanos: []int64{1 * ms, 3 * ms, 2 * ms}, allocs: 0}, {nanos: []int64{4 * ms, 4 * ms, 4 * ms}, allocs: -1, wrong: true}}},
		{"size", 2, true, []outcome{{read: true, nanos: []int64{2 * ms, 2 * ms, 2 * ms}, allocs: 1}, {nanos: []int64{8 * ms, 8 * ms, 8 * ms}, allocs: -1}}},
		{"size", 1, true, []outcome{{nanos: []int64{6 * ms, 4 * ms, 4 * ms}, allocs: 3}, {read: true, nanos: []int64{4 * ms, 4 * ms, 4 * ms}, allocs: -1}}},
	}
}

func TestSummary(t *testing.T) {
	r := summarise(sample(), []string{ours, zbar}, options{dir: "/some/frames", runs: 3})
	want := []category{
		{
			Name: "size", Coded: true, Frames: 2,
			Readers: []cell{
				{Reads: 1, CPUms: 3, Ratio: 1, DearestMS: 4, DearestRatio: 1, Allocs: 3},
				{Reads: 1, CPUms: 6, Ratio: 0.5, DearestMS: 8, DearestRatio: 1, Allocs: -1},
			},
			Levels: []level{{1, 1, []int{0, 1}, []float64{4, 4}}, {2, 1, []int{1, 0}, []float64{2, 8}}},
		},
		{
			Name: "empty", Frames: 1,
			Readers: []cell{
				{CPUms: 2, Ratio: 1, DearestMS: 2, DearestRatio: 1},
				{Wrong: 1, CPUms: 4, Ratio: 0.5, DearestMS: 4, DearestRatio: 0.5, Allocs: -1},
			},
		},
	}
	if diff := cmp.Diff(want, r.Categories); diff != "" {
		t.Error(diff)
	}
	if len(r.Totals) != 3 || r.Totals[0].Frames != 2 || r.Totals[1].Frames != 1 || r.Totals[2].Coded || r.Source != "frames" {
		t.Errorf("totals %+v of %q", r.Totals, r.Source)
	}
	var b bytes.Buffer
	r.InstructionsNote = "not counted"
	r.print(&b, true)
	for _, line := range []string{
		"| frames with a code (n) | ours | zbar | ours ms | zbar ms | ours / zbar | allocations |",
		"| size (2) | 1 | 1 | 3.00 | 6.00 | 0.50 | 3 |",
		"| empty (1) | 2.00 | 4.00 | 0.50 | 2.00 | 0.50 | 0 / 1 | 0 |",
		"| size | 1: 0 1 of 1 · 2: 1 0 of 1 |",
	} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, &b)
		}
	}
}

// echo reads the first byte of a frame as a letter.
type echo struct {
	letter    string
	forgotten int
}

func (e *echo) read(g *frame.Gray) error {
	e.letter = string(g.Pix[:1])
	return nil
}
func (e *echo) texts() []string { return []string{e.letter, "xin chào"} }
func (e *echo) forget()         { e.forgotten++ }

func TestQuestionsAndAnswers(t *testing.T) {
	var in, out bytes.Buffer
	padded := frame.Gray{Pix: []byte("abc.def."), Width: 3, Height: 2, Stride: 4}
	for _, q := range []question{{&padded, 1, 1, false}, {&padded, 3, 2, true}} {
		if err := q.send(&in); err != nil {
			t.Fatal(err)
		}
	}
	var e echo
	if err := serve(&in, &out, &e); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || e.forgotten != 3 {
		t.Fatalf("%d answers, forgotten %d times: %q", len(lines), e.forgotten, lines)
	}
	for _, line := range lines {
		a, err := parseAnswer(line)
		if err != nil || !cmp.Equal(a.texts, []string{"a", "xin chào"}) || a.nanos < 0 {
			t.Errorf("answer %+v, %v", a, err)
		}
	}
	for _, bad := range []string{"", "1", "x 1", "1 x", "1 1 zz"} {
		if _, err := parseAnswer(bad); err == nil {
			t.Errorf("%q is no answer, and no error", bad)
		}
	}
}

func TestParsePerf(t *testing.T) {
	got, err := parsePerf("# started on a day\n\n27812345,,instructions:u,2123456,100.00,,\n")
	if err != nil || got != 27812345 {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "<not supported>,,instructions:u,0,100.00,,", "hallo, welt"} {
		if n, err := parsePerf(bad); err == nil || math.IsNaN(n) {
			t.Errorf("%q gave %v and no error", bad, n)
		}
	}
}

func TestDrawnFramesHoldWhatTheyAreSaidTo(t *testing.T) {
	items := rendered(1, 1)
	coded := 0
	for _, it := range items {
		if len(it.want) > 0 {
			coded++
		}
		for _, text := range it.want {
			if len(text) != 12 && len(text) < 60 || len(text) > 260 {
				t.Errorf("%s: a text of %d bytes is not like a card's", it.category, len(text))
			}
		}
	}
	if coded < 100 || len(items)-coded < 15 {
		t.Errorf("%d frames, %d of them with a code", len(items), coded)
	}
	pairs := trackingPairs(1, 1)
	var before, after frame.Gray
	if err := pairs[0].before.load(&before); err != nil {
		t.Fatal(err)
	}
	if err := pairs[0].after.load(&after); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(before.Pix, after.Pix) {
		t.Error("nothing moved between two frames")
	}
}

func TestWrittenFramesAreTheSame(t *testing.T) {
	dir, only := t.TempDir(), "quiet zone,empty 480"
	if testing.Short() {
		only = "quiet zone"
	}
	if err := write(options{seed: 3, perLevel: 1, only: only + ",two codes", write: dir}); err != nil {
		t.Fatal(err)
	}
	drawn, err := load(options{seed: 3, perLevel: 1, only: only})
	if err != nil {
		t.Fatal(err)
	}
	written, err := load(options{dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if len(written) != len(drawn) {
		t.Fatalf("%d frames written, want %d", len(written), len(drawn))
	}
	var a, b frame.Gray
	for i := range drawn {
		if err := drawn[i].load(&a); err != nil {
			t.Fatal(err)
		}
		if err := written[i].load(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Pix, b.Pix) || !cmp.Equal(drawn[i].want, written[i].want) || drawn[i].level != written[i].level {
			t.Errorf("frame %d came back otherwise", i)
		}
	}
}

func TestListOfFrames(t *testing.T) {
	var b bytes.Buffer
	printFrames(&b, sample(), []string{ours, zbar})
	if want := "size\t1\t1\t- 4.00\tread 4.00\n"; !strings.HasSuffix(b.String(), want) {
		t.Errorf("the last line is not %q in\n%s", want, &b)
	}
}

func TestOwnReaderServes(t *testing.T) {
	o := newOwn()
	o.forget()
	if err := o.read(frame.New(64, 64)); err != nil || len(o.texts()) != 0 {
		t.Errorf("read %q, %v in a black frame", o.texts(), err)
	}
}
