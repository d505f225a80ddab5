//go:build race

package policy_test

// underRace is true in runs with the race detector, which are many times
// slower and look for other faults than a product does.
const underRace = true
