package block

import "testing"

func TestFits(t *testing.T) {
	for _, c := range []struct {
		people, blocks uint64
		want           bool
	}{
		{0, 0, false},
		{0, 1, true},
		{0, 2, false},
		{62, 1, true},
		{63, 1, true}, // it was 62 people in one block, then one more
		{137, 1, true},
		{138, 1, false},
		{100, 3, false},
		{62_000, 1000, true},
		{62_000 * 111 / 100, 1000, true},
		{62_000 * 113 / 100, 1000, false},
		{62_000 * 88 / 100, 1000, true},
		{62_000 * 85 / 100, 1000, false},
		{98_000_000, 1_580_646, true},
		{98_000_000, 1_500_000, true},
		{98_000_000, 1_400_000, false},
		{98_000_000, 1_900_000, false},
		{MaxPeople, 1 << 32, true},
		{MaxPeople + 1, 1 << 32, false},
		{MaxPeople, 1 << 60, false},
	} {
		if got := Fits(c.people, c.blocks); got != c.want {
			t.Errorf("%d people in %d blocks: %v", c.people, c.blocks, got)
		}
	}
	for people := uint64(0); people < 100_000; people += 37 {
		if !Fits(people, Blocks(people)) {
			t.Errorf("%d people do not fit the blocks of a new set", people)
		}
	}
}
