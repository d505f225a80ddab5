package imagefile

import (
	"bytes"
	"encoding/base64"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gateagent/driver/frame"
)

func pngOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// webpSample is a lossless WebP picture of 3×2 pixels: 0, 255, 64, 128, 97, 98.
func webpSample(t testing.TB) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString("UklGRkYAAABXRUJQVlA4TDkAAAAvAkAAAC+gEAACNFYiZ5JZCgIQQDhSTzxzXUEAAghH6olnrs9/ALhNWyRJ8h8IBChjxRWDRPQ/7goA")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	colours := []color.Color{color.Black, color.White, color.RGBA{255, 0, 0, 255}, color.NRGBA{0, 0, 0, 0}, color.NRGBA{0, 0, 0, 128}}
	fill := func(img interface {
		image.Image
		Set(x, y int, c color.Color)
	},
	) image.Image {
		for x, c := range colours {
			img.Set(x, 0, c)
		}
		return img
	}
	r := image.Rect(0, 0, 5, 1)
	grey := &image.Gray{Pix: []byte{0, 255, 7, 8, 9}, Stride: 5, Rect: r}
	for name, tt := range map[string]struct {
		data []byte
		want []byte
	}{
		"png grey":       {pngOf(t, grey), grey.Pix},
		"png colour":     {pngOf(t, fill(image.NewNRGBA(r))), []byte{0, 255, 76, 255, 127}},
		"png deep":       {pngOf(t, fill(image.NewNRGBA64(r))), []byte{0, 255, 76, 255, 127}},
		"png palette":    {pngOf(t, fill(image.NewPaletted(r, colours))), []byte{0, 255, 76, 255, 127}},
		"pgm":            {[]byte("P5\n# a comment\n5 1 255\n\x00\xff\x07\x08\x09"), grey.Pix},
		"pgm two bytes":  {[]byte("P5 5 1 65535\n\x00\x00\xff\xff\x80\x00\x00\x80\x00\x00"), []byte{0, 255, 128, 0, 0}},
		"pgm four steps": {[]byte("P5 5 1 3\n\x00\x01\x02\x03\x09"), []byte{0, 85, 170, 255, 255}},
		"pgm plain":      {[]byte("P2 5 1 255 0 255 7\n8 # end\n9"), grey.Pix},
	} {
		t.Run(name, func(t *testing.T) {
			var g frame.Gray
			if err := Decode(tt.data, &g); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, g.Pix[:g.Width]); diff != "" || g.Height != 1 || g.Check() != nil {
				t.Errorf("%d×%d %s", g.Width, g.Height, diff)
			}
		})
	}
}

func TestDecodeWebP(t *testing.T) {
	var g frame.Gray
	if err := Decode(webpSample(t), &g); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]byte{0, 255, 64, 128, 97, 98}, g.Pix); diff != "" || g.Width != 3 {
		t.Error(diff)
	}
}

func TestRefused(t *testing.T) {
	huge := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	copy(huge[16:], []byte{0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff})
	sum := crc32.ChecksumIEEE(huge[12:29])
	copy(huge[29:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	for name, tt := range map[string]struct {
		data []byte
		is   error
	}{
		"nothing":          {nil, ErrFormat},
		"gif":              {[]byte("GIF89a"), ErrFormat},
		"colour map":       {[]byte("P6 1 1 255 abc"), ErrFormat},
		"huge png":         {huge, nil},
		"huge pgm":         {[]byte("P5 100000 100000 255\n"), frame.ErrTooLarge},
		"huge plain pgm":   {[]byte("P2 4000 4000 255\n1 2 3"), io.ErrUnexpectedEOF},
		"short pgm":        {[]byte("P5 4 4 255\nabc"), io.ErrUnexpectedEOF},
		"pgm without end":  {[]byte("P5 4 4"), io.ErrUnexpectedEOF},
		"pgm number":       {[]byte("P5 99999999999999999999 1 255\n"), nil},
		"pgm largest":      {[]byte("P5 1 1 70000\nab"), nil},
		"pgm without size": {[]byte("P5 0 1 255\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			var g frame.Gray
			err := Decode(tt.data, &g)
			if err == nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Decode = %v, want %v", err, tt.is)
			}
			if cap(g.Pix) > 0 {
				t.Error("memory was taken")
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.pgm")
	if err := os.WriteFile(path, []byte("P5 2 1 255\nab"), 0o600); err != nil {
		t.Fatal(err)
	}
	var g frame.Gray
	if err := Load(path, &g); err != nil || string(g.Pix) != "ab" {
		t.Errorf("Load = %q, %v", g.Pix, err)
	}
	if err := Load(filepath.Join(dir, "none.png"), &g); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Load of nothing = %v", err)
	}
	if !Known("x/Y.JPG") || Known("meta.tsv") || Known("png") {
		t.Error("Known is wrong about names")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(pngOf(f, image.NewGray(image.Rect(0, 0, 3, 2))))
	f.Add(webpSample(f))
	f.Add([]byte("P5\n#c\n3 1 255\nabc"))
	f.Add([]byte("P2 3 1 255 1 2 3"))
	f.Add([]byte("\xff\xd8\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			t.Skip("larger than what the fuzzer needs")
		}
		var g frame.Gray
		if Decode(data, &g) == nil && g.Check() != nil {
			t.Fatal(g.Check())
		}
	})
}
