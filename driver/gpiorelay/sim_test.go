//go:build kernelsim

package gpiorelay

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
)

// simChip makes a chip of the kernel's gpio-sim and gives its node and the
// folder in which the level of each line can be read from outside.
func simChip(t *testing.T) (node, sysfs string) {
	t.Helper()
	const root = "/sys/kernel/config/gpio-sim"
	if _, err := os.Stat(root); err != nil {
		t.Skipf("needs the kernel's gpio-sim and configfs mounted: %v", err)
	}
	dir := filepath.Join(root, fmt.Sprintf("gateagent-%d", os.Getpid()))
	bank := filepath.Join(dir, "bank0")
	line := filepath.Join(bank, "line3")
	write := func(path, value string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			t.Skipf("needs root for gpio-sim: %v", err)
		}
	}
	if err := os.MkdirAll(line, 0o755); err != nil {
		t.Skipf("needs root for gpio-sim: %v", err)
	}
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(dir, "live"), []byte("0"), 0o644)
		for _, d := range []string{line, bank, dir} {
			_ = os.Remove(d)
		}
	})
	write(filepath.Join(bank, "num_lines"), "8")
	write(filepath.Join(bank, "label"), "gate-sim")
	write(filepath.Join(line, "name"), "RELAY1")
	write(filepath.Join(dir, "live"), "1")
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	name := read(filepath.Join(bank, "chip_name"))
	return "/dev/" + name, filepath.Join("/sys/devices/platform", read(filepath.Join(dir, "dev_name")), name)
}

// TestOnTheKernel drives a line of gpio-sim and reads it from outside.
func TestOnTheKernel(t *testing.T) {
	node, sysfs := simChip(t)
	level := func() string {
		b, err := os.ReadFile(filepath.Join(sysfs, "sim_gpio3", "value"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	for _, low := range []bool{false, true} {
		rest, active := "0", "1"
		if low {
			rest, active = active, rest
		}
		for _, chip := range []string{node, filepath.Base(node), "gate-sim"} {
			src, err := NewSource(Options{Chip: chip, Line: "RELAY1", ActiveLow: low, Pulse: 50 * time.Millisecond, Consumer: "bench"}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			r, err := src.Open()
			if err != nil {
				t.Fatal(err)
			}
			if level() != rest {
				t.Errorf("%s, active low %v: not at rest after Open", chip, low)
			}
			if err := r.Pulse(t.Context()); err != nil || level() != active {
				t.Errorf("%s, active low %v: pulse: %v, level %s", chip, low, err, level())
			}
			if _, err := src.Open(); err == nil || !strings.Contains(err.Error(), `in use by "bench"`) {
				t.Errorf("second Open: %v", err)
			}
			for deadline := time.Now().Add(5 * time.Second); level() != rest; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s, active low %v: the pulse does not end", chip, low)
				}
			}
			if err := r.Close(gate.OnFaultOpen); err != nil || level() != active {
				t.Errorf("Close(open): %v, level %s", err, level())
			}
			if r, err = src.Open(); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(gate.OnFaultClosed); err != nil {
				t.Error(err)
			}
		}
	}
}
