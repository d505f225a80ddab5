package intake

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// crier counts announcements; the first few may fail.
type crier struct{ fails, calls int }

func (c *crier) Online(context.Context) error {
	c.calls++
	if c.calls <= c.fails {
		return errors.New("not taken")
	}
	return nil
}

func TestHerald(t *testing.T) {
	const own, other = "00112233445566aa", "00112233445566bb"
	online := func(boot string) string { return `{"online":true,"boot":"` + boot + `"}` }
	offline := `{"online":false,"boot":"` + other + `"}`
	for _, tc := range []struct {
		name  string
		fails int
		do    func(h *herald)
		after time.Duration
		calls int
		warns string
	}{
		{"after each connect", 0, func(h *herald) { h.up() }, time.Second, 2, ""},
		{"its own word comes back", 0, func(h *herald) { h.heard([]byte(online(own)), own) }, time.Hour, 1, ""},
		{"the will of an earlier run", 0, func(h *herald) { h.heard([]byte(offline), own) }, announceGap, 2, ""},
		{"the topic is cleared", 0, func(h *herald) { h.heard(nil, own) }, announceGap, 2, ""},
		{"not sooner", 0, func(h *herald) { h.heard([]byte(offline), own) }, announceGap - 2*time.Second, 1, ""},
		{"many wills, one answer", 0, func(h *herald) {
			for range 100 {
				h.heard([]byte(offline), own)
				time.Sleep(time.Millisecond)
			}
		}, announceGap + 10*time.Second, 2, ""},
		{"another central is no reason to shout", 0, func(h *herald) { h.heard([]byte(online(other)), own) }, time.Hour, 1, "another central"},
		{"not taken at first", 3, func(*herald) {}, 4 * announceWithin, 4, "tried again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said strings.Builder
				c := &crier{fails: tc.fails}
				h := newHerald(c, slog.New(slog.NewTextHandler(&said, nil)))
				h.heard([]byte(offline), own) // retained from before
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error)
				go func() { ended <- h.run(ctx) }()
				h.up()
				time.Sleep(time.Second)
				tc.do(h)
				time.Sleep(tc.after)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if c.calls != tc.calls {
					t.Errorf("announced %d times, want %d", c.calls, tc.calls)
				}
				if !strings.Contains(said.String(), tc.warns) {
					t.Errorf("said %q", said.String())
				}
			})
		})
	}
}
