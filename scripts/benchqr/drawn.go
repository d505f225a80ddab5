package main

import (
	"fmt"
	"math/rand/v2"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// rendered are the frames of all categories for a seed, perLevel of each level.
// Each is drawn when it is asked for.
func rendered(seed uint64, perLevel int) []item {
	renderer := qrframes.NewRenderer()
	var items []item
	for _, c := range qrframes.Categories() {
		for _, level := range c.Levels {
			for n := range perLevel {
				items = append(items, drawn(renderer, c, seed, level, n))
			}
		}
	}
	return items
}

func drawn(renderer *qrframes.Renderer, c qrframes.Category, seed uint64, level float64, n int) item {
	var texts []string // none is nil, as in a folder
	for i := range c.Codes {
		r := rand.New(rand.NewPCG(seed, uint64(len(c.Name))<<40+uint64(level*1000)<<16+uint64(n)<<8+uint64(i)))
		if c.Short {
			texts = append(texts, fmt.Sprintf("%012d", r.Int64N(1e12)))
		} else {
			texts = append(texts, payload(r))
		}
	}
	scene := c.Scene(seed, level, n, texts...)
	return item{
		category: c.Name, level: level, want: texts,
		load: func(g *frame.Gray) error { return renderer.Render(scene, g) },
	}
}

// payload makes up what a card's code might say: numbers, a name, dates and an
// address, of nobody and nowhere, of the length and alphabet of the real ones.
func payload(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	date := func() string { return fmt.Sprintf("%02d%02d%04d", 1+r.IntN(28), 1+r.IntN(12), 1950+r.IntN(60)) }
	old := ""
	if r.IntN(4) > 0 {
		old = fmt.Sprintf("%09d", r.IntN(1e9))
	}
	return fmt.Sprintf("%012d|%s|%s %s %s|%s|%s|%s, %s, %s, %s|%s", r.Int64N(1e12), old,
		pick("Nguyễn", "Trần", "Lê", "Phạm", "Huỳnh", "Đặng"), pick("Thị", "Văn", "Hữu Đức", "Ngọc Phương"), pick("Mẫu", "Thử", "Giả Định", "Ví Dụ"),
		date(), pick("Nam", "Nữ"),
		pick("Thôn Tưởng Tượng", "Tổ Dân Phố Số 12", "Số 45/12/7 Đường Thử", "Ấp Ví Dụ"), pick("Xã Không Có", "Phường Giả Định", "Thị Trấn Mẫu"),
		pick("Huyện Thử", "Quận 99", "Thành Phố Ví Dụ"), pick("Tỉnh Mẫu", "TP. Tưởng Tượng", "Vùng Không Đâu"), date())
}

// pair is a frame and the next one, in which the code is elsewhere.
type pair struct{ before, after item }

// trackingPairs draws n pairs of frames of a gate at work: between the two the
// code moves by up to 5 % of the frame's width, turns a little and comes nearer
// or goes.
func trackingPairs(seed uint64, n int) []pair {
	renderer := qrframes.NewRenderer()
	pairs := make([]pair, n)
	for i := range pairs {
		r := rand.New(rand.NewPCG(seed, 0x747261636b00+uint64(i)))
		span := func(lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }
		text := payload(r)
		s := qrframes.Scene{Seed: r.Uint64(), Subject: qrframes.Card, Payload: text, ECC: qrframes.M, View: qrframes.GateView(r.Uint64())}
		if i%4 == 3 {
			s.Subject = qrframes.Phone
		}
		s.View.ModulePixels = span(2.2, 5)
		next := s
		next.Shot = 1
		next.View.X += span(-0.035, 0.035)
		next.View.Y += span(-0.06, 0.06) // of the height, which is 9/16 of the width
		next.View.Roll += span(-3, 3)
		next.View.ModulePixels *= span(0.97, 1.03)
		item := func(s qrframes.Scene) item {
			return item{category: "tracking", want: []string{text}, load: func(g *frame.Gray) error { return renderer.Render(s, g) }}
		}
		pairs[i] = pair{item(s), item(next)}
	}
	return pairs
}
