package qr

import (
	"testing"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
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

func TestTextRule(t *testing.T) {
	w := func() *bitWriter { return new(bitWriter) }
	for name, tt := range map[string]struct {
		data *bitWriter
		want string
	}{
		"ascii":                             {w().bytes("plain"), "plain"},
		"digits":                            {w().digits3(123), "123"},
		"utf-8 without a claim":             {w().bytes("Nguyễn Thị Ước"), "Nguyễn Thị Ước"},
		"one accent, which libraries guess": {w().bytes("é"), "é"},
		"utf-8 in several segments":         {w().bytes("Đỗ").digits3(7).bytes("Huỳnh"), "Đỗ007Huỳnh"},
		"utf-8 under the right claim":       {w().eci(26).bytes("Trần"), "Trần"},
		"utf-8 under a wrong claim":         {w().eci(3).bytes("Trần"), "Trần"},
		"a wrong claim and more behind it":  {w().eci(3).bytes("Trần").digits3(7), "Tráº§n007"},
		"latin-1 under its claim":           {w().eci(3).bytes("caf\xe9"), "café"},
		"latin-1 without a claim":           {w().bytes("caf\xe9 cr\xe8me"), "café crème"},
		"shift-jis under its claim":         {w().eci(20).bytes("\x93\xfa\x96{"), "日本"},
		"shift-jis without a claim":         {w().bytes("\x93\xfa\x96\x7b\x8c\xea"), "日本語"},
		"cyrillic under its claim":          {w().eci(22).bytes("\xcf\xf0\xe8\xe2\xe5\xf2"), "Привет"},
		"utf-16 under its claim":            {w().eci(25).bytes("\x00A\x00B"), "AB"},
		"a claim for one of two segments":   {w().digits3(42).eci(3).bytes("\xe9"), "042é"},
		"no known character set at all":     {w().bytes("\xff\x81\x00\xfe"), "\ufffd\ufffd\x00\ufffd"},
	} {
		t.Run(name, func(t *testing.T) {
			data := append(tt.data.b, 0, 0)
			version, err := decoder.Version_GetVersionForNumber(5)
			if err != nil {
				t.Fatal(err)
			}
			r, err := decoder.DecodedBitStreamParser_Decode(data, version, decoder.ErrorCorrectionLevel_M, textHints())
			if err != nil {
				t.Fatal(err)
			}
			if got := string(textOf(r)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}
