package v4l2cam

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// formatRequest is struct v4l2_format of linux/videodev2.h for a
// single-planar capture device. Its union holds pointers, so it begins at the
// size of one: 208 bytes on 64-bit kernels' callers, 204 on 32-bit ones.
type formatRequest struct {
	kind         uint32
	_            [unsafe.Sizeof(uintptr(0)) - 4]byte
	width        uint32
	height       uint32
	pixelFormat  uint32
	field        uint32
	bytesPerLine uint32
	sizeImage    uint32
	_            [200 - 24]byte
}

const (
	captureKind = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	// getFormat is VIDIOC_G_FMT, _IOWR('V', 4, struct v4l2_format), in the
	// encoding that all our architectures share (asm-generic/ioctl.h).
	getFormat = 3<<30 | unsafe.Sizeof(formatRequest{})<<16 | 'V'<<8 | 4
)

// currentLayout asks the driver behind f how it lays pictures out now.
func currentLayout(f *os.File) (layout, error) {
	req := formatRequest{kind: captureKind}
	raw, err := f.SyscallConn()
	if err != nil {
		return layout{}, err
	}
	var errno syscall.Errno
	err = raw.Control(func(fd uintptr) {
		for {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, getFormat, uintptr(unsafe.Pointer(&req)))
			if errno != unix.EINTR {
				return
			}
		}
	})
	switch {
	case err != nil:
		return layout{}, err
	case errno == unix.ENODEV || errno == unix.EIO:
		return layout{}, fmt.Errorf("%w: ask for the picture's layout: %w", ErrGone, errno)
	case errno != 0:
		return layout{}, errors.Join(errors.New("ask for the picture's layout"), errno)
	}
	return layout{
		format: fourcc(req.pixelFormat),
		width:  int(req.width), height: int(req.height), stride: int(req.bytesPerLine),
	}, nil
}
