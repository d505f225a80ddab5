package qrframes_test

import (
	"slices"
	"strings"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr"
	"gateagent/driver/qr/qrframes"
)

// Whatever a category makes hard, its easiest level is easy: this holds the
// scenes to what they are said to show.
func TestTheEasiestLevelsAreRead(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("draws 60 large frames")
	}
	renderer, reader := qrframes.NewRenderer(), qr.NewReader()
	for _, c := range qrframes.Categories() {
		if c.Codes == 0 || strings.HasPrefix(c.Name, "mix") { // a mix has no easy level
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			const frames = 2
			read := 0
			for n := range frames {
				want := []string{payload(uint64(n)), payload(100 + uint64(n))}[:c.Codes]
				if c.Short {
					want = []string{"01234567890123456"}
				}
				var g frame.Gray
				if err := renderer.Render(c.Scene(1, c.Levels[0], n, want...), &g); err != nil {
					t.Fatal(err)
				}
				codes, err := reader.Read(&g)
				if err != nil {
					t.Fatal(err)
				}
				all := true
				for _, w := range want {
					all = all && slices.ContainsFunc(codes, func(c qr.Code) bool { return string(c.Text) == w })
				}
				for _, code := range codes {
					if code.Readable() && !slices.Contains(want, string(code.Text)) {
						t.Errorf("scene %d: another text was read", n)
					}
				}
				if all {
					read++
				}
			}
			if read == 0 {
				t.Errorf("none of %d was read", frames)
			}
		})
	}
}
