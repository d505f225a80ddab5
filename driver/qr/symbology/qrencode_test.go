package symbology

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// qrencode draws a symbol with libqrencode's program, an encoder that shares no
// code with the library that the other tests encode with.
func qrencode(t *testing.T, text string, args ...string) Grid {
	t.Helper()
	cmd := exec.Command("qrencode", append([]string{"-t", "ASCII", "-m", "0", "-o", "-"}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("qrencode %v: %v", args, err)
	}
	lines := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	g := Grid{N: len(lines)}
	for _, line := range lines {
		for x := range g.N {
			v := float32(-1)
			if line[2*x] == '#' {
				v = 1
			}
			g.Dark = append(g.Dark, v)
		}
	}
	return g
}

// base45 are the characters of health certificates, which come as large symbols.
const base45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

func TestAnotherEncoder(t *testing.T) {
	if _, err := exec.LookPath("qrencode"); err != nil {
		t.Skip("qrencode is not here (Debian: qrencode)")
	}
	r := rand.New(rand.NewPCG(10, 10))
	random := func(alphabet string, n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	type sample struct {
		text string
		want string // text, if another
		args []string
	}
	var samples []sample
	lengths, step := []int{10, 60, 200, 400, 600, 800, 1200}, 3
	if testing.Short() {
		lengths, step = []int{10, 200, 1200}, 13
	}
	for _, level := range []string{"L", "M", "Q", "H"} {
		for _, n := range lengths {
			samples = append(samples,
				sample{text: "HC1:" + random(base45, n), args: []string{"-l", level}},
				sample{text: random("0123456789", n), args: []string{"-l", level}},
				sample{text: random("0123456789", 9) + "|Nguyễn Thị Thử|" + random("abc-XYZ_019", n/2), args: []string{"-l", level}})
		}
		for version := MinVersion; version <= MaxVersion; version += step {
			samples = append(samples, sample{text: "V" + strconv.Itoa(version), args: []string{"-l", level, "-v", strconv.Itoa(version)}})
		}
	}
	samples = append(samples,
		sample{text: "\x93\xfa\x96\x7b\x8c\xea 12", want: "日本語 12", args: []string{"-k"}},
		sample{text: "\x93\xfa\x96\x7b\x8c\xea 12", want: "日本語 12", args: []string{"-8"}},
		sample{text: "caf\xe9 cr\xe8me", want: "café crème", args: []string{"-8"}},
	)
	d := NewDecoder()
	for i, s := range samples {
		want := s.text
		if s.want != "" {
			want = s.want
		}
		g := qrencode(t, s.text, s.args...)
		got, err := d.Decode(g, Plain)
		if err != nil || string(got.Text) != want || got.Corrected != 0 {
			t.Errorf("%d %v: version %d, %d wrong, %v", i, s.args, Version(g.N), got.Corrected, err)
		}
	}
	for version := 1; version <= 4; version++ {
		g := qrencode(t, "12345", "-M", "-v", strconv.Itoa(version))
		if _, err := d.Decode(g, Soft); !errors.Is(err, ErrSize) {
			t.Errorf("Micro QR M%d: %v", version, err)
		}
	}
}
