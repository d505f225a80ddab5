package v4l2cam

import "testing"

// FuzzPicture: whatever a camera leaves in a buffer, of whatever length, is a
// whole picture or none.
func FuzzPicture(f *testing.F) {
	f.Add(plane(16, 4), uint8(0), uint8(15), uint8(3), uint8(0))
	f.Add(plane(32, 4), uint8(1), uint8(15), uint8(3), uint8(2))
	f.Add(plane(16, 6), uint8(2), uint8(15), uint8(3), uint8(0))
	f.Add([]byte("\xff\xd8 a picture \xff\xd9 padding"), uint8(3), uint8(0), uint8(0), uint8(0))
	f.Add([]byte("\xff\xd8\xff\xd9"), uint8(3), uint8(0), uint8(0), uint8(0))
	f.Add([]byte{}, uint8(1), uint8(0), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, data []byte, format, width, height, pad uint8) {
		l := layout{format: []fourcc{grey, yuyv, nv12, mjpg}[format%4], width: int(width) + 1, height: int(height) + 1}
		l.stride = l.minStride() + int(pad)
		var p picture
		if !l.copyOut(&p, data) {
			return
		}
		if l.format == mjpg {
			if len(p.jpeg) != len(data) {
				t.Fatalf("%d bytes of %d", len(p.jpeg), len(data))
			}
			return
		}
		if err := p.gray.Check(); err != nil || p.gray.Width != l.width || p.gray.Height != l.height {
			t.Fatalf("%d × %d: %v", p.gray.Width, p.gray.Height, err)
		}
		step := 1
		if l.format == yuyv {
			step = 2
		}
		for y := range l.height {
			for x, v := range p.gray.Row(y) {
				if v != data[y*l.stride+x*step] {
					t.Fatalf("another brightness at %d, %d", x, y)
				}
			}
		}
	})
}
