package usbcam

// setup is the eight bytes of a control request (USB 2.0 §9.3).
type setup [8]byte

func (s setup) request() uint16 { return uint16(s[0])<<8 | uint16(s[1]) }
func (s setup) value() uint16   { return le.Uint16(s[2:]) }
func (s setup) index() uint16   { return le.Uint16(s[4:]) }
func (s setup) length() int     { return int(le.Uint16(s[6:])) }

// Requests as type and code.
const (
	getStatusDevice    = 0x8000
	getStatusInterface = 0x8100
	getStatusEndpoint  = 0x8200
	getDescriptor      = 0x8006
	setConfiguration   = 0x0009
	setInterface       = 0x010b
	setFeature         = 0x0003
	clearFeature       = 0x0001
	clearEndpoint      = 0x0201

	// Of the video class, to an interface.
	setCurrent = 0x2101
	getCurrent = 0xa181
	getMin     = 0xa182
	getMax     = 0xa183
	getLength  = 0xa185
	getInfo    = 0xa186
	getDefault = 0xa187

	streamInterface = 1
	probeControl    = 1
	commitControl   = 2
)

// answer serves one control request; false stalls the endpoint, which is how
// a device says no.
func (c *Camera) answer(s setup, out []byte) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s.request() {
	case getDescriptor:
		return c.describe(byte(s.value()>>8), byte(s.value()))
	case getStatusDevice, getStatusInterface, getStatusEndpoint:
		return []byte{0, 0}, true
	case setConfiguration, setInterface, setFeature, clearFeature, clearEndpoint:
		return nil, true
	}
	control := s.value() >> 8
	if s.index() != streamInterface || control != probeControl && control != commitControl {
		return nil, false // no brightness, no zoom, no pan
	}
	switch s.request() {
	case setCurrent:
		c.probed = c.wanted(out)
		if control == commitControl {
			c.now = c.probed
		}
		return nil, true
	case getCurrent, getMin, getMax, getDefault:
		return c.negotiation(c.probed), true
	case getInfo:
		return []byte{3}, true // may be read and set
	case getLength:
		return u16(len(c.negotiation(c.probed))), true
	}
	return nil, false
}

func (c *Camera) describe(kind, index byte) ([]byte, bool) {
	switch kind {
	case descDevice:
		return c.device(), true
	case descConfig:
		return c.configuration(), true
	case descString:
		return c.text(index)
	}
	return nil, false
}
