package gpiorelay

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/driver/drivertest"
)

var quiet = slog.New(slog.DiscardHandler)

// bench is a machine with GPIO chips, at the interface that the kernel's part
// of this package offers to the rest.
type bench struct {
	chips map[string]*fakeChip // by base name
	open  int                  // chips open now
}

type fakeChip struct {
	bench  *bench
	is     chipInfo
	names  map[int]string
	holder map[int]string // consumer by offset
	lines  map[int]*fakeOutput
	err    error // of opening
}

type fakeOutput struct {
	drivertest.FakeLine
	chip      *fakeChip
	offset    int
	activeLow bool
}

func (o *fakeOutput) close() error {
	if _, held := o.chip.holder[o.offset]; !held {
		return os.ErrClosed
	}
	delete(o.chip.holder, o.offset)
	return nil
}

func (c *fakeChip) close() error            { c.bench.open--; return nil }
func (c *fakeChip) info() (chipInfo, error) { return c.is, nil }

func (c *fakeChip) line(n int) (lineInfo, error) {
	return lineInfo{name: c.names[n], consumer: c.holder[n]}, nil
}

func (c *fakeChip) request(n int, activeLow bool, consumer string) (output, error) {
	if c.holder[n] != "" {
		return nil, ErrBusy
	}
	c.holder[n] = consumer
	o := &fakeOutput{chip: c, offset: n, activeLow: activeLow}
	c.lines[n] = o
	return o, nil
}

// newBench makes chips gpiochip0 and gpiochip1 and the nodes for them.
func newBench(t *testing.T) (*bench, string) {
	t.Helper()
	b := &bench{chips: map[string]*fakeChip{}}
	dev := t.TempDir()
	for name, label := range map[string]string{"gpiochip0": "pinctrl-fictional", "gpiochip1": "expander"} {
		b.chips[name] = &fakeChip{
			bench: b, is: chipInfo{name: name, label: label, lines: 32},
			names:  map[int]string{17: "GPIO17", 5: "RELAY1", 6: "TWICE", 7: "TWICE"},
			holder: map[int]string{9: "spi0 CS0"}, lines: map[int]*fakeOutput{},
		}
		if err := os.WriteFile(filepath.Join(dev, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return b, dev
}

func (b *bench) openChip(path string) (chip, error) {
	c := b.chips[filepath.Base(path)]
	if c == nil {
		return nil, ErrNoChip
	}
	if c.err != nil {
		return nil, c.err
	}
	b.open++
	return c, nil
}

func source(t *testing.T, b *bench, o Options) *Source {
	t.Helper()
	if o.Pulse == 0 {
		o.Pulse = time.Second
	}
	s, err := newSource(o, quiet, b.openChip)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	drivertest.TestRelay(t, func(t *testing.T, length time.Duration) drivertest.RelayRig {
		b, dev := newBench(t)
		r, err := source(t, b, Options{Dev: dev, Chip: "gpiochip0", Line: "17", Pulse: length}).Open()
		if err != nil {
			t.Fatal(err)
		}
		l := b.chips["gpiochip0"].lines[17]
		return drivertest.RelayRig{Relay: r, Active: l.Active, Refuse: l.Refuse, Hang: l.Hang}
	})
}

func TestFindsChipAndLine(t *testing.T) {
	b, dev := newBench(t)
	tests := []struct {
		name, chip, line string
		onChip           string
		offset           int
	}{
		{"name and number", "gpiochip1", "3", "gpiochip1", 3},
		{"path and line name", filepath.Join(dev, "gpiochip0"), "RELAY1", "gpiochip0", 5},
		{"label", "expander", "GPIO17", "gpiochip1", 17},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			r, err := source(t, b, Options{Dev: dev, Chip: tc.chip, Line: tc.line, ActiveLow: true, Consumer: "gate main"}).Open()
			if err != nil {
				t.Fatal(err)
			}
			c := b.chips[tc.onChip]
			if c.holder[tc.offset] != "gate main" || !c.lines[tc.offset].activeLow {
				t.Errorf("holders %v, active low %v", c.holder, c.lines[tc.offset])
			}
			if err := r.Close(gate.OnFaultClosed); err != nil {
				t.Error(err)
			}
			if c.holder[tc.offset] != "" {
				t.Error("the line was not given back")
			}
		})
	}
	if b.open != 0 {
		t.Errorf("%d chips left open", b.open)
	}
}

func TestOpenErrors(t *testing.T) {
	b, dev := newBench(t)
	same, sameDev := newBench(t)
	same.chips["gpiochip0"].is.label = "expander"
	shut, shutDev := newBench(t)
	shut.chips["gpiochip0"].err, shut.chips["gpiochip1"].err = ErrPermission, ErrPermission
	tests := []struct {
		name       string
		bench      *bench
		dev        string
		chip, line string
		want       string
		is         error
	}{
		{
			"no such path", b, dev, "/nowhere/gpiochip9", "1",
			`open relay on GPIO chip /nowhere/gpiochip9, line 1: no such GPIO chip`, ErrNoChip,
		},
		{
			"no such label", b, dev, "pinctrl-bcm", "1",
			`open relay on GPIO chip pinctrl-bcm, line 1: no such GPIO chip; there are: gpiochip0 (pinctrl-fictional), gpiochip1 (expander)`, ErrNoChip,
		},
		{
			"no chips at all", b, t.TempDir(), "gpiochip0", "1",
			`open relay on GPIO chip gpiochip0, line 1: no such GPIO chip; this machine has none`, ErrNoChip,
		},
		{
			"two of a label", same, sameDev, "expander", "1",
			`open relay on GPIO chip expander, line 1: the label stands for gpiochip0 and gpiochip1; name the chip by its path`, nil,
		},
		{
			"number too large", b, dev, "gpiochip0", "32",
			`open relay on GPIO chip gpiochip0, line 32: no such line: the chip has lines 0 to 31`, ErrNoLine,
		},
		{
			"no such line name", b, dev, "gpiochip0", "LOCK",
			`open relay on GPIO chip gpiochip0, line LOCK: no such line: no line of the chip is named "LOCK"`, ErrNoLine,
		},
		{
			"name stands twice", b, dev, "gpiochip0", "TWICE",
			`open relay on GPIO chip gpiochip0, line TWICE: lines 6 and 7 are both named "TWICE"; give the number`, nil,
		},
		{
			"held by another", b, dev, "gpiochip0", "9",
			`open relay on GPIO chip gpiochip0, line 9: line in use by "spi0 CS0"`, ErrBusy,
		},
		{
			"no permission", shut, shutDev, "gpiochip0", "1",
			`open relay on GPIO chip gpiochip0, line 1: permission denied (is the user in the group that owns the chip, usually gpio?)`, ErrPermission,
		},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			_, err := source(t, tc.bench, Options{Dev: tc.dev, Chip: tc.chip, Line: tc.line}).Open()
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("%v is not %v", err, tc.is)
			}
			if tc.bench.open != 0 {
				t.Errorf("%d chips left open", tc.bench.open)
			}
		})
	}
}

