package qrframes

import (
	"math"
	"math/rand/v2"
)

// Category is a family of benchmark scenes: one difficulty at rising levels, or
// a mix of many.
type Category struct {
	Name   string
	Levels []float64 // from easy to hard, as far as they have an order
	// Codes is how many codes each scene holds. Where they are Short, their
	// texts must be: 17 digits at most.
	Codes int
	Short bool
	// change makes a scene at ease one of the category. It may draw from r.
	change func(s *Scene, level float64, r *rand.Rand)
}

// Scene draws the n-th scene of a level for a seed, with the texts that its
// codes are to say (as many as Codes; more are not used).
func (c Category) Scene(seed uint64, level float64, n int, texts ...string) Scene {
	name := uint64(14695981039346656037) // FNV-1a
	for _, b := range []byte(c.Name) {
		name = (name ^ uint64(b)) * 1099511628211
	}
	r := rand.New(rand.NewPCG(seed^name, math.Float64bits(level)+uint64(n)))
	s := atEase(r)
	if c.Codes > 0 && len(texts) > 0 {
		s.Payload = texts[0]
	}
	c.change(&s, level, r)
	if s.Beside != nil && c.Codes > 1 && len(texts) > 1 {
		s.Beside.Payload = texts[1]
	}
	return s
}

// atEase is a card that is neither near nor well held, in a frame of 1280×720:
// three pixels a module, a bit of turn and tilt, a good lens, a usual camera.
func atEase(r *rand.Rand) Scene {
	v := View{
		Width: 1280, Height: 720, ModulePixels: 3,
		X: between(r, 0.2, 0.8), Y: between(r, 0.25, 0.75),
		Roll: between(r, -12, 12), Yaw: between(r, -8, 8), Pitch: between(r, -8, 8),
		Blur: 0.45, Noise: 3, Light: 1, Slope: between(r, 0, 0.1), Sun: between(r, 0, 360),
	}
	return Scene{Seed: r.Uint64(), Subject: Card, ECC: ECC(min(r.IntN(3), 1)), View: v, Faults: []Fault{JPEG(90)}}
}

func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// add puts faults before those that a scene has: JPEG comes last.
func (s *Scene) add(f ...Fault) { s.Faults = append(f, s.Faults...) }

// raw takes the compression away.
func (s *Scene) raw() { s.Faults = nil }

// onPhone shows the code on a phone, modules px wide.
func (s *Scene) onPhone(px float64, dark bool) {
	s.Subject, s.Dark, s.View.ModulePixels = Phone, dark, px
	s.View.X, s.View.Y = 0.5, 0.5
}

// tilted leans a subject out of the picture's plane by so many degrees.
func (s *Scene) tilted(degrees float64, r *rand.Rand) {
	sin, cos := math.Sincos(between(r, 0, 2*math.Pi))
	s.View.Yaw, s.View.Pitch = degrees*sin, degrees*cos
}

// fault makes a category of one fault by level.
func fault[F Fault](name string, make func(level float64) F, levels ...float64) Category {
	return Category{Name: name, Levels: levels, Codes: 1, change: func(s *Scene, l float64, _ *rand.Rand) { s.add(make(l)) }}
}

// changed makes a category that a function describes.
func changed(name string, codes int, change func(s *Scene, level float64, r *rand.Rand), levels ...float64) Category {
	return Category{Name: name, Levels: levels, Codes: codes, change: change}
}

// Categories are all of the benchmark, those with a code first.
func Categories() []Category {
	var all []Category
	for _, part := range [][]Category{viewed(), faulted(), shown(), mixed(), emptied()} {
		all = append(all, part...)
	}
	return all
}

// viewed are difficulties of where and how the subject is held.
func viewed() []Category {
	return []Category{
		changed("size", 1, func(s *Scene, px float64, _ *rand.Rand) { s.View.ModulePixels = px },
			4, 3, 2.5, 2, 1.8, 1.6, 1.4, 1.2, 1),
		changed("noise", 1, func(s *Scene, sigma float64, _ *rand.Rand) {
			s.View.Noise = sigma
			s.raw()
		}, 10, 20, 30, 40, 60, 80),
		changed("perspective", 1, func(s *Scene, degrees float64, r *rand.Rand) {
			s.View.ModulePixels, s.View.Roll = 4, between(r, 0, 360)
			s.View.X, s.View.Y = between(r, 0.35, 0.65), between(r, 0.4, 0.6)
			s.tilted(degrees, r)
		}, 20, 35, 45, 55, 65),
		changed("rotation", 1, func(s *Scene, degrees float64, _ *rand.Rand) { s.View.Roll = degrees },
			0, 45, 90, 135, 180, 225, 270, 315),
		changed("dense", 1, func(s *Scene, version float64, r *rand.Rand) {
			s.Version = int(version)
			// The largest of them just fits the frame.
			s.View.X, s.View.Y = between(r, 0.4, 0.6), between(r, 0.46, 0.54)
		}, 12, 16, 20, 25, 30, 40),
		{
			Name: "small symbol", Levels: []float64{4, 3, 2, 1.6}, Codes: 1, Short: true,
			change: func(s *Scene, px float64, r *rand.Rand) { s.Version, s.View.ModulePixels = 1+r.IntN(3), px },
		},
		changed("two codes", 2, func(s *Scene, px float64, r *rand.Rand) {
			s.View.ModulePixels, s.View.X = px, between(r, 0.2, 0.28)
			s.Beside = &Scene{Seed: s.Seed + 1, Subject: Card, ECC: M, View: s.View}
			s.Beside.View.X, s.Beside.View.Y = between(r, 0.78, 0.84), between(r, 0.4, 0.6)
			s.Beside.View.Roll = between(r, -30, 30)
		}, 4, 3, 2),
	}
}

