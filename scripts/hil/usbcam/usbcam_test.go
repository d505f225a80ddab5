package usbcam

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"
)

var model = Spec{
	Vendor: 0x1209, Product: 1, Maker: "Gate", Name: "Test camera", Serial: "T-1",
	Modes: []Mode{{MJPG, 1280, 720, 15}, {MJPG, 640, 480, 30}, {YUYV, 640, 480, 100}},
}

// TestConfigurationLengths walks the descriptors as the kernel does.
func TestConfigurationLengths(t *testing.T) {
	c, err := New(model, nil)
	if err != nil {
		t.Fatal(err)
	}
	conf := c.configuration()
	if total := int(le.Uint16(conf[2:])); total != len(conf) {
		t.Errorf("total length %d, %d bytes", total, len(conf))
	}
	var kinds []byte
	var inControl, inStream int
	section := &inControl
	for b := conf; len(b) > 0; b = b[b[0]:] {
		if b[0] < 2 || int(b[0]) > len(b) {
			t.Fatalf("descriptor of %d bytes, %d are left", b[0], len(b))
		}
		kinds = append(kinds, b[1])
		if b[1] == descInterface && b[2] == streamInterface {
			section = &inStream
		}
		if b[1] == descVideo {
			*section += int(b[0])
		}
	}
	want := []byte{descConfig, descAssoc, descInterface, descVideo, descVideo, descVideo, descInterface, descVideo}
	want = append(want, descVideo, descVideo, descVideo, descVideo, descVideo, descEndpoint)
	if !bytes.Equal(kinds, want) {
		t.Errorf("descriptors %v, want %v", kinds, want)
	}
	// The class headers name the length of all that follows in their interface.
	if i := bytes.Index(conf, []byte{descVideo, controlHeader, 0, 1}); int(le.Uint16(conf[i+4:])) != inControl {
		t.Errorf("control header says %d, %d bytes", le.Uint16(conf[i+4:]), inControl)
	}
	if i := bytes.Index(conf, []byte{descVideo, streamHeader, 2}); int(le.Uint16(conf[i+3:])) != inStream {
		t.Errorf("stream header says %d, %d bytes", le.Uint16(conf[i+3:]), inStream)
	}
	if n := len(c.negotiation(c.now)); n != 26 {
		t.Errorf("probe block of %d bytes, UVC 1.0 wants 26", n)
	}
}

// host plays the kernel's side of the wire.
type host struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

func (h *host) send(command, endpoint, direction, flags uint32, length int32, s setup, data []byte) uint32 {
	h.t.Helper()
	h.seq++
	var b bytes.Buffer
	head := header{Command: command, Seq: h.seq, Device: DeviceID, Direction: direction, Endpoint: endpoint, Flags: flags, Length: length, Setup: s}
	if err := binary.Write(&b, binary.BigEndian, head); err != nil {
		h.t.Fatal(err)
	}
	b.Write(data)
	if _, err := h.conn.Write(b.Bytes()); err != nil {
		h.t.Fatal(err)
	}
	return h.seq
}

type reply struct {
	Command, Seq, _, _, _ uint32
	Status, Length        int32
	_                     [20]byte
}

func (h *host) receive(wantData bool) (reply, []byte) {
	h.t.Helper()
	var r reply
	if err := binary.Read(h.conn, binary.BigEndian, &r); err != nil {
		h.t.Fatal(err)
	}
	var data []byte
	if wantData && r.Status == 0 {
		data = make([]byte, r.Length)
		if _, err := io.ReadFull(h.conn, data); err != nil {
			h.t.Fatal(err)
		}
	}
	return r, data
}

// in asks for data by a control request.
func (h *host) in(s setup) (reply, []byte) {
	h.t.Helper()
	h.send(cmdSubmit, 0, toTheHost, 0, int32(s.length()), s, nil)
	return h.receive(true)
}

func plugged(t *testing.T, show Picture) (*Camera, *host) {
	c, err := New(model, show)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- c.Serve(ours) }()
	t.Cleanup(func() {
		theirs.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ours.Close()
	})
	theirs.SetDeadline(time.Now().Add(10 * time.Second))
	return c, &host{t: t, conn: theirs}
}

