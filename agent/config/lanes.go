package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// maxLanes bounds the lanes of one box.
const maxLanes = 16

func (r *reader) lanes(root *table) []Lane {
	tables := r.sections(root, "lane")
	if len(tables) == 0 && !r.bad["lane"] && !r.doc.damaged["lane"] {
		r.report(root.at, "lane", "is missing: the box has no lane to serve",
			`add a section [[lane]], below it [lane.scanner] with driver = "v4l2cam" and [lane.relay] with driver = "gpiorelay"`)
	}
	if len(tables) > maxLanes {
		r.report(tables[maxLanes].at, "lane", fmt.Sprintf("there are %d lanes; a box serves at most %d", len(tables), maxLanes), "use a second box")
	}
	var out []Lane
	for _, t := range tables {
		l := Lane{Name: r.text(t, "name", "main", "", name())}
		l.Direction, _ = gate.ParseDirection(r.choice(t, "direction", "in", "in", "out"))
		l.OnFault, _ = gate.ParseOnFault(r.choice(t, "on_fault", "closed", "closed", "open", "guard"))
		l.Repeat = r.duration(t, "repeat", 3*time.Second, 500*time.Millisecond, time.Minute)
		l.Scanner = r.scanner(t)
		l.Relay = r.relay(t)
		r.finish(t)
		out = append(out, l)
	}
	return out
}

// driver is one name that scanner.driver or relay.driver can have.
type driver[T any] struct {
	name    string
	options []string
	read    func(*reader, *table, *T)
}

// scanners lists what can read codes; driver/catalog builds them.
var scanners = []driver[Scanner]{
	{V4L2Cam, []string{"device", "width", "height", "fps"}, func(r *reader, t *table, s *Scanner) {
		const example = `"/dev/v4l/by-id/…"`
		s.Device = r.text(t, "device", "", example, device(example))
		s.Width = r.integer(t, "width", 1280, 160, 4096, "")
		s.Height = r.integer(t, "height", 720, 120, 3072, "")
		s.FPS = r.integer(t, "fps", 15, 1, 60, "")
	}},
	{ReplayCam, []string{"source", "fps", "loop"}, func(r *reader, t *table, s *Scanner) {
		s.Source = r.path(t, "source", "", `"/var/lib/gateagent/frames"`, func(s string) (what, hint string) {
			if s == "" {
				return "is empty", `write a folder of pictures, an MJPEG file, or "-" for standard input`
			}
			return "", ""
		})
		s.FPS = r.integer(t, "fps", 10, 1, 60, "")
		s.Loop = r.truth(t, "loop", false)
		r.pictures(join(t.path, "source"), s.Source)
	}},
	{SerialScan, []string{"device", "baud", "framing", "silence", "max_length"}, func(r *reader, t *table, s *Scanner) {
		const example = `"/dev/serial/by-id/…"`
		s.Device = r.text(t, "device", "", example, device(example))
		s.Baud = r.integer(t, "baud", 9600, bauds[0], bauds[len(bauds)-1], "")
		if key := join(t.path, "baud"); !r.bad[key] && !slices.Contains(bauds, s.Baud) {
			r.report(r.at[key], key, fmt.Sprintf("%d is not a speed of serial lines", s.Baud),
				"use the speed the scanner is set to: "+strings.Trim(strings.ReplaceAll(fmt.Sprint(bauds), " ", ", "), "[]"))
		}
		s.Framing = Framing(r.choice(t, "framing", string(FrameAuto),
			string(FrameAuto), string(FrameCR), string(FrameLF), string(FrameCRLF), string(FrameSTXETX), string(FrameSilence)))
		s.Silence = r.duration(t, "silence", 80*time.Millisecond, 0, 2*time.Second)
		s.MaxLength = r.integer(t, "max_length", gate.MaxPayload, 16, gate.MaxPayload, "")
		r.silence(t, s)
	}},
}

