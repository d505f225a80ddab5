// Package supervise keeps the parts of a program running. It is the one owner
// of their goroutines: it starts named tasks in order, starts one again when
// it fails, and stops them in reverse order, each within a bound.
//
// A panic in a task is a fault like any other: it is reported, and the task is
// started again after a pause. It never opens a gate, because nothing that the
// task held is carried over but what it guards itself.
//
// It knows nothing of what the tasks do, and carries nothing to the page:
// [Group.Status] and OnChange tell whoever asks.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

const (
	// steady is how long a task has to run for its earlier failures to be
	// forgotten.
	steady = time.Minute
	// stopWithin is how long a task may take to end unless it says otherwise.
	stopWithin = 5 * time.Second
)

// Task is one part of a program.
type Task struct {
	// Name is short and unique, as logs and the page show it.
	Name string
	// Run works until ctx ends and then returns soon. It may be called again
	// after it has failed. Everything it started has ended when it returns.
	Run func(ctx context.Context) error
	// Once is set where Run may end by itself with nil: its work is done.
	// Without it that counts as a failure.
	Once bool
	// StopWithin bounds how long the group waits for Run to return; 0: 5 s.
	StopWithin time.Duration
}

// State is what a task is doing.
type State uint8

// The states of a task.
const (
	Waiting    State = iota // not started yet
	Running                 //
	Restarting              // it failed and is started again at Next
	Done                    // it has ended for good
	Stuck                   // told to stop, it did not
)

var stateNames = [...]string{"waiting", "running", "restarting", "done", "stuck"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// Status is the last word on a task.
type Status struct {
	Name  string
	State State
	Since time.Time // of this state
	// Failures counts how often the task has failed; Err is the last failure,
	// kept while it runs again, for the page.
	Failures int
	Err      error
	// Next is when a task that is Restarting is started again.
	Next time.Time
}

var errEnded = errors.New("it ended by itself")

// fatalError ends the whole group.
type fatalError struct{ err error }

func (f *fatalError) Error() string { return f.err.Error() }
func (f *fatalError) Unwrap() error { return f.err }

// Fatal marks an error of a task as one that no restart can mend: the group
// stops and gives it back. Fatal(nil) is nil.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// Group runs tasks. Make one with [New], hand it tasks, call Run once.
type Group struct {
	log      *slog.Logger
	onChange func(Status)
	tasks    []Task

	mu     sync.Mutex // guards status
	status []Status
}

// New makes an empty group. onChange, which may be nil, is told of every change
// of a task's state, on the goroutine that made it; it must not block.
func New(log *slog.Logger, onChange func(Status)) *Group {
	if onChange == nil {
		onChange = func(Status) {}
	}
	return &Group{log: log, onChange: onChange}
}

// Add appends a task; tasks start in the order in which they were added. It
// must not be called after Run. Two tasks of one name are a mistake of the
// program, and refused.
func (g *Group) Add(t Task) error {
	if t.Name == "" || t.Run == nil {
		return errors.New("supervise: a task needs a name and something to run")
	}
	if slices.ContainsFunc(g.tasks, func(have Task) bool { return have.Name == t.Name }) {
		return fmt.Errorf("supervise: there is a task %q already", t.Name)
	}
	if t.StopWithin <= 0 {
		t.StopWithin = stopWithin
	}
	g.tasks = append(g.tasks, t)
	g.mu.Lock()
	g.status = append(g.status, Status{Name: t.Name, Since: time.Now()})
	g.mu.Unlock()
	return nil
}

// Status gives the last word on every task, in their order.
func (g *Group) Status() []Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.status)
}

// Run starts the tasks and returns when they have ended: after ctx has, or
// after the first fatal failure, which it gives back with the names of tasks
// that did not stop in time. It returns nil when all went as asked.
func (g *Group) Run(ctx context.Context) error {
	type running struct {
		cancel context.CancelFunc
		done   chan struct{}
	}
	fatal := make(chan error, len(g.tasks))
	started := make([]running, len(g.tasks))
	for i, t := range g.tasks {
		// Not cut off by ctx: the tasks are stopped one after the other.
		taskCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		started[i] = running{cancel, make(chan struct{})}
		go func() {
			defer close(started[i].done)
			g.keep(taskCtx, i, t, fatal)
		}()
	}

	var first error
	select {
	case <-ctx.Done():
	case first = <-fatal:
		g.log.Error("the program stops", "err", first)
	}

	errs := []error{first}
	for i, r := range slices.Backward(started) {
		r.cancel()
		patience := time.NewTimer(g.tasks[i].StopWithin)
		select {
		case <-r.done:
		case <-patience.C:
			g.set(i, func(s *Status) { s.State = Stuck })
			errs = append(errs, fmt.Errorf("%s did not stop within %v", g.tasks[i].Name, g.tasks[i].StopWithin))
			g.log.Error("a task does not stop", "task", g.tasks[i].Name)
		}
		patience.Stop()
	}
	return errors.Join(errs...)
}

// keep runs one task again and again until ctx ends, its work is done or it
// fails for good, which it tells through fatal.
func (g *Group) keep(ctx context.Context, i int, t Task, fatal chan<- error) {
	pause := Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second}
	for {
		began := time.Now()
		g.set(i, func(s *Status) { s.State, s.Next = Running, time.Time{} })
		err := Recovered(func() error { return t.Run(ctx) })
		if err == nil && !t.Once {
			err = errEnded
		}
		stopping := ctx.Err() != nil
		final, isFatal := errors.AsType[*fatalError](err)
		switch {
		case isFatal:
			g.set(i, func(s *Status) { s.State, s.Err, s.Failures = Done, final.err, s.Failures+1 })
			fatal <- fmt.Errorf("%s: %w", t.Name, final.err)
			return
		case stopping && (err == nil || errors.Is(err, errEnded) || errors.Is(err, context.Canceled)):
			g.set(i, func(s *Status) { s.State = Done })
			return
		case err == nil:
			g.set(i, func(s *Status) { s.State, s.Err = Done, nil })
			return
		case stopping:
			g.log.Warn("a task ended badly", "task", t.Name, "err", err)
			g.set(i, func(s *Status) { s.State, s.Err, s.Failures = Done, err, s.Failures+1 })
			return
		}

		if time.Since(began) >= steady {
			pause.Reset()
		}
		wait := pause.Next()
		attrs := []any{"task", t.Name, "err", err, "again_in", wait.Round(time.Millisecond)}
		if p, ok := errors.AsType[*Panic](err); ok {
			attrs = append(attrs, "stack", string(p.Stack))
		}
		g.log.Error("a task failed", attrs...)
		g.set(i, func(s *Status) {
			s.State, s.Err, s.Failures, s.Next = Restarting, err, s.Failures+1, time.Now().Add(wait)
		})
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			g.set(i, func(s *Status) { s.State, s.Next = Done, time.Time{} })
			return
		case <-timer.C:
		}
	}
}

// set changes the status of a task and tells of it.
func (g *Group) set(i int, change func(*Status)) {
	g.mu.Lock()
	s := &g.status[i]
	before := s.State
	change(s)
	if s.State != before {
		s.Since = time.Now()
	}
	told := *s
	g.mu.Unlock()
	g.onChange(told)
}
