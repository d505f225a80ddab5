package clock

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateagent/agent/gate"
)

var built = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// box is a machine whose clocks a test sets.
type box struct {
	started time.Time

	mu     sync.Mutex // guards what the clock's own goroutine meets
	boot   time.Time  // what the system clock showed at the start
	synced bool
	err    error
	steps  []Step

	file, rtc string
}

func newBox(t *testing.T, boot time.Time) *box {
	dir := t.TempDir()
	return &box{started: time.Now(), boot: boot, file: filepath.Join(dir, "clock", "floor"), rtc: filepath.Join(dir, "rtc")}
}

func (b *box) system() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.boot.Add(time.Since(b.started))
}

// set puts the system clock right, or wrong.
func (b *box) set(boot time.Time, synced bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.boot, b.synced = boot, synced
}

func (b *box) kernel() (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.synced, b.err
}

func (b *box) onStep(s Step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.steps = append(b.steps, s)
}

// told gives the steps so far.
func (b *box) told() []Step {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.steps)
}

func (b *box) clock() *Clock {
	return New(Options{
		FloorFile: b.file, Built: built, RTCPath: b.rtc,
		Synchronised: b.kernel,
		System:       b.system,
		OnStep:       b.onStep,
	}, slog.New(slog.DiscardHandler))
}

// hardware gives the box a clock with a battery; value is what the kernel
// says about having used it.
func (b *box) hardware(t *testing.T, name, value string) {
	t.Helper()
	dir := filepath.Join(b.rtc, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hctosys"), []byte(value+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// run runs the clock until stop is called.
func run(c *Clock) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	synctest.Wait()
	return func() { cancel(); <-done }
}

func wantReading(t *testing.T, c *Clock, level gate.ClockLevel, now time.Time) {
	t.Helper()
	got, gotLevel := c.Reading()
	if gotLevel != level || got.Sub(now).Abs() > time.Millisecond {
		t.Errorf("%v at level %v, want %v at level %v", got, gotLevel, now, level)
	}
}

func TestLadder(t *testing.T) {
	later := built.AddDate(0, 1, 0)
	for _, tt := range []struct {
		name   string
		boot   time.Time
		synced bool
		err    error
		rtc    string
		level  gate.ClockLevel
		now    time.Time
	}{
		{"1970, no battery", time.Unix(5, 0), false, nil, "", gate.ClockNone, built},
		{"1970, whatever the kernel says", time.Unix(5, 0), true, nil, "1", gate.ClockNone, built},
		{"an hour before the floor", built.Add(-time.Hour), false, nil, "", gate.ClockNone, built},
		{"minutes before the floor", built.Add(-5 * time.Minute), false, nil, "1", gate.ClockRTC, built.Add(-5 * time.Minute)},
		{"after the floor", later, false, nil, "", gate.ClockFloor, later},
		{"a hardware clock that was not used", later, false, nil, "0", gate.ClockFloor, later},
		{"a hardware clock", later, false, nil, "1", gate.ClockRTC, later},
		{"synchronised", later, true, nil, "1", gate.ClockNTP, later},
		{"the kernel does not say", later, true, errors.New("not permitted"), "", gate.ClockFloor, later},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBox(t, tt.boot)
				b.synced, b.err = tt.synced, tt.err
				if tt.rtc != "" {
					b.hardware(t, "rtc0", "0")
					b.hardware(t, "rtc1", tt.rtc)
				}
				c := b.clock()
				wantReading(t, c, tt.level, tt.now)
				time.Sleep(time.Minute)
				wantReading(t, c, tt.level, tt.now.Add(time.Minute))
				if tt.level == gate.ClockRTC && c.Status().RTC != "rtc1" {
					t.Errorf("hardware clock %q", c.Status().RTC)
				}
			})
		})
	}
}