// relays lists what can open; driver/catalog builds them.
var relays = []driver[Relay]{
	{GPIORelay, []string{"chip", "line", "active_low", "pulse"}, func(r *reader, t *table, p *Relay) {
		p.Chip = r.text(t, "chip", "", `"/dev/gpiochip0"`, gpioChip)
		if p.Chip != "" && !strings.HasPrefix(p.Chip, "/") {
			p.Chip = "/dev/" + p.Chip
		}
		p.Line = r.integer(t, "line", 0, 0, 1023, "17")
		p.ActiveLow = r.truth(t, "active_low", false)
		p.Pulse = pulse(r, t)
	}},
	{DryRelay, []string{"pulse"}, func(r *reader, t *table, p *Relay) {
		p.Pulse = pulse(r, t)
	}},
}

func pulse(r *reader, t *table) time.Duration {
	return r.duration(t, "pulse", 800*time.Millisecond, 50*time.Millisecond, 10*time.Second)
}

func (r *reader) scanner(lane *table) Scanner {
	t := r.section(lane, "scanner")
	s := Scanner{}
	s.Driver = choose(r, t, scanners, &s)
	return s
}

func (r *reader) relay(lane *table) Relay {
	t := r.section(lane, "relay")
	p := Relay{}
	p.Driver = choose(r, t, relays, &p)
	return p
}

// choose reads the driver's name and then that driver's options into out.
func choose[T any](r *reader, t *table, drivers []driver[T], out *T) string {
	names := make([]string, len(drivers))
	owners := map[string][]string{}
	for i, d := range drivers {
		names[i] = d.name
		for _, o := range d.options {
			owners[o] = append(owners[o], d.name)
		}
	}
	key := join(t.path, "driver")
	got := r.text(t, "driver", "", fmt.Sprintf("%q", names[0]), func(s string) (what, hint string) {
		if slices.Contains(names, s) {
			return "", ""
		}
		hint = "write one of: " + strings.Join(names, ", ")
		if n := nearest(s, names); n != "" {
			hint = fmt.Sprintf("did you mean %q? Known are %s", n, strings.Join(names, ", "))
		}
		return fmt.Sprintf("there is no driver %q", clip(s)), hint
	})
	i := slices.Index(names, got)
	if i < 0 {
		// Without a driver no option can be judged; those of any driver pass.
		for o := range owners {
			t.known = append(t.known, o)
		}
		slices.Sort(t.known)
		r.finish(t)
		return ""
	}
	drivers[i].read(r, t, out)
	for _, e := range t.entries {
		if whose := owners[e.name]; len(whose) > 0 && !slices.Contains(whose, got) {
			t.known = append(t.known, e.name)
			r.report(e.at, join(t.path, e.name),
				fmt.Sprintf("is an option of %s, but the driver at line %d is %s", strings.Join(whose, " and "), r.at[key].line, got),
				"delete this line, or change the driver")
		}
	}
	r.finish(t)
	return got
}

// silence judges the gap that ends a code together with framing and speed,
// and clears it where it has no meaning.
func (r *reader) silence(t *table, s *Scanner) {
	framing, silence, baud := join(t.path, "framing"), join(t.path, "silence"), join(t.path, "baud")
	if !r.usable(framing, silence, baud) {
		return
	}
	at := r.at[silence]
	if s.Framing != FrameSilence && s.Framing != FrameAuto {
		if r.set[silence] {
			r.report(at, silence, fmt.Sprintf("has no meaning with framing %q (%s)", s.Framing, r.where(framing)),
				`delete this line, or write framing = "auto"`)
		}
		s.Silence = 0
		return
	}
	// A character is ten bits; engines pause for up to three between bytes.
	least := 4 * 10 * time.Second / time.Duration(s.Baud)
	least = max(least.Round(time.Millisecond), 5*time.Millisecond)
	if s.Silence < least {
		r.report(at, silence, fmt.Sprintf("%s is too short to end a code with framing %q (%s) at %d baud (%s): at least %s",
			span(s.Silence), s.Framing, r.where(framing), s.Baud, r.where(baud), span(least)), `write silence = "80ms"`)
	}
}

// where says at which line a key was set.
func (r *reader) where(key string) string {
	if !r.set[key] {
		return "the default"
	}
	return fmt.Sprintf("line %d", r.at[key].line)
}
