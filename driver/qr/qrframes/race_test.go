//go:build race

package qrframes_test

// raceDetector says that these tests, all arithmetic on pixels and no
// goroutine of their own, run ten times slower than they would.
const raceDetector = true
