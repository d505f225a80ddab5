//go:build race

package qr

// raceDetector says that what a read costs says nothing here: it is ten times as
// slow, and allocates besides.
const raceDetector = true
