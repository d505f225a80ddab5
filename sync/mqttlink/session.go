package mqttlink

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// session is one connection from dial to close, with a client of its own: the
// library's clients must not be used again after a disconnect.
type session struct {
	link   *Link
	client mqtt.Client
	upAt   time.Time

	// calls carries work to the one goroutine that calls the client, whose
	// methods block for a write timeout when the link breaks under them.
	calls  chan func()
	window chan struct{} // one token for each QoS 1 publish under way

	dead  chan struct{} // closed by fail
	once  sync.Once
	cause error // set before dead is closed

	mu   sync.Mutex
	conn *frameConn
}

func newSession(l *Link) *session {
	return &session{
		link:   l,
		calls:  make(chan func()),
		window: make(chan struct{}, l.o.Window),
		dead:   make(chan struct{}),
	}
}

// fail ends the session for a reason; the first reason stays.
func (s *session) fail(err error) {
	s.once.Do(func() {
		s.cause = err
		close(s.dead)
	})
}

// lost is the error of a call that the end of the session cut short.
func (s *session) lost() error {
	if s.cause == nil {
		return ErrNotConnected
	}
	return fmt.Errorf("%w: %w", ErrNotConnected, s.cause)
}

// connect dials and shakes hands. It gives up when ctx ends.
func (s *session) connect(ctx context.Context) error {
	o := s.link.o
	scheme := "tcp"
	if s.link.secure {
		scheme = "ssl"
	}
	po := mqtt.NewClientOptions().
		AddBroker(scheme + "://" + s.link.address).
		SetClientID(o.ClientID).
		SetUsername(o.Username).
		SetPassword(o.Password).
		SetProtocolVersion(4).
		SetCleanSession(!o.Persistent).
		SetKeepAlive(o.KeepAlive).
		SetPingTimeout(o.WriteTimeout).
		SetConnectTimeout(o.ConnectTimeout).
		SetWriteTimeout(o.WriteTimeout).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetResumeSubs(false).
		SetOrderMatters(true).
		SetStore(mqtt.NewMemoryStore()).
		SetDefaultPublishHandler(s.received).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.fail(err) }).
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.open(ctx) })
	if w := o.Will; w != nil {
		po.SetBinaryWill(w.Topic, w.Body, 1, w.Retained)
	}
	s.client = mqtt.NewClient(po)
	stop := context.AfterFunc(ctx, s.hangUp)
	defer stop()

	tok := s.client.Connect()
	<-tok.Done() // bounded by two connect timeouts
	if err := ctx.Err(); err != nil {
		return err
	}
	// The library knows only five codes and takes any other for success.
	if code := s.connack(); code != 0 {
		return ConnackError{code}
	}
	if err := tok.Error(); err != nil {
		return fmt.Errorf("connect to %s: %w", s.link.address, s.reason(err))
	}
	s.upAt = time.Now()
	s.link.work.Go(s.serveCalls)
	return nil
}

// open dials and wraps the connection.
func (s *session) open(ctx context.Context) (net.Conn, error) {
	c, err := s.link.dial(ctx)
	if err != nil {
		s.fail(err)
		return nil, err
	}
	fc := newFrameConn(c, s.link.o.MaxBody, s.link.o.WriteTimeout, s.fail)
	s.mu.Lock()
	s.conn = fc
	s.mu.Unlock()
	if ctx.Err() != nil {
		s.hangUp() // the end came before there was anything to hang up
	}
	return fc, nil
}

func (s *session) connack() byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return 0
	}
	return byte(s.conn.connack.Load())
}

// reason gives why the session is over, where that is known better than from
// the client's own words.
func (s *session) reason(err error) error {
	select {
	case <-s.dead:
		if s.cause != nil {
			return s.cause
		}
	default:
	}
	return err
}

// hangUp closes the socket, which ends whatever the client is doing.
func (s *session) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// disconnect says goodbye to the broker.
func (s *session) disconnect() {
	s.client.Disconnect(uint(leaveWithin / time.Millisecond / 2))
	s.fail(nil)
}

