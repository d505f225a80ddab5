package qrframes_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
	"gateagent/driver/qr"
	"gateagent/driver/qr/qrframes"
)

// payload makes a fictional text of the length and alphabet of a card's code.
func payload(seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	family := []string{"Nguyễn", "Trần", "Lê", "Phạm", "Hoàng"}[r.IntN(5)]
	middle := []string{"Thị", "Văn", "Hữu Đức Quốc", ""}[r.IntN(4)]
	house := []string{"", "Số 45/12/7 Đường Tưởng Tượng, ", "Tổ Dân Phố Số 12, Khu Phố Hòa Bình, "}[r.IntN(3)]
	return fmt.Sprintf("%012d|%09d|%s %s Thử|01011990|Nữ|%sXã Không Có, Huyện Thử, Tỉnh Mẫu|02022022",
		r.Int64N(1e12), r.IntN(1e9), family, middle, house)
}

// seedCount is how many scenes of each kind are drawn. Of 700 seeds none fails;
// they take some minutes: go test ./driver/qr/qrframes -seeds 700
var seedCount = flag.Uint64("seeds", 40, "how many scenes of each kind the tests draw")

func seeds() uint64 {
	switch {
	case testing.Short() && raceDetector:
		return min(*seedCount, 1)
	case testing.Short() || raceDetector:
		return min(*seedCount, 5)
	}
	return *seedCount
}

// scene draws the n-th scene of a kind.
func scene(n uint64, subject qrframes.Subject) qrframes.Scene {
	return qrframes.Scene{
		Seed: n, Shot: n % 3, Subject: subject, Payload: payload(n),
		ECC: qrframes.ECC(n % 2), View: qrframes.GateView(n),
	}
}

var kinds = map[string]func(n uint64) qrframes.Scene{
	"card":  func(n uint64) qrframes.Scene { return scene(n, qrframes.Card) },
	"phone": func(n uint64) qrframes.Scene { return scene(n, qrframes.Phone) },
	"dark phone": func(n uint64) qrframes.Scene {
		s := scene(n, qrframes.Phone)
		s.Dark = true
		return s
	},
}

// look renders a scene and reads it. Every second one goes through JPEG, at a
// quality of 85 to 95.
func look(t *testing.T, renderer *qrframes.Renderer, reader qr.Reader, s qrframes.Scene) []qr.Code {
	t.Helper()
	var g frame.Gray
	if err := renderer.Render(s, &g); err != nil {
		t.Fatal(err)
	}
	if s.Seed%2 == 0 {
		var b bytes.Buffer
		if err := mjpeg.Encode(&b, &g, 85+int(s.Seed/2%11)); err != nil {
			t.Fatal(err)
		}
		if err := mjpeg.Decode(b.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
	}
	codes, err := reader.Read(&g)
	if err != nil {
		t.Fatal(err)
	}
	return codes
}

func TestEveryReadableSceneIsRead(t *testing.T) {
	for name, draw := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			renderer, reader := qrframes.NewRenderer(), qr.NewReader()
			for n := range seeds() {
				s := draw(n)
				codes := look(t, renderer, reader, s)
				if len(codes) != 1 || string(codes[0].Text) != s.Payload {
					t.Errorf("seed %d: %d codes, want its one text", n, len(codes))
				}
			}
		})
	}
}

func TestRuinedCodesAreSeenAndNotRead(t *testing.T) {
	for name, draw := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			renderer, reader := qrframes.NewRenderer(), qr.NewReader()
			for n := range seeds() {
				s := draw(n)
				s.Damage = qrframes.Ruined
				codes := look(t, renderer, reader, s)
				if len(codes) != 1 || codes[0].Readable() {
					t.Errorf("seed %d: %d codes, want one that cannot be read", n, len(codes))
				}
			}
		})
	}
}

func TestScenesWithoutACodeShowNone(t *testing.T) {
	for name, subject := range map[string]qrframes.Subject{
		"nothing": qrframes.Nothing, "card": qrframes.Card, "phone": qrframes.Phone,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			renderer, reader := qrframes.NewRenderer(), qr.NewReader()
			for n := range seeds() {
				s := scene(n, subject)
				s.Payload = ""
				if codes := look(t, renderer, reader, s); len(codes) != 0 {
					t.Errorf("seed %d: %d codes, want none", n, len(codes))
				}
			}
		})
	}
}
