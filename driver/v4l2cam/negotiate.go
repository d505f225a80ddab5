package v4l2cam

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"

	"gateagent/driver/frame"
)

// asked is what the configuration wants.
type asked struct {
	width, height, fps uint32
	// narrow leaves the raw formats out where there is MJPEG: the USB bus had
	// no room for them.
	narrow bool
}

// costs lists the formats we read from the cheapest to the dearest: GREY is
// copied, YUYV carries twice the bytes, NV12 half as many again but few USB
// cameras mean it, MJPEG must be decompressed (about ten times the work).
var costs = [...]fourcc{grey, yuyv, nv12, mjpg, jpeg}

// formats is the part of the library that tells what a camera can do.
type formats interface {
	GetSupportedFormats() map[webcam.PixelFormat]string
	GetSupportedFrameSizes(webcam.PixelFormat) []webcam.FrameSize
	GetSupportedFramerates(f webcam.PixelFormat, width, height uint32) []webcam.FrameRate
	SetImageFormat(f webcam.PixelFormat, width, height uint32) (webcam.PixelFormat, uint32, uint32, error)
}

// offer is one way to run a camera.
type offer struct {
	format        fourcc
	width, height uint32
	fps           float64 // the fastest; 0: unknown
}

// negotiate sets the best format that the driver agrees to and gives the
// layout that it really uses. current asks the driver.
func negotiate(dev formats, current func() (layout, error), want asked) (layout, error) {
	have := dev.GetSupportedFormats()
	if len(have) == 0 {
		// USB cameras have a second node for metadata; it opens like a camera.
		return layout{}, fmt.Errorf("%w: the node offers no picture format (a metadata node? the camera's pictures are mostly at the node one lower)", ErrNotCamera)
	}
	offers := rank(collect(dev, have, want), want)
	if len(offers) == 0 {
		return layout{}, fmt.Errorf("%w: it offers %s; GREY, YUYV, NV12 or MJPEG is needed", ErrNotCamera, listFormats(have))
	}
	var failed []error
	for _, o := range offers {
		_, _, _, err := dev.SetImageFormat(webcam.PixelFormat(o.format), o.width, o.height)
		if errors.Is(err, unix.EBUSY) {
			return layout{}, fmt.Errorf("%w: set %v: %w", ErrBusy, o.format, err)
		}
		if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EIO) {
			return layout{}, fmt.Errorf("%w: set %v: %w", ErrGone, o.format, err)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("set %v %d×%d: %w", o.format, o.width, o.height, err))
			continue
		}
		lay, err := current()
		if err == nil {
			lay, err = lay.checked()
		}
		if err == nil {
			return lay, nil
		}
		failed = append(failed, err)
	}
	return layout{}, fmt.Errorf("%w: %w", ErrNotCamera, errors.Join(failed...))
}

// checked makes sense of what a driver reported: JPEG is one format, a stride
// of 0 means no padding.
func (l layout) checked() (layout, error) {
	if l.format == jpeg {
		l.format = mjpg
	}
	if !slices.Contains(costs[:], l.format) {
		return l, fmt.Errorf("the driver chose %v, which is not read here", l.format)
	}
	if err := frame.CheckSize(l.width, l.height); err != nil {
		return l, fmt.Errorf("the driver chose a %w", err)
	}
	if l.format == mjpg {
		l.stride = 0
	} else if l.stride == 0 {
		l.stride = l.minStride()
	} else if l.stride < l.minStride() {
		return l, fmt.Errorf("the driver reports %d bytes a row for %d pixels of %v", l.stride, l.width, l.format)
	}
	return l, nil
}

// collect lists the size nearest to the asked one for each format we read.
func collect(dev formats, have map[webcam.PixelFormat]string, want asked) []offer {
	var offers []offer
	_, compressed := have[webcam.PixelFormat(mjpg)]
	for _, f := range costs {
		if want.narrow && compressed && f != mjpg {
			continue
		}
		pf := webcam.PixelFormat(f)
		if _, ok := have[pf]; !ok {
			continue
		}
		o := offer{format: f, width: want.width, height: want.height}
		if sizes := dev.GetSupportedFrameSizes(pf); len(sizes) > 0 {
			o.width, o.height = nearest(sizes, want)
		} // else the driver does not list sizes: it will say when asked
		for _, r := range dev.GetSupportedFramerates(pf, o.width, o.height) {
			if r.MinNumerator > 0 {
				o.fps = max(o.fps, float64(r.MinDenominator)/float64(r.MinNumerator))
			}
		}
		offers = append(offers, o)
	}
	return offers
}

// rank puts the best offer first:
//
//  1. formats that give the asked size before those that do not, and among
//     the latter the nearer size;
//  2. of those, formats that reach at least half the asked rate before slower
//     ones: below that people wait for pictures, above it the cheaper format
//     reads more of them;
//  3. of those, the cheaper format.
func rank(offers []offer, want asked) []offer {
	slices.SortStableFunc(offers, func(a, b offer) int {
		if d := distance(a.width, a.height, want) - distance(b.width, b.height, want); d != 0 {
			return int(max(-1, min(1, d)))
		}
		switch sa, sb := a.slow(want), b.slow(want); {
		case sa && !sb:
			return 1
		case sb && !sa:
			return -1
		}
		return slices.Index(costs[:], a.format) - slices.Index(costs[:], b.format)
	})
	return offers
}

func (o offer) slow(want asked) bool { return o.fps > 0 && 2*o.fps < float64(want.fps) }

// distance is how far a size is from the asked one, in pixels of area; a size
// that is smaller on any side counts four times, because codes get too small.
func distance(w, h uint32, want asked) int64 {
	d := abs(int64(w)-int64(want.width))*int64(want.height) + abs(int64(h)-int64(want.height))*int64(want.width)
	if w < want.width || h < want.height {
		d *= 4
	}
	return d
}

func abs(n int64) int64 { return max(n, -n) }

// nearest gives the listed size that is nearest to the asked one.
func nearest(sizes []webcam.FrameSize, want asked) (w, h uint32) {
	best := int64(-1)
	for _, s := range sizes {
		sw, sh := want.width, want.height // what the library shows for "any size"
		if s.MaxWidth > 0 && s.MaxHeight > 0 {
			sw = snap(want.width, s.MinWidth, s.MaxWidth, s.StepWidth)
			sh = snap(want.height, s.MinHeight, s.MaxHeight, s.StepHeight)
		}
		if d := distance(sw, sh, want); best < 0 || d < best {
			best, w, h = d, sw, sh
		}
	}
	return w, h
}

// snap gives the value of lo, lo+step, … hi that is nearest to n from below.
func snap(n, lo, hi, step uint32) uint32 {
	n = max(lo, min(n, hi))
	if step > 1 {
		n -= (n - lo) % step
	}
	return n
}

func listFormats(have map[webcam.PixelFormat]string) string {
	var names []string
	for f := range have {
		names = append(names, fourcc(f).String())
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
