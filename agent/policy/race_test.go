//go:build race

package policy_test

// every is how many cases of a product there are to one that is tried: with
// the race detector one in seven, the rest is for runs without it.
const every = 7
