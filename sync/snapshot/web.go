package snapshot

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Web fetches chunks from web servers over HTTPS. It is a small client of its
// own: the standard one would be a good part of the box's program, for what is
// one kind of request. It goes straight to the servers that a signed manifest
// names: it uses no proxy, follows no redirection, keeps no cookie, and does
// not trust what comes, since a chunk is held to its digest.
type Web struct {
	tls *tls.Config

	mu   sync.Mutex
	idle map[string][]*webConn // by host, the one used last at the end
}

// NewWeb makes a Web. roots are the certificates it believes, as PEM; without
// any, those of the system.
func NewWeb(roots []byte) (*Web, error) {
	w := &Web{tls: &tls.Config{MinVersion: tls.VersionTLS12}, idle: make(map[string][]*webConn)}
	if len(roots) > 0 {
		w.tls.RootCAs = x509.NewCertPool()
		if !w.tls.RootCAs.AppendCertsFromPEM(roots) {
			return nil, errors.New("no certificate in PEM form")
		}
	}
	return w, nil
}

const (
	// webWithin bounds one chunk, from dialling to its last byte.
	webWithin = 15 * time.Second
	// webIdle is how long a connection may wait to be used again.
	webIdle = 30 * time.Second
	// webHeader bounds the header of an answer, in bytes.
	webHeader = 16 << 10
)

// webConn is one connection to a server.
type webConn struct {
	net.Conn
	limit *io.LimitedReader // below r: bounds what an answer may take
	r     *bufio.Reader
	since time.Time // when it became idle
}

// get gives the body at an https URL, which must have exactly size bytes.
func (w *Web) get(ctx context.Context, address string, size int) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New("not an https address")
	}
	ctx, cancel := context.WithTimeout(ctx, webWithin)
	defer cancel()
	for {
		c, used, err := w.conn(ctx, u)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Host, err)
		}
		body, keep, err := c.get(ctx, u, size)
		if err == nil && keep {
			w.put(u.Host, c)
		} else {
			_ = c.Close()
		}
		if err != nil && used && ctx.Err() == nil {
			continue // the server may have closed it meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", u.Host, err)
		}
		return body, nil
	}
}

// conn gives an idle connection, or a new one.
func (w *Web) conn(ctx context.Context, u *url.URL) (c *webConn, used bool, err error) {
	w.mu.Lock()
	for list := w.idle[u.Host]; len(list) > 0; list = w.idle[u.Host] {
		c = list[len(list)-1]
		w.idle[u.Host] = list[:len(list)-1]
		if time.Since(c.since) < webIdle {
			w.mu.Unlock()
			return c, true, nil
		}
		_ = c.Close()
	}
	w.mu.Unlock()
	port := u.Port()
	if port == "" {
		port = "443"
	}
	var d net.Dialer
	raw, err := d.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, false, err
	}
	cfg := w.tls.Clone()
	cfg.ServerName = u.Hostname()
	tc := tls.Client(raw, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, false, err
	}
	limit := &io.LimitedReader{R: tc}
	return &webConn{Conn: tc, limit: limit, r: bufio.NewReaderSize(limit, 4<<10)}, false, nil
}

// put keeps a connection for the next chunk.
func (w *Web) put(host string, c *webConn) {
	c.since = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle[host]) >= window || len(w.idle) > 16 {
		_ = c.Close()
		return
	}
	w.idle[host] = append(w.idle[host], c)
}

// Close closes the connections that wait.
func (w *Web) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.idle {
		for _, c := range list {
			_ = c.Close()
		}
	}
	clear(w.idle)
}

// get asks for one body. keep is true when the connection can be used again.
func (c *webConn) get(ctx context.Context, u *url.URL, size int) (body []byte, keep bool, err error) {
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if !stop() {
			keep = false // its deadline is gone by
		}
		if err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}()
	// The path comes from a parsed URL and the host from one that a manifest
	// was checked for: neither can hold a line break.
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept-Encoding: identity\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return nil, false, err
	}
	c.limit.N = int64(webHeader + size + 1)
	res, err := http.ReadResponse(c.r, &http.Request{Method: http.MethodGet}) //nolint:bodyclose // the connection is closed with what it holds
	if err != nil {
		return nil, false, err
	}
	switch {
	case res.StatusCode != http.StatusOK:
		return nil, false, errors.New(res.Status)
	case res.ContentLength > int64(size):
		return nil, false, fmt.Errorf("%d bytes: %w", res.ContentLength, errWrongChunk)
	}
	body, err = io.ReadAll(io.LimitReader(res.Body, int64(size)+1))
	if err != nil {
		return nil, false, err
	}
	return body, !res.Close && res.ContentLength == int64(len(body)), nil
}
