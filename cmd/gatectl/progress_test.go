package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
)

func TestRate(t *testing.T) {
	for _, c := range []struct {
		p    dataset.Progress
		took time.Duration
		want string
	}{
		{dataset.Progress{Stage: dataset.Reading, People: 1000, Done: 1, Total: 100}, 500 * time.Millisecond, "reading: 1000 people"},
		{dataset.Progress{Stage: dataset.Reading, People: 30_000_000, Done: 1 << 30, Total: 4 << 30}, 30 * time.Second, "reading: 30000000 people, 1000000 a second, 25 %, 1m30s left"},
		{dataset.Progress{Stage: dataset.Reading, People: 5_000_000, Done: 1 << 30}, 5 * time.Second, "reading: 5000000 people, 1000000 a second"},
		{dataset.Progress{Stage: dataset.Writing, People: 12, Done: 12, Total: 10}, 2 * time.Second, "writing: 12 people, 6 a second, 100 %, 0s left"},
	} {
		if got := new(rate).text(c.p, c.took); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	// Not on a terminal, nothing is shown.
	var out bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&out)
	r := newRate(cmd)
	r.tell(dataset.Progress{Stage: dataset.Reading, People: 1})
	r.tell(dataset.Progress{Stage: dataset.Writing, People: 1})
	r.end()
	if out.Len() > 0 {
		t.Errorf("a pipe was told %q", out.String())
	}
}

func TestFullDiskIsExplained(t *testing.T) {
	full := fmt.Errorf("sort on the disk: %w", &fs.PathError{Op: "write", Path: "1", Err: syscall.ENOSPC})
	if advice := hint.Of(adviseSpace(full)); !strings.Contains(advice, "--tmp FOLDER") {
		t.Errorf("a full disk gives the advice %q", advice)
	}
	if err := adviseSpace(errors.New("another")); hint.Of(err) != "" {
		t.Errorf("another error gives the advice %q", hint.Of(err))
	}
	if adviseSpace(nil) != nil {
		t.Error("no error became one")
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"1000": 1000, "512MiB": 512 << 20, "2 GiB": 2 << 30, "7KiB": 7 << 10} {
		if n, err := parseSize(text); err != nil || n != want {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	}
	for _, bad := range []string{"", "MiB", "-1", "1MB", "1.5GiB", "99999999999GiB"} {
		if n, err := parseSize(bad); err == nil {
			t.Errorf("%q is %d", bad, n)
		}
	}
}
