package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNotRunning says that no agent listens on the socket.
var ErrNotRunning = errors.New("the agent is not running")

// ErrForbidden says that this user may not ask.
var ErrForbidden = errors.New("this user may not ask the agent; use sudo, or join its group")

// ErrNotKept says that the agent does not have what was asked for.
var ErrNotKept = errors.New("the agent does not keep that")

// maxLine bounds one line of a stream.
const maxLine = 1 << 20

// answerWait bounds the wait for the head of an answer.
const answerWait = 2 * time.Minute

// Client asks the agent behind a socket. It is safe for concurrent use.
//
// It writes its requests and reads the answers without http.Client: one GET
// over one connection needs neither pooling, proxies, redirects nor TLS, which
// would cost the box half a mebibyte of program.
type Client struct{ socket string }

// NewClient makes a client; it connects with each request.
func NewClient(socket string) *Client { return &Client{socket} }

// Status asks for the box's word on itself, within five seconds.
func (c *Client) Status(ctx context.Context) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var s Status
	return s, c.one(ctx, "/status", &s)
}

// Policy asks for the document of a policy that is or was in force. It fails
// with [ErrNotKept] when the agent does not have it (any more).
func (c *Client) Policy(ctx context.Context, version uint64) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var doc json.RawMessage
	return doc, c.one(ctx, "/policy?version="+strconv.FormatUint(version, 10), &doc)
}

// Verify has the chain of the journal walked; that can take a minute.
func (c *Client) Verify(ctx context.Context) (Verification, error) {
	var v Verification
	return v, c.one(ctx, "/verify", &v)
}

// Entries calls fn with the CloudEvents JSON of each record: those at or after
// since, and above seq after; zero values mean all. event is only valid during
// the call.
func (c *Client) Entries(ctx context.Context, since time.Time, after uint64, fn func(event []byte) error) error {
	q := url.Values{}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	return c.lines(ctx, "/entries?"+q.Encode(), nil, fn)
}

// Decisions calls fn with each decision from now on, until ctx ends, fn
// returns an error, or the agent stops. ready, if not nil, is called once the
// agent has begun to send.
func (c *Client) Decisions(ctx context.Context, ready func(), fn func(Decision) error) error {
	return c.lines(ctx, "/decisions", ready, func(line []byte) error {
		var d Decision
		if err := json.Unmarshal(line, &d); err != nil {
			return fmt.Errorf("read a decision: %w", err)
		}
		return fn(d)
	})
}

// answer is a response and the connection that it comes over.
type answer struct {
	*http.Response
	conn net.Conn
	stop func() bool
}

func (a *answer) close() {
	a.stop()
	a.conn.Close() // first: a stream without end must not be read to its end
	a.Body.Close()
}

func (c *Client) get(ctx context.Context, path string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateagent"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	req.Close = true
	d := net.Dialer{Timeout: 2 * time.Second}
	conn, err := d.DialContext(ctx, "unix", c.socket)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return nil, ErrForbidden
	case err != nil:
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	fail := func(err error) (*answer, error) {
		stop()
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("ask the agent: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return fail(err)
	}
	if err := req.Write(conn); err != nil {
		return fail(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req) //nolint:bodyclose // answer.close does
	if err != nil {
		return fail(err)
	}
	if err := conn.SetDeadline(time.Time{}); err != nil { // a stream may be silent for long
		return fail(err)
	}
	a := &answer{Response: resp, conn: conn, stop: stop}
	if resp.StatusCode != http.StatusOK {
		defer a.close()
		why, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		if err != nil {
			return nil, fmt.Errorf("read the agent's answer: %w", err)
		}
		text := strings.TrimSpace(string(why))
		if resp.StatusCode == http.StatusNotFound {
			return nil, fmt.Errorf("%w: %s", ErrNotKept, text)
		}
		return nil, fmt.Errorf("the agent answers: %s", text)
	}
	return a, nil
}

func (c *Client) one(ctx context.Context, path string, into any) error {
	resp, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	defer resp.close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxLine)).Decode(into); err != nil {
		return fmt.Errorf("read the agent's answer: %w", err)
	}
	return nil
}

func (c *Client) lines(ctx context.Context, path string, ready func(), fn func([]byte) error) error {
	resp, err := c.get(ctx, path)
	if err != nil {
		return err
	}
	defer resp.close()
	if ready != nil {
		ready()
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(make([]byte, 0, 16<<10), maxLine)
	for in.Scan() {
		if len(in.Bytes()) == 0 {
			continue
		}
		if err := fn(in.Bytes()); err != nil {
			return err
		}
	}
	if err := in.Err(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("read from the agent: %w", err)
	}
	if why := resp.Trailer.Get(trailerError); why != "" {
		return fmt.Errorf("the agent ended the stream: %s", why)
	}
	return nil
}