// faulted are the faults one by one, on a card.
func faulted() []Category {
	return []Category{
		fault("blur", func(l float64) Blur { return Blur(l) }, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8),
		fault("defocus", func(l float64) Defocus { return Defocus(l) }, 0.6, 0.8, 1, 1.2, 1.5),
		fault("motion", func(l float64) Motion { return Motion(l) }, 0.5, 1, 1.5, 2, 2.5),
		fault("rolling shutter", func(l float64) RollingShutter { return RollingShutter(l) }, 2, 5, 10, 15),
		fault("curve", func(l float64) Curve { return Curve(l) }, 0.1, 0.2, 0.3, 0.45, 0.6),
		fault("contrast", func(l float64) Contrast { return Contrast(l) }, 0.4, 0.3, 0.2, 0.15, 0.1),
		fault("coloured", func(l float64) Coloured { return Coloured(l) }, 0.6, 0.4, 0.25, 0.15, 0.1),
		fault("glare", func(l float64) Glare { return Glare(l) }, 0.03, 0.06, 0.1, 0.15, 0.2),
		fault("gradient", func(l float64) Gradient { return Gradient(l) }, 1, 2, 3, 4),
		fault("shadow edge", func(l float64) Shadow { return Shadow(l) }, 0.4, 0.6, 0.75, 0.85),
		changed("jpeg", 1, func(s *Scene, q float64, _ *rand.Rand) {
			s.View.ModulePixels = 2.5
			s.Faults = []Fault{JPEG(q)}
		}, 50, 30, 20, 10, 5),
		fault("halos", func(l float64) Halos { return Halos(l) }, 1, 2, 4, 8),
		fault("flicker", func(l float64) Flicker { return Flicker(l) }, 0.3, 0.5, 0.7, 0.85),
		fault("under-exposure", func(l float64) Exposure { return Exposure(-l) }, 1, 2, 3, 4),
		fault("over-exposure", func(l float64) Exposure { return Exposure(l) }, 0.5, 1, 1.5, 2),
		fault("scratches", func(l float64) Scratches { return Scratches(l) }, 1, 2, 4, 6),
		fault("worn", func(l float64) Worn { return Worn(l) }, 0.4, 0.6, 0.8, 1),
		fault("quiet zone", func(l float64) QuietZone { return QuietZone(l) }, 1, 0),
		fault("hologram", func(l float64) Hologram { return Hologram(l) }, 0.3, 0.5, 0.75, 1),
		fault("laminate", func(l float64) Laminate { return Laminate(l) }, 0.3, 0.5, 0.75, 1),
		fault("sleeve", func(l float64) Sleeve { return Sleeve(l) }, 0.3, 0.6, 0.8, 1),
		fault("fingers", func(l float64) Fingers { return Fingers(l) }, 0.03, 0.06, 0.1, 0.15),
	}
}

// shown are the difficulties of screens.
func shown() []Category {
	return []Category{
		changed("phone", 1, func(s *Scene, px float64, r *rand.Rand) {
			s.onPhone(px, false)
			s.View.Roll = between(r, -40, 40)
			s.View.Yaw, s.View.Pitch = between(r, -25, 25), between(r, -25, 25)
			s.add(Glare(between(r, 0, 0.04)))
		}, 11, 7, 4, 2.5),
		changed("inverted phone", 1, func(s *Scene, px float64, r *rand.Rand) {
			s.onPhone(px, true)
			s.View.Roll = between(r, 0, 360)
		}, 9, 6, 3),
		changed("moire", 1, func(s *Scene, depth float64, r *rand.Rand) {
			s.onPhone(between(r, 3, 7), r.IntN(3) == 0)
			s.add(Moire(depth))
		}, 0.1, 0.25, 0.4, 0.6),
		changed("screen bands", 1, func(s *Scene, depth float64, r *rand.Rand) {
			s.onPhone(between(r, 3, 7), r.IntN(3) == 0)
			s.add(ScreenBands(depth))
		}, 0.4, 0.6, 0.8, 0.95),
	}
}

// mixed are frames as a day brings them, cards at three levels that mean nothing
// and phones at the fourth.
func mixed() []Category {
	return []Category{
		changed("mix 480", 1, mix480, 1, 2, 3, 4),
		changed("mix 720", 1, mix720, 1, 2, 3, 4),
		changed("mix 1080", 1, mix1080, 1, 2, 3, 4),
	}
}

