package symbology

import (
	"testing"
	"unicode/utf8"

	"gateagent/agent/hostile"
)

// bitWriter builds the data of a symbol, most significant bit first.
type bitWriter struct {
	b    []byte
	free int // bits free in the last byte
}

func (w *bitWriter) bits(v uint32, n int) *bitWriter {
	for n--; n >= 0; n-- {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		w.b[len(w.b)-1] |= byte(v>>n&1) << w.free
	}
	return w
}

// The modes of ISO/IEC 18004 table 2, for versions 1 to 9.

func (w *bitWriter) eci(n uint32) *bitWriter { return w.bits(7, 4).bits(n, 8) }

func (w *bitWriter) bytes(s string) *bitWriter {
	w.bits(4, 4).bits(uint32(len(s)), 8)
	for i := range len(s) {
		w.bits(uint32(s[i]), 8)
	}
	return w
}

func (w *bitWriter) digits3(v uint32) *bitWriter { return w.bits(1, 4).bits(3, 10).bits(v, 10) }

// alpha2 writes two alphanumeric characters by their values.
func (w *bitWriter) alpha2(a, b uint32) *bitWriter { return w.bits(2, 4).bits(2, 9).bits(45*a+b, 11) }

func TestTextRule(t *testing.T) {
	w := func() *bitWriter { return new(bitWriter) }
	const none = "\x00none" // no text at all
	for name, tt := range map[string]struct {
		data *bitWriter
		want string
	}{
		"ascii":                             {w().bytes("plain"), "plain"},
		"digits":                            {w().digits3(123), "123"},
		"a number beyond three digits":      {w().digits3(1000), none},
		"two digits":                        {w().bits(1, 4).bits(2, 10).bits(42, 7), "42"},
		"one digit":                         {w().bits(1, 4).bits(1, 10).bits(7, 4), "7"},
		"alphanumeric":                      {w().alpha2(10, 44), "A:"},
		"one alphanumeric":                  {w().bits(2, 4).bits(1, 9).bits(38, 6), "%"},
		"utf-8 without a claim":             {w().bytes("Nguyễn Thị Ước"), "Nguyễn Thị Ước"},
		"one accent, which libraries guess": {w().bytes("é"), "é"},
		"utf-8 in several segments":         {w().bytes("Đỗ").digits3(7).bytes("Huỳnh"), "Đỗ007Huỳnh"},
		"utf-8 cut within a character":      {w().bytes("Tr\xe1\xba").bytes("\xa7n"), "Trần"},
		"the same under its claim":          {w().eci(26).bytes("Tr\xe1").bytes("\xba\xa7").bytes("n"), "Trần"},
		"bytes that end before they begin":  {w().bytes("Tr").bits(4, 4).bits(9, 8), none},
		"utf-8 under the right claim":       {w().eci(26).bytes("Trần"), "Trần"},
		"utf-8 under a wrong claim":         {w().eci(3).bytes("Trần"), "Trần"},
		"a wrong claim and more behind it":  {w().eci(3).bytes("Trần").digits3(7), "Trần007"},
		"a claim of utf-8 that is not":      {w().eci(26).bytes("caf\xe9"), none},
		"latin-1 under its claim":           {w().eci(3).bytes("caf\xe9"), "café"},
		"latin-1 without a claim":           {w().bytes("caf\xe9 cr\xe8me"), "café crème"},
		"latin-1 that could be katakana":    {w().bytes("gro\xdf"), "groß"},
		"shift-jis under its claim":         {w().eci(20).bytes("\x93\xfa\x96{"), "日本"},
		"shift-jis without a claim":         {w().bytes("\x93\xfa\x96\x7b\x8c\xea"), "日本語"},
		"half-width katakana":               {w().bytes("\xc3\xbd\xc4"), "ﾃｽﾄ"},
		"cyrillic under its claim":          {w().eci(22).bytes("\xcf\xf0\xe8\xe2\xe5\xf2"), "Привет"},
		"an undefined byte of its claim":    {w().eci(8).bytes("\xa1"), none},
		"utf-16 under its claim":            {w().eci(25).bytes("\x00A\x00B"), "AB"},
		"half of a utf-16 pair":             {w().eci(25).bytes("\xd8\x00"), none},
		"chinese under its claim":           {w().eci(29).bytes("\xc4\xe3"), "你"},
		"korean under its claim":            {w().eci(30).bytes("\xc7\xd1"), "한"},
		"a character set that is not known": {w().eci(99).bytes("\xc4\xe3"), none},
		"a claim for one of two segments":   {w().digits3(42).eci(3).bytes("\xe9"), "042é"},
		"no known character set at all":     {w().bytes("\xff\x81\x00\xfe"), "\u00ff\u0081\x00\u00fe"},
		"kanji":                             {w().bits(8, 4).bits(2, 8).bits(0xD9F, 13).bits(0x1AAA, 13), "点茗"},
		"kanji outside the set":             {w().bits(8, 4).bits(1, 8).bits(0x1FFF, 13), none},
		"fnc1":                              {w().bits(5, 4).alpha2(38, 10), "\x1dA"},
		"fnc1 and a percent sign":           {w().bits(5, 4).alpha2(38, 38), "%"},
		"fnc1 in second position":           {w().bits(9, 4).bits(37, 8).digits3(5), "37005"},
		"a letter in second position":       {w().bits(9, 4).bits('a'+100, 8).digits3(5), "a005"},
		"a part of a message":               {w().bits(3, 4).bits(0x12, 8).bits(0x55, 8).bytes("two"), "two"},
		"the fourth part of three":          {w().bits(3, 4).bits(0x32, 8).bits(0x55, 8).bytes("two"), none},
		"more bytes than there are":         {w().bits(4, 4).bits(200, 8).bits('x', 8), none},
		"a mode that does not exist":        {w().bits(6, 4), none},
		"hanzi":                             {w().bits(13, 4).bits(1, 4).bits(2, 8).bits(0xB82, 13).bits(0x3C1, 13), "你阿"},
		"hanzi that are none":               {w().bits(13, 4).bits(1, 4).bits(1, 8).bits(0x1FFF, 13), none},
		"hanzi of another subset":           {w().bits(13, 4).bits(2, 4).bits(1, 8).bits(0, 13), none},
		"nothing":                           {w().bits(0, 4), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var p parser
			p.reset(append(tt.data.b, 0, 0), 5)
			err := p.parse()
			switch got := string(p.text()); {
			case tt.want == none:
				if err == nil {
					t.Errorf("%q, want no text", got)
				}
			case err != nil || got != tt.want:
				t.Errorf("%q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func TestStructuredAppend(t *testing.T) {
	var p parser
	p.reset(new(bitWriter).bits(3, 4).bits(0x12, 8).bits(0x5A, 8).bytes("two").bits(0, 8).b, 5)
	if err := p.parse(); err != nil || p.part != 2 || p.parts != 3 || p.parity != 0x5A {
		t.Errorf("part %d of %d, parity %x, %v", p.part, p.parts, p.parity, err)
	}
}

func FuzzBits(f *testing.F) {
	f.Add(new(bitWriter).eci(3).bytes("caf\xe9").digits3(7).b, uint8(5))
	f.Add(new(bitWriter).bits(5, 4).alpha2(38, 10).b, uint8(30))
	f.Add(new(bitWriter).bits(8, 4).bits(2, 8).bits(0xD9F, 13).bits(0x1AAA, 13).b, uint8(1))
	f.Add(new(bitWriter).bits(3, 4).bits(0x12, 8).bits(0x55, 8).bytes("\x93\xfa").b, uint8(9))
	f.Add(new(bitWriter).eci(25).bytes("\xd8\x00\xdc\x00").b, uint8(9))
	for _, p := range hostile.Payloads("/tmp/canary") {
		if len(p.Text) < 256 { // of what is longer, the count has two bytes
			f.Add(new(bitWriter).bytes(p.Text).b, uint8(1))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, version uint8) {
		if len(data) > 3000 {
			t.Skip("larger than any symbol")
		}
		var p parser
		p.reset(data, int(version%40)+1)
		if err := p.parse(); err != nil {
			return
		}
		if text := p.text(); !utf8.Valid(text) || len(text) > 8*len(data) {
			t.Fatalf("%d bytes of text from %d", len(text), len(data))
		}
	})
}

func TestParsingAllocatesNothing(t *testing.T) {
	w := func() *bitWriter { return new(bitWriter) }
	for name, data := range map[string]*bitWriter{
		"utf-8":     w().bytes("Nguyễn Thị Ước"),
		"latin-1":   w().bytes("caf\xe9 cr\xe8me"),
		"shift-jis": w().bytes("\x93\xfa\x96\x7b\x8c\xea"),
		"a guess":   w().bytes("\x93\xfa\x96\x7b\x8c\xfd\xfd"),
		"cyrillic":  w().eci(22).bytes("\xcf\xf0\xe8\xe2\xe5\xf2"),
		"utf-16":    w().eci(25).bytes("\x00A\x00B"),
		"kanji":     w().bits(8, 4).bits(2, 8).bits(0xD9F, 13).bits(0x1AAA, 13),
		"fnc1":      w().bits(5, 4).alpha2(38, 10),
	} {
		var p parser
		if n := testing.AllocsPerRun(20, func() {
			p.reset(data.b, 5)
			_ = p.parse()
		}); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
