package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/net/netutil"

	"gateagent/agent/feed"
	"gateagent/agent/health"
)

// Entries is the part of the journal that is asked here.
type Entries interface {
	// Entries calls fn with the CloudEvents JSON of each record in order:
	// those at or after since, and above seq after; zero values mean all. It
	// stops at the first error of fn and returns it.
	Entries(ctx context.Context, since time.Time, after uint64, fn func(event []byte) error) error
	// Verify walks the whole chain.
	Verify(ctx context.Context) (Verification, error)
}

// Options say what a server gives.
type Options struct {
	Socket string
	// Mode of the socket; 0 stands for 0660, so that the agent's group may ask.
	Mode fs.FileMode
	Box  func() health.Box
	// Journal is nil while there is none; /entries and /verify then say so.
	Journal Entries
	// Policy gives the document of a policy that is or was in force by its
	// version; nil where none can be kept.
	Policy func(version uint64) ([]byte, error)
	Feed   *feed.Feed
}

// ErrRunning says that another agent listens on the socket.
var ErrRunning = errors.New("another agent is running")

const (
	maxConnections = 16
	// writeTimeout bounds one write to a reader; a stream has it anew for each
	// line.
	writeTimeout = 5 * time.Second
	// watchBuffer is how many decisions may wait for one reader.
	watchBuffer  = 256
	trailerError = "Gate-Error"
)

// Server answers on the socket.
type Server struct {
	o   Options
	log *slog.Logger
}

// New makes a server; [Server.Run] opens the socket.
func New(o Options, log *slog.Logger) *Server {
	if o.Mode == 0 {
		o.Mode = 0o660
	}
	return &Server{o: o, log: log}
}

// Run opens the socket and answers until ctx ends, then waits for requests
// under way and removes the socket. It returns [ErrRunning] when another agent
// listens there, and any other error of the socket.
func (s *Server) Run(ctx context.Context) error {
	l, err := listen(s.o.Socket, s.o.Mode)
	if err != nil {
		return fmt.Errorf("local socket %s: %w", s.o.Socket, err)
	}
	defer os.Remove(s.o.Socket)
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second, // a ReadTimeout would end streams
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		// Streams end when the agent does.
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(netutil.LimitListener(l, maxConnections)) }()
	select {
	case err := <-served:
		return fmt.Errorf("local socket %s: %w", s.o.Socket, err)
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

// listen opens the socket. One that nobody listens on is left from an agent
// that was killed, and is replaced; one that answers is another agent's. The
// socket is made under another name and renamed, so that it never stands there
// with the wrong mode.
func listen(path string, mode fs.FileMode) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, errors.New("there is a file of that name that is no socket")
	default:
		conn, err := net.DialTimeout("unix", path, time.Second)
		if err == nil {
			_ = conn.Close()
			return nil, ErrRunning
		}
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return nil, err
		}
	}
	// Under systemd the folder is there (RuntimeDirectory); started by hand it
	// may not be.
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	err = os.Chmod(temporary, mode)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = l.Close()
		_ = os.Remove(temporary)
		return nil, err
	}
	return l, nil
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", s.status)
	mux.HandleFunc("GET /entries", s.entries)
	mux.HandleFunc("GET /verify", s.verify)
	mux.HandleFunc("GET /policy", s.policy)
	mux.HandleFunc("GET /decisions", s.decisions)
	return mux
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, StatusOf(s.o.Box()))
}

func (s *Server) verify(w http.ResponseWriter, r *http.Request) {
	if s.o.Journal == nil {
		http.Error(w, "there is no journal yet", http.StatusServiceUnavailable)
		return
	}
	v, err := s.o.Journal.Verify(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.answer(w, v)
}

func (s *Server) policy(w http.ResponseWriter, r *http.Request) {
	version, err := strconv.ParseUint(r.FormValue("version"), 10, 64)
	if err != nil {
		http.Error(w, "version is not a number", http.StatusBadRequest)
		return
	}
	if s.o.Policy == nil {
		http.Error(w, "no policy is kept here", http.StatusNotFound)
		return
	}
	doc, err := s.o.Policy(version)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	s.answer(w, json.RawMessage(doc))
}

// answer sends one JSON value.
func (s *Server) answer(w http.ResponseWriter, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		s.log.Error("local answer cannot be encoded", "err", err)
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.Write(append(body, '\n')); err != nil {
		s.log.Debug("local reader went away", "err", err)
	}
}

// stream sends JSON values, one a line.
type stream struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newStream(w http.ResponseWriter) *stream {
	w.Header().Set("Content-Type", "application/x-ndjson; charset=utf-8")
	w.Header().Set("Trailer", trailerError)
	return &stream{w: w, rc: http.NewResponseController(w)}
}

func (st *stream) line(b []byte) error {
	if err := st.rc.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := st.w.Write(append(b, '\n')); err != nil {
		return err
	}
	return nil
}

// fail ends the stream with a reason.
func (st *stream) fail(why string) { st.w.Header().Set(trailerError, why) }

func (s *Server) entries(w http.ResponseWriter, r *http.Request) {
	if s.o.Journal == nil {
		http.Error(w, "there is no journal yet", http.StatusServiceUnavailable)
		return
	}
	var since time.Time
	var after uint64
	var err error
	if v := r.FormValue("since"); v != "" {
		if since, err = time.Parse(time.RFC3339, v); err != nil {
			http.Error(w, "since is not a time like 2021-09-01T07:00:00Z", http.StatusBadRequest)
			return
		}
	}
	if v := r.FormValue("after"); v != "" {
		if after, err = strconv.ParseUint(v, 10, 64); err != nil {
			http.Error(w, "after is not a number", http.StatusBadRequest)
			return
		}
	}
	st := newStream(w)
	// Appending the line end must not write into the journal's memory.
	err = s.o.Journal.Entries(r.Context(), since, after, func(event []byte) error {
		return st.line(slices.Clip(event))
	})
	if err != nil {
		s.log.Debug("entries ended early", "err", err)
		st.fail(err.Error())
	}
}

func (s *Server) decisions(w http.ResponseWriter, r *http.Request) {
	watch := s.o.Feed.Watch(watchBuffer)
	defer watch.Close()
	st := newStream(w)
	w.WriteHeader(http.StatusOK)
	if err := st.rc.Flush(); err != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case d, ok := <-watch.C():
			if !ok {
				st.fail("the reader was too slow")
				return
			}
			b, err := json.Marshal(DecisionOf(d))
			if err != nil {
				st.fail(err.Error())
				return
			}
			if err = st.line(b); err == nil && len(watch.C()) == 0 {
				err = st.rc.Flush()
			}
			if err != nil {
				return
			}
		}
	}
}
