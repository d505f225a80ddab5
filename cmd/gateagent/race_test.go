//go:build race

package main_test

// raceDetector says that the program under test is built with it too.
const raceDetector = true
