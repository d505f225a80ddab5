package symbology

import (
	"math"
	"math/bits"
)

// Many a word is near some codeword of the block's code, and correction then
// makes a wrong text of it. How unlikely that is, is counted in bits: of 2ᵇ
// random words one is as near. What a restored block must show is that it is
// too near for chance, not that redundancy was left over: codewords that are
// wrong in one bit of eight count little against it.
const (
	// plainEvidence is asked of a block whose errors were found, softEvidence of
	// one with erasures. A frame with a code beyond reading brings up to 150
	// trials of the one and 2,000 of the other, and is to give a wrong text less
	// than once in 10⁹ ≈ 2³⁰ times. Evidence being counted after the fact, up to
	// 1.1 bits more than it was worth have been seen.
	plainEvidence = 39
	softEvidence  = 44
	// A text brings evidence of its own: a word restored by chance is a random
	// byte. proseWord is that of each restored data codeword of a text in UTF-8
	// without control characters, maxProse the most that a block may owe to it.
	proseWord = 1.5
	maxProse  = 18
)

// evidence is what a restored block is worth: seen is the block before, erased
// the places that were given up, others how many more codewords were wrong.
//
// The check words bring eight bits each; taken from it are the ways to be as
// near: the choices of the others, and of as many bits or fewer to be turned
// over in both.
func evidence(seen, block []byte, check int, erased []uint8, others int) float64 {
	flips, inErased := 0, 0
	for i, w := range block {
		flips += bits.OnesCount8(w ^ seen[i])
	}
	for _, at := range erased {
		inErased += bits.OnesCount8(block[at] ^ seen[at])
	}
	ways := choices(len(block)-len(erased), others) *
		choicesUpTo(8*len(erased), inErased) * choicesUpTo(8*others, flips-inErased)
	return float64(8*check) - math.Log2(ways)
}

// choices is n over k.
func choices(n, k int) float64 {
	c := 1.0
	for i := range k {
		c *= float64(n-i) / float64(i+1)
	}
	return c
}

// choicesUpTo is the sum of n over 0 to n over k.
func choicesUpTo(n, k int) float64 {
	c, sum := 1.0, 1.0
	for i := range k {
		c *= float64(n-i) / float64(i+1)
		sum += c
	}
	return sum
}
