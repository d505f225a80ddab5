package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// qmp is qemu's control connection.
type qmp struct {
	mu   sync.Mutex
	conn net.Conn
	in   *json.Decoder
}

// dialQMP waits until qemu listens on the socket.
func dialQMP(socket string) (*qmp, error) {
	var conn net.Conn
	err := errors.New("qemu does not listen")
	for range 200 {
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		time.Sleep(25 * time.Millisecond)
	}
	if err != nil {
		return nil, fmt.Errorf("reach qemu: %w", err)
	}
	q := &qmp{conn: conn, in: json.NewDecoder(bufio.NewReader(conn))}
	var greeting json.RawMessage
	if err := q.in.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("qemu's greeting: %w", err)
	}
	if _, err := q.execute("qmp_capabilities", nil); err != nil {
		return nil, err
	}
	return q, nil
}

func (q *qmp) execute(command string, arguments any) (json.RawMessage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := json.NewEncoder(q.conn).Encode(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{command, arguments})
	if err != nil {
		return nil, fmt.Errorf("qemu %s: %w", command, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		switch err := q.in.Decode(&answer); {
		case err != nil:
			return nil, fmt.Errorf("qemu %s: %w", command, err)
		case answer.Error != nil:
			return nil, fmt.Errorf("qemu %s: %s", command, answer.Error.Desc)
		case answer.Return != nil:
			return answer.Return, nil
		} // else an event
	}
}

// word reads 32 bits of the guest's physical memory, registers of devices
// included, from outside.
func (q *qmp) word(address uint64) (uint32, error) {
	raw, err := q.execute("human-monitor-command", map[string]string{"command-line": fmt.Sprintf("xp /1wx %#x", address)})
	if err != nil {
		return 0, err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return 0, fmt.Errorf("qemu's word: %w", err)
	}
	_, value, ok := strings.Cut(strings.TrimSpace(text), ": ")
	if !ok {
		return 0, fmt.Errorf("qemu shows %q at %#x", text, address)
	}
	n, err := strconv.ParseUint(value, 0, 32)
	if err != nil {
		return 0, fmt.Errorf("qemu shows %q at %#x", text, address)
	}
	return uint32(n), nil
}

func (q *qmp) close() error { return q.conn.Close() }