// close releases everything; the session may have ended in any way before.
func (s *session) close() {
	s.fail(nil)
	if s.client != nil {
		s.client.Disconnect(0) // harmless when it is not connected
	}
	s.hangUp()
}

func (s *session) serveCalls() {
	for {
		select {
		case f := <-s.calls:
			f()
		case <-s.dead:
			return
		}
	}
}

// call has the client do something and gives its token. When it gives an
// error, what f began may still happen.
func (s *session) call(ctx context.Context, f func() mqtt.Token) (mqtt.Token, error) {
	got := make(chan mqtt.Token, 1)
	select {
	case s.calls <- func() { got <- f() }:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.dead:
		return nil, s.lost()
	}
	select {
	case tok := <-got:
		return tok, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.dead:
		return nil, s.lost()
	}
}

// publish takes a place in the window, which bounds the client's memory and
// keeps it far from running out of its 65,535 message ids.
func (s *session) publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error {
	select {
	case s.window <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.dead:
		return s.lost()
	}
	got := make(chan mqtt.Token, 1)
	tok, err := s.call(ctx, func() mqtt.Token {
		t := s.client.Publish(topic, qos, retained, body)
		got <- t
		return t
	})
	if err == nil {
		err = s.wait(ctx, tok)
	}
	if err != nil && ctx.Err() != nil {
		// The caller left. The place stays taken until the client is done.
		s.link.work.Go(func() {
			defer func() { <-s.window }()
			select {
			case t := <-got:
				_ = s.wait(context.Background(), t)
			case <-s.dead:
			case <-time.After(s.link.o.WriteTimeout): // it never got to the client
			}
		})
		return err
	}
	<-s.window
	return err
}

// wait waits for a token. A broker that stays silent for AckTimeout costs the
// session: a new one is the only cure the client library has.
func (s *session) wait(ctx context.Context, tok mqtt.Token) error {
	t := time.NewTimer(s.link.o.AckTimeout)
	defer t.Stop()
	select {
	case <-tok.Done():
		if err := tok.Error(); err != nil {
			return fmt.Errorf("%w: %w", ErrNotConnected, err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.dead:
		return s.lost()
	case <-t.C:
		s.fail(fmt.Errorf("the broker did not acknowledge within %v", s.link.o.AckTimeout))
		return s.lost()
	}
}

// subscribe asks for all filters in one packet and gives those refused.
func (s *session) subscribe(ctx context.Context, subs []*subscription) (refused []string, err error) {
	if len(subs) == 0 {
		return nil, nil
	}
	filters := make(map[string]byte, len(subs))
	for _, sub := range subs {
		filters[sub.filter] = max(filters[sub.filter], sub.qos)
	}
	tok, err := s.call(ctx, func() mqtt.Token { return s.client.SubscribeMultiple(filters, nil) })
	if err == nil {
		err = s.wait(ctx, tok)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	for _, sub := range subs {
		if subscribed(tok, sub.filter) != nil {
			refused = append(refused, sub.filter)
		}
	}
	return refused, nil
}

// subscribed looks at the SUBACK code, of which the token's error says nothing.
func subscribed(tok mqtt.Token, filter string) error {
	if err := tok.Error(); err != nil {
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	t, ok := tok.(*mqtt.SubscribeToken)
	if !ok {
		return nil
	}
	if code, answered := t.Result()[filter]; !answered || code > 2 {
		return ErrRefused
	}
	return nil
}

// received is the client's only handler. It runs on the client's reading
// goroutine, so it queues and returns.
func (s *session) received(_ mqtt.Client, m mqtt.Message) {
	l := s.link
	l.received.Add(1)
	topic, body := m.Topic(), m.Payload()
	if len(body) > l.o.MaxBody || len(topic) > maxTopic {
		l.oversize.Add(1)
		return
	}
	if l.waiters.offer(topic, body) {
		return
	}
	levels := strings.Split(topic, "/")
	for _, sub := range l.subs {
		switch {
		case !sub.matches(levels):
		case len(body) > sub.maxBody:
			l.oversize.Add(1)
		default:
			sub.offer(message{topic, body, m.Retained()}, s.dead)
		}
	}
}
