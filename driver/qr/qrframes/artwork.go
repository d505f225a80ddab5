package qrframes

import (
	"math"
	"math/rand/v2"
)

// artwork is the face of a subject without its code.
type artwork struct {
	wide, high float64 // mm
	corner     float64 // radius of its corners, mm
	perMM      float64 // texels a mm
	w, h       int     // texels
	pix        []byte
	// Where a code goes: centre and side of the symbol in mm, and how bright
	// its light and dark modules are.
	codeX, codeY, codeSide float64
	paper, ink             float64
}

// nominalModules a side stand in for the code where there is none.
const nominalModules = 49

// variants of each subject exist; a scene's seed picks one.
const variants = 5

// faces of the fictional artwork.
func newArtwork(s Subject, variant uint64, dark bool) *artwork {
	r := rand.New(rand.NewPCG(variant, uint64(s)))
	var a *artwork
	if s == Phone {
		a = newPhone(r)
	} else {
		a = newCard(r)
	}
	if dark {
		for i, v := range a.pix {
			a.pix[i] = 250 - min(v, 245)
		}
		a.paper, a.ink = 250-a.paper, 250-a.ink
	}
	return a
}

func blank(wide, high, perMM, corner float64) *artwork {
	a := &artwork{wide: wide, high: high, perMM: perMM, corner: corner}
	a.w, a.h = int(wide*perMM), int(high*perMM)
	a.pix = make([]byte, a.w*a.h)
	return a
}

// newCard draws a card: wavy security print, emblem, portrait, lines of text,
// and the white field of the code.
func newCard(r *rand.Rand) *artwork {
	a := blank(85.6, 54, 10, 3.2)
	bend, pitch, phase := 0.01+0.02*r.Float64(), 0.05+0.04*r.Float64(), 6*r.Float64()
	ground := 196 + 20*r.Float64()
	for y := range a.h {
		sway := 3 * math.Sin(float64(y)*bend+phase)
		row := a.pix[y*a.w : (y+1)*a.w]
		for x := range row {
			wave := math.Sin(float64(x)*pitch + sway)
			row[x] = byte(ground + 10*wave + 6*math.Sin(float64(x+y)*0.11))
		}
	}
	a.codeSide = 0.2 * a.wide
	a.codeX, a.codeY = a.wide-3.5-a.codeSide/2, 3.5+a.codeSide/2
	a.paper, a.ink = 222+10*r.Float64(), 28+25*r.Float64()
	a.emblem(9, 9.5, 4.6)
	a.text(r, 20, 4.5, 26, 2.4, 60)
	a.text(r, 24, 9.2, 34, 1.8, 70)
	a.text(r, 28, 14.5, 28, 2.8, 55)
	for i := range 7 {
		y := 22 + 4.1*float64(i)
		a.text(r, 29, y, 12+10*r.Float64(), 1.2, 95)
		a.text(r, 44+4*r.Float64(), y, 14+18*r.Float64(), 1.6, 50)
	}
	a.portrait(r, 3.2, 18.5, 21, 28)
	quiet := 4 * a.codeSide / nominalModules
	a.rect(a.codeX-a.codeSide/2-quiet, a.codeY-a.codeSide/2-quiet, a.codeSide+2*quiet, a.codeSide+2*quiet, a.paper)
	return a
}

// newPhone draws a phone with lines of text above and below the code.
func newPhone(r *rand.Rand) *artwork {
	a := blank(71, 147, 8, 8)
	a.paper, a.ink = 236+10*r.Float64(), 10+12*r.Float64()
	a.rect(0, 0, a.wide, a.high, 14)
	a.rect(2.5, 3, a.wide-5, a.high-6, a.paper)
	a.rect(26, 4.5, 19, 3.5, 14)
	for i := range 4 {
		a.text(r, 9, 14+5.2*float64(i), 22+25*r.Float64(), 2.4, a.ink)
	}
	for i := range 5 {
		a.text(r, 9, 106+5*float64(i), 20+30*r.Float64(), 2.2, 90)
	}
	a.codeSide = 47
	a.codeX, a.codeY = a.wide/2, 72
	return a
}

