//go:build !race

package wire

// raceDetector says that measurements take ten times as long.
const raceDetector = false
