//go:build !race

package qrframes_test

const raceDetector = false
