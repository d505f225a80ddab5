//go:build !race

package policy_test

// every is how many cases of a product there are to one that is tried: all.
const every = 1
