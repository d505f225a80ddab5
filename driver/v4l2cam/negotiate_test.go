package v4l2cam

import (
	"errors"
	"strings"
	"testing"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

// mode is what a fake camera can do.
type mode struct {
	format        fourcc
	width, height uint32
	fps           uint32 // 0: not told
}

// fakeFormats plays the library's listing of a camera.
type fakeFormats struct {
	modes  []mode
	sizes  []webcam.FrameSize // in place of the modes' own
	refuse map[fourcc]error
	set    mode
}

func (f *fakeFormats) GetSupportedFormats() map[webcam.PixelFormat]string {
	m := map[webcam.PixelFormat]string{}
	for _, o := range f.modes {
		m[webcam.PixelFormat(o.format)] = "a format"
	}
	return m
}

func (f *fakeFormats) GetSupportedFrameSizes(p webcam.PixelFormat) (sizes []webcam.FrameSize) {
	if f.sizes != nil {
		return f.sizes
	}
	for _, o := range f.modes {
		if o.format == fourcc(p) && o.width > 0 {
			sizes = append(sizes, webcam.FrameSize{MinWidth: o.width, MaxWidth: o.width, MinHeight: o.height, MaxHeight: o.height})
		}
	}
	return sizes
}

func (f *fakeFormats) GetSupportedFramerates(p webcam.PixelFormat, w, h uint32) (rates []webcam.FrameRate) {
	for _, o := range f.modes {
		if o.format == fourcc(p) && o.width == w && o.height == h && o.fps > 0 {
			rates = append(rates, webcam.FrameRate{MinNumerator: 1, MaxNumerator: 1, MinDenominator: o.fps, MaxDenominator: o.fps})
		}
	}
	return rates
}

func (f *fakeFormats) SetImageFormat(p webcam.PixelFormat, w, h uint32) (webcam.PixelFormat, uint32, uint32, error) {
	if err := f.refuse[fourcc(p)]; err != nil {
		return 0, 0, 0, err
	}
	f.set = mode{format: fourcc(p), width: w, height: h}
	return p, w, h, nil
}

func (f *fakeFormats) current() (layout, error) {
	return layout{f.set.format, int(f.set.width), int(f.set.height), 0}, nil
}

func TestNegotiate(t *testing.T) {
	h264 := fourcc('H' | '2'<<8 | '6'<<16 | '4'<<24)
	for name, tt := range map[string]struct {
		cam  fakeFormats
		want mode // of 1280×720 at 15 asked
		err  error
	}{
		"all four": {
			cam:  fakeFormats{modes: []mode{{mjpg, 1280, 720, 30}, {nv12, 1280, 720, 30}, {yuyv, 1280, 720, 30}, {grey, 1280, 720, 30}}},
			want: mode{format: grey, width: 1280, height: 720},
		},
		"nv12 before mjpeg": {
			cam:  fakeFormats{modes: []mode{{mjpg, 1280, 720, 30}, {nv12, 1280, 720, 30}}},
			want: mode{format: nv12, width: 1280, height: 720},
		},
		"somewhat slower raw is still cheaper": {
			cam:  fakeFormats{modes: []mode{{mjpg, 1280, 720, 30}, {yuyv, 1280, 720, 10}}},
			want: mode{format: yuyv, width: 1280, height: 720},
		},
		"crawling raw gives way": {
			cam:  fakeFormats{modes: []mode{{yuyv, 1280, 720, 5}, {mjpg, 1280, 720, 30}}},
			want: mode{format: mjpg, width: 1280, height: 720},
		},
		"crawling raw is better than nothing": {
			cam:  fakeFormats{modes: []mode{{yuyv, 1280, 720, 5}, {h264, 1280, 720, 30}}},
			want: mode{format: yuyv, width: 1280, height: 720},
		},
		"the size counts more than the format": {
			cam:  fakeFormats{modes: []mode{{yuyv, 640, 480, 30}, {mjpg, 1280, 720, 30}}},
			want: mode{format: mjpg, width: 1280, height: 720},
		},
		"nearest size, rather larger": {
			cam:  fakeFormats{modes: []mode{{yuyv, 640, 480, 30}, {yuyv, 1280, 800, 30}, {yuyv, 1920, 1080, 5}}},
			want: mode{format: yuyv, width: 1280, height: 800},
		},
		"only smaller": {
			cam:  fakeFormats{modes: []mode{{yuyv, 320, 240, 30}, {yuyv, 640, 480, 30}, {mjpg, 640, 480, 30}}},
			want: mode{format: yuyv, width: 640, height: 480},
		},
		"sizes in steps": {
			cam: fakeFormats{
				modes: []mode{{format: yuyv}},
				sizes: []webcam.FrameSize{{MinWidth: 32, MaxWidth: 1000, StepWidth: 16, MinHeight: 32, MaxHeight: 4000, StepHeight: 1}},
			},
			want: mode{format: yuyv, width: 992, height: 720},
		},
		"any size": {
			cam:  fakeFormats{modes: []mode{{format: grey}}, sizes: []webcam.FrameSize{{}}},
			want: mode{format: grey, width: 1280, height: 720},
		},
		"sizes not listed": {
			cam:  fakeFormats{modes: []mode{{format: grey}}},
			want: mode{format: grey, width: 1280, height: 720},
		},
		"a refused format gives way": {
			cam:  fakeFormats{modes: []mode{{grey, 1280, 720, 0}, {mjpg, 1280, 720, 0}}, refuse: map[fourcc]error{grey: unix.EINVAL}},
			want: mode{format: mjpg, width: 1280, height: 720},
		},
		"metadata node": {err: ErrNotCamera},
		"only h264":     {cam: fakeFormats{modes: []mode{{h264, 1280, 720, 30}}}, err: ErrNotCamera},
		"busy": {
			cam: fakeFormats{modes: []mode{{grey, 1280, 720, 0}}, refuse: map[fourcc]error{grey: unix.EBUSY}},
			err: ErrBusy,
		},
		"unplugged meanwhile": {
			cam: fakeFormats{modes: []mode{{grey, 1280, 720, 0}}, refuse: map[fourcc]error{grey: unix.ENODEV}},
			err: ErrGone,
		},
		"all refused": {
			cam: fakeFormats{modes: []mode{{grey, 1280, 720, 0}}, refuse: map[fourcc]error{grey: unix.EINVAL}},
			err: ErrNotCamera,
		},
	} {
		t.Run(name, func(t *testing.T) {
			lay, err := negotiate(&tt.cam, tt.cam.current, asked{1280, 720, 15, false})
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if got := (mode{format: lay.format, width: uint32(lay.width), height: uint32(lay.height)}); err == nil && got != tt.want {
				t.Errorf("agreed on %v %dx%d", got.format, got.width, got.height)
			}
		})
	}
}

// The driver's word counts, not what was asked of it (HIL: 1280×720 was asked
// and confirmed, 640×480 came).
func TestNegotiateTakesTheDriversWord(t *testing.T) {
	cam := fakeFormats{modes: []mode{{yuyv, 1280, 720, 30}}}
	lay, err := negotiate(&cam, func() (layout, error) { return layout{yuyv, 640, 480, 1344}, nil }, asked{1280, 720, 15, false})
	if err != nil || lay != (layout{yuyv, 640, 480, 1344}) {
		t.Errorf("%+v, %v", lay, err)
	}
}

func TestNegotiateOnANarrowBus(t *testing.T) {
	for name, tt := range map[string]struct {
		modes []mode
		want  fourcc
	}{
		"compressed instead":    {[]mode{{yuyv, 1280, 720, 30}, {mjpg, 1280, 720, 30}}, mjpg},
		"raw where only raw is": {[]mode{{yuyv, 1280, 720, 30}}, yuyv},
	} {
		cam := fakeFormats{modes: tt.modes}
		if lay, err := negotiate(&cam, cam.current, asked{1280, 720, 15, true}); err != nil || lay.format != tt.want {
			t.Errorf("%s: %v, %v", name, lay.format, err)
		}
	}
}

func TestListFormats(t *testing.T) {
	cam := fakeFormats{modes: []mode{{format: 'H' | '2'<<8 | '6'<<16 | '4'<<24}, {format: 1}}}
	_, err := negotiate(&cam, cam.current, asked{1280, 720, 15, false})
	if err == nil || !strings.Contains(err.Error(), "H264") || strings.ContainsRune(err.Error(), 1) {
		t.Errorf("error %q", err)
	}
}