// TestHeldLineStaysRequested: with on_fault open the line must not be freed,
// since the kernel may drop it; the next relay of the source takes it over.
func TestHeldLineStaysRequested(t *testing.T) {
	b, dev := newBench(t)
	src := source(t, b, Options{Dev: dev, Chip: "gpiochip0", Line: "RELAY1"})
	c := b.chips["gpiochip0"]
	r, err := src.Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(gate.OnFaultOpen); err != nil {
		t.Fatal(err)
	}
	if c.holder[5] == "" || !c.lines[5].Active() {
		t.Fatalf("holder %q, active %v after Close(open)", c.holder[5], c.lines[5].Active())
	}
	r, err = src.Open()
	if err != nil {
		t.Fatalf("take the held line over: %v", err)
	}
	if c.lines[5].Active() {
		t.Error("the line is not at rest after Open")
	}
	if err := r.Pulse(t.Context()); err != nil || !c.lines[5].Active() {
		t.Errorf("pulse on the line taken over: %v, active %v", err, c.lines[5].Active())
	}
	if err := r.Close(gate.OnFaultClosed); err != nil {
		t.Error(err)
	}
	if c.holder[5] != "" || c.lines[5].Active() {
		t.Errorf("holder %q, active %v after Close(closed)", c.holder[5], c.lines[5].Active())
	}
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		o    Options
		want string
	}{
		{"no chip", Options{Line: "1", Pulse: time.Second}, "gpio relay: no chip named"},
		{"no line", Options{Chip: "gpiochip0", Pulse: time.Second}, "gpio relay: no line named"},
		{"pulse too long", Options{Chip: "gpiochip0", Line: "1", Pulse: time.Hour}, "gpio relay: a pulse of 1h0m0s is not within 20ms..1m0s"},
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

// TestOtherDevice: what is no GPIO chip is named as such by the kernel's part.
func TestOtherDevice(t *testing.T) {
	s, err := NewSource(Options{Chip: "/dev/null", Line: "1", Pulse: time.Second}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	want := "open relay on GPIO chip /dev/null, line 1: no such GPIO chip: the device is something else"
	if _, err := s.Open(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
