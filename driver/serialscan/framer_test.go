package serialscan

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/hostile"
)

// frames feeds the pieces one by one; "" stands for a silence.
func frames(f *framer, pieces ...string) []string {
	var out []string
	emit := func(p []byte) { out = append(out, string(p)) }
	for _, p := range pieces {
		if p == "" {
			f.quiet(emit)
			continue
		}
		f.push([]byte(p), emit)
	}
	return out
}

func TestFramer(t *testing.T) {
	const silence = ""
	tests := []struct {
		name    string
		framing Framing
		max     int
		in      []string
		want    []string
		over    uint64
		partial uint64
		noise   uint64
	}{
		{name: "auto by CR", framing: FramingAuto, in: []string{"one\rtwo\r"}, want: []string{"one", "two"}},
		{name: "auto by CRLF", framing: FramingAuto, in: []string{"one\r\n\r\ntwo\n"}, want: []string{"one", "two"}},
		{name: "auto by silence", framing: FramingAuto, in: []string{"on", "e", silence, "two", silence, silence}, want: []string{"one", "two"}},
		{name: "cr", framing: FramingCR, in: []string{"one\rtwo\rthr"}, want: []string{"one", "two"}},
		{name: "cr, engine sends crlf", framing: FramingCR, in: []string{"one\r", "\ntwo\r\n"}, want: []string{"one", "two"}},
		{name: "cr keeps a line feed inside", framing: FramingCR, in: []string{"a\nb\r"}, want: []string{"a\nb"}},
		{name: "cr, unended is dropped", framing: FramingCR, in: []string{"hal", silence, "whole\r"}, want: []string{"whole"}, partial: 1},
		{name: "lf", framing: FramingLF, in: []string{"one\ntwo\n"}, want: []string{"one", "two"}},
		{name: "lf, engine sends crlf, torn", framing: FramingLF, in: []string{"one\r", "\ntwo\r\n"}, want: []string{"one", "two"}},
		{name: "lf keeps a CR inside", framing: FramingLF, in: []string{"a\rb\n"}, want: []string{"a\rb"}},
		{name: "crlf torn between", framing: FramingCRLF, in: []string{"one\r", "\ntwo\r\n"}, want: []string{"one", "two"}},
		{name: "crlf keeps either alone", framing: FramingCRLF, in: []string{"a\rb\nc\r\r\n"}, want: []string{"a\rb\nc\r"}},
		{name: "stx-etx", framing: FramingSTXETX, in: []string{"xx\x02one\x03\r\n\x02t", "wo\x03"}, want: []string{"one", "two"}, noise: 4},
		{name: "stx-etx keeps line ends", framing: FramingSTXETX, in: []string{"\x02a\r\nb\x03"}, want: []string{"a\r\nb"}},
		{name: "stx restarts", framing: FramingSTXETX, in: []string{"\x02hal\x02whole\x03"}, want: []string{"whole"}, partial: 1},
		{name: "stx-etx unended is dropped", framing: FramingSTXETX, in: []string{"\x02hal", silence, "f\x03\x02whole\x03"}, want: []string{"whole"}, partial: 1, noise: 2},
		{name: "silence", framing: FramingSilence, in: []string{"a\r", "\nb", silence, "two\r\n", silence, "\r", silence}, want: []string{"a\r\nb", "two"}},
		{name: "exactly the bound", framing: FramingCR, max: 4, in: []string{"1234\r"}, want: []string{"1234"}},
		{name: "overlong to the next end", framing: FramingCR, max: 4, in: []string{"12345", "6789\rnext\r"}, want: []string{"next"}, over: 1},
		{name: "overlong twice", framing: FramingLF, max: 2, in: []string{"abc\ndefgh\nok\n"}, want: []string{"ok"}, over: 2},
		{name: "overlong to the silence", framing: FramingSilence, max: 4, in: []string{"12345", "678", silence, "next", silence}, want: []string{"next"}, over: 1},
		{name: "overlong, then a pause, then the rest", framing: FramingCR, max: 4, in: []string{"12345", silence, "rest\r"}, want: []string{"rest"}, over: 1},
		{name: "overlong in brackets", framing: FramingSTXETX, max: 3, in: []string{"\x02abcd\x03\x02ok\x03"}, want: []string{"ok"}, over: 1},
		{name: "nothing but ends", framing: FramingAuto, in: []string{"\r\n\r\n", silence}},
		{name: "zero bytes and high bytes are payload", framing: FramingCR, in: []string{"\x00\xff\xfe\r"}, want: []string{"\x00\xff\xfe"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			if tc.max == 0 {
				tc.max = 100
			}
			f := newFramer(tc.framing, tc.max)
			if diff := cmp.Diff(tc.want, frames(f, tc.in...)); diff != "" {
				t.Errorf("payloads (-want +got):\n%s", diff)
			}
			if f.overlong != tc.over || f.partial != tc.partial || f.noise != tc.noise {
				t.Errorf("overlong %d, partial %d, noise %d; want %d, %d, %d",
					f.overlong, f.partial, f.noise, tc.over, tc.partial, tc.noise)
			}
		})
	}
}

