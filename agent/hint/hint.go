// Package hint joins an error with advice: what the person who reads it can do
// next. Both programs print such errors as an "error:" line and a "hint:" line.
// It owns nothing and decides nothing.
package hint

import (
	"errors"
	"fmt"
	"io"
)

// Error is an error with advice. Unwrap gives the error without it.
type Error struct {
	Err    error
	Advice string
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// New makes an error from a text and advice.
func New(advice, format string, args ...any) error {
	return &Error{Err: fmt.Errorf(format, args...), Advice: advice}
}

// Wrap adds advice to err; nil stays nil.
func Wrap(err error, advice string) error {
	if err == nil {
		return nil
	}
	return &Error{Err: err, Advice: advice}
}

// Of gives the outermost advice in err's chain, or "".
func Of(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Advice
	}
	return ""
}

// Print writes err as "error:" and, where there is advice, "hint:".
func Print(w io.Writer, err error) {
	fmt.Fprintf(w, "error: %v\n", err)
	if a := Of(err); a != "" {
		fmt.Fprintf(w, "hint: %s\n", a)
	}
}
