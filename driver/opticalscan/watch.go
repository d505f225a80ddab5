package opticalscan

import "time"

// watch applies the rule of DESIGN §6: a code in view that cannot be read for a
// second is reported, once per appearance.
type watch struct {
	options Options
	since   time.Time // when the unread code came into view; zero: none is
	last    time.Time // until when any code was last in view, read or not
	read    time.Time // when one was last read, in this appearance
	told    bool
}

// observe takes what the frame handed over at `at` shows, and says whether an
// unreadable code is to be reported now. took is how long reading it took: a
// code that is hard to read is not gone while we look at it.
func (w *watch) observe(at time.Time, took time.Duration, read, inView bool) bool {
	if !w.last.IsZero() && at.Sub(w.last) >= w.options.GoneAfter {
		*w = watch{options: w.options} // whatever was in view is gone
	}
	switch {
	case read:
		w.last, w.read = at.Add(took), at
		w.since, w.told = time.Time{}, false
		return false
	case !inView:
		return false
	}
	w.last = at.Add(took)
	if w.since.IsZero() {
		w.since = at
	}
	if w.told || at.Sub(w.since) < w.options.UnreadableAfter {
		return false
	}
	if !w.read.IsZero() && at.Sub(w.read) < w.options.QuietAfterRead {
		return false
	}
	w.told = true
	return true
}
