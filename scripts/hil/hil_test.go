package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
	"gateagent/driver/qr"
)

// unpackNewc reads an archive as the kernel does: name to mode and content.
func unpackNewc(t *testing.T, b []byte) map[string]string {
	t.Helper()
	all := map[string]string{}
	for at := 0; ; {
		var field [13]uint32
		if string(b[at:at+6]) != "070701" {
			t.Fatalf("no entry at %d", at)
		}
		for i := range field {
			if _, err := fmt.Sscanf(string(b[at+6+8*i:at+14+8*i]), "%x", &field[i]); err != nil {
				t.Fatal(err)
			}
		}
		name := string(b[at+110 : at+110+int(field[11])-1])
		data := (at + 110 + int(field[11]) + 3) &^ 3
		if name == "TRAILER!!!" {
			return all
		}
		if _, twice := all[name]; twice {
			t.Errorf("%s twice", name)
		}
		all[name] = fmt.Sprintf("%o %d:%d %s", field[1], field[9], field[10], b[data:data+int(field[6])])
		at = (data + int(field[6]) + 3) &^ 3
	}
}

func TestArchive(t *testing.T) {
	var a archive
	a.folder("proc")
	a.device("dev/console", 0o600, 5, 1)
	a.file("a/b/one", 0o644, []byte("1"))
	a.file("a/b/four", 0o755, []byte("1234"))
	want := map[string]string{
		"proc": "40755 0:0 ", "dev": "40755 0:0 ", "dev/console": "20600 5:1 ",
		"a": "40755 0:0 ", "a/b": "40755 0:0 ", "a/b/one": "100644 0:0 1", "a/b/four": "100755 0:0 1234",
	}
	if diff := cmp.Diff(want, unpackNewc(t, a.bytes())); diff != "" {
		t.Error(diff)
	}
}

func TestModuleOrder(t *testing.T) {
	stock := modules{"a": {depends: []string{"b", "c"}}, "b": {depends: []string{"c"}}, "c": {}, "d": {depends: []string{"lost"}}}
	if got, err := stock.order([]string{"a", "b"}); err != nil || strings.Join(got, " ") != "c b a" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := stock.order([]string{"d"}); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("error %v", err)
	}
	if !wantedFolder("./lib/modules/6.1/kernel/drivers/usb/core/") || wantedFolder("./lib/modules/6.1/kernel/drivers/gpu/drm/") {
		t.Error("folders")
	}
	if moduleName("vhci-hcd.ko") != "vhci_hcd" {
		t.Error("names")
	}
}

// TestCards: what the bench shows can be read at all, in both forms, and the
// JPEG has no Huffman tables.
func TestCards(t *testing.T) {
	all := cards()
	if len(all) != manyCards+5 {
		t.Fatalf("%d cards", len(all))
	}
	seen := map[string]bool{}
	for name, payload := range all {
		if seen[payload] {
			t.Errorf("%s says what another one says", name)
		}
		seen[payload] = true
		if payload == "" {
			continue
		}
		var a archive
		if err := addCard(&a, name, payload); err != nil {
			t.Fatal(err)
		}
		_, jpg, _ := strings.Cut(unpackNewc(t, a.bytes())["cards/"+name+".jpg"], "0:0 ")
		if bytes.Contains([]byte(jpg), []byte{0xff, 0xc4}) {
			t.Error("Huffman tables")
		}
		var g frame.Gray
		if err := mjpeg.Decode([]byte(jpg), &g); err != nil {
			t.Fatal(err)
		}
		codes, err := qr.NewReader().Read(&g)
		if err != nil || len(codes) != 1 || string(codes[0].Text) != payload {
			t.Errorf("%s reads %d codes, %v", name, len(codes), err)
		}
	}
}

func TestQuantile(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for _, tt := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.99, 7},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred[:20], 0.99, 100},
	} {
		if got := quantile(tt.values, tt.q); got != tt.want {
			t.Errorf("quantile %v of %d = %v, want %v", tt.q, len(tt.values), got, tt.want)
		}
	}
}

// fakeQMP plays qemu: it knows one register.
func fakeQMP(t *testing.T, value func() string) *qmp {
	socket := filepath.Join(t.TempDir(), "q")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintln(conn, `{"QMP":{}}`)
		in := json.NewDecoder(conn)
		for {
			var c struct{ Execute string }
			if in.Decode(&c) != nil {
				return
			}
			fmt.Fprintln(conn, `{"event":"SOMETHING"}`)
			answer, err := json.Marshal(map[string]any{"return": value()})
			if c.Execute == "qmp_capabilities" {
				answer = []byte(`{"return":{}}`)
			}
			if err != nil {
				return
			}
			fmt.Fprintf(conn, "%s\n", answer)
		}
	}()
	q, err := dialQMP(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(q.close(), l.Close()); err != nil {
			t.Error(err)
		}
		<-done
	})
	return q
}

func TestRegister(t *testing.T) {
	text := "00000000090303fc: 0x00000020\r\n"
	q := fakeQMP(t, func() string { return text })
	if v, err := q.word(pl061Data); err != nil || v != 0x20 {
		t.Errorf("%#x, %v", v, err)
	}
	text = "Cannot access memory"
	if _, err := q.word(pl061Data); err == nil {
		t.Error("nonsense was taken for a number")
	}
}

func TestLineWatch(t *testing.T) {
	began := time.Now()
	q := fakeQMP(t, func() string {
		if d := time.Since(began); d > 100*time.Millisecond && d < 300*time.Millisecond {
			return "90303fc: 0x000000ff"
		}
		return "90303fc: 0x000000df" // all lines but the relay's
	})
	w := &lineWatch{q: q}
	done := make(chan struct{})
	go func() { w.run(t.Context()); close(done) }()
	t.Cleanup(func() { <-done })
	ps, err := w.whole(t.Context(), began, 1)
	if err != nil || len(ps) != 1 || !about(ps[0].length(), 200) {
		t.Errorf("%v, %v", ps, err)
	}
	if n, gap := w.sampled(); n < 10 || gap > 200*time.Millisecond {
		t.Errorf("%d samples, gap %v", n, gap)
	}
}
