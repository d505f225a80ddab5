package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gateagent/cmd/gatectl/dataset"
)

// progress is one line on a terminal that is written over; in a pipe it is
// nothing.
type progress struct {
	out  *os.File // nil: quiet
	last time.Time
	wide int
}

// redraw bounds how often the line is written.
const redraw = 100 * time.Millisecond

func newProgress(cmd *cobra.Command) *progress {
	out, ok := cmd.ErrOrStderr().(*os.File)
	if !ok || !term.IsTerminal(int(out.Fd())) {
		return &progress{}
	}
	return &progress{out: out}
}

// say shows where the work stands.
func (p *progress) say(format string, args ...any) {
	if p.out == nil || time.Since(p.last) < redraw {
		return
	}
	p.last = time.Now()
	line := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.out, "\r%s%s", line, strings.Repeat(" ", max(0, p.wide-len(line))))
	p.wide = len(line)
}

// end clears the line.
func (p *progress) end() {
	if p.out != nil && p.wide > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.wide))
		p.wide = 0
	}
}

// count writes a number with its noun: "1 chunk", "3 chunks".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// rate shows how far building a set is, how fast it goes and how long the
// stage will take.
type rate struct {
	line  *progress
	stage dataset.Stage
	since time.Time
}

func newRate(cmd *cobra.Command) *rate { return &rate{line: newProgress(cmd)} }

// tell takes what the builder says.
func (r *rate) tell(p dataset.Progress) {
	now := time.Now()
	if p.Stage != r.stage {
		r.stage, r.since = p.Stage, now
		r.line.end()
	}
	r.line.say("%s", r.text(p, now.Sub(r.since)))
}

func (r *rate) text(p dataset.Progress, took time.Duration) string {
	text := fmt.Sprintf("%s: %d people", p.Stage, p.People)
	if took < time.Second {
		return text
	}
	text += fmt.Sprintf(", %.0f a second", float64(p.People)/took.Seconds())
	if p.Total > 0 && p.Done > 0 {
		left := time.Duration(float64(took) * float64(max(p.Total-p.Done, 0)) / float64(p.Done))
		text += fmt.Sprintf(", %d %%, %v left", min(p.Done*100/p.Total, 100), left.Round(time.Second))
	}
	return text
}

// end clears the line.
func (r *rate) end() { r.line.end() }
