//go:build race

package cache_test

// race: the race detector takes memory of its own.
const race = true
