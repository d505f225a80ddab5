//go:build !linux

package clock

import "errors"

// kernelSynchronised has no answer where there is no adjtimex.
func kernelSynchronised() (bool, error) {
	return false, errors.New("ask the kernel about its clock: only known on Linux")
}
