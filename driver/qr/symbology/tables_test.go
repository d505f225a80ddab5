package symbology

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"golang.org/x/text/encoding/charmap"
)

// The tables are compared with those of an implementation of others.

var libraryLevels = [...]decoder.ErrorCorrectionLevel{
	L: decoder.ErrorCorrectionLevel_L, M: decoder.ErrorCorrectionLevel_M,
	Q: decoder.ErrorCorrectionLevel_Q, H: decoder.ErrorCorrectionLevel_H,
}

func TestLayouts(t *testing.T) {
	for version := MinVersion; version <= MaxVersion; version++ {
		v, err := decoder.Version_GetVersionForNumber(version)
		if err != nil {
			t.Fatal(err)
		}
		if got := codewordCount(version); got != v.GetTotalCodewords() {
			t.Errorf("version %d: %d codewords, want %d", version, got, v.GetTotalCodewords())
		}
		if got, want := AlignmentCentres(nil, version), v.GetAlignmentPatternCenters(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("version %d: alignment patterns at %v, want %v", version, got, want)
		}
		for level := L; level <= H; level++ {
			want := v.GetECBlocksForLevel(libraryLevels[level])
			l := layoutOf(version, level)
			first := want.GetECBlocks()[0]
			if l.blocks != want.GetNumBlocks() || l.check != want.GetECCodewordsPerBlock() ||
				l.data != first.GetDataCodewords() || l.short != first.GetCount() {
				t.Errorf("version %d level %d: %+v", version, level, l)
			}
		}
	}
}

func TestTemplatesHoldTheCodewords(t *testing.T) {
	for version := MinVersion; version <= MaxVersion; version++ {
		tm := NewTemplate(version)
		data := 0
		for _, k := range tm.Kinds {
			if k == Data {
				data++
			}
		}
		if data/8 != codewordCount(version) {
			t.Errorf("version %d: %d data modules, %d codewords", version, data, codewordCount(version))
		}
	}
}

func TestFormats(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for data := range uint32(32) {
		want := format{level: levelOf[data>>3], mask: int(data & 7)}
		word := formatInformation(data)
		for range 200 {
			a, b := word, word^r.Uint32()&0x7FFF // one copy is worth nothing
			for want.wrong = 0; want.wrong < 3; want.wrong++ {
				bit := uint32(1) << r.IntN(15)
				for (a^word)&bit != 0 {
					bit = 1 << r.IntN(15)
				}
				a ^= bit
			}
			f, ok := decodeFormat(a, a)
			if !ok || f != want {
				t.Fatalf("%05b: %+v, %v", data, f, ok)
			}
			_, _ = decodeFormat(a, b)
		}
	}
	if _, ok := decodeFormat(0x7FFF, 0x7FFF); ok {
		t.Log("all dark is near a format")
	}
}

func TestVersionInformation(t *testing.T) {
	if got := versionInformation(7); got != 0x07C94 { // the example of annex D
		t.Errorf("version 7 is %05X", got)
	}
	for version := 7; version <= MaxVersion; version++ {
		v, err := decoder.Version_decodeVersionInformation(int(versionInformation(version)))
		if err != nil || v.GetVersionNumber() != version {
			t.Errorf("version %d: %v, %v", version, v, err)
		}
	}
}

func TestMasks(t *testing.T) {
	const n = 21
	for mask := range 8 {
		bits, err := gozxing.NewSquareBitMatrix(n)
		if err != nil {
			t.Fatal(err)
		}
		decoder.DataMaskValues[mask].UnmaskBitMatrix(bits, n)
		for y := range n {
			for x := range n {
				if got, want := masked(mask, x, y), bits.Get(x, y); got != want {
					t.Fatalf("mask %d column %d row %d: %v", mask, x, y, got)
				}
			}
		}
	}
}

func TestCodePages(t *testing.T) {
	want := map[int]*charmap.Charmap{
		4: charmap.ISO8859_2, 5: charmap.ISO8859_3, 6: charmap.ISO8859_4, 7: charmap.ISO8859_5, 8: charmap.ISO8859_6,
		9: charmap.ISO8859_7, 10: charmap.ISO8859_8, 11: charmap.ISO8859_9, 12: charmap.ISO8859_10, 13: charmap.Windows874,
		15: charmap.ISO8859_13, 16: charmap.ISO8859_14, 17: charmap.ISO8859_15, 18: charmap.ISO8859_16,
		21: charmap.Windows1250, 22: charmap.Windows1251, 23: charmap.Windows1252, 24: charmap.Windows1256,
	}
	for n, table := range codePages {
		var runes []rune
		for c := 0x80; c < 0x100; c++ {
			runes = append(runes, want[n].DecodeByte(byte(c)))
		}
		if diff := cmp.Diff(string(runes), table); diff != "" {
			t.Errorf("ECI %d: %s", n, diff)
		}
	}
	if len(codePages) != len(want) {
		t.Errorf("%d tables, want %d", len(codePages), len(want))
	}
}
