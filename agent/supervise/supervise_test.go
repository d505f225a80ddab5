package supervise_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/supervise"

	"github.com/google/go-cmp/cmp"
)

// diary notes what happened, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(s string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, s)
}

func (d *diary) read() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.lines)
}

func group(t *testing.T, tasks ...supervise.Task) *supervise.Group {
	t.Helper()
	g := supervise.New(slog.New(slog.DiscardHandler), nil)
	for _, task := range tasks {
		if err := g.Add(task); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// untilStopped notes its start and its end.
func untilStopped(d *diary, name string, linger time.Duration) supervise.Task {
	return supervise.Task{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(linger)
		d.note(name + " ended")
		return ctx.Err()
	}}
}

func status(g *supervise.Group, name string) supervise.Status {
	all := g.Status()
	i := slices.IndexFunc(all, func(s supervise.Status) bool { return s.Name == name })
	return all[i]
}

func TestStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		g := group(t, untilStopped(&d, "journal", 0), untilStopped(&d, "lane", time.Second), untilStopped(&d, "page", 2*time.Second))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"page ended", "lane ended", "journal ended"}, d.read()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if took := time.Since(began); took != time.Minute+3*time.Second {
			t.Errorf("took %v: tasks were not stopped one after the other", took)
		}
		for _, s := range g.Status() {
			if s.State != supervise.Done || s.Failures != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestStopIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		release := make(chan struct{})
		stuck := supervise.Task{Name: "camera", StopWithin: 2 * time.Second, Run: func(context.Context) error { <-release; return nil }}
		g := group(t, untilStopped(&d, "journal", 0), stuck)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := g.Run(ctx)
		if err == nil || err.Error() != "camera did not stop within 2s" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		if !slices.Equal(d.read(), []string{"journal ended"}) {
			t.Errorf("the others: %v", d.read())
		}
		if s := status(g, "camera"); s.State != supervise.Stuck {
			t.Errorf("%+v", s)
		}
		close(release)
		synctest.Wait()
	})
}

func TestRestartsWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("unplugged")
		var starts []time.Time
		g := group(t, supervise.Task{Name: "camera", Run: func(ctx context.Context) error {
			starts = append(starts, time.Now())
			if len(starts) <= 12 {
				return broken
			}
			<-ctx.Done()
			return nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		done := make(chan error)
		go func() { done <- g.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if s := status(g, "camera"); s.State != supervise.Running || s.Failures != 12 || !errors.Is(s.Err, broken) {
			t.Errorf("%+v", s)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(starts) != 13 {
			t.Fatalf("%d starts", len(starts))
		}
		expected := 100 * time.Millisecond
		for i := 1; i < len(starts); i++ {
			pause := starts[i].Sub(starts[i-1])
			if pause < expected*3/4 || pause > min(expected*5/4, 30*time.Second) {
				t.Errorf("pause %d is %v, want about %v", i, pause, expected)
			}
			expected = min(2*expected, 30*time.Second)
		}
	})
}

// TestSteadyForgets: after a minute of work the next pause is short again.
func TestSteadyForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Time
		g := group(t, supervise.Task{Name: "link", Run: func(ctx context.Context) error {
			starts = append(starts, time.Now())
			if len(starts) == 10 {
				time.Sleep(2 * time.Minute)
			}
			if len(starts) == 11 {
				<-ctx.Done()
			}
			return errors.New("lost")
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if pause := starts[10].Sub(starts[9]) - 2*time.Minute; pause > 200*time.Millisecond {
			t.Errorf("pause %v after two minutes of work", pause)
		}
		if s := status(g, "link"); s.State != supervise.Done || s.Err == nil {
			t.Errorf("an error at the end is lost: %+v", s)
		}
	})
}

func TestPanicIsAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var states []string
		g := supervise.New(slog.New(slog.NewTextHandler(&log, nil)), func(s supervise.Status) {
			states = append(states, s.State.String())
		})
		n := 0
		err := g.Add(supervise.Task{Name: "lane", Run: func(ctx context.Context) error {
			switch n++; n {
			case 1:
				panic("001090012345|Nguyễn Văn Mẫu")
			case 2:
				var none []int
				_ = none[n]
			}
			<-ctx.Done()
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if s := g.Status()[0]; s.Failures != 2 || s.State != supervise.Done {
			t.Errorf("%+v", s)
		}
		want := []string{"running", "restarting", "running", "restarting", "running", "done"}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if strings.Contains(log.String(), "Mẫu") || strings.Contains(log.String(), "0012345") {
			t.Errorf("the log holds what was thrown:\n%s", log.String())
		}
		for _, words := range []string{"panic with a string", "index out of range", "supervise_test.go"} {
			if !strings.Contains(log.String(), words) {
				t.Errorf("the log does not say %q:\n%s", words, log.String())
			}
		}
	})
}

func TestFatalEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d diary
		broken := errors.New("no identity")
		g := group(t, untilStopped(&d, "page", 0), supervise.Task{Name: "identity", Run: func(context.Context) error {
			time.Sleep(time.Second)
			return supervise.Fatal(broken)
		}}, untilStopped(&d, "lane", 0))
		err := g.Run(t.Context())
		if !errors.Is(err, broken) || err.Error() != "identity: no identity" {
			t.Errorf("error %v", err)
		}
		if !slices.Equal(d.read(), []string{"lane ended", "page ended"}) {
			t.Errorf("the others: %v", d.read())
		}
		if supervise.Fatal(nil) != nil {
			t.Error("Fatal(nil) is an error")
		}
	})
}

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := group(t,
			supervise.Task{Name: "check", Once: true, Run: func(context.Context) error { return nil }},
			supervise.Task{Name: "lane", Run: func(context.Context) error { n++; return nil }})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := g.Run(ctx); err != nil {
			t.Error(err)
		}
		if s := status(g, "check"); s.State != supervise.Done || s.Failures != 0 {
			t.Errorf("%+v", s)
		}
		if s := status(g, "lane"); n < 3 || s.Failures != n {
			t.Errorf("started %d times: %+v", n, s)
		}
	})
}

func TestAdd(t *testing.T) {
	g := group(t, untilStopped(new(diary), "lane", 0))
	for _, task := range []supervise.Task{{}, {Name: "x"}, untilStopped(new(diary), "lane", 0)} {
		if g.Add(task) == nil {
			t.Errorf("task %q was taken", task.Name)
		}
	}
}

func TestBackoff(t *testing.T) {
	b := supervise.Backoff{Min: time.Second, Max: 10 * time.Second}
	for range 3 {
		for _, about := range []time.Duration{1, 2, 4, 8, 10, 10} {
			about *= time.Second
			if d := b.Next(); d < about*3/4 || d > min(about*5/4, b.Max) {
				t.Errorf("%v, want about %v", d, about)
			}
		}
		b.Reset()
	}
	if d := new(supervise.Backoff).Next(); d != 0 {
		t.Errorf("the zero Backoff waits %v", d)
	}
}
