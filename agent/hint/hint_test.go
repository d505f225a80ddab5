package hint

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestPrint(t *testing.T) {
	_, missing := os.Open("no-such-file")
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"plain":   {errors.New("broken"), "error: broken\n"},
		"advice":  {New("mend it", "part %d is broken", 2), "error: part 2 is broken\nhint: mend it\n"},
		"wrapped": {fmt.Errorf("start: %w", Wrap(errors.New("busy"), "stop the other one")), "error: start: busy\nhint: stop the other one\n"},
		"keeps":   {Wrap(missing, "look again"), "error: open no-such-file: no such file or directory\nhint: look again\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if Print(&b, c.err); b.String() != c.want {
				t.Errorf("printed %q, want %q", b.String(), c.want)
			}
		})
	}
	if Wrap(nil, "never") != nil {
		t.Error("advice made an error out of nothing")
	}
	if !errors.Is(Wrap(missing, "x"), os.ErrNotExist) {
		t.Error("the cause is lost")
	}
}
