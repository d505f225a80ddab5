package qr

import (
	"sync"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// TestTwoReadersAtOnce reads with two readers at the same time, as the lanes of a
// box do: what they share is never written. Under the race detector this is the
// test that tells.
func TestTwoReadersAtOnce(t *testing.T) {
	payloads := []string{"0123456789", "HC1:6BF+70790", "001099000000||Nguyễn Thị Thử|01011999|Nữ|Tỉnh Mẫu|02022022"}
	type shown struct {
		payload string
		g       *frame.Gray
	}
	var frames []shown
	for i, text := range payloads {
		s := card(uint64(20+i), text)
		frames = append(frames, shown{text, draw(t, s)})
		s.Damage, s.Dark = 0.08, i == 1 // errors to be repaired, a code in negative
		frames = append(frames, shown{text, draw(t, s)})
	}
	ruined := card(30, "Mẫu|0123")
	ruined.Damage = qrframes.Ruined
	frames = append(frames, shown{"", draw(t, ruined)}, shown{"", draw(t, qrframes.Scene{Seed: 31, Subject: qrframes.Card})})

	var lanes sync.WaitGroup
	for lane := range 2 {
		lanes.Go(func() {
			r, texts := NewReader(), 0
			for i := range frames {
				f := frames[(i+lane*len(frames)/2)%len(frames)]
				codes, err := r.Read(f.g)
				if err != nil {
					t.Errorf("lane %d, frame %d: %v", lane, i, err)
				}
				for _, c := range codes {
					switch {
					case !c.Readable():
					case string(c.Text) != f.payload:
						t.Errorf("lane %d, frame %d: read %q, shown was %q", lane, i, c.Text, f.payload)
					default:
						texts++
					}
				}
			}
			if texts < len(payloads) {
				t.Errorf("lane %d: %d texts in %d frames", lane, texts, len(frames))
			}
		})
	}
	lanes.Wait()
}
