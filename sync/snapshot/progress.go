package snapshot

import (
	"time"
)

// depart says that the way to t has begun.
func (f *Fetcher) depart(t *target) {
	f.mu.Lock()
	begun := t != nil && f.st.Target != t.m.Ver
	if begun {
		f.st.Target = t.m.Ver
		f.st.Done, f.st.Chunks, f.st.Bytes, f.st.OfBytes = 0, 0, 0, 0
		f.meter = meter{}
		f.drawn = false
	}
	f.mu.Unlock()
	if begun {
		f.tell(true)
	}
}

// arrive says that nothing is under way.
func (f *Fetcher) arrive() {
	f.mu.Lock()
	was := f.st.Target
	f.st.Target, f.st.Done, f.st.Chunks, f.st.Bytes, f.st.OfBytes = 0, 0, 0, 0, 0
	f.mu.Unlock()
	if was != 0 {
		f.tell(true)
	}
}

// tellEvery is how often progress is told.
const tellEvery = 10 * time.Second

// tell tells of progress, not too often unless it is news.
func (f *Fetcher) tell(news bool) {
	if f.o.OnProgress == nil {
		return
	}
	f.mu.Lock()
	due := news || time.Since(f.told) >= tellEvery
	if due {
		f.told = time.Now()
	}
	f.mu.Unlock()
	if due {
		f.o.OnProgress()
	}
}

// meter says how fast bytes come: over the last two spans of meterSpan.
type meter struct {
	began      time.Time
	now, since int64 // bytes of this span, and of the one before
	full       bool  // there is one before
}

const meterSpan = 10 * time.Second

func (m *meter) add(at time.Time, n int64) {
	m.turn(at)
	m.now += n
}

func (m *meter) turn(at time.Time) {
	if m.began.IsZero() {
		m.began = at
	}
	for spans := 0; at.Sub(m.began) >= meterSpan && spans < 3; spans++ {
		m.since, m.now, m.full = m.now, 0, true
		m.began = m.began.Add(meterSpan)
	}
	if at.Sub(m.began) >= meterSpan {
		*m = meter{began: at, full: true}
	}
}

func (m *meter) rate(at time.Time) int64 {
	if m.began.IsZero() {
		return 0
	}
	m.turn(at)
	over, bytes := at.Sub(m.began), m.now
	if m.full {
		over += meterSpan
		bytes += m.since
	}
	if over < time.Second {
		return 0
	}
	return int64(float64(bytes) / over.Seconds())
}
