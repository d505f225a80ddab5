//go:build !linux

package mqttlink

import (
	"context"
	"syscall"
	"time"
)

// userTimeout does nothing where there is no TCP_USER_TIMEOUT; the write
// deadline and the ping remain.
func userTimeout(time.Duration) func(context.Context, string, string, syscall.RawConn) error {
	return nil
}
