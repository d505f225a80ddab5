package supervise

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Panic is a panic turned into an error. Its text names what the runtime said,
// or the type of what was thrown, but never a value: that could be a payload.
type Panic struct {
	Cause error  // what the runtime said; nil for a value of another kind
	Type  string // of the value
	Stack []byte
}

func (p *Panic) Error() string {
	if p.Cause != nil {
		return "panic: " + p.Cause.Error()
	}
	return "panic with a " + p.Type
}

func (p *Panic) Unwrap() error { return p.Cause }

// Recovered calls f and gives its error, or a [*Panic]. A part that has a
// goroutine of its own runs it through here and hands the error to its Run.
func Recovered(f func() error) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		p := &Panic{Type: fmt.Sprintf("%T", v), Stack: debug.Stack()}
		// Only the runtime's own words are known to hold no data.
		if re, ok := v.(runtime.Error); ok {
			p.Cause = re
		}
		err = p
	}()
	return f()
}
