package v4l2cam

import (
	"bytes"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
)

// plane gives the brightness that the test pictures carry.
func plane(w, h int) []byte {
	p := make([]byte, w*h)
	for i := range p {
		p[i] = byte(i*7 + i/w)
	}
	return p
}

// buffer lays plane out as a driver would; gaps hold 0xEE.
func buffer(l layout, size int) []byte {
	b := bytes.Repeat([]byte{0xee}, size)
	step := 1
	if l.format == yuyv {
		step = 2
	}
	for i, v := range plane(l.width, l.height) {
		b[i/l.width*l.stride+i%l.width*step] = v
	}
	return b
}

func TestBrightness(t *testing.T) {
	for name, tt := range map[string]struct {
		lay  layout
		size int
		ok   bool
	}{
		"grey":                         {layout{grey, 8, 3, 8}, 24, true},
		"grey with odd stride":         {layout{grey, 7, 3, 11}, 33, true},
		"grey without last padding":    {layout{grey, 7, 3, 11}, 29, true},
		"grey one byte short":          {layout{grey, 7, 3, 11}, 28, false},
		"yuyv":                         {layout{yuyv, 16, 2, 32}, 64, true},
		"yuyv, width not of eight":     {layout{yuyv, 13, 3, 26}, 78, true},
		"yuyv of one column":           {layout{yuyv, 1, 4, 2}, 8, true},
		"yuyv with odd stride":         {layout{yuyv, 18, 3, 41}, 123, true},
		"yuyv, colour of the end lost": {layout{yuyv, 18, 3, 41}, 117, true},
		"yuyv one byte short":          {layout{yuyv, 18, 3, 41}, 116, false},
		"nv12":                         {layout{nv12, 8, 4, 8}, 48, true},
		"nv12 with odd stride":         {layout{nv12, 9, 4, 13}, 78, true},
		"nothing":                      {layout{yuyv, 640, 480, 1280}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			full := tt.lay
			data := buffer(full, full.stride*full.height*2)[:tt.size]
			var p picture
			if ok := tt.lay.copyOut(&p, data); ok != tt.ok {
				t.Fatalf("copyOut = %v, want %v", ok, tt.ok)
			}
			if !tt.ok {
				return
			}
			if err := p.gray.Check(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(plane(tt.lay.width, tt.lay.height), p.gray.Pix); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWholeJPEG(t *testing.T) {
	for name, tt := range map[string]struct {
		data string
		want bool
	}{
		"whole":        {"\xff\xd8\xff\xdb..\xff\xd9", true},
		"padded":       {"\xff\xd8\xff\xdb..\xff\xd9\x00\x00\x00", true},
		"without end":  {"\xff\xd8\xff\xdb......", false},
		"without head": {"..\xff\xdb..\xff\xd9", false},
		"only a head":  {"\xff\xd8\xff", false},
		"empty":        {"", false},
	} {
		if got := wholeJPEG([]byte(tt.data)); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

func TestLayoutChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		in, want layout
		ok       bool
	}{
		"as it is":            {layout{yuyv, 640, 480, 1344}, layout{yuyv, 640, 480, 1344}, true},
		"no stride":           {layout{yuyv, 640, 480, 0}, layout{yuyv, 640, 480, 1280}, true},
		"no stride, nv12":     {layout{nv12, 640, 480, 0}, layout{nv12, 640, 480, 640}, true},
		"jpeg is mjpeg":       {layout{jpeg, 640, 480, 9}, layout{mjpg, 640, 480, 0}, true},
		"stride too short":    {layout{yuyv, 640, 480, 640}, layout{}, false},
		"no size":             {layout{grey, 0, 480, 0}, layout{}, false},
		"another format":      {layout{'H' | '2'<<8 | '6'<<16 | '4'<<24, 640, 480, 0}, layout{}, false},
		"larger than allowed": {layout{grey, 1 << 20, 1 << 20, 0}, layout{}, false},
	} {
		got, err := tt.in.checked()
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// The kernel checks the size of the structure: it is part of the call number.
func TestFormatRequestLayout(t *testing.T) {
	want := map[uintptr]uintptr{8: 0xc0d05604, 4: 0xc0cc5604}[unsafe.Sizeof(uintptr(0))]
	if getFormat != want {
		t.Errorf("VIDIOC_G_FMT = %#x, want %#x", getFormat, want)
	}
	if at := unsafe.Offsetof(formatRequest{}.width); at != unsafe.Sizeof(uintptr(0)) {
		t.Errorf("the union begins at %d", at)
	}
}