func TestCentral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, time.Unix(5, 0))
		c := b.clock()
		truth := built.AddDate(0, 2, 0)

		c.Central(truth, MaxRoundTrip+time.Millisecond)
		if c.Level() != gate.ClockNone || c.Status().Problem == nil {
			t.Error("an answer that came too late was used")
		}
		c.Central(built.Add(-time.Hour), time.Second)
		if c.Level() != gate.ClockNone || !strings.Contains(c.Status().Problem.Error(), "before the floor") {
			t.Errorf("a time that is over was used: %v", c.Status().Problem)
		}
		if len(b.told()) != 0 {
			t.Errorf("steps %v", b.told())
		}

		c.Central(truth, 2*time.Second)
		wantReading(t, c, gate.ClockCentral, truth.Add(time.Second))
		if c.Status().Problem != nil {
			t.Errorf("problem %v", c.Status().Problem)
		}
		if !c.Floor().Equal(truth) {
			t.Errorf("floor %v", c.Floor())
		}
		if len(b.told()) != 1 || !b.told()[0].ByCentral || b.told()[0].LevelFrom != gate.ClockNone || b.told()[0].LevelTo != gate.ClockCentral {
			t.Errorf("steps %+v", b.told())
		}

		// The system clock is put anywhere: central's time runs on.
		time.Sleep(time.Hour)
		b.set(time.Unix(9e9, 0), false)
		wantReading(t, c, gate.ClockCentral, truth.Add(time.Hour+time.Second))

		// An answer that agrees within its round trip moves nothing.
		c.Central(truth.Add(time.Hour), 2*time.Second)
		wantReading(t, c, gate.ClockCentral, truth.Add(time.Hour+time.Second))
		// One that does not is followed.
		c.Central(truth.Add(time.Hour+10*time.Second), 0)
		wantReading(t, c, gate.ClockCentral, truth.Add(time.Hour+10*time.Second))
		if len(b.told()) != 2 {
			t.Errorf("steps %+v", b.told())
		}
	})
}

func TestFloorRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, built.AddDate(5, 0, 0)) // its own clock must not count
		c := b.clock()
		if !c.Floor().Equal(built) {
			t.Errorf("floor %v, want the build time", c.Floor())
		}
		c.Raise(built.Add(-time.Hour))
		if !c.Floor().Equal(built) {
			t.Error("the floor fell")
		}
		c.Raise(built.Add(time.Hour))
		if !c.Floor().Equal(built.Add(time.Hour)) {
			t.Errorf("floor %v", c.Floor())
		}
		far := built.AddDate(3, 0, 0)
		for i, want := range []time.Time{built.Add(time.Hour + MaxRise), built.Add(time.Hour + 2*MaxRise), far} {
			c.Raise(far)
			if !c.Floor().Equal(want) {
				t.Errorf("raise %d: floor %v, want %v", i, c.Floor(), want)
			}
		}
		c.Set(built.AddDate(1, 0, 0))
		if !c.Floor().Equal(built.AddDate(1, 0, 0)) {
			t.Errorf("set down: %v", c.Floor())
		}
		c.Set(time.Unix(0, 0))
		if !c.Floor().Equal(built) {
			t.Errorf("set below the build time: %v", c.Floor())
		}
	})
}

func TestFloorSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, time.Unix(5, 0))
		c := b.clock()
		stop := run(c)
		c.Raise(built.Add(48 * time.Hour))
		synctest.Wait()
		saved := func() time.Time {
			t.Helper()
			at, err := readFloor(b.file)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		if !saved().Equal(built.Add(48 * time.Hour)) {
			t.Errorf("saved %v", saved())
		}
		// Small rises wait, so that the card is not worn out.
		c.Raise(built.Add(48*time.Hour + 10*time.Minute))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if !saved().Equal(built.Add(48 * time.Hour)) {
			t.Errorf("written for ten minutes: %v", saved())
		}
		c.Raise(built.Add(50 * time.Hour))
		synctest.Wait()
		if !saved().Equal(built.Add(50 * time.Hour)) {
			t.Errorf("saved %v", saved())
		}
		c.Set(built.Add(5 * time.Hour))
		synctest.Wait()
		if !saved().Equal(built.Add(5 * time.Hour)) {
			t.Errorf("a root document set it down, saved is %v", saved())
		}
		c.Raise(built.Add(5*time.Hour + time.Minute))
		stop()
		if !saved().Equal(built.Add(5*time.Hour + time.Minute)) {
			t.Errorf("not saved at the end: %v", saved())
		}
		again := b.clock()
		if !again.Floor().Equal(built.Add(5*time.Hour + time.Minute)) {
			t.Errorf("after a restart: %v", again.Floor())
		}
		wantReading(t, again, gate.ClockNone, built.Add(5*time.Hour+time.Minute))
		if left, _ := filepath.Glob(b.file + ".*"); len(left) != 0 {
			t.Errorf("left over: %v", left)
		}
	})
}

func TestFloorFileTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, built.Add(time.Hour))
		if err := os.MkdirAll(filepath.Dir(b.file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(b.file, []byte("soon\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		c := b.clock()
		if !c.Floor().Equal(built) || c.Status().Problem == nil {
			t.Errorf("damaged file: floor %v, problem %v", c.Floor(), c.Status().Problem)
		}
		// A folder in its place cannot be replaced; the clock goes on and tries
		// again.
		if err := errors.Join(os.Remove(b.file), os.MkdirAll(filepath.Join(b.file, "x"), 0o755)); err != nil {
			t.Fatal(err)
		}
		stop := run(c)
		defer stop()
		c.Raise(built.Add(2 * time.Hour))
		synctest.Wait()
		if c.Status().Problem == nil {
			t.Error("a floor that was not saved is no problem")
		}
		if err := os.RemoveAll(b.file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveRetry + 2*lookEvery)
		synctest.Wait()
		if c.Status().Problem != nil {
			t.Errorf("after the retry: %v", c.Status().Problem)
		}
		if at, err := readFloor(b.file); err != nil || !at.Equal(built.Add(2*time.Hour)) {
			t.Errorf("saved %v, %v", at, err)
		}
	})
}

// TestSystemStep: a box that wakes up in 1970 is put right by its time daemon.
func TestSystemStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, time.Unix(5, 0))
		c := b.clock()
		stop := run(c)
		defer stop()
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if len(b.told()) != 0 {
			t.Fatalf("steps %+v", b.told())
		}
		truth := built.AddDate(0, 1, 0)
		b.set(truth.Add(-90*time.Second), true)
		time.Sleep(lookEvery)
		synctest.Wait()
		wantReading(t, c, gate.ClockNTP, truth.Add(lookEvery))
		if len(b.told()) != 1 {
			t.Fatalf("steps %+v", b.told())
		}
		s := b.told()[0]
		if s.ByCentral || s.LevelFrom != gate.ClockNone || s.LevelTo != gate.ClockNTP ||
			!s.From.Equal(built.Add(91*time.Second)) || !s.To.Equal(truth.Add(lookEvery)) {
			t.Errorf("step %+v", s)
		}
		// Small corrections are nobody's business.
		b.set(truth.Add(-89*time.Second), true)
		time.Sleep(5 * lookEvery)
		synctest.Wait()
		if len(b.told()) != 1 {
			t.Errorf("steps %+v", b.told())
		}
	})
}

// TestSignedNow: a document signed a moment ahead of a slightly slow clock
// lifts the floor above it; the clock is not worthless for that.
func TestSignedNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t, built.Add(time.Hour))
		b.synced = true
		c := b.clock()
		c.Raise(built.Add(time.Hour + 5*time.Second))
		wantReading(t, c, gate.ClockNTP, built.Add(time.Hour))
	})
}

// TestThisKernel: the real questions are answered, whatever the answer.
func TestThisKernel(t *testing.T) {
	c := New(Options{}, slog.New(slog.DiscardHandler))
	st := c.Status()
	if time.Until(st.Now).Abs() > time.Minute || st.Level < gate.ClockFloor || st.Level > gate.ClockNTP {
		t.Errorf("%+v", st)
	}
	if _, err := kernelSynchronised(); err != nil {
		t.Log(err)
	}
	t.Logf("level %v, synchronised %v, hardware clock %q", st.Level, st.Synced, st.RTC)
}
