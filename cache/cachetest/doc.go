// Package cachetest holds what tests of and around the store share: fictional
// people and data sets, the suites that every journal and every store of data
// sets must pass (a fake as well as the real one), and a harness that kills
// a process in the middle of its work and looks at what is left.
//
// It is for tests only and is never linked into a program that ships.
package cachetest
