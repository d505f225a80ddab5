// Package mqttlink keeps one MQTT 3.1.1 session with one broker alive: it
// dials, subscribes, publishes, notices a dead link and starts again. It owns
// the socket, the client library and the waiting between attempts. It knows
// no topic of ours, no message body and no signature, and it stores nothing:
// what must survive a lost link is sent again by whoever owns it.
//
// A nil error from [Link.Publish] says that the broker took the message. It
// does not say that anybody received it: a broker that forbids the topic, has
// a full queue or is killed a moment later answers just the same.
//
// The client library is eclipse/paho.mqtt.golang. Its habits decide the form
// of this package: a client is used for one connection and then replaced; its
// handler only queues; it never reconnects, resumes or stores by itself.
package mqttlink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Errors a caller decides on.
var (
	// ErrNotConnected is given at once by Publish and Retained while there is
	// no session; nothing was queued.
	ErrNotConnected = errors.New("not connected to the broker")
	// ErrTooLarge is a body above Options.MaxBody or a topic that no broker
	// would take. Trying again does not help.
	ErrTooLarge = errors.New("message does not fit")
	// ErrRefused is a subscription that the broker answered with 0x80.
	ErrRefused = errors.New("the broker refuses this subscription")
	// ErrNothingRetained is a Retained topic that brought nothing in time.
	ErrNothingRetained = errors.New("nothing retained on this topic")
)

// Will is the message that the broker publishes when the link breaks. Run
// publishes the same message itself before an orderly end, so a reader need
// not tell the two apart. It is sent at QoS 1.
type Will struct {
	Topic    string
	Body     []byte
	Retained bool
}

// Options of a link. Only Broker and ClientID have no default.
type Options struct {
	// Broker is "mqtt://host[:1883]", or "mqtts://host[:8883]" with TLS set.
	Broker   string
	ClientID string
	Username string
	Password string
	// KeepAlive is the longest silence before a ping, in whole seconds;
	// default 25 s.
	KeepAlive time.Duration
	Will      *Will
	// Persistent asks the broker to queue for this client id while it is
	// away. Everything is subscribed anew on each connect all the same.
	Persistent bool
	// WriteTimeout bounds each write to the socket and is handed to the
	// kernel as TCP_USER_TIMEOUT; default 10 s.
	WriteTimeout time.Duration
	// ConnectTimeout bounds dialling, and again the handshake; default 10 s.
	ConnectTimeout time.Duration
	// AckTimeout is how long a PUBACK or SUBACK may take before the session
	// is given up; default 30 s (a cluster that elects a leader needs 11 s).
	AckTimeout time.Duration
	// MaxBody bounds bodies both ways, in bytes; default 800 KiB (the largest
	// manifest, and below the 1 MiB at which a cluster hangs up). A larger
	// one that arrives is cut off while it is read, counted and dropped.
	MaxBody int
	// Window bounds QoS 1 messages without a PUBACK; default 32.
	Window int
	// TLS, when set, is used for "mqtts".
	TLS *tls.Config
	// OnFault is told when [Status.Fault] changes, with an empty Code when
	// all is well again. It must not block and must not call the link.
	OnFault func(Fault)

	// Dial replaces the dialler, for tests.
	Dial func(ctx context.Context, address string) (net.Conn, error)
	// retry replaces the waiting between attempts, for tests.
	retry *backoff
	// again replaces the times of the second reading, for tests.
	again *rereads
}

// Handler takes one message. It runs on the goroutine of its subscription,
// one message at a time. Another subscription may read the same body, so it
// must not be changed.
type Handler func(topic string, body []byte, retained bool)

// Status is a link as it stands.
type Status struct {
	Connected bool
	Since     time.Time // of Connected, or of its absence
	Broker    string    // without credentials
	Sessions  uint64    // connections made
	LastError string    // why the last attempt or session ended
	Fault     Fault
	InFlight  int
	Published uint64 // acknowledged at QoS 1, or written at QoS 0
	Received  uint64
	Dropped   uint64   // arrived and thrown away: a full queue
	Oversize  uint64   // arrived and thrown away: above MaxBody
	Refused   []string // filters that the broker refused
}

// Link is one session with one broker. Make it with [New], subscribe, then
// call Run once.
type Link struct {
	o       Options
	address string // host:port
	secure  bool
	log     *slog.Logger

	subs    []*subscription // fixed once Run has begun
	onUp    []func()
	onDown  []func()
	waiters waiters

	published, received, oversize atomic.Uint64

	mu       sync.Mutex // guards all following
	running  bool
	session  *session // nil while not connected
	leaving  bool     // nothing is taken any more but our own goodbye
	since    time.Time
	sessions uint64
	lastErr  error
	refused  []string
	short    int // sessions in a row that the broker ended soon after they began
	fault    Fault

	// work counts goroutines that may outlive their session by a write
	// timeout; Run waits for them.
	work sync.WaitGroup
}

