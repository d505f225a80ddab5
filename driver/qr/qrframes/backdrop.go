package qrframes

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Backdrop is what a camera sees behind its subject.
type Backdrop uint8

// The backdrops. Those between Room and Street are full of edges; those from
// Posters on look like codes to a hasty eye.
const (
	Room    Backdrop = iota // soft walls and a few edges
	Bricks                  // a wall
	Weave                   // a jacket held too close
	Foliage                 // a hedge
	Gravel                  // the ground before the gate
	Blinds                  // slats against the light
	Posters                 // lines of print, tables, bar codes
	Checks                  // a checked floor, seen at a slant
	Rings                   // nested squares and rings, each a finder pattern by its ratio along one line
	Mosaic                  // random modules without finder patterns
	Street                  // what a camera at a gate looks at: houses, sky, trees, the road
	backdrops
)

// pattern gives the brightness at a place in pixels of a frame 720 high.
type pattern func(x, y float64) float64

// backdrop fills light with a pattern, four looks a pixel.
func (r *Renderer) backdrop(s Scene, v View) error {
	if s.Backdrop >= backdrops {
		return fmt.Errorf("backdrop %d does not exist", s.Backdrop)
	}
	rng := rand.New(rand.NewPCG(s.Seed, 0x6261636b00+uint64(s.Backdrop)))
	look := newPattern(s.Backdrop, rng)
	scale := 720 / float64(v.Height)
	for y := range v.Height {
		row := r.light[y*v.Width : (y+1)*v.Width]
		for x := range row {
			sum := 0.0
			for k := range 4 {
				sum += look((float64(x)+0.25+0.5*float64(k%2))*scale, (float64(y)+0.25+0.5*float64(k/2))*scale)
			}
			row[x] = uint16(unit / 4 * min(max(sum, 0), 4*250))
		}
	}
	return nil
}

func newPattern(b Backdrop, rng *rand.Rand) pattern {
	span := func(lo, hi float64) float64 { return lo + (hi-lo)*rng.Float64() }
	seed := rng.Uint32()
	// Nothing hangs straight or is lit evenly.
	sin, cos := math.Sincos(span(-0.25, 0.25))
	size, lean := span(0.7, 1.6), span(-0.0003, 0.0003)
	turned := func(p pattern) pattern {
		return func(x, y float64) float64 {
			near := 1 + lean*(x-640)
			u, v := (x*cos+y*sin)/size*near, (y*cos-x*sin)/size*near
			return p(u, v) * (0.7 + 0.5*cloud(x/400, y/400, seed+9))
		}
	}
	switch b {
	case Bricks:
		return turned(func(x, y float64) float64 { return bricks(x, y, seed) })
	case Weave:
		return turned(func(x, y float64) float64 {
			warp, weft := math.Sin(x*0.9), math.Sin(y*0.9)
			over := 1.0
			if (int(math.Floor(x/7))+int(math.Floor(y/7)))%2 == 0 {
				over = -1
			}
			return 105 + 32*(warp+weft+over*(warp-weft))*0.5 + 50*(cloud(x/30, y/30, seed)-0.5) + 30*(grain(int(x), int(y), seed)-0.5)
		})
	case Foliage:
		return turned(func(x, y float64) float64 { return foliage(x, y, seed) })
	case Gravel:
		return turned(func(x, y float64) float64 { return gravel(x, y, seed) })
	case Blinds:
		return turned(func(x, y float64) float64 {
			at := y/26 - math.Floor(y/26)
			return 45 + 180*smooth(0.2, 0.3, at)*smooth(0.85, 0.7, at) + 20*cloud(x/90, y/26, seed)
		})
	case Posters:
		return turned(func(x, y float64) float64 { return posters(x, y, seed) })
	case Checks:
		return turned(func(x, y float64) float64 {
			depth := 1 + y/900
			return 50 + 150*math.Abs(float64((int(math.Floor(x/30*depth))+int(math.Floor(y/30)))&1)) + 15*cloud(x/4, y/4, seed)
		})
	case Rings:
		return turned(func(x, y float64) float64 { return rings(x, y, seed) })
	case Street:
		return street(rng)
	default: // Mosaic
		return turned(func(x, y float64) float64 {
			i, j := int(math.Floor(x/9)), int(math.Floor(y/9))
			// Fields of modules with plain paper between them.
			if grain(i>>5, j>>5, seed+1) < 0.35 {
				return 205 + 10*cloud(x/50, y/50, seed)
			}
			return 40 + 170*math.Round(grain(i, j, seed))
		})
	}
}

