package drivertest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"gateagent/agent/gate"
)

// A tape is a scanner's session, one JSON object a line, oldest first: when a
// scan came, counted from the start, and what it was. Tapes hold payloads in
// the clear: record fictional cards only.
type tapeLine struct {
	AfterMS    int64  `json:"after_ms"`
	Payload    []byte `json:"payload,omitempty"` // base64
	Unreadable bool   `json:"unreadable,omitempty"`
	DecodeUS   int64  `json:"decode_us,omitempty"`
	End        string `json:"end,omitempty"` // the error that ended the session
}

// Recorder is a scanner that writes down what another one gives.
type Recorder struct {
	from  Scanner
	start time.Time

	mu  sync.Mutex
	enc *json.Encoder
	err error // of writing
}

// Record makes a [Recorder] that writes its tape to w.
func Record(from Scanner, w io.Writer) *Recorder {
	return &Recorder{from: from, start: time.Now(), enc: json.NewEncoder(w)}
}

// Scan is the other scanner's, written down. The end of a context is not.
func (r *Recorder) Scan(ctx context.Context) (gate.Scan, error) {
	s, err := r.from.Scan(ctx)
	if err != nil && ctx.Err() != nil {
		return s, err
	}
	line := tapeLine{AfterMS: time.Since(r.start).Milliseconds()}
	if err != nil {
		line.End = err.Error()
	} else {
		line.Payload, line.Unreadable, line.DecodeUS = s.Payload, s.Unreadable, s.Decode.Microseconds()
	}
	r.mu.Lock()
	r.err = errors.Join(r.err, r.enc.Encode(line))
	r.mu.Unlock()
	return s, err
}

// Close closes the other scanner and says whether the tape is whole.
func (r *Recorder) Close() error {
	err := r.from.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(err, r.err)
}

// Play reads a tape and gives a scanner that tells it again, at the pace at
// which it was recorded. The session ends as the tape does, or with
// [ErrUnplugged]. It keeps the contract of [Scanner]; Close joins the player.
func Play(tape io.Reader) (*Player, error) {
	var lines []tapeLine
	in := bufio.NewScanner(tape)
	in.Buffer(nil, 1<<16)
	for in.Scan() {
		var l tapeLine
		if err := json.Unmarshal(in.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("tape line %d: %w", len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("tape: %w", err)
	}
	p := &Player{FakeScanner: NewFakeScanner(), stop: make(chan struct{}), done: make(chan struct{})}
	go p.play(lines)
	return p, nil
}

// Player tells a recorded session.
type Player struct {
	*FakeScanner
	once sync.Once
	stop chan struct{}
	done chan struct{}
}

func (p *Player) play(lines []tapeLine) {
	defer close(p.done)
	start := time.Now()
	for _, l := range lines {
		timer := time.NewTimer(time.Duration(l.AfterMS)*time.Millisecond - time.Since(start))
		select {
		case <-timer.C:
		case <-p.stop:
			timer.Stop()
			return
		}
		if l.End != "" {
			p.Fail(errors.New(l.End))
			return
		}
		p.Offer(gate.Scan{
			Payload: l.Payload, Unreadable: l.Unreadable,
			Seen: time.Now(), Decode: time.Duration(l.DecodeUS) * time.Microsecond,
		})
	}
	p.Unplug()
}

// Close ends the session.
func (p *Player) Close() error {
	p.once.Do(func() { close(p.stop) })
	<-p.done
	return p.FakeScanner.Close()
}
