package serialscan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/driver/drivertest"
	"gateagent/driver/serialport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// card is fictional.
const card = "001090000123|123456789|NGUYỄN VĂN MẪU|15071990|Nam|1 Phố Thử, Hà Nội|02062021"

func openPTY(t *testing.T, o Options) (*drivertest.PTY, *Scanner) {
	t.Helper()
	pty := drivertest.NewPTY(t)
	o.Device = pty.Path
	src, err := NewSource(o, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s, err := src.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return pty, s
}

func next(t *testing.T, s *Scanner) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	scan, err := s.Scan(ctx)
	if err != nil {
		t.Fatalf("Scan: %v", err)
	}
	return string(scan.Payload)
}

// TestEveryFramingOverALine sends whole and torn payloads down a real terminal
// in every framing.
func TestEveryFramingOverALine(t *testing.T) {
	for f := range Framing(len(framingNames)) {
		t.Run(f.String(), func(t *testing.T) {
			pty, s := openPTY(t, Options{Framing: f, Silence: 60 * time.Millisecond})
			pty.Send(t, encode(f, card))
			if got := next(t, s); got != card {
				t.Errorf("got %q", got)
			}
			whole := encode(f, card)
			half := strings.Index(whole, "VĂN") + 2 // in the middle of a letter
			pty.Send(t, whole[:half])
			time.Sleep(15 * time.Millisecond) // shorter than the silence
			pty.Send(t, whole[half:])
			if got := next(t, s); got != card {
				t.Errorf("torn: got %q", got)
			}
			if st := s.Stats(); st.Payloads != 2 || st.Partial != 0 || st.Overlong != 0 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestScannerKeepsTheContract(t *testing.T) {
	drivertest.TestScanner(t, func(t *testing.T) drivertest.ScannerRig {
		pty, s := openPTY(t, Options{Framing: FramingCR})
		return drivertest.ScannerRig{
			Scanner: s,
			Present: func(p string) { pty.Send(t, p+"\r") },
			Arrived: func() uint64 { return s.Stats().Payloads },
			Unplug:  pty.Unplug,
			Gone:    serialport.ErrGone,
		}
	})
}

func TestOverlongOverALine(t *testing.T) {
	pty, s := openPTY(t, Options{Framing: FramingLF, MaxLength: 100})
	pty.Send(t, strings.Repeat("x", 3000)+"\n"+card[:40]+"\n")
	if got := next(t, s); got != card[:40] {
		t.Errorf("got %q", got)
	}
	// The counters follow the payload that they are about.
	st := s.Stats()
	for end := time.Now().Add(5 * time.Second); st.Overlong == 0 && time.Now().Before(end); st = s.Stats() {
		time.Sleep(time.Millisecond)
	}
	if st.Overlong != 1 || st.Payloads != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestComesBackUnderAnotherName unplugs in the middle of a payload and brings
// the engine back as another node behind the same stable name.
func TestComesBackUnderAnotherName(t *testing.T) {
	byID := t.TempDir()
	stable := filepath.Join(byID, "usb-Fictional_Engine_0001-if00")
	plug := func() *drivertest.PTY {
		pty := drivertest.NewPTY(t)
		_ = os.Remove(stable) // there is none the first time
		if err := os.Symlink(pty.Path, stable); err != nil {
			t.Fatal(err)
		}
		return pty
	}
	first := plug()
	src, err := NewSource(Options{Device: filepath.Base(stable), ByID: byID, Framing: FramingCR}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	s, err := src.Open()
	if err != nil {
		t.Fatal(err)
	}
	first.Send(t, "one\rhalf-of-tw")
	if got := next(t, s); got != "one" {
		t.Errorf("got %q", got)
	}
	waitBytes(t, s, uint64(len("one\rhalf-of-tw")))
	// The new node is made while the old one is still open, so its name differs.
	second := plug()
	first.Unplug()
	if _, err := s.Scan(t.Context()); !errors.Is(err, serialport.ErrGone) {
		t.Fatalf("Scan after unplugging: %v", err)
	}
	if st := s.Stats(); st.Partial != 1 || st.Payloads != 1 {
		t.Errorf("stats %+v", st)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if second.Path == first.Path {
		t.Fatal("the kernel gave the same name again; the test shows nothing")
	}
	s, err = src.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	second.Send(t, "two\r")
	if got := next(t, s); got != "two" {
		t.Errorf("after coming back: %q", got)
	}

	second.Unplug()
	if _, err := s.Scan(t.Context()); !errors.Is(err, serialport.ErrGone) {
		t.Fatalf("Scan: %v", err)
	}
	if err := os.Remove(stable); err != nil {
		t.Fatal(err)
	}
	_, err = src.Open()
	want := fmt.Sprintf("open serial line %s: the device is gone", stable)
	if err == nil || err.Error() != want || !errors.Is(err, serialport.ErrGone) {
		t.Errorf("Open while away: %v, want %s", err, want)
	}
}

func waitBytes(t *testing.T, s *Scanner, n uint64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.Stats().Bytes < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d bytes arrived", s.Stats().Bytes, n)
		}
	}
}

// TestScannerLetsGoAtOnce: the line is free as soon as Scan reported the
// unplug, although nobody closed the Scanner yet.
func TestScannerLetsGoAtOnce(t *testing.T) {
	pty, s := openPTY(t, Options{})
	pty.Unplug()
	if _, err := s.Scan(t.Context()); !errors.Is(err, serialport.ErrGone) {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, pty.Path) {
			t.Errorf("descriptor %s still holds %s", e.Name(), to)
		}
	}
}

func TestSecondOpenIsBusy(t *testing.T) {
	pty, s := openPTY(t, Options{})
	src, err := NewSource(Options{Device: pty.Path}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Open(); !errors.Is(err, serialport.ErrBusy) {
		t.Errorf("second Open: %v, want %v", err, serialport.ErrBusy)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := src.Open()
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"no device", Options{}, "serial scanner: no serial device named"},
		{"baud", Options{Device: "x", Baud: 12}, "serial scanner: baud rate 12 is not within 300..4000000"},
		{"silence", Options{Device: "x", Silence: time.Minute}, "serial scanner: silence of 1m0s is not within 5ms..2s"},
		{"length", Options{Device: "x", MaxLength: 9999}, "serial scanner: length bound 9999 is not within 1..2953"},
		{"framing", Options{Device: "x", Framing: 77}, "serial scanner: unknown framing Framing(77)"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := NewSource(tc.o, quiet)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// scriptPort plays a line in a synctest bubble: chunks at set times.
type scriptPort struct {
	start   time.Time
	chunks  []chunk
	timeout time.Duration
	closed  bool
	reading bool
}

type chunk struct {
	at   time.Duration
	data string
	err  error
}

func (p *scriptPort) SetReadTimeout(d time.Duration) error { p.timeout = d; return nil }

func (p *scriptPort) Read(b []byte) (int, error) {
	p.reading = true
	defer func() { p.reading = false }()
	if len(p.chunks) == 0 || p.chunks[0].at-time.Since(p.start) > p.timeout {
		time.Sleep(p.timeout)
		return 0, nil
	}
	c := p.chunks[0]
	time.Sleep(c.at - time.Since(p.start))
	p.chunks = p.chunks[1:]
	return copy(b, c.data), c.err
}

func (p *scriptPort) Close() error {
	if p.reading {
		panic("closed under a read")
	}
	p.closed = true
	return nil
}

// TestTimes holds, to the millisecond, when a payload counts as ended.
func TestTimes(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	type seen struct {
		Payload string
		Seen    time.Duration
		Given   time.Duration
	}
	tests := []struct {
		name    string
		framing Framing
		chunks  []chunk
		want    []seen
		partial uint64
	}{
		{
			name: "silence ends", framing: FramingSilence,
			chunks: []chunk{{at: ms(100), data: "ab"}, {at: ms(179), data: "cd"}, {at: ms(500), data: "x"}},
			want:   []seen{{"abcd", ms(179), ms(259)}, {"x", ms(500), ms(580)}},
		},
		{
			name: "auto does not wait for silence", framing: FramingAuto,
			chunks: []chunk{{at: ms(100), data: "ab\r"}, {at: ms(300), data: "cd"}},
			want:   []seen{{"ab", ms(100), ms(100)}, {"cd", ms(300), ms(380)}},
		},
		{
			name: "cr waits through a pause of half a second", framing: FramingCR,
			chunks: []chunk{{at: ms(100), data: "ab"}, {at: ms(700), data: "cd\r"}},
			want:   []seen{{"abcd", ms(700), ms(700)}},
		},
		{
			name: "cr gives a beginning up after a second", framing: FramingCR,
			chunks: []chunk{{at: ms(100), data: "ab"}, {at: ms(1200), data: "cd\r"}},
			want:   []seen{{"cd", ms(1200), ms(1200)}}, partial: 1,
		},
		{
			name: "data and error in one read", framing: FramingCR,
			chunks: []chunk{{at: ms(100), data: "ab\rc", err: serialport.ErrGone}},
			want:   []seen{{"ab", ms(100), ms(100)}}, partial: 1,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, err := Options{Device: "x", Framing: tc.framing}.withDefaults()
				if err != nil {
					t.Fatal(err)
				}
				port := &scriptPort{start: time.Now(), chunks: tc.chunks}
				s := start(port, o)
				var got []seen
				for range tc.want {
					scan, err := s.Scan(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, seen{string(scan.Payload), scan.Seen.Sub(port.start), time.Since(port.start)})
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				closing := time.Now()
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if d := time.Since(closing); d > wakeUp {
					t.Errorf("Close took %v", d)
				}
				if !port.closed {
					t.Error("the port is still open")
				}
				if st := s.Stats(); st.Partial != tc.partial {
					t.Errorf("stats %+v", st)
				}
				if _, err := s.Scan(t.Context()); err == nil {
					t.Error("Scan after Close gives a code")
				}
			})
		})
	}
}