func bricks(x, y float64, seed uint32) float64 {
	const wide, high, joint = 84, 28, 4
	j := math.Floor(y / high)
	x += wide / 2 * (j - 2*math.Floor(j/2))
	i := math.Floor(x / wide)
	if x-i*wide < joint || y-j*high < joint {
		return 168 + 25*cloud(x/3, y/3, seed)
	}
	return 80 + 50*grain(int(i), int(j), seed+1) + 45*(cloud(x/5, y/5, seed+2)-0.5) + 20*(grain(int(x), int(y), seed)-0.5)
}

// foliage piles up leaves, the upper ones brighter.
func foliage(x, y float64, seed uint32) float64 {
	tone := 20 + 25*cloud(x/15, y/15, seed)
	for layer := range 4 {
		cell := 34.0 - 5*float64(layer)
		s := seed + 10*uint32(layer)
		ci, cj := math.Floor(x/cell), math.Floor(y/cell)
		for dj := -1; dj <= 1; dj++ {
			for di := -1; di <= 1; di++ {
				i, j := int(ci)+di, int(cj)+dj
				cx, cy := (float64(i)+grain(i, j, s+1))*cell, (float64(j)+grain(i, j, s+2))*cell
				sin, cos := math.Sincos(6.28 * grain(i, j, s+3))
				u, v := (x-cx)*cos+(y-cy)*sin, (y-cy)*cos-(x-cx)*sin
				if d := u*u/(0.42*cell*0.42*cell) + v*v/(0.17*cell*0.17*cell); d < 1 {
					vein := 18 * smooth(0.06*cell, 0, math.Abs(v))
					tone = 45 + 30*float64(layer) + 60*grain(i, j, s+4) - 22*d + vein
				}
			}
		}
	}
	return tone
}

// gravel is made of the cells around scattered points.
func gravel(x, y float64, seed uint32) float64 {
	const cell = 17
	ci, cj := int(math.Floor(x/cell)), int(math.Floor(y/cell))
	first, second, stone := 1e9, 1e9, 0.0
	for j := cj - 1; j <= cj+1; j++ {
		for i := ci - 1; i <= ci+1; i++ {
			d := math.Hypot((float64(i)+grain(i, j, seed))*cell-x, (float64(j)+grain(i, j, seed+1))*cell-y)
			if d < first {
				first, second, stone = d, first, grain(i, j, seed+2)
			} else if d < second {
				second = d
			}
		}
	}
	return (70 + 120*stone - 2.5*first + 25*cloud(x/3, y/3, seed+3)) * smooth(0, 5, second-first)
}

// posters hang in a grid: text, tables, bar codes, pictures.
func posters(x, y float64, seed uint32) float64 {
	const wide, high = 210, 260
	i, j := int(math.Floor(x/wide)), int(math.Floor(y/high))
	u, v := x-float64(i)*wide, y-float64(j)*high
	if u < 14 || v < 14 {
		return 92 + 12*cloud(x/20, y/20, seed)
	}
	paper := 190 + 40*grain(i, j, seed)
	switch kind := grain(i, j, seed+1); {
	case kind < 0.45: // text: letters are strokes in cells
		line, letter := int(v/13), int(u/7)
		if line%5 == 4 || v-13*float64(line) > 8 || grain(letter, line, seed+7) < 0.18 || float64(letter)*7 > 120+80*grain(line, j, seed+8) {
			return paper
		}
		fu, fv := u-7*float64(letter), v-13*float64(line)
		shape := grain(letter+97*i, line+89*j, seed+2)
		if fu < 1.6 && shape > 0.3 || fv < 1.8 && shape < 0.7 || fu > 3.6 && fu < 5.2 && shape > 0.55 || fv > 3.4 && fv < 5 && shape < 0.45 {
			return 35
		}
		return paper
	case kind < 0.6: // a table
		if math.Mod(u, 32) < 1.6 || math.Mod(v, 18) < 1.6 {
			return 50
		}
		if math.Mod(u, 32) < 24 && math.Mod(v, 18) > 6 && math.Mod(v, 18) < 13 && grain(int(u/4), int(v/18), seed+3) > 0.5 {
			return 60
		}
		return paper
	case kind < 0.8: // bar codes
		if math.Mod(v, 80) > 55 {
			return paper
		}
		return 35 + (paper-35)*math.Round(grain(int(u/2.2), i+7*j+int(v/80), seed+4))
	default: // a picture
		return 30 + 190*cloud(u/22, v/22, seed+5)*cloud(u/6, v/6, seed+6)*1.6
	}
}