func TestFramingNames(t *testing.T) {
	for _, name := range Framings() {
		f, err := ParseFraming(name)
		if err != nil || f.String() != name {
			t.Errorf("ParseFraming(%q) = %v, %v", name, f, err)
		}
	}
	_, err := ParseFraming("CR")
	want := `unknown framing "CR"; known: auto, cr, lf, crlf, stx-etx, silence`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// FuzzFramer holds what is true of every framing and every stream: payloads
// are not empty and within the bound, how the stream is torn makes no
// difference, and after a silence a whole payload is always understood.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("079201002345|281036789|MẪU VĂN THỬ\r\n"), uint8(0), uint8(20), uint8(3))
	f.Add([]byte("\x02abc\x03noise\x02\x02x\x03"), uint8(4), uint8(3), uint8(1))
	f.Add([]byte("a\r\r\n\nb\r\n"), uint8(3), uint8(200), uint8(2))
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaa"), uint8(5), uint8(4), uint8(5))
	for i, p := range hostile.Payloads("/tmp/canary") {
		f.Add([]byte(p.Text+"\r"), uint8(i), uint8(i*7), uint8(i))
	}
	f.Fuzz(func(t *testing.T, stream []byte, framing, bound, step uint8) {
		fr := Framing(framing % uint8(len(framingNames)))
		limit := int(bound)%64 + 8
		whole := newFramer(fr, limit)
		torn := newFramer(fr, limit)
		var a, b []string
		whole.push(stream, func(p []byte) { a = append(a, string(p)) })
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(step)%7+1)
			torn.push(rest[:n], func(p []byte) { b = append(b, string(p)) })
			rest = rest[n:]
		}
		whole.quiet(func(p []byte) { a = append(a, string(p)) })
		torn.quiet(func(p []byte) { b = append(b, string(p)) })
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("tearing changes payloads:\n%s", diff)
		}
		if whole.overlong != torn.overlong || whole.partial != torn.partial || whole.noise != torn.noise {
			t.Fatalf("tearing changes counters: %+v, %+v", whole, torn)
		}
		for _, p := range a {
			if p == "" || len(p) > limit {
				t.Fatalf("payload of %d bytes, bound %d", len(p), limit)
			}
		}
		if whole.pending() {
			t.Fatal("something is pending after a silence")
		}
		got := frames(whole, encode(fr, "PLAIN|7"), "")
		if diff := cmp.Diff([]string{"PLAIN|7"}, got); diff != "" {
			t.Fatalf("after the noise:\n%s", diff)
		}
	})
}

// encode is what an engine sends for a payload in a framing.
func encode(f Framing, payload string) string {
	switch f {
	case FramingCR, FramingAuto:
		return payload + "\r"
	case FramingLF:
		return payload + "\n"
	case FramingCRLF:
		return payload + "\r\n"
	case FramingSTXETX:
		return "\x02" + payload + "\x03"
	}
	return payload
}

func TestFramerForgets(t *testing.T) {
	f := newFramer(FramingCR, 64)
	frames(f, "001090000123|SECRET\r")
	if bytes.Contains(f.buf[:cap(f.buf)], []byte("SECRET")) {
		t.Error("the buffer still holds a payload that was handed on")
	}
}

func BenchmarkFramer(b *testing.B) {
	line := []byte(strings.Repeat("x", 160) + "\r")
	for _, fr := range []Framing{FramingCR, FramingSTXETX} {
		b.Run(fmt.Sprint(fr), func(b *testing.B) {
			f := newFramer(fr, 2953)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				f.push(line, func([]byte) {})
			}
		})
	}
}