// rect fills x, y, wide, high (mm) with brightness v.
func (a *artwork) rect(x, y, wide, high, v float64) {
	x0, y0 := max(0, int(x*a.perMM)), max(0, int(y*a.perMM))
	x1, y1 := min(a.w, int((x+wide)*a.perMM)), min(a.h, int((y+high)*a.perMM))
	for row := y0; row < y1; row++ {
		for col := x0; col < x1; col++ {
			a.pix[row*a.w+col] = byte(v)
		}
	}
}

// text writes a line of made-up letters, high mm tall.
func (a *artwork) text(r *rand.Rand, x, y, wide, high, v float64) {
	stroke := max(high/6, 1.2/a.perMM)
	for at := x; at < x+wide; at += 0.72 * high {
		if r.IntN(6) == 0 {
			continue // between words
		}
		for range 2 + r.IntN(2) {
			if r.IntN(2) == 0 {
				a.rect(at+r.Float64()*high*0.4, y, stroke, high, v)
			} else {
				a.rect(at, y+r.Float64()*(high-stroke), 0.55*high, stroke, v)
			}
		}
	}
}

// emblem draws rings and a dark core round a centre: not unlike a finder
// pattern to a hasty eye, as emblems are.
func (a *artwork) emblem(x, y, radius float64) {
	a.disc(x, y, radius, func(d float64) (float64, bool) {
		return 84, d < 0.3 || int(d*7)%2 == 0
	})
}

// portrait draws a head and shoulders before a plain ground.
func (a *artwork) portrait(r *rand.Rand, x, y, wide, high float64) {
	a.rect(x, y, wide, high, 205)
	skin, hair, cloth := 150+50*r.Float64(), 35+20*r.Float64(), 60+120*r.Float64()
	shade := func(v float64) func(float64) (float64, bool) {
		return func(d float64) (float64, bool) { return v * (1 - 0.25*d), d < 1 }
	}
	cx := x + wide/2
	for dy := range int(0.26 * high * a.perMM) {
		half := wide * (0.22 + 0.2*math.Sqrt(float64(dy)/(0.26*high*a.perMM)))
		a.rect(cx-half, y+0.74*high+float64(dy)/a.perMM, 2*half, 1.5/a.perMM, cloth)
	}
	a.disc(cx, y+0.40*high, 0.30*wide, shade(hair))
	a.disc(cx, y+0.46*high, 0.25*wide, shade(skin))
	a.rect(cx-0.09*wide, y+0.62*high, 0.18*wide, 0.13*high, skin*0.85)
}

// disc asks paint for the brightness at each distance from the centre, 0 to 1.
func (a *artwork) disc(x, y, radius float64, paint func(d float64) (v float64, on bool)) {
	x0, y0 := max(0, int((x-radius)*a.perMM)), max(0, int((y-radius)*a.perMM))
	x1, y1 := min(a.w, int((x+radius)*a.perMM)+1), min(a.h, int((y+radius)*a.perMM)+1)
	for row := y0; row < y1; row++ {
		for col := x0; col < x1; col++ {
			d := math.Hypot((float64(col)+0.5)/a.perMM-x, (float64(row)+0.5)/a.perMM-y) / radius
			if d > 1 {
				continue
			}
			if v, on := paint(d); on {
				a.pix[row*a.w+col] = byte(v)
			}
		}
	}
}

// on says whether a place in mm is on the subject, its round corners minded.
func (a *artwork) on(x, y float64) bool {
	if x < 0 || y < 0 || x >= a.wide || y >= a.high {
		return false
	}
	dx := max(a.corner-x, x-(a.wide-a.corner))
	dy := max(a.corner-y, y-(a.high-a.corner))
	return dx <= 0 || dy <= 0 || dx*dx+dy*dy <= a.corner*a.corner
}

// sample gives the brightness at a place in mm, between the texels.
func (a *artwork) sample(x, y float64) float64 {
	u, v := x*a.perMM-0.5, y*a.perMM-0.5
	u, v = min(max(u, 0), float64(a.w-1)-1e-6), min(max(v, 0), float64(a.h-1)-1e-6)
	i, j := int(u), int(v)
	fu, fv := u-float64(i), v-float64(j)
	p := a.pix[j*a.w+i:]
	q := p[a.w:]
	top := float64(p[0]) + fu*(float64(p[1])-float64(p[0]))
	low := float64(q[0]) + fu*(float64(q[1])-float64(q[0]))
	return top + fv*(low-top)
}
