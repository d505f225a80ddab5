package gpiorelay

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

// kernelChip is an open GPIO character device.
type kernelChip struct{ fd int }

func openKernelChip(path string) (chip, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, chipError(err)
	}
	return &kernelChip{fd}, nil
}

func (c *kernelChip) close() error { return unix.Close(c.fd) }

func (c *kernelChip) info() (chipInfo, error) {
	i, err := uapi.GetChipInfo(uintptr(c.fd))
	if unknownCall(err) {
		return chipInfo{}, fmt.Errorf("%w: the device is something else", ErrNoChip)
	}
	if err != nil {
		return chipInfo{}, chipError(err)
	}
	return chipInfo{
		name: uapi.BytesToString(i.Name[:]), label: uapi.BytesToString(i.Label[:]), lines: int(i.Lines),
	}, nil
}

func (c *kernelChip) line(offset int) (lineInfo, error) {
	i, err := uapi.GetLineInfoV2(uintptr(c.fd), offset)
	if unknownCall(err) {
		return lineInfo{}, ErrOldKernel
	}
	if err != nil {
		return lineInfo{}, chipError(err)
	}
	return lineInfo{
		name: uapi.BytesToString(i.Name[:]), consumer: uapi.BytesToString(i.Consumer[:]),
	}, nil
}

func (c *kernelChip) request(offset int, activeLow bool, consumer string) (output, error) {
	flags := uapi.LineFlagV2Output
	if activeLow {
		flags |= uapi.LineFlagV2ActiveLow
	}
	req := uapi.LineRequest{Lines: 1, Config: uapi.LineConfig{Flags: flags}}
	req.Offsets[0] = uint32(offset)
	// Without this the kernel would drive a new output inactive as well; it is
	// said all the same, so that it does not rest on a default.
	req.Config.AddAttribute(uapi.LineConfigAttribute{
		Attr: uapi.OutputValues(uapi.NewLineBitmap(0)).Encode(), Mask: uapi.NewLineBitMask(1),
	})
	copy(req.Consumer[:len(req.Consumer)-1], consumer)
	if err := uapi.GetLine(uintptr(c.fd), &req); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return nil, ErrBusy
		}
		if unknownCall(err) { // or the chip refuses this very request
			if _, lerr := c.line(offset); errors.Is(lerr, ErrOldKernel) {
				return nil, lerr
			}
		}
		return nil, fmt.Errorf("request the line as output: %w", chipError(err))
	}
	l := &kernelLine{}
	l.fd.Store(int64(req.Fd))
	return l, nil
}

// kernelLine is a requested line; fd is -1 once it is given back.
type kernelLine struct{ fd atomic.Int64 }

// Set drives the line by one ioctl, without a lock.
func (l *kernelLine) Set(active bool) error {
	fd := l.fd.Load()
	if fd < 0 {
		return fs.ErrClosed
	}
	v := uapi.LineValues{Mask: uapi.NewLineBitMask(1)}
	if active {
		v.Bits = uapi.NewLineBitmap(1)
	}
	if err := uapi.SetLineValuesV2(uintptr(fd), v); err != nil {
		return fmt.Errorf("set the line: %w", err)
	}
	return nil
}

func (l *kernelLine) close() error {
	if fd := l.fd.Swap(-1); fd >= 0 {
		return unix.Close(int(fd))
	}
	return nil
}

func chipError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return ErrPermission
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return ErrNoChip
	}
	return err
}

// unknownCall says whether err is what a device answers to a request that it
// does not know: ENOTTY from most, EINVAL from GPIO chips.
func unknownCall(err error) bool { return errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) }
