// Package control is the conversation between the bench and its guest: JSON
// lines over one TCP connection that the guest opens. The bench asks, the
// guest answers in any order and reports events unasked.
//
// It owns the messages and the way they are matched; what they do is said by
// the guest (scripts/hil/guest), when to send them by the bench (scripts/hil).
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"gateagent/scripts/hil/usbcam"
)

// Request asks the guest for one thing; exactly one of the pointers is set.
type Request struct {
	ID int

	Plug   *Plug   `json:",omitempty"`
	Unplug *Unplug `json:",omitempty"`
	Show   *Show   `json:",omitempty"`
	Start  *Start  `json:",omitempty"`
	Signal *Signal `json:",omitempty"`
	Exec   *Exec   `json:",omitempty"`
	Watch  *Watch  `json:",omitempty"`
	Relay  *Relay  `json:",omitempty"`
	Put    *Put    `json:",omitempty"`
	Nodes  *Nodes  `json:",omitempty"`
	Off    *Off    `json:",omitempty"`
}

// Plug plugs a camera into a USB port.
type Plug struct {
	Port  int
	Model usbcam.Spec
	Card  string // what it sees, see [Show]
}

// Unplug pulls a camera out of a port, as a hand does: without a word.
type Unplug struct{ Port int }

// Show changes what a camera sees: the name of a card among the guest's
// pictures, or empty for a wall.
type Show struct {
	Port int
	Card string
}

// Start starts a program whose output comes as events.
type Start struct {
	Name string // for events and signals
	Args []string
}

// Signal sends a signal by number to a started program.
type Signal struct {
	Name   string
	Number int
}

// Exec runs a program to its end.
type Exec struct {
	Args    []string
	Seconds int // it is killed after that
}

// Put writes a file, with its folders.
type Put struct {
	Path string
	Data []byte
	Mode uint32
}

// Watch opens a camera by driver/v4l2cam and reads codes from it. Its answer
// comes when the watch ends; each opening is an event before ("line" of
// "watch": "open /dev/video0").
type Watch struct {
	Device  string
	Width   int
	Height  int
	FPS     int
	Until   string // ends when this text was read; empty: after Seconds
	Seconds int
	// Lasting watches reopen a camera that is gone, until Seconds are over.
	Lasting bool
}

// Relay works a GPIO line by driver/gpiorelay: pulses it, then holds it, then
// closes it as a lane whose on_fault is "closed".
type Relay struct {
	Chip, Line string
	PulseMS    int
	HoldMS     int
}

// Nodes asks for the camera nodes and links.
type Nodes struct{}

// Off ends the guest.
type Off struct{}

// Message is what the guest sends: the answer to a request, or an event.
type Message struct {
	ID    int    `json:",omitempty"` // of the request; 0 in events
	Error string `json:",omitempty"`

	Output string   `json:",omitempty"` // of Exec
	Code   int      `json:",omitempty"` // exit code of Exec and of the event exit
	Nodes  []string `json:",omitempty"` // "/dev/video0", "/dev/v4l/by-id/x -> /dev/video0"
	Seen   *Seen    `json:",omitempty"` // of Watch

	Event string `json:",omitempty"` // "ready", "line" or "exit"
	Name  string `json:",omitempty"` // of the program
	Text  string `json:",omitempty"` // of the line
}

// Seen is what a watch saw.
type Seen struct {
	Texts  map[string]int // how often each text was read
	Opens  []Opened       // each time the camera was opened
	Faults []string       // why it was closed, in words
	Gone   int            // of these, by an unplug
	// Frames were looked at; Bad were refused by the driver package.
	Frames, Bad uint64
	// MicrosFrame is the median of waiting for and unpacking a frame,
	// MicrosRead of reading it.
	MicrosFrame, MicrosRead int64
	// CPUSeconds were used by the whole guest program meanwhile.
	CPUSeconds float64
}

// Opened is a camera as it was opened.
type Opened struct {
	Node, Format  string
	Width, Height int
	FPS           float64
}

// Conn is one end of the conversation.
type Conn struct {
	rw     io.ReadWriteCloser
	events func(Message)

	mu     sync.Mutex
	next   int
	waits  map[int]chan Message
	closed error
}

// ErrHungUp is given to callers when the other end is gone.
var ErrHungUp = errors.New("the guest has hung up")

// NewConn begins the bench's end. Events are handed over one by one, in order.
func NewConn(rw io.ReadWriteCloser, events func(Message)) *Conn {
	return &Conn{rw: rw, events: events, waits: map[int]chan Message{}}
}

// Run takes in messages until the other end closes.
func (c *Conn) Run() error {
	err := c.run()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = ErrHungUp
	for id, w := range c.waits {
		delete(c.waits, id)
		close(w)
	}
	return err
}

func (c *Conn) run() error {
	d := json.NewDecoder(bufio.NewReader(c.rw))
	for {
		var m Message
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("guest's message: %w", err)
		}
		if m.ID == 0 {
			c.events(m)
			continue
		}
		c.mu.Lock()
		w := c.waits[m.ID]
		delete(c.waits, m.ID)
		c.mu.Unlock()
		if w != nil {
			w <- m
		}
	}
}

// Ask sends a request and waits for its answer; an answer with Error set comes
// as an error beside the message.
func (c *Conn) Ask(ctx context.Context, r Request) (Message, error) {
	w := make(chan Message, 1)
	c.mu.Lock()
	if c.closed != nil {
		c.mu.Unlock()
		return Message{}, c.closed
	}
	c.next++
	r.ID = c.next
	c.waits[r.ID] = w
	err := json.NewEncoder(c.rw).Encode(r)
	c.mu.Unlock()
	if err != nil {
		return Message{}, fmt.Errorf("ask the guest: %w", err)
	}
	select {
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.waits, r.ID)
		c.mu.Unlock()
		return Message{}, ctx.Err()
	case m, ok := <-w:
		switch {
		case !ok:
			return Message{}, ErrHungUp
		case m.Error != "":
			return m, errors.New(m.Error)
		}
		return m, nil
	}
}

// Close hangs up.
func (c *Conn) Close() error { return c.rw.Close() }
