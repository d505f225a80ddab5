package symbology

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// grid encodes a text with the library.
func grid(t testing.TB, text string, level Level, version int) Grid {
	t.Helper()
	hints := map[gozxing.EncodeHintType]any{}
	if version > 0 {
		hints[gozxing.EncodeHintType_QR_VERSION] = version
	}
	code, err := encoder.Encoder_encode(text, libraryLevels[level], hints)
	if err != nil {
		t.Fatal(err)
	}
	m := code.GetMatrix()
	g := Grid{N: m.GetWidth(), Dark: make([]float32, m.GetWidth()*m.GetWidth())}
	for i := range g.Dark {
		g.Dark[i] = -1
		if m.Get(i%g.N, i/g.N) == 1 {
			g.Dark[i] = 1
		}
	}
	return g
}

// fewer gives how often a test tries: n times, or in the short form no more than
// short. All of it is arithmetic without a goroutine, ten times as slow under the
// race detector, which finds nothing in it.
func fewer(n, short int) int {
	if testing.Short() {
		return short
	}
	return n
}

func TestEveryVersionAndLevel(t *testing.T) {
	d := NewDecoder()
	step := 1
	if testing.Short() {
		step = 3 // the smallest and the largest among them
	}
	for version := MinVersion; version <= MaxVersion; version += step {
		for level := L; level <= H; level++ {
			text := fmt.Sprintf("V%d-%d", version, level)
			if version > 2 {
				text = strings.Repeat("Mẫu thử ", version/2) + text
			}
			g := grid(t, text, level, version)
			s, err := d.Decode(g, Plain)
			if err != nil || string(s.Text) != text || s.Version != version || s.Level != level || s.Mirrored || s.Corrected != 0 {
				t.Fatalf("version %d level %d: %+v, %v", version, level, s, err)
			}
			m := Grid{N: g.N, Dark: make([]float32, len(g.Dark))}
			for i := range m.Dark {
				m.Dark[i] = g.Dark[i%g.N*g.N+i/g.N]
			}
			if s, err = d.Decode(m, Plain); err != nil || string(s.Text) != text || !s.Mirrored {
				t.Fatalf("version %d level %d mirrored: %+v, %v", version, level, s, err)
			}
		}
	}
}

// spoil turns over data modules of some codewords; doubtful ones are given
// small margins.
func spoil(r *rand.Rand, g Grid, share float64, doubtful bool) Grid {
	out := Grid{N: g.N, Dark: bytesOf(g.Dark)}
	tm := NewTemplate(Version(g.N))
	for y := 0; y < g.N; y++ {
		for x := 0; x < g.N; x++ {
			if i := y*g.N + x; tm.Kinds[i] == Data && r.Float64() < share {
				out.Dark[i] = -out.Dark[i]
				if doubtful {
					out.Dark[i] *= 0.1
				}
			}
		}
	}
	return out
}

func bytesOf(v []float32) []float32 { return append([]float32(nil), v...) }

func TestSoftReadsMore(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	d := NewDecoder()
	const text = "001099000000||Nguyễn Thị Thử Nghiệm|01011999|Nữ|Số 1, Tỉnh Mẫu|02022022"
	plain, soft, trials := 0, 0, fewer(200, 60)
	for range trials {
		g := spoil(r, grid(t, text, M, 0), 0.035, true)
		for _, effort := range []Effort{Plain, Soft} {
			s, err := d.Decode(g, effort)
			switch {
			case err != nil:
				if !errors.Is(err, ErrCodewords) {
					t.Error(err)
				}
			case string(s.Text) != text:
				t.Errorf("read %q", s.Text)
			case effort == Plain:
				plain++
			default:
				soft++
			}
		}
	}
	t.Logf("errors alone %d, with erasures %d of %d", plain, soft, trials)
	if soft < plain+trials/4 {
		t.Errorf("errors alone %d, with erasures %d of %d", plain, soft, trials)
	}
}

func TestNoWrongText(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	d := NewDecoder()
	wrong := 0
	for i := range fewer(3000, 300) {
		text := fmt.Sprintf("%012d", r.Int64N(1e12))
		g := grid(t, text, Level(i%4), 1+i%3)
		for j := range g.Dark {
			g.Dark[j] *= r.Float32()
		}
		if s, err := d.Decode(spoil(r, g, 0.12, i%2 == 0), Soft); err == nil && string(s.Text) != text {
			wrong++
		}
	}
	if wrong > 0 {
		t.Errorf("%d wrong texts", wrong)
	}
}

func TestDecodeAllocatesTheTextAlone(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	d := NewDecoder()
	clean := grid(t, strings.Repeat("Mẫu ", 20), M, 0)
	var repaired, erased Grid
	for {
		repaired = spoil(r, clean, 0.01, false)
		if s, err := d.Decode(repaired, Plain); err == nil && s.Corrected > 0 {
			break
		}
	}
	for {
		erased = spoil(r, clean, 0.03, true)
		_, plain := d.Decode(erased, Plain)
		if _, err := d.Decode(erased, Soft); plain != nil && err == nil {
			break
		}
	}
	hopeless, blank := spoil(r, clean, 0.2, false), Grid{N: clean.N, Dark: make([]float32, len(clean.Dark))}
	for name, tt := range map[string]struct {
		g     Grid
		texts float64
	}{"clean": {clean, 1}, "repaired": {repaired, 1}, "erased": {erased, 1}, "hopeless": {hopeless, 0}, "blank": {blank, 0}} {
		if n := testing.AllocsPerRun(50, func() {
			if _, err := d.Decode(tt.g, Soft); (err == nil) != (tt.texts == 1) {
				t.Fatal(err)
			}
		}); n > tt.texts {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func FuzzGrid(f *testing.F) {
	g := grid(f, "seed", M, 0)
	b := make([]byte, len(g.Dark))
	for i, v := range g.Dark {
		b[i] = byte(int8(v * 100))
	}
	f.Add(b, uint8(1))
	f.Add(bytes.Repeat([]byte{1, 255}, 45*45/2+1), uint8(7))
	d := NewDecoder()
	f.Fuzz(func(t *testing.T, b []byte, version uint8) {
		n := Size(int(version%40) + 1)
		g := Grid{N: n, Dark: make([]float32, n*n)}
		for i := range g.Dark {
			if len(b) > 0 {
				g.Dark[i] = float32(int8(b[i%len(b)]))
			}
		}
		if s, err := d.Decode(g, Soft); err == nil && !utf8.Valid(s.Text) {
			t.Fatal("text is not UTF-8")
		}
	})
}

func FuzzFormat(f *testing.F) {
	f.Add(uint16(0x5412), uint16(0x5412))
	f.Fuzz(func(t *testing.T, a, b uint16) {
		if got, ok := decodeFormat(uint32(a)&0x7FFF, uint32(b)&0x7FFF); ok && (got.level > H || got.mask < 0 || got.mask > 7 || got.wrong > maxFormatErrors) {
			t.Fatalf("%+v", got)
		}
	})
}
