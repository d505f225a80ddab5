package v4l2cam

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"syscall"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// This file mends what the camera library leaves open. It reads two of its
// private fields; a test holds that they are there.

// closeOnExec keeps the camera from being inherited by the processes that the
// agent starts: one of those would hold the device after an unplug.
func closeOnExec(dev *webcam.Webcam) {
	unix.CloseOnExec(int(privateField(dev, "fd").Uint()))
}

// forgetBuffers unmaps what the library mapped before its start failed; it
// forgets them itself (its issue 70), a few megabytes at each try.
func forgetBuffers(dev *webcam.Webcam) {
	mapped := privateField(dev, "buffers")
	for i := range mapped.Len() {
		if b := mapped.Index(i).Bytes(); len(b) > 0 {
			_ = unix.Munmap(b) // nothing more can be done about a failure
		}
	}
}

func privateField(dev *webcam.Webcam, name string) reflect.Value {
	return reflect.ValueOf(dev).Elem().FieldByName(name)
}

// errBandwidth: the bus cannot carry what was agreed on.
var errBandwidth = errors.New("not enough USB bandwidth")

// startError says what a refused start means. The library flattens the
// kernel's error number into text, so the text has to do.
func startError(err error) error {
	for _, k := range []struct {
		errno syscall.Errno
		kind  error
	}{
		{unix.EBUSY, ErrBusy},
		{unix.ENODEV, ErrGone},
		{unix.EIO, ErrGone},
		{unix.EPROTO, ErrGone},
		{unix.ETIMEDOUT, ErrGone},
	} {
		if strings.HasSuffix(err.Error(), k.errno.Error()) {
			return fmt.Errorf("%w: %w", k.kind, err)
		}
	}
	if strings.HasSuffix(err.Error(), unix.ENOSPC.Error()) {
		return fmt.Errorf("%w (%w: another port, fewer cameras on one hub, or a smaller picture)", err, errBandwidth)
	}
	return err
}
