package mjpeg

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"gateagent/driver/frame"
)

// picture gives a small JPEG with a pattern that depends on n.
func picture(t testing.TB, n int, colour bool) []byte {
	t.Helper()
	var img image.Image
	if colour {
		c := image.NewRGBA(image.Rect(0, 0, 40, 24))
		for i := range 40 * 24 {
			c.Set(i%40, i/40, color.RGBA{byte(i%40*6 + n), byte(i / 40 * 10), 90, 255})
		}
		img = c
	} else {
		g := image.NewGray(image.Rect(0, 0, 40, 24))
		for i := range g.Pix {
			g.Pix[i] = byte(i%40*6 + n)
		}
		img = g
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutTables cuts the Huffman tables out, as cheap cameras do. Go's encoder
// uses the standard's tables, so nothing is lost.
func withoutTables(t testing.TB, data []byte) []byte {
	t.Helper()
	out := append([]byte(nil), data[:2]...)
	for at := 2; at+4 <= len(data); {
		n := 2 + (int(data[at+2])<<8 | int(data[at+3]))
		if data[at+1] == markerSOS {
			return append(out, data[at:]...)
		}
		if data[at+1] != markerDHT {
			out = append(out, data[at:at+n]...)
		}
		at += n
	}
	t.Fatal("no scan in the picture")
	return nil
}

func TestDecodeWithoutHuffmanTables(t *testing.T) {
	for name, colour := range map[string]bool{"grey": false, "colour": true} {
		t.Run(name, func(t *testing.T) {
			whole := picture(t, 3, colour)
			bare := withoutTables(t, whole)
			if len(bare) >= len(whole)-100 {
				t.Fatal("the tables were not cut out")
			}
			var want, got frame.Gray
			if err := Decode(whole, &want); err != nil {
				t.Fatal(err)
			}
			if err := Decode(bare, &got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Pix, want.Pix) || got.Width != 40 || got.Height != 24 {
				t.Error("the picture differs from the one with its own tables")
			}
			if &WithHuffmanTables(whole)[0] != &whole[0] {
				t.Error("a picture with tables was copied")
			}
		})
	}
}

func TestDecodeRefusesHugeSizes(t *testing.T) {
	data := picture(t, 0, false)
	at := bytes.Index(data, []byte{0xFF, markerSOF0})
	copy(data[at+5:], []byte{0xFF, 0xFF, 0xFF, 0xFF})
	var g frame.Gray
	if err := Decode(data, &g); !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("Decode of 65535×65535 = %v", err)
	}
	if g.Pix != nil {
		t.Error("memory was taken")
	}
}

func TestSplitter(t *testing.T) {
	a, b := picture(t, 1, true), picture(t, 2, false)
	thumb := append([]byte{0xFF, 0xD8, 0xFF, 0xE1, byte((len(b) + 2) >> 8), byte(len(b) + 2)}, append(append([]byte(nil), b...), a[2:]...)...)
	part := func(p []byte) []byte {
		return append(fmt.Appendf(nil, "--gate\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(p)), append(slices.Clip(p), "\r\n"...)...)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, tt := range map[string]struct {
		stream []byte
		want   [][]byte
		torn   uint64
	}{
		"empty":                       {nil, nil, 0},
		"one":                         {a, [][]byte{a}, 0},
		"one after another":           {join(a, b, a), [][]byte{a, b, a}, 0},
		"multipart":                   {join(part(a), part(b), []byte("--gate--\r\n")), [][]byte{a, b}, 0},
		"padding between":             {join(a, make([]byte, 4096), b, []byte{0xFF, 0xFF, 0xD8}), [][]byte{a, b}, 0},
		"begins in the middle":        {join(a[len(a)/2:], b), [][]byte{b}, 0},
		"broken off at the end":       {join(a, b[:len(b)-9]), [][]byte{a}, 1},
		"broken off within a scan":    {join(a[:len(a)-9], b, a), [][]byte{b, a}, 1},
		"broken off within a segment": {join(a[:30], b, b, a), nil, 1},
		"a picture inside a segment":  {join(thumb, a), [][]byte{thumb, a}, 0},
		"fill before the end marker":  {join(a[:len(a)-2], []byte{0xFF, 0xFF, 0xFF, 0xD9}, b), [][]byte{a, b}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSplitter(iotest.HalfReader(bytes.NewReader(tt.stream)))
			var got [][]byte
			for {
				p, err := s.Next()
				if errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				got = append(got, bytes.Clone(p))
			}
			if tt.want == nil && name != "empty" { // resynchronises somewhere later
				if len(got) == 0 || s.Torn() == 0 {
					t.Errorf("%d pictures, %d torn", len(got), s.Torn())
				}
				return
			}
			if len(got) != len(tt.want) || s.Torn() != tt.torn {
				t.Fatalf("%d pictures, %d torn; want %d, %d", len(got), s.Torn(), len(tt.want), tt.torn)
			}
			for i := range got {
				if !bytes.Equal(got[i], tt.want[i]) {
					t.Errorf("picture %d differs", i)
				}
			}
		})
	}
}

func TestSplitterBoundsAPicture(t *testing.T) {
	a := picture(t, 1, false)
	endless := io.MultiReader(bytes.NewReader(a[:len(a)-2]), io.LimitReader(zeros{}, 3*MaxFrame), bytes.NewReader(a[len(a)-2:]), bytes.NewReader(a))
	s := NewSplitter(endless)
	p, err := s.Next()
	if err != nil || !bytes.Equal(p, a) || s.Torn() != 1 {
		t.Errorf("Next = %d bytes, %v; torn %d", len(p), err, s.Torn())
	}
	if cap(s.buf) > 2*MaxFrame {
		t.Errorf("buffer grew to %d bytes", cap(s.buf))
	}
}

func TestSplitterPassesErrorsOn(t *testing.T) {
	boom := errors.New("boom")
	a := picture(t, 1, false)
	s := NewSplitter(io.MultiReader(bytes.NewReader(a[:50]), iotest.ErrReader(boom)))
	if _, err := s.Next(); !errors.Is(err, boom) {
		t.Errorf("Next = %v", err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func FuzzSplitter(f *testing.F) {
	a, b := picture(f, 1, true), picture(f, 2, false)
	f.Add(append(append([]byte("x"), a...), b...))
	f.Add(a[:len(a)-5])
	f.Add(withoutTables(f, b))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := NewSplitter(bytes.NewReader(stream))
		var g frame.Gray
		total := 0
		for {
			p, err := s.Next()
			if err != nil {
				break
			}
			if total += len(p); total > len(stream) {
				t.Fatal("more pictures than bytes")
			}
			if !bytes.HasPrefix(p, []byte{0xFF, markerSOI}) || !bytes.HasSuffix(p, []byte{0xFF, markerEOI}) {
				t.Fatal("not a whole picture")
			}
			if Decode(p, &g) == nil && g.Check() != nil {
				t.Fatal(g.Check())
			}
		}
	})
}

func FuzzWithHuffmanTables(f *testing.F) {
	f.Add(picture(f, 1, true))
	f.Add(withoutTables(f, picture(f, 1, true)))
	f.Add([]byte{0xFF, 0xD8, 0xFF, 0xFF, 0xDA, 0, 2})
	f.Fuzz(func(t *testing.T, data []byte) {
		out := WithHuffmanTables(data)
		if len(out) != len(data) && len(out) != len(data)+len(standardTables) {
			t.Fatalf("%d bytes became %d", len(data), len(out))
		}
		if again := WithHuffmanTables(out); !bytes.Equal(again, out) {
			t.Fatal("a second pass changes the picture")
		}
		var g frame.Gray
		if Decode(data, &g) == nil && g.Check() != nil {
			t.Fatal(g.Check())
		}
	})
}
