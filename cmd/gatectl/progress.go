package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
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
