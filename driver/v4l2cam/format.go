package v4l2cam

import "bytes"

// fourcc is a V4L2 pixel format code: four characters, the first lowest.
type fourcc uint32

// The pixel formats we read, and how they carry brightness.
const (
	grey fourcc = 'G' | 'R'<<8 | 'E'<<16 | 'Y'<<24 // a byte a pixel, nothing else
	yuyv fourcc = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24 // every second byte, from the first
	nv12 fourcc = 'N' | 'V'<<8 | '1'<<16 | '2'<<24 // a plane of brightness, then one of colour
	mjpg fourcc = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24 // a JPEG picture each
	jpeg fourcc = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24 // the same under another name
)

func (f fourcc) String() string {
	if f == mjpg {
		return "MJPEG"
	}
	b := []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	for i := range b {
		if b[i] < ' ' || b[i] > '~' {
			b[i] = '?'
		}
	}
	return string(bytes.TrimRight(b, " "))
}

// layout is how the driver lays a picture out in its buffers.
type layout struct {
	format        fourcc
	width, height int
	stride        int // bytes from row to row of the brightness; 0 for JPEG
}

// rowBytes is how many bytes of a row carry its brightness.
func (l layout) rowBytes() int {
	if l.format == yuyv {
		return 2*l.width - 1
	}
	return l.width
}

// minStride is the shortest stride the format allows.
func (l layout) minStride() int {
	switch l.format {
	case mjpg:
		return 0
	case yuyv:
		return 2 * l.width
	}
	return l.width
}

// copyOut copies the brightness of one buffer, or its JPEG bytes, to p. It
// says false when data cannot hold a whole picture: the kernel hands broken
// ones over like good ones.
func (l layout) copyOut(p *picture, data []byte) bool {
	if l.format == mjpg {
		p.jpeg = append(p.jpeg[:0], data...)
		return wholeJPEG(p.jpeg)
	}
	if len(data) < (l.height-1)*l.stride+l.rowBytes() {
		return false
	}
	p.gray.Reset(l.width, l.height)
	p.gray.Taken = p.taken
	for y := range l.height {
		to, from := p.gray.Row(y), data[y*l.stride:]
		if l.format == yuyv {
			everySecond(to, from)
		} else {
			copy(to, from)
		}
	}
	return true
}

// everySecond copies from[0], from[2], … to the whole of to.
func everySecond(to, from []byte) {
	from = from[:2*len(to)-1]
	for len(to) >= 8 {
		f := from[:15]
		t := to[:8]
		t[0], t[1], t[2], t[3] = f[0], f[2], f[4], f[6]
		t[4], t[5], t[6], t[7] = f[8], f[10], f[12], f[14]
		to = to[8:]
		from = from[min(16, len(from)):]
	}
	for i := range to {
		to[i] = from[2*i]
	}
}

// wholeJPEG says whether b begins like a JPEG picture and has an end; cameras
// pad their buffers behind it.
func wholeJPEG(b []byte) bool {
	return len(b) >= 4 && b[0] == 0xff && b[1] == 0xd8 && bytes.LastIndex(b, []byte{0xff, 0xd9}) >= 2
}
