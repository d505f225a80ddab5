package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// countable says why an event cannot be counted here.
func countable(event string) error {
	if _, err := exec.LookPath("perf"); err != nil {
		return errors.New("perf is not installed")
	}
	out, err := exec.Command("perf", "stat", "-x,", "-e", event, "--", "true").CombinedOutput()
	if err != nil {
		return fmt.Errorf("perf stat: %w: %s", err, strings.TrimSpace(string(out)))
	}
	_, err = parsePerf(string(out))
	return err
}

// parsePerf reads the one count in what `perf stat -x,` printed.
func parsePerf(text string) (float64, error) {
	for line := range strings.Lines(text) {
		value, _, found := strings.Cut(strings.TrimSpace(line), ",")
		if !found || strings.HasPrefix(value, "#") {
			continue
		}
		if strings.HasPrefix(value, "<") { // <not supported>, <not counted>
			return 0, fmt.Errorf("perf stat says %s", value)
		}
		return strconv.ParseFloat(value, 64)
	}
	return 0, errors.New("perf stat printed no count")
}
