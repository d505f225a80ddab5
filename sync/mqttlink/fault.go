package mqttlink

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
)

// Fault says what is wrong with the link, by a code that does not change and
// a detail for the technician. The zero Fault says that all is well.
type Fault struct{ Code, Detail string }

// The fault codes of a link.
const (
	FaultUnreachable = "broker_unreachable" // no TCP connection, or it broke
	FaultRefused     = "broker_refused"     // CONNACK with a code other than 0
	FaultSubscribe   = "subscribe_refused"  // SUBACK 0x80; Status.Refused names the filters
	FaultTaken       = "session_taken"      // cut off soon after connecting, three times in a row
)

// ConnackError is a broker that answered and said no.
type ConnackError struct{ Code byte }

var connackWords = [...]string{
	1: "it does not speak MQTT 3.1.1",
	2: "it does not accept our client id",
	3: "its MQTT service is not available",
	4: "user name or password is wrong",
	5: "this client is not authorised",
}

func (e ConnackError) Error() string {
	if int(e.Code) < len(connackWords) && connackWords[e.Code] != "" {
		return fmt.Sprintf("the broker refuses us: %s (CONNACK %d)", connackWords[e.Code], e.Code)
	}
	return fmt.Sprintf("the broker refuses us (CONNACK %d)", e.Code)
}

// closedByPeer tells a connection that the other side ended from one that
// went silent or that we gave up: only the former looks like a takeover.
func closedByPeer(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// judge works out the present fault and tells OnFault when it changed.
func (l *Link) judge() {
	l.mu.Lock()
	f := l.judgeLocked()
	changed := f != l.fault
	l.fault = f
	l.mu.Unlock()
	if changed && l.o.OnFault != nil {
		l.o.OnFault(f)
	}
}

func (l *Link) judgeLocked() Fault {
	var no ConnackError
	switch {
	case l.short >= takeovers:
		return Fault{FaultTaken, fmt.Sprintf("the broker cut us off soon after connecting, %d times: does another box use the same site and gate?", l.short)}
	case l.session == nil && errors.As(l.lastErr, &no):
		return Fault{FaultRefused, no.Error()}
	case l.session == nil && l.lastErr != nil:
		return Fault{FaultUnreachable, l.lastErr.Error()}
	case l.session != nil && len(l.refused) > 0:
		return Fault{FaultSubscribe, "refused: " + strings.Join(l.refused, ", ")}
	}
	return Fault{}
}
