package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	"golang.org/x/text/encoding"

	"gateagent/agent/gate"
	"gateagent/agent/hostile"
	"gateagent/driver/drivertest"
	"gateagent/driver/frame"
	"gateagent/driver/qr"
)

// fragments are what is looked for of a payload: the word of its own with what
// stands around it, or all of it. What is too short to be told from chance is
// not looked for.
func fragments(payload string) (out []string) {
	if i := strings.Index(payload, "zq"); i >= 0 {
		if word := payload[max(0, i-8):min(i+12, len(payload))]; len(word) >= 8 {
			out = append(out, word)
		}
	}
	if len(payload) >= 12 {
		out = append(out, payload)
		if len(payload) > 400 {
			out = append(out, payload[:40], payload[300:340])
		}
	}
	return slices.DeleteFunc(out, func(f string) bool {
		kinds := map[rune]bool{}
		for _, r := range f {
			kinds[r] = true
		}
		return len(kinds) < 6 && !strings.Contains(f, "zq")
	})
}

// anyBytes lets the encoder of codes take what is no UTF-8 as it is; of what is,
// it makes the same code as before. TestMain calls it, before anybody draws.
func anyBytes() { encoder.Encoder_DEFAULT_BYTE_MODE_ENCODING = encoding.Nop }

// assault is a real program with an office behind it that is shown what people
// print who want harm.
type assault struct {
	o        *office
	a        *agent
	sent     func() []message
	canary   string
	payloads []hostile.Payload
}

// newAssault starts the program with one lane; set changes how it is started.
func newAssault(t *testing.T, lane string, set func(*exec.Cmd)) *assault {
	t.Helper()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, nil)
	o.open()
	sent := o.listen()
	s := o.settings(lane)
	s.logLevel = "debug"
	b := newBench(t, s)
	a := b.startWith(set)
	o.inForce(a)
	canary := filepath.Join(b.dir, "canary")
	return &assault{o, a, sent, canary, hostile.Payloads(canary)}
}

func (h *assault) decided() (n uint64) {
	for _, count := range h.a.status().Lanes[0].Decisions {
		n += count
	}
	return n
}

// repelled asks whether nobody but the one person was let in, nothing broke, and
// nothing is found in any sink of what was shown.
func (h *assault) repelled(t *testing.T, shown []string) {
	t.Helper()
	st := h.a.status() // before the camera is missed
	h.o.delivered(h.a)
	if !st.CanDecide || st.Lanes[0].Decisions[gate.AllowNotice.String()] != 0 {
		t.Errorf("can decide: %v (%s); %v", st.CanDecide, st.Why.EN, st.Lanes[0].Decisions)
	}
	if _, err := os.Stat(h.canary); err == nil {
		t.Error("somebody made the canary")
	}
	for _, e := range h.a.entries() {
		v, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if v.Verdict.Opens() && v.Subject != h.o.subject(1) {
			t.Errorf("entry %d lets somebody in: %v", e.Link().Seq, v.Reasons)
		}
	}
	if peak := peakMiB(t, h.a.cmd.Process.Pid); !raceDetector && peak > 96 {
		t.Errorf("the program took %d MiB", peak)
	} else {
		t.Logf("%d payloads, at most %d MiB", len(h.payloads), peak)
	}
	var secrets tainted
	for _, text := range shown {
		for _, f := range fragments(text) {
			secrets = append(secrets, person{number: gate.Number(f), name: f, address: f})
		}
	}
	if len(secrets) < len(shown) {
		t.Fatalf("only %d fragments of %d texts", len(secrets), len(shown))
	}
	secrets.notIn(t, h.a, h.sent())
	_, page := h.a.get("/")
	for _, markup := range []string{"<script", "<svg/", "<img", "onerror", "onload=", "javascript:", "\x1b", "\u202e", "\x00"} {
		if strings.Contains(page, markup) {
			t.Errorf("the page holds %q", markup)
		}
	}
	h.a.stop()
}

