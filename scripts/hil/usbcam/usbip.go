package usbcam

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Device number and speed to attach with.
const (
	DeviceID  = 1<<16 | 2 // bus 1, device 2; any will do
	SpeedHigh = 3         // enum usb_device_speed of the kernel
)

// command codes of USB/IP.
const (
	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4
)

// Error numbers as USB/IP carries them.
const (
	stalled   = -32  // EPIPE
	unlinked  = -104 // ECONNRESET
	toTheHost = 1
	maxOut    = 64 << 10 // more than any request to us carries
)

// header is what precedes each command from the kernel, 48 bytes big-endian.
type header struct {
	Command, Seq, Device, Direction, Endpoint uint32
	Flags                                     uint32 // of an unlink: the sequence number to forget
	Length                                    int32
	StartFrame, Packets, Interval             int32
	Setup                                     setup
}

// transfer is a bulk request that waits for picture data.
type transfer struct {
	seq    uint32
	length int
}

// wire is one attachment to a kernel.
type wire struct {
	cam *Camera
	rw  io.ReadWriter

	// mu guards pending and writing to rw, together: the kernel takes it for
	// a broken device when a transfer is answered that it took back.
	mu      sync.Mutex
	pending []transfer
	arrived chan struct{} // one token: pending grew
	end     chan struct{}
}

// Serve answers the kernel on the other end of rw until that end closes, which
// is not an error, or something goes wrong. To unplug the camera, close rw.
func (c *Camera) Serve(rw io.ReadWriter) error {
	w := &wire{cam: c, rw: rw, arrived: make(chan struct{}, 1), end: make(chan struct{})}
	streamed := make(chan error, 1)
	go func() { streamed <- w.stream() }()
	err := w.listen()
	close(w.end)
	if serr := <-streamed; err == nil {
		err = serr
	}
	return err
}

// listen reads commands until the kernel hangs up.
func (w *wire) listen() error {
	r := bufio.NewReader(w.rw)
	for {
		var h header
		if err := binary.Read(r, binary.BigEndian, &h); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("usb: read a command: %w", err)
		}
		var err error
		switch {
		case h.Command == cmdUnlink:
			err = w.unlink(h)
		case h.Command != cmdSubmit:
			err = fmt.Errorf("usb: command %d is unknown", h.Command)
		case h.Endpoint == streamEndpoint && h.Direction == toTheHost:
			w.mu.Lock()
			w.pending = append(w.pending, transfer{h.Seq, int(h.Length)})
			w.mu.Unlock()
			select {
			case w.arrived <- struct{}{}:
			default:
			}
		default:
			err = w.control(r, h)
		}
		if err != nil {
			return err
		}
	}
}

func (w *wire) control(r io.Reader, h header) error {
	if h.Length < 0 || h.Length > maxOut {
		return fmt.Errorf("usb: a request of %d bytes", h.Length)
	}
	var out []byte
	if h.Direction != toTheHost {
		out = make([]byte, h.Length)
		if _, err := io.ReadFull(r, out); err != nil {
			return fmt.Errorf("usb: read a request's data: %w", err)
		}
	}
	in, ok := w.cam.answer(h.Setup, out)
	switch {
	case h.Endpoint != 0 || !ok:
		return w.reply(retSubmit, h.Seq, stalled, 0, nil)
	case h.Direction == toTheHost:
		in = in[:min(len(in), h.Setup.length(), int(h.Length))]
		return w.reply(retSubmit, h.Seq, 0, len(in), in)
	}
	return w.reply(retSubmit, h.Seq, 0, len(out), nil)
}

// unlink forgets a bulk request that the driver took back.
func (w *wire) unlink(h header) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	status := int32(0) // already answered
	w.pending = slices.DeleteFunc(w.pending, func(t transfer) bool {
		if t.seq != h.Flags {
			return false
		}
		status = unlinked
		return true
	})
	return w.send(retUnlink, h.Seq, status, 0, nil)
}

// reply sends the outcome of a control request.
func (w *wire) reply(kind, seq uint32, status int32, length int, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.send(kind, seq, status, length, data)
}

// send writes an answer; w.mu is held.
func (w *wire) send(kind, seq uint32, status int32, length int, data []byte) error {
	b := make([]byte, 0, 48+len(data))
	for _, v := range [...]uint32{kind, seq, 0, 0, 0, uint32(status), uint32(length), 0, 0, 0, 0, 0} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	if _, err := w.rw.Write(append(b, data...)); err != nil {
		return fmt.Errorf("usb: answer: %w", err)
	}
	return nil
}

// Flags of a payload header (UVC 1.0 §2.4.3.3).
const (
	flagFrameID = 1 << 0
	flagEnd     = 1 << 1
	flagHeader  = 1 << 7 // end of header
)

// stream sends frames in payloads, one to each bulk request, at the rate of
// the mode. While nobody asks, as before the driver streams, it waits.
func (w *wire) stream() error {
	flags := byte(flagHeader)
	due := time.Now()
	for w.asked() {
		if now := time.Now(); due.After(now) {
			if !w.pause(due.Sub(now)) {
				return nil
			}
		} else if now.Sub(due) > time.Second {
			due = now
		}
		data, lasts := w.cam.frame()
		due = due.Add(lasts)
		flags ^= flagFrameID
		for len(data) > 0 {
			if !w.asked() {
				return nil
			}
			n, err := w.payload(flags, data)
			if err != nil {
				select {
				case <-w.end: // unplugged, or the kernel hung up
					return nil
				default:
					return err
				}
			}
			data = data[n:]
		}
		w.cam.mu.Lock()
		w.cam.frames++
		w.cam.mu.Unlock()
	}
	return nil
}

// payload answers the oldest bulk request with the beginning of data and says
// how much went; 0 when the driver took the request back meanwhile.
func (w *wire) payload(flags byte, data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		return 0, nil
	}
	t := w.pending[0]
	w.pending = w.pending[1:]
	n := min(len(data), t.length-headerSize, maxPayload-headerSize)
	if n == len(data) {
		flags |= flagEnd
	}
	body := append([]byte{headerSize, flags}, data[:n]...)
	return n, w.send(retSubmit, t.seq, 0, len(body), body)
}

// asked waits for a bulk request; false when the kernel is gone.
func (w *wire) asked() bool {
	for {
		w.mu.Lock()
		n := len(w.pending)
		w.mu.Unlock()
		if n > 0 {
			return true
		}
		select {
		case <-w.arrived:
		case <-w.end:
			return false
		}
	}
}

func (w *wire) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.end:
		return false
	}
}