// New checks the options. It does not dial.
func New(o Options, log *slog.Logger) (*Link, error) {
	u, err := url.Parse(o.Broker)
	if err != nil || u.Hostname() == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
		return nil, fmt.Errorf("broker must look like mqtt://host:1883")
	}
	port, secure := "1883", false
	switch u.Scheme {
	case "mqtt":
	case "mqtts":
		port, secure = "8883", true
		if o.TLS == nil {
			return nil, fmt.Errorf("broker %s: no TLS settings", u.Redacted())
		}
	default:
		return nil, fmt.Errorf("broker scheme %q: known are mqtt and mqtts", u.Scheme)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if o.ClientID == "" {
		return nil, errors.New("a link needs a client id")
	}
	defaults(&o)
	if o.Will != nil {
		if err := checkTopic(o.Will.Topic); err != nil {
			return nil, fmt.Errorf("will: %w", err)
		}
	}
	return &Link{
		o:       o,
		address: net.JoinHostPort(u.Hostname(), port),
		secure:  secure,
		log:     log,
		since:   time.Now(),
	}, nil
}

func defaults(o *Options) {
	orDuration := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	orDuration(&o.KeepAlive, 25*time.Second)
	o.KeepAlive = max(o.KeepAlive.Round(time.Second), time.Second)
	orDuration(&o.WriteTimeout, 10*time.Second)
	orDuration(&o.ConnectTimeout, 10*time.Second)
	orDuration(&o.AckTimeout, 30*time.Second)
	if o.MaxBody <= 0 {
		o.MaxBody = 800 << 10
	}
	if o.Window <= 0 {
		o.Window = 32
	}
	if o.Dial == nil {
		o.Dial = dialer(o.ConnectTimeout, o.WriteTimeout)
	}
	if o.retry == nil {
		o.retry = newBackoff()
	}
	if o.again == nil {
		o.again = &defaultRereads
	}
}

// OnUp adds a hook that is called after each connect, once all filters are
// subscribed. Like OnDown it belongs before Run, must not block, and is for
// waking somebody up.
func (l *Link) OnUp(f func()) { l.beforeRun("OnUp"); l.onUp = append(l.onUp, f) }

// OnDown adds a hook that is called when a session has ended.
func (l *Link) OnDown(f func()) { l.beforeRun("OnDown"); l.onDown = append(l.onDown, f) }

func (l *Link) beforeRun(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running {
		panic("mqttlink: " + what + " after Run")
	}
}

// Connected says whether there is a session with all filters asked for.
func (l *Link) Connected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session != nil
}

// Publish hands a message to the broker and waits until it was taken: for the
// PUBACK at QoS 1, for the write at QoS 0. It refuses with [ErrNotConnected]
// rather than queue. When ctx ends first the message may still arrive. The
// body must not change afterwards. QoS 2 does not exist here.
func (l *Link) Publish(ctx context.Context, topic string, body []byte, qos byte, retained bool) error {
	if err := checkTopic(topic); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if len(body) > l.o.MaxBody {
		return fmt.Errorf("publish %s: %d bytes: %w", topic, len(body), ErrTooLarge)
	}
	if qos > 1 {
		return fmt.Errorf("publish %s: QoS %d is not used", topic, qos)
	}
	s := l.current()
	if s == nil {
		return fmt.Errorf("publish %s: %w", topic, ErrNotConnected)
	}
	if err := s.publish(ctx, topic, body, qos, retained); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	l.published.Add(1)
	return nil
}

// Status gives the link as it stands.
func (l *Link) Status() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := Status{
		Connected: l.session != nil,
		Since:     l.since,
		Broker:    l.address,
		Sessions:  l.sessions,
		Fault:     l.fault,
		Published: l.published.Load(),
		Received:  l.received.Load(),
		Oversize:  l.oversize.Load(),
		Refused:   append([]string(nil), l.refused...),
	}
	if l.lastErr != nil {
		st.LastError = l.lastErr.Error()
	}
	if l.session != nil {
		st.InFlight = len(l.session.window)
	}
	for _, sub := range l.subs {
		st.Dropped += sub.dropped.Load()
	}
	return st
}

func (l *Link) current() *session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving {
		return nil
	}
	return l.session
}
