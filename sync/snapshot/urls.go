package snapshot

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// A web server that failed is left alone for urlRestFirst, doubling to
	// urlRestMost: the broker has the same chunks.
	urlRestFirst = time.Minute
	urlRestMost  = time.Hour
)

// urlHealth knows which servers failed.
type urlHealth struct {
	mu   sync.Mutex
	rest map[string]*urlRest
}

type urlRest struct {
	until time.Time
	next  time.Duration
}

func (h *urlHealth) usable(urls []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []string
	for _, u := range urls {
		if r := h.rest[u]; r == nil || !time.Now().Before(r.until) {
			out = append(out, u)
		}
	}
	return out
}

func (h *urlHealth) note(u string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ok {
		delete(h.rest, u)
		return
	}
	r := h.rest[u]
	if r == nil {
		if h.rest == nil || len(h.rest) > 64 { // manifests may name new ones for ever
			h.rest = make(map[string]*urlRest)
		}
		r = &urlRest{next: urlRestFirst}
		h.rest[u] = r
	}
	r.until = time.Now().Add(r.next)
	r.next = min(2*r.next, urlRestMost)
}

// byURL tries the servers in random order; ok is false when none of them has
// the chunk.
func (c *Courier) byURL(ctx context.Context, p parcel, urls []string) (body []byte, ok bool) {
	usable := c.urls.usable(urls)
	for _, i := range rand.Perm(len(usable)) {
		body, err := c.download(ctx, usable[i]+p.digest, p)
		if ctx.Err() != nil {
			return nil, false
		}
		c.urls.note(usable[i], err == nil)
		if err == nil {
			c.count(func(st *CourierStatus) { st.Chunks++; st.ByURL++; st.Bytes += uint64(len(body)) })
			return body, true
		}
		if errors.Is(err, errWrongChunk) {
			c.count(func(st *CourierStatus) { st.Wrong++ })
		}
		c.log.Warn("a chunk did not come from a web server; the broker is asked", "error", err)
	}
	return nil, false
}

func (c *Courier) download(ctx context.Context, url string, p parcel) ([]byte, error) {
	body, err := c.o.Web.get(ctx, url, p.size)
	if err == nil && !p.is(body) {
		err = errWrongChunk
	}
	return body, err
}
