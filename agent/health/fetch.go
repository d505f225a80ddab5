package health

import (
	"fmt"
	"time"
)

// Fetch is how far the fetching of a data set has got; Version 0 means that
// nothing is under way.
type Fetch struct {
	Version   uint64
	Bytes, Of int64 // that are here, and all; both 0 while that is not known
	Rate      int64 // bytes a second of late; 0: unknown
	Left      time.Duration
	// At, if set, is when the fetching begins: gates are asked not to come all at
	// once. Left is then until that.
	At time.Time
}

// Text says it for the page, a time in the zone of At.
func (f Fetch) Text() Text {
	if !f.At.IsZero() {
		at := f.At.Format("15:04")
		if f.Left >= 20*time.Hour {
			at = f.At.Format("15:04 02/01")
		}
		return Text{
			VI: fmt.Sprintf("bản mới v%d sẽ được tải lúc %s", f.Version, at),
			EN: fmt.Sprintf("new base v%d is taken at %s", f.Version, at),
		}
	}
	if f.Of == 0 {
		return Text{VI: fmt.Sprintf("đang tải v%d", f.Version), EN: fmt.Sprintf("fetching v%d", f.Version)}
	}
	const mb = 1e6
	done := fmt.Sprintf("v%d: %d %%, %.1f / %.1f MB", f.Version, f.Bytes*100/f.Of, float64(f.Bytes)/mb, float64(f.Of)/mb)
	t := Text{VI: "đang tải " + done, EN: "fetching " + done}
	if f.Rate > 0 && f.Left > 0 {
		left := f.Left.Round(time.Second)
		t.VI += fmt.Sprintf(", còn %v", left)
		t.EN += fmt.Sprintf(", %v left", left)
	}
	return t
}