// TestHostilePayloads: over a serial line. The next person is served.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	pty := drivertest.NewPTY(t)
	h := newAssault(t, serialLane("main", pty.Path), func(*exec.Cmd) {})
	var shown []string
	for i, p := range h.payloads {
		pty.Send(t, p.Text+"\r")
		h.a.until(p.Name+" is decided", func() bool { return h.decided() >= uint64(i+1) })
		shown = append(shown, p.Text)
	}
	// One byte too many is not one scan, or none that is understood.
	pty.Send(t, strings.Repeat("B", gate.MaxPayload+1)+"\r")
	pty.Send(t, someone(1).card()+"\r")
	h.a.until("the next person is let in", func() bool { return h.a.status().Lanes[0].Decisions[gate.Allow.String()] == 1 })
	h.repelled(t, shown)
}

// TestHostileCodes: the same as codes before a camera, byte for byte, up to the
// largest there is.
func TestHostileCodes(t *testing.T) {
	t.Parallel()
	lane := "[[lane]]\nname = \"main\"\n[lane.scanner]\ndriver = \"replaycam\"\nsource = \"-\"\n[lane.relay]\ndriver = \"dryrelay\"\n"
	var film io.WriteCloser
	h := newAssault(t, lane, func(c *exec.Cmd) {
		var err error
		if film, err = c.StdinPipe(); err != nil {
			t.Fatal(err)
		}
	})
	if raceDetector { // it reads large codes ten times as slowly: a fourth of them, and the largest
		i := -1
		h.payloads = slices.DeleteFunc(h.payloads, func(p hostile.Payload) bool { i++; return i%4 != 0 && p.Name != "full-random-bytes" })
	}
	reader := qr.NewReader()
	var shown []string
	largest := 0
	for i, p := range h.payloads {
		picture, version := poster(t, p.Text)
		largest = max(largest, version)
		codes, err := reader.Read(picture)
		if err != nil || len(codes) != 1 || !codes[0].Readable() {
			t.Fatalf("%s in version %d: %d codes, %v", p.Name, version, len(codes), err)
		}
		// Bytes that are no UTF-8 are read as what they may have been.
		shown = append(shown, p.Text, string(codes[0].Text))
		frame := jpegOf(t, picture)
		h.a.until(p.Name+" is decided", func() bool {
			if _, err := film.Write(frame); err != nil {
				t.Fatalf("the camera's film tears: %v\n%s", err, h.a.logText())
			}
			return h.decided() >= uint64(i+1)
		})
	}
	if largest != 40 {
		t.Errorf("the largest code is of version %d", largest)
	}
	last, _ := poster(t, someone(1).card())
	frame := jpegOf(t, last)
	h.a.until("the next person is let in", func() bool {
		if _, err := film.Write(frame); err != nil {
			t.Fatal(err)
		}
		return h.a.status().Lanes[0].Decisions[gate.Allow.String()] == 1
	})
	h.repelled(t, shown)
}

// poster is a code of exactly these bytes, as large as it can be before a camera
// of 1280 × 720 pixels.
func poster(t testing.TB, payload string) (g *frame.Gray, version int) {
	t.Helper()
	code, err := encoder.Encoder_encode(payload, decoder.ErrorCorrectionLevel_L, map[gozxing.EncodeHintType]any{})
	if err != nil {
		t.Fatal(err)
	}
	const width, height, quiet, most = 1280, 720, 4, 6
	m := code.GetMatrix()
	pixels := min(height/(m.GetWidth()+2*quiet), most)
	left, top := (width-m.GetWidth()*pixels)/2, (height-m.GetHeight()*pixels)/2
	g = &frame.Gray{Pix: bytes.Repeat([]byte{235}, width*height), Stride: width, Width: width, Height: height}
	for y := range m.GetHeight() * pixels {
		for x := range m.GetWidth() * pixels {
			if m.Get(x/pixels, y/pixels) == 1 {
				g.Pix[(top+y)*width+left+x] = 25
			}
		}
	}
	return g, code.GetVersion().GetVersionNumber()
}

// peakMiB gives the most memory that a process has had.
func peakMiB(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return kb >> 10
		}
	}
	return 0
}
