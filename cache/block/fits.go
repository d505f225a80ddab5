package block

// Fits says whether a set of that many people may lie in that many blocks. A
// new base may keep the block count of the one before while it fits, which
// makes the places of records the same in both; [Blocks] is the count of a set
// that begins anew. It fits when the blocks are between 0.9 and 1.15 times
// people/62, give or take one block.
func Fits(people, blocks uint64) bool {
	if blocks == 0 || blocks > MaxPeople/PerBlock || people > MaxPeople {
		return false
	}
	return (blocks+1)*PerBlock*100 >= people*90 && (blocks-1)*PerBlock*100 <= people*115
}