func TestControlRequests(t *testing.T) {
	c, h := plugged(t, nil)
	for name, tt := range map[string]struct {
		s    setup
		want []byte // nil: stalled
	}{
		"device":                   {setup{0x80, 6, 0, descDevice, 0, 0, 18, 0}, c.device()},
		"beginning of the device":  {setup{0x80, 6, 0, descDevice, 0, 0, 8, 0}, c.device()[:8]},
		"configuration":            {setup{0x80, 6, 0, descConfig, 0, 0, 0xff, 0xff}, c.configuration()},
		"serial":                   {setup{0x80, 6, stringSerial, descString, 9, 4, 255, 0}, []byte("\x08\x03T\x00-\x001\x00")},
		"text that is not there":   {setup{0x80, 6, 9, descString, 9, 4, 255, 0}, nil},
		"other descriptor":         {setup{0x80, 6, 0, 6, 0, 0, 10, 0}, nil},
		"probe":                    {setup{0xa1, 0x81, 0, probeControl, streamInterface, 0, 26, 0}, c.negotiation(c.now)},
		"brightness, not there":    {setup{0xa1, 0x81, 0, 2, 0, 2, 2, 0}, nil},
		"still image, not there":   {setup{0xa1, 0x81, 0, 3, streamInterface, 0, 11, 0}, nil},
		"length of the probe data": {setup{0xa1, 0x85, 0, probeControl, streamInterface, 0, 2, 0}, u16(26)},
	} {
		r, got := h.in(tt.s)
		if tt.want == nil {
			if r.Status != stalled {
				t.Errorf("%s: status %d", name, r.Status)
			}
		} else if r.Status != 0 || !bytes.Equal(got, tt.want) {
			t.Errorf("%s: status %d, %x, want %x", name, r.Status, got, tt.want)
		}
	}
}

func TestStream(t *testing.T) {
	want := Mode{YUYV, 640, 480, 100}
	pix := make([]byte, frameBytes(want))
	for i := range pix {
		pix[i] = byte(i * 31)
	}
	c, h := plugged(t, func(m Mode) []byte {
		if m != want {
			t.Errorf("streams %+v", m)
		}
		return pix
	})
	block := c.negotiation(want)
	h.send(cmdSubmit, 0, 0, 0, int32(len(block)), setup{0x21, 1, 0, commitControl, streamInterface, 0, 26, 0}, block)
	if r, _ := h.receive(false); r.Status != 0 {
		t.Fatalf("commit: status %d", r.Status)
	}
	var got []byte
	var id byte
	for frames := 0; frames < 3; {
		seq := h.send(cmdSubmit, streamEndpoint, toTheHost, 0, maxPayload, setup{}, nil)
		r, data := h.receive(true)
		if r.Seq != seq || r.Status != 0 || data[0] != headerSize {
			t.Fatalf("%+v", r)
		}
		if len(got) > 0 && data[1]&flagFrameID != id {
			t.Fatal("the frame changed in its middle")
		}
		id = data[1] & flagFrameID
		got = append(got, data[headerSize:]...)
		if data[1]&flagEnd != 0 {
			if !bytes.Equal(got, pix) {
				t.Fatalf("frame of %d bytes differs", len(got))
			}
			got = nil
			frames++
		}
	}
	if n := c.Frames(); n < 2 || n > 3 {
		t.Errorf("%d frames", n)
	}
	// What the driver takes back is not answered any more.
	c.Show(func(Mode) []byte { time.Sleep(20 * time.Millisecond); return pix })
	seq := h.send(cmdSubmit, streamEndpoint, toTheHost, 0, maxPayload, setup{}, nil)
	h.send(cmdUnlink, 0, 0, seq, 0, setup{}, nil)
	if r, _ := h.receive(false); r.Command != retUnlink || r.Status != unlinked {
		t.Errorf("%+v", r)
	}
}

func TestRefusedModels(t *testing.T) {
	for name, m := range map[string][]Mode{
		"no mode":    nil,
		"other kind": {{"H264", 640, 480, 30}},
		"no size":    {{MJPG, 0, 480, 30}},
		"no rate":    {{MJPG, 640, 480, 0}},
	} {
		if _, err := New(Spec{Modes: m}, nil); err == nil {
			t.Error(name, "was taken")
		}
	}
}
