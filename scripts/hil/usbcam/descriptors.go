package usbcam

import (
	"encoding/binary"
	"slices"
)

var le = binary.LittleEndian

// descriptor puts a length before the parts.
func descriptor(parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return append([]byte{byte(len(body) + 1)}, body...)
}

func u16(v int) []byte { return le.AppendUint16(nil, uint16(v)) }
func u32(v int) []byte { return le.AppendUint32(nil, uint32(v)) }

// Numbers of USB 2.0 table 9-5 and UVC 1.0 appendix A.
const (
	descDevice    = 1
	descConfig    = 2
	descString    = 3
	descInterface = 4
	descEndpoint  = 5
	descAssoc     = 11
	descVideo     = 0x24 // class-specific, of an interface

	classVideo    = 14
	videoControl  = 1
	videoStream   = 2
	videoTogether = 3

	controlHeader = 1
	inputTerminal = 2
	outTerminal   = 3

	streamHeader = 1
	formatRaw    = 4
	frameRaw     = 5
	formatMJPEG  = 6
	frameMJPEG   = 7

	stringMaker  = 1
	stringName   = 2
	stringSerial = 3

	streamEndpoint = 1        // bulk, to the host
	bulkPacket     = 512      // high speed
	maxPayload     = 16 << 10 // one URB of the driver's: 32 packets
	headerSize     = 2        // of a payload: length and flags
)

func (c *Camera) device() []byte {
	serial := byte(0)
	if c.spec.Serial != "" {
		serial = stringSerial
	}
	return descriptor([]byte{descDevice}, u16(0x0200),
		[]byte{0xef, 2, 1, 64}, // several interfaces that belong together
		u16(int(c.spec.Vendor)), u16(int(c.spec.Product)), u16(0x0100),
		[]byte{stringMaker, stringName, serial, 1})
}

func (c *Camera) text(index byte) ([]byte, bool) {
	var s string
	switch index {
	case 0:
		return descriptor([]byte{descString}, u16(0x0409)), true // English
	case stringMaker:
		s = c.spec.Maker
	case stringName:
		s = c.spec.Name
	case stringSerial:
		s = c.spec.Serial
	default:
		return nil, false
	}
	var b []byte
	for _, r := range s {
		b = append(b, u16(int(r))...)
	}
	return descriptor([]byte{descString}, b), true
}

// configuration is the only one: a control interface with a camera terminal
// and one for USB, and a streaming interface with one bulk endpoint.
func (c *Camera) configuration() []byte {
	units := slices.Concat(
		descriptor([]byte{descVideo, inputTerminal, 1}, u16(0x0201), []byte{0, 0}, make([]byte, 6), []byte{3, 0, 0, 0}),
		descriptor([]byte{descVideo, outTerminal, 2}, u16(0x0101), []byte{0, 1, 0}),
	)
	control := slices.Concat(
		descriptor([]byte{descVideo, controlHeader}, u16(0x0100), u16(13+len(units)), u32(6_000_000), []byte{1, 1}),
		units)
	formats := c.formats()
	head := 13 + len(c.kinds)
	stream := slices.Concat(
		descriptor([]byte{descVideo, streamHeader, byte(len(c.kinds))}, u16(head+len(formats)),
			[]byte{0x80 | streamEndpoint, 0, 2, 0, 0, 0, 1}, make([]byte, len(c.kinds))),
		formats)
	body := slices.Concat(
		descriptor([]byte{descAssoc, 0, 2, classVideo, videoTogether, 0, stringName}),
		descriptor([]byte{descInterface, 0, 0, 0, classVideo, videoControl, 0, 0}), control,
		descriptor([]byte{descInterface, 1, 0, 1, classVideo, videoStream, 0, 0}), stream,
		descriptor([]byte{descEndpoint, 0x80 | streamEndpoint, 2}, u16(bulkPacket), []byte{0}),
	)
	return append(descriptor([]byte{descConfig}, u16(9+len(body)), []byte{2, 1, 0, 0x80, 250}), body...)
}

// formats gives the format descriptors, each followed by its frames.
func (c *Camera) formats() (all []byte) {
	yuy2 := []byte("YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71") // a GUID
	for i, k := range c.kinds {
		modes := c.modes(k)
		number, count := byte(i+1), byte(len(modes))
		sub := byte(frameMJPEG)
		if k == YUYV {
			sub = frameRaw
			all = append(all, descriptor([]byte{descVideo, formatRaw, number, count}, yuy2, []byte{16, 1, 0, 0, 0, 0})...)
		} else {
			all = append(all, descriptor([]byte{descVideo, formatMJPEG, number, count, 0, 1, 0, 0, 0, 0})...)
		}
		for n, m := range modes {
			bits := m.Width * m.Height * 16 * m.FPS
			interval := int(c.interval[m])
			all = append(all, descriptor([]byte{descVideo, sub, byte(n + 1), 0}, u16(m.Width), u16(m.Height),
				u32(bits), u32(bits), u32(frameBytes(m)), u32(interval), []byte{1}, u32(interval))...)
		}
	}
	return all
}

// frameBytes is the largest frame of a mode.
func frameBytes(m Mode) int { return m.Width * m.Height * 2 }

// negotiation is the block of the probe and commit controls (UVC 1.0 §4.3.1.1).
func (c *Camera) negotiation(m Mode) []byte {
	return slices.Concat(u16(1), []byte{c.formatIndex(m), c.frameIndex(m)}, u32(int(c.interval[m])),
		make([]byte, 10), u32(frameBytes(m)), u32(maxPayload))
}

func (c *Camera) formatIndex(m Mode) byte { return byte(slices.Index(c.kinds, m.Kind) + 1) }
func (c *Camera) frameIndex(m Mode) byte  { return byte(slices.Index(c.modes(m.Kind), m) + 1) }

// wanted reads a probe block; what does not exist becomes the first of its
// kind, as cameras do.
func (c *Camera) wanted(block []byte) Mode {
	if len(block) < 4 {
		return c.now
	}
	kind := c.kinds[0]
	if f := int(block[2]); f >= 1 && f <= len(c.kinds) {
		kind = c.kinds[f-1]
	}
	modes := c.modes(kind)
	if n := int(block[3]); n >= 1 && n <= len(modes) {
		return modes[n-1]
	}
	return modes[0]
}
