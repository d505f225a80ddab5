//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"gateagent/driver/frame"
	"gateagent/driver/frame/imagefile"
	"gateagent/scripts/hil/control"
	"gateagent/scripts/hil/usbcam"
)

// attach is where vhci-hcd takes devices: "port socket device speed".
const attach = "/sys/devices/platform/vhci_hcd.0/attach"

// ports are the USB ports of the guest and what is plugged into them.
type ports struct {
	mu      sync.Mutex
	plugged map[int]*plugged
}

type plugged struct {
	cam    *usbcam.Camera
	socket net.Conn
	done   chan struct{}
	err    error // after done
}

func (p *ports) plug(r control.Plug) error {
	picture, err := card(r.Card)
	if err != nil {
		return err
	}
	cam, err := usbcam.New(r.Model, picture)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.plugged[r.Port] != nil {
		return fmt.Errorf("port %d is taken", r.Port)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket pair: %w", err)
	}
	kernel := os.NewFile(uintptr(ends[0]), "vhci")
	defer kernel.Close() // the kernel keeps its own reference
	ours := os.NewFile(uintptr(ends[1]), "camera")
	socket, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return fmt.Errorf("socket pair: %w", err)
	}
	order := fmt.Sprintf("%d %d %d %d", r.Port, kernel.Fd(), usbcam.DeviceID, usbcam.SpeedHigh)
	if err := os.WriteFile(attach, []byte(order), 0); err != nil {
		_ = socket.Close()
		return fmt.Errorf("plug in: %w", err)
	}
	in := &plugged{cam: cam, socket: socket, done: make(chan struct{})}
	go func() {
		in.err = cam.Serve(socket)
		close(in.done)
	}()
	if p.plugged == nil {
		p.plugged = map[int]*plugged{}
	}
	p.plugged[r.Port] = in
	return nil
}

func (p *ports) unplug(port int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.plugged[port]
	if in == nil {
		return fmt.Errorf("nothing is plugged into port %d", port)
	}
	delete(p.plugged, port)
	_ = in.socket.Close()
	<-in.done
	if in.err != nil && !errors.Is(in.err, net.ErrClosed) {
		return in.err
	}
	return nil
}

func (p *ports) show(port int, name string) error {
	picture, err := card(name)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in := p.plugged[port]
	if in == nil {
		return fmt.Errorf("nothing is plugged into port %d", port)
	}
	in.cam.Show(picture)
	return nil
}

// card reads what a camera is to see: /cards/NAME.pgm for YUYV, and the same
// as JPEG in /cards/NAME.jpg. The bench puts the cards there in the size of
// the modes it uses; a camera in another mode sees nothing but grey.
func card(name string) (usbcam.Picture, error) {
	if name == "" {
		name = "wall"
	}
	path := filepath.Join("/cards", filepath.Base(name))
	var g frame.Gray
	if err := imagefile.Load(path+".pgm", &g); err != nil {
		return nil, err
	}
	compressed, err := os.ReadFile(path + ".jpg")
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 2*g.Width*g.Height)
	for i, v := range g.Pix {
		raw[2*i], raw[2*i+1] = v, 0x80
	}
	return func(m usbcam.Mode) []byte {
		switch {
		case m.Kind == usbcam.MJPG:
			return compressed
		case m.Width == g.Width && m.Height == g.Height:
			return raw
		}
		grey := make([]byte, 2*m.Width*m.Height)
		for i := range grey {
			grey[i] = 0x80
		}
		return grey
	}, nil
}
