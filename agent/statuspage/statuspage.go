// Package statuspage is the technician's page: whether this gate can decide
// and why, what is wrong and what to do about it, the last decisions, the data
// and policy in force; and the same for machines as /metrics and /healthz.
//
// It owns the HTTP server, the page and the metrics. It reads values that it
// is given and changes nothing; it shows no personal data. Everything it needs
// is embedded: no request leaves the box, and no script runs.
//
//	/         the page, Vietnamese first, English second
//	/metrics  Prometheus text
//	/healthz  200 "ok", or 503 with the cause when the gate cannot decide or a
//	          camera's picture is older than two seconds
//
// page_templ.go is generated from page.templ by `make generate`.
package statuspage

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/health"
)

//go:generate make -C ../.. generate

//go:embed style.css
var style []byte

//go:embed icon.svg
var icon []byte

// Options say what the page shows.
type Options struct {
	// Listen is an address on loopback; port 0 takes a free one.
	Listen string
	// Box gives the state of the box; it is called for each request. Nil
	// means that there is no configuration to run with: only the report
	// Broken is served.
	Box func() health.Box
	// Recent gives the last decisions, newest first; nil for none.
	Recent func() []feed.Decision
	// Broken is the report about a configuration with problems, when the last
	// good one is in force or none is; nil otherwise.
	Broken *config.Report
	// Zone is the time zone of the page; nil stands for UTC+7.
	Zone *time.Location
}

// The bounds of the server.
const (
	maxConnections = 64
	maxHeader      = 16 << 10
)

// Server serves the page.
type Server struct {
	o       Options
	log     *slog.Logger
	metrics *meter
	style   string // address of the stylesheet, new whenever it changes

	mu      sync.Mutex // guards address
	address string
	started chan struct{} // closed when address is known first
	once    sync.Once
}

// New makes a server; [Server.Run] opens its port.
func New(o Options, log *slog.Logger) *Server {
	if o.Zone == nil {
		o.Zone = time.FixedZone("UTC+7", 7*60*60)
	}
	sum := sha256.Sum256(style)
	return &Server{
		o: o, log: log, metrics: newMeter(), started: make(chan struct{}),
		style: "/style.css?" + hex.EncodeToString(sum[:4]),
	}
}

// Observe counts one decision for /metrics. It is safe for concurrent use and
// does not block.
func (s *Server) Observe(d feed.Decision) { s.metrics.observe(d) }

// Started is closed once the port has been opened.
func (s *Server) Started() <-chan struct{} { return s.started }

// Address gives the host and port that were opened, "" before that.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Run opens the port and serves until ctx ends, then waits for requests under
// way. An error means that the port could not be opened or was lost.
func (s *Server) Run(ctx context.Context) error {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", s.o.Listen)
	if err != nil {
		return fmt.Errorf("status page: %w", err)
	}
	s.mu.Lock()
	s.address = l.Addr().String()
	s.mu.Unlock()
	s.once.Do(func() { close(s.started) })
	srv := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("status page: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := srv.Shutdown(grace); err != nil {
		_ = srv.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Handler gives the pages with their protection.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.page)
	mux.HandleFunc("GET /metrics", s.serveMetrics)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /style.css", file("text/css; charset=utf-8", style))
	mux.HandleFunc("GET /icon.svg", file("image/svg+xml", icon))
	return guard(mux)
}

// guard sets the headers that keep a browser from running, embedding or
// fetching anything, and refuses names that are not this machine's, so that a
// foreign site cannot read the page through the technician's browser.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; "+
			"base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !local(r.Host) {
			http.Error(w, "ask for this page as localhost or by its address", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// local says whether a Host header is localhost or an address.
func local(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func file(contentType string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "public, max-age=86400")
		_, _ = w.Write(body) // a reader that went away
	}
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	var v view
	if s.o.Box == nil {
		v = onlyConfig(s.o.Broken, time.Now(), s.o.Zone)
	} else {
		var recent []feed.Decision
		if s.o.Recent != nil {
			recent = s.o.Recent()
		}
		v = viewOf(s.o.Box(), recent, s.o.Zone)
		v.broken = brokenOf(s.o.Broken, false)
	}
	v.style = s.style
	var body bytes.Buffer
	if err := page(v).Render(r.Context(), &body); err != nil {
		s.log.Error("the status page cannot be made", "err", err)
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w) // a reader that went away
}

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	cause, ok := s.healthy()
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, cause)
}

// healthy says whether the gate can decide on what it sees now, and else why
// not, in English.
func (s *Server) healthy() (cause string, ok bool) {
	if s.o.Box == nil {
		return string(health.ConfigBroken) + ": " + health.NewFault(health.ConfigBroken, "").Cause.EN, false
	}
	b := s.o.Box()
	if !b.CanDecide {
		return b.Why.EN, false
	}
	if lane, frozen := b.Frozen(); frozen {
		return fmt.Sprintf("The picture of lane %s is older than %v.", lane, health.MaxPictureAge), false
	}
	return "ok", true
}
