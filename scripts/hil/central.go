package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// central is the host's side: a broker, and gatectl as it ships.
type central struct {
	dir     string
	gatectl string
	port    int
	rootKey string
	broker  *process
	ingest  *process
}

// startCentral makes keys and data, publishes them, and begins to take in
// entries.
func startCentral(ctx context.Context, gatectl string) (*central, error) {
	dir, err := os.MkdirTemp("", "hil-central-")
	if err != nil {
		return nil, err
	}
	c := &central{dir: dir, gatectl: gatectl}
	if err := c.start(ctx); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

var rootKeyLine = regexp.MustCompile(`root_keys = \["([^"]+)"`)

func (c *central) start(ctx context.Context) error {
	err := errors.Join(
		os.WriteFile(c.path("pass"), []byte("a passphrase of the bench\n"), 0o600),
		os.WriteFile(c.path("people.csv"), []byte(peopleList(time.Now())), 0o600))
	if err != nil {
		return err
	}
	if c.broker, c.port, err = startBroker(ctx, c.dir); err != nil {
		return err
	}
	said, err := c.run(ctx, "keygen", "--dir", "keys", "--site", siteName, "--set", setName, "--passphrase-file", "pass")
	if err != nil {
		return err
	}
	found := rootKeyLine.FindStringSubmatch(said)
	if found == nil {
		return fmt.Errorf("keygen printed no root key:\n%s", said)
	}
	c.rootKey = found[1]
	url := fmt.Sprintf("mqtt://127.0.0.1:%d", c.port)
	signer := []string{"--keys", "keys", "--passphrase-file", "pass"}
	for _, args := range [][]string{
		append([]string{"trust", "publish", "--site", siteName, "--broker", url}, signer...),
		append([]string{"snapshot", "build", "people.csv", "--set", setName, "--out", "set"}, signer...),
		{"snapshot", "publish", "set", "--broker", url},
		append([]string{"policy", "publish", "--site", siteName, "--level", "3", "--broker", url}, signer...),
	} {
		if _, err := c.run(ctx, args...); err != nil {
			return err
		}
	}
	c.ingest, err = spawn(c.gatectl,
		"ingest", "--sink", "jsonl:"+c.entries(),
		"--gates", c.path("gates.json"), "--learn", "--broker", url,
		"--keys", c.path("keys"), "--passphrase-file", c.path("pass"))
	return err
}

func (c *central) path(name string) string { return filepath.Join(c.dir, name) }
func (c *central) entries() string         { return c.path("entries.jsonl") }

func (c *central) run(ctx context.Context, args ...string) (string, error) {
	return output(ctx, c.dir, nil, c.gatectl, args...)
}

func (c *central) stop() {
	c.ingest.end()
	c.broker.end()
	_ = os.RemoveAll(c.dir)
}

// event is what the bench looks at in an event of DESIGN §4.4.
type event struct {
	Type string
	Data struct {
		Seq, Ref  uint64
		Kind      string
		Verdict   string
		Reasons   []string
		Data      map[string]uint64
		Policy    struct{ Version uint64 }
		Opened    bool
		LatencyMS struct{ Decode, Actuate, Record float64 } `json:"latency_ms"`
	}
}

// received gives all that central has taken in: signatures, sequence and chain
// were checked by then.
func (c *central) received() ([]event, error) {
	b, err := os.ReadFile(c.entries())
	if err != nil {
		return nil, err
	}
	var all []event
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("central's file: %w", err)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// mark gives how much central has now, for [central.wait].
func (c *central) mark() int {
	all, err := c.received()
	if err != nil {
		return 0
	}
	return len(all)
}

// wait waits until what came after a mark satisfies enough, and gives it.
func (c *central) wait(ctx context.Context, after int, what string, enough func([]event) bool) ([]event, error) {
	for {
		all, err := c.received()
		if err == nil && len(all) >= after && enough(all[after:]) {
			return all[after:], nil
		}
		select {
		case <-ctx.Done():
			var kinds []string
			for _, e := range all[min(after, len(all)):] {
				kinds = append(kinds, strings.TrimSuffix(e.Type+" "+e.Data.Kind+e.Data.Verdict, " "))
			}
			return nil, fmt.Errorf("central did not get %s; it got %q\n%s", what, kinds, c.ingest.output())
		case <-c.ingest.done:
			return nil, fmt.Errorf("gatectl ingest ended: %s", c.ingest.output())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// entriesOf picks the entries, passagesOf the passages.
func entriesOf(all []event) (picked []event) {
	for _, e := range all {
		if e.Type == "gate.entry.v1" {
			picked = append(picked, e)
		}
	}
	return picked
}

func passagesOf(all []event) (picked []event) {
	for _, e := range all {
		if e.Type == "gate.passage.v1" {
			picked = append(picked, e)
		}
	}
	return picked
}