// Cards are held closer to a camera of few pixels, as its users learn to do.
func mix480(s *Scene, level float64, r *rand.Rand) {
	blend(s, level, r, 640, 480, between(r, 0.35, 0.95))
}

func mix720(s *Scene, level float64, r *rand.Rand) {
	blend(s, level, r, 1280, 720, between(r, 0.25, 0.75))
}

func mix1080(s *Scene, level float64, r *rand.Rand) {
	blend(s, level, r, 1920, 1080, between(r, 0.15, 0.6))
}

// blend holds a card that takes a share of the frame's width, or at level 4 a
// phone, any way round, and lets some of everything go wrong.
func blend(s *Scene, level float64, r *rand.Rand, width, height int, share float64) {
	v := &s.View
	v.Width, v.Height = width, height
	v.ModulePixels = share * float64(width) * 0.2 / nominalModules
	if level == 4 {
		s.onPhone(between(r, 0.35, 0.75)*float64(height)/nominalModules, r.IntN(2) == 0)
	}
	s.Backdrop = [...]Backdrop{Room, Street, Bricks, Weave, Foliage, Gravel, Blinds, Posters}[r.IntN(8)]
	v.Roll = between(r, 0, 360)
	v.Yaw, v.Pitch = between(r, -25, 25), between(r, -25, 25)
	v.Noise = between(r, 2, 10)
	s.Faults = []Fault{Contrast(between(r, 0.5, 1)), Blur(math.Abs(r.NormFloat64()) * 0.3)}
	for _, rare := range []struct {
		one int // in so many
		f   Fault
	}{
		{3, Motion(between(r, 0, 1.2))},
		{3, Glare(between(r, 0, 0.05))},
		{3, Gradient(between(r, 0.5, 2))},
		{4, Shadow(between(r, 0.2, 0.6))},
		{5, Curve(between(r, 0, 0.25))},
		{6, Laminate(between(r, 0.1, 0.5))},
		{6, Halos(between(r, 0.5, 2))},
		{8, RollingShutter(between(r, 0, 5))},
		{8, Exposure(between(r, -1.5, 0.7))},
	} {
		if r.IntN(rare.one) == 0 {
			s.Faults = append(s.Faults, rare.f)
		}
	}
	s.Faults = append(s.Faults, JPEG(50+r.IntN(45)))
}

// sizes are the frames that cameras give.
var sizes = [...]struct{ width, height int }{{640, 480}, {1280, 720}, {1920, 1080}}

// emptied are frames without a code. The level is the frame's height, or the
// backdrop.
func emptied() []Category {
	var heights, textures []float64
	for _, s := range sizes {
		heights = append(heights, float64(s.height))
	}
	for b := Bricks; b < Street; b++ {
		if b != Rings {
			textures = append(textures, float64(b))
		}
	}
	var all []Category
	for i, name := range []string{"empty 480", "empty 720", "empty 1080"} {
		all = append(all, changed(name, 0, func(s *Scene, _ float64, r *rand.Rand) {
			s.Subject, s.Backdrop = Nothing, Street
			s.View.Width, s.View.Height = sizes[i].width, sizes[i].height
			s.View.Blur, s.View.Noise = between(r, 0.4, 1.2), between(r, 2, 6)
		}, 1, 2, 3))
	}
	bare := func(s *Scene, height float64) {
		for _, size := range sizes {
			if float64(size.height) == height {
				s.View.Width, s.View.Height = size.width, size.height
			}
		}
	}
	return append(all,
		changed("empty textured", 0, func(s *Scene, backdrop float64, r *rand.Rand) {
			s.Subject, s.Backdrop = Nothing, Backdrop(backdrop)
			s.View.Noise = between(r, 2, 6)
		}, textures...),
		changed("finders without a code", 0, func(s *Scene, _ float64, r *rand.Rand) {
			s.Subject, s.Backdrop = Nothing, Rings
			s.View.Noise = between(r, 2, 6)
		}, 1, 2, 3),
		changed("empty noisy", 0, func(s *Scene, height float64, _ *rand.Rand) {
			bare(s, height)
			s.Subject, s.View.Noise = Nothing, 60
			s.raw()
		}, heights...),
		changed("card without a code", 0, func(s *Scene, height float64, r *rand.Rand) {
			bare(s, height)
			s.View.ModulePixels = between(r, 0.2, 0.8) * float64(s.View.Width) * 0.2 / nominalModules
			s.View.Roll = between(r, 0, 360)
			s.View.Yaw, s.View.Pitch = between(r, -30, 30), between(r, -30, 30)
			s.View.Blur, s.View.Noise = between(r, 0.45, 2), between(r, 2, 10)
		}, heights...),
		changed("phone without a code", 0, func(s *Scene, height float64, r *rand.Rand) {
			bare(s, height)
			s.onPhone(between(r, 0.35, 0.75)*height/nominalModules, r.IntN(2) == 0)
			s.View.Roll = between(r, -40, 40)
			s.View.Noise = between(r, 2, 10)
		}, heights...),
	)
}
