// Package publish brings central's documents and data sets to the broker, and
// makes sure that they arrived there.
//
// It owns the short session that a command opens for this, and the order in
// which a data set is published: chunks first, then deltas, then the manifest
// that names them, and nothing is cleared that is still needed. It keeps no key: signing
// is done with the key that the caller opened.
//
// Every broker acknowledges a publish that its access list forbids and throws
// it away (DESIGN §4.3), so what was published retained is read back.
package publish

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// Broker says where the broker is and who we are to it.
type Broker struct {
	URL      string // mqtt://host:1883
	Prefix   string // of all topics; empty: wire.DefaultPrefix
	Username string
	Password string
	ClientID string
	// OnFault is told what is wrong with the link, as mqttlink.Options has it.
	OnFault func(mqttlink.Fault)
}

const (
	connectWait = 15 * time.Second
	readWait    = 3 * time.Second
	// absentWait is how long silence must last to mean that nothing is
	// retained on a topic.
	absentWait = 1500 * time.Millisecond
)

// Session is an open connection for a few messages.
type Session struct {
	Link   *mqttlink.Link
	Topics wire.Topics
	// MaxRetained is how many chunks of a set are kept on the broker at most;
	// 0: wire.MaxRetained. Boxes find the chunks either way.
	MaxRetained int
	// Again has Snapshot publish every chunk, also those that are noted as
	// published: of them it looks for one only, so what the broker has lost or
	// spoiled of the others is not found.
	Again bool

	cancel context.CancelFunc
	done   chan error
}

// NewLink makes the link that a session of b would use, and its topics.
func NewLink(b Broker, log *slog.Logger) (*mqttlink.Link, wire.Topics, error) {
	if b.Prefix == "" {
		b.Prefix = wire.DefaultPrefix
	}
	topics, err := wire.NewTopics(b.Prefix)
	if err != nil {
		return nil, wire.Topics{}, err
	}
	link, err := mqttlink.New(mqttlink.Options{
		Broker: b.URL, ClientID: b.ClientID, Username: b.Username, Password: b.Password, OnFault: b.OnFault,
	}, log)
	return link, topics, err
}

// Connect opens a session, waiting at most 15 s for the broker. subscribe, when
// set, adds subscriptions beforehand.
func Connect(ctx context.Context, b Broker, log *slog.Logger, subscribe func(*mqttlink.Link, wire.Topics)) (*Session, error) {
	link, topics, err := NewLink(b, log)
	if err != nil {
		return nil, err
	}
	if subscribe != nil {
		subscribe(link, topics)
	}
	up := make(chan struct{}, 1)
	link.OnUp(func() {
		select {
		case up <- struct{}{}:
		default:
		}
	})
	ctx, cancel := context.WithCancel(ctx)
	s := &Session{Link: link, Topics: topics, cancel: cancel, done: make(chan error, 1)}
	go func() { s.done <- link.Run(ctx) }()
	timer := time.NewTimer(connectWait)
	defer timer.Stop()
	select {
	case <-up:
		return s, nil
	case <-timer.C:
		st := link.Status()
		err = &ConnectError{Broker: b.URL, Why: whyNot(st), Refused: st.Fault.Code == mqttlink.FaultRefused}
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, s.Close())
}

// ConnectError is a broker to which there is no session.
type ConnectError struct {
	Broker, Why string
	Refused     bool // it is there and does not let us in
}

func (e *ConnectError) Error() string { return "broker " + e.Broker + ": " + e.Why }

func whyNot(s mqttlink.Status) string {
	switch {
	case s.Fault.Detail != "":
		return s.Fault.Detail
	case s.LastError != "":
		return s.LastError
	}
	return "no answer in 15 s"
}

// Close says goodbye and waits for the link to end.
func (s *Session) Close() error {
	s.cancel()
	return <-s.done
}

// ErrNotKept is what [Session.Retained] gives when the broker took a message
// and does not have it.
var ErrNotKept = errors.New("the broker took it and does not keep it: may we write there?")

// Retained publishes a retained message and reads it back.
func (s *Session) Retained(ctx context.Context, topic string, body []byte) error {
	if err := s.Link.Publish(ctx, topic, body, 1, true); err != nil {
		return err
	}
	got, err := s.Link.Retained(ctx, topic, readWait)
	switch {
	case errors.Is(err, mqttlink.ErrNothingRetained), err == nil && !bytes.Equal(got, body):
		return fmt.Errorf("publish %s: %w", topic, ErrNotKept)
	case err != nil:
		return fmt.Errorf("read %s back: %w", topic, err)
	}
	return nil
}

// Version gives the version of the document that is retained on a topic now; 0
// when there is none, [ErrNoDocument] when something else is there. The
// signature is not judged: a number too high does no harm, for the next one
// lies above it.
func (s *Session) Version(ctx context.Context, topic string) (uint64, error) {
	got, err := s.Link.Retained(ctx, topic, absentWait)
	if errors.Is(err, mqttlink.ErrNothingRetained) || err == nil && len(got) == 0 {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the version in force: %w", err)
	}
	v, err := DocumentVersion(got)
	if err != nil {
		return 0, fmt.Errorf("what is retained on %s: %w", topic, err)
	}
	return v, nil
}

// maxVersion keeps a hostile retained document from exhausting the numbers.
const maxVersion = 1 << 53

// DocumentVersion reads `ver` of a signed document without judging it.
func DocumentVersion(compact []byte) (uint64, error) {
	var head struct {
		Ver uint64 `json:"ver"`
	}
	payload, err := payloadOf(compact)
	if err != nil {
		return 0, err
	}
	if json.Unmarshal(payload, &head) != nil || head.Ver >= maxVersion {
		return 0, ErrNoDocument
	}
	return head.Ver, nil
}

// ErrNoDocument is what is given for anything else than a signed document.
var ErrNoDocument = errors.New("not a signed document of ours")

// payloadOf gives the payload of a JWS without judging it.
func payloadOf(compact []byte) ([]byte, error) {
	parts := strings.Split(string(compact), ".")
	if len(parts) != 3 {
		return nil, ErrNoDocument
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, ErrNoDocument
	}
	return payload, nil
}
