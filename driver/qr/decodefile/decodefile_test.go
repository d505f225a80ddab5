package decodefile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/driver/frame"
	"gateagent/driver/qr"
	"gateagent/driver/qr/qrframes"
)

// pgm writes a scene as a PGM file.
func pgm(t *testing.T, s qrframes.Scene) string {
	t.Helper()
	var g frame.Gray
	if err := qrframes.NewRenderer().Render(s, &g); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "scene.pgm")
	data := append(fmt.Appendf(nil, "P5 %d %d 255\n", g.Width, g.Height), g.Pix...)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFile(t *testing.T) {
	card := qrframes.Scene{Seed: 1, Subject: qrframes.Card, Payload: "MẪU|0001", View: qrframes.GateView(1)}
	ruined := card
	ruined.Damage = qrframes.Ruined
	for name, tt := range map[string]struct {
		scene qrframes.Scene
		want  Line
	}{
		"card":    {card, Line{Payload: "MẪU|0001", Found: true}},
		"ruined":  {ruined, Line{Unreadable: true}},
		"nothing": {qrframes.Scene{Seed: 1, View: qrframes.GateView(1)}, Line{}},
	} {
		t.Run(name, func(t *testing.T) {
			path := pgm(t, tt.scene)
			got, err := New(qr.NewReader(), 3).File(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) == 1 && got[0].Micros <= 0 {
				t.Errorf("took %d µs", got[0].Micros)
			}
			for i := range got {
				got[i].Micros = 0
			}
			tt.want.File = path
			if diff := cmp.Diff([]Line{tt.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// fake reads whatever codes it holds; each reading takes the next duration.
type fake struct {
	codes []qr.Code
	err   error
	reads int
}

func (f *fake) Read(*frame.Gray) ([]qr.Code, error) { f.reads++; return f.codes, f.err }

func TestSeveralCodesAndMedian(t *testing.T) {
	path := pgm(t, qrframes.Scene{View: qrframes.View{Width: 8, Height: 8, Light: 1}})
	f := &fake{codes: []qr.Code{{Text: []byte("A")}, {Text: []byte("B")}, {}}}
	d := New(f, 4)
	ticks := []int{0, 9, 10, 11, 20, 25, 30, 33} // readings of 9, 1, 5 and 3 ms
	d.now = func() time.Time {
		at := time.UnixMilli(int64(ticks[0]))
		ticks = ticks[1:]
		return at
	}
	got, err := d.File(path)
	want := []Line{
		{File: path, Payload: "A", Found: true, Micros: 4000},
		{File: path, Payload: "B", Found: true, Micros: 4000},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || f.reads != 4 {
		t.Errorf("%v, %d reads\n%s", err, f.reads, diff)
	}
}

func TestFaults(t *testing.T) {
	if _, err := New(&fake{}, 1).File(filepath.Join(t.TempDir(), "none.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	boom := errors.New("boom")
	path := pgm(t, qrframes.Scene{View: qrframes.View{Width: 8, Height: 8, Light: 1}})
	if _, err := New(&fake{err: boom}, 0).File(path); !errors.Is(err, boom) {
		t.Errorf("failing reader: %v", err)
	}
}

func TestJSON(t *testing.T) {
	b, err := json.Marshal(Line{File: "a.png", Payload: "x", Found: true, Micros: 12, Unreadable: true})
	if want := `{"file":"a.png","payload":"x","found":true,"micros":12}`; string(b) != want || err != nil {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
}