// rings sets nested squares and circles of the ratio 1:1:3:1:1, in some cells
// broken so that only one direction has it.
func rings(x, y float64, seed uint32) float64 {
	const cell, module = 84, 8
	i, j := int(math.Floor(x/cell)), int(math.Floor(y/cell))
	u, v := (x-float64(i)*cell-cell/2)/module, (y-float64(j)*cell-cell/2)/module
	dark, light := 30+30*grain(i, j, seed+1), 195+40*grain(i, j, seed+2)
	d := 9.0
	switch kind := grain(i, j, seed); {
	case kind < 0.25:
		d = max(math.Abs(u), math.Abs(v))
	case kind < 0.5:
		d = math.Hypot(u, v)
	case kind < 0.75: // bars: the ratio across, nothing along
		d = math.Abs(u)
		if math.Abs(v) > 3.5 {
			d = 9
		}
	case kind < 0.9: // squares of other ratios
		d = max(math.Abs(u), math.Abs(v)) * 0.8
		if d > 0.7 && d < 1.4 {
			return light
		}
		if d < 2.2 {
			return dark
		}
	}
	if d < 1.5 || d > 2.5 && d < 3.5 {
		return dark
	}
	return light
}

// street puts houses with windows, a tree and a road under a sky. As in
// photographs, fine detail is faint beside coarse shapes.
func street(rng *rand.Rand) pattern {
	span := func(lo, hi float64) float64 { return lo + (hi-lo)*rng.Float64() }
	seed := rng.Uint32()
	type house struct{ left, right, top, wall, wide, high, glass float64 }
	var houses []house
	for x := span(-200, 0); x < 1400; {
		h := house{left: x, right: x + span(180, 420), top: span(40, 300), wall: span(70, 190), wide: span(50, 110), high: span(60, 130), glass: span(25, 80)}
		houses = append(houses, h)
		x = h.right + span(0, 90)
	}
	kerb, sky := span(430, 600), span(150, 235)
	treeX, treeY, treeR := span(100, 1200), span(150, 350), span(60, 170)
	detail := func(x, y float64) float64 { // each octave half as strong
		v, amplitude, size := 0.0, 26.0, 90.0
		for k := range uint32(6) {
			v += amplitude * (cloud(x/size, y/size, seed+k) - 0.5)
			amplitude, size = amplitude*0.62, size/2
		}
		return v
	}
	return func(x, y float64) float64 {
		tone := sky - 0.05*y + 0.5*detail(x/3, y/2)
		for _, h := range houses {
			if x < h.left || x > h.right || y < h.top || y > kerb {
				continue
			}
			tone = h.wall + 0.6*detail(x, y)
			u, v := math.Mod(x-h.left, h.wide)/h.wide, math.Mod(y-h.top, h.high)/h.high
			if u > 0.25 && u < 0.75 && v > 0.25 && v < 0.8 {
				tone = h.glass + 60*cloud(x/60, y/40, seed+20)
				if math.Abs(u-0.5) < 0.02 || math.Abs(v-0.5) < 0.015 {
					tone = h.wall + 30
				}
			}
		}
		if y > kerb {
			near := (y - kerb) / (720 - kerb)
			tone = 95 + 40*near + detail(x/(0.4+near), 3*y/(0.4+near))
		}
		crown := math.Hypot(x-treeX, y-treeY) + 60*(cloud(x/25, y/25, seed+30)-0.5)
		switch {
		case crown < treeR:
			tone = 0.75*foliage(x*1.6, y*1.6, seed+40) + 20
		case math.Abs(x-treeX) < 9 && y > treeY && y < kerb+40:
			tone = 50 + detail(4*x, y)
		}
		return tone
	}
}
