package statuspage

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"html"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/gate"
	"gateagent/agent/health"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2021, 9, 1, 1, 30, 15, 0, time.UTC)

// registry declares the parts of an ordinary box, all well for a while.
func registry() *health.Registry {
	at := now.Add(-3 * time.Hour)
	reg := health.New(func() time.Time { return at })
	reg.Declare("scanner:main", health.ByLane, "main")
	reg.Declare("journal", health.ByGate, "")
	for _, name := range []string{"scanner:main", "relay:main", "journal", "data:vn", "policy", "trust", "clock", "broker", "central"} {
		reg.OK(name)
	}
	return reg
}

// healthyBox is a box without trouble.
func healthyBox() health.Box {
	return health.Box{
		Report: registry().Report(), Site: "hn01", Gate: "gate-1", Version: "v0.1.0 (1b0a1f5)", Boot: "5f0c2a91d37be846",
		Now: now, Started: now.Add(-26 * time.Hour), Clock: gate.ClockCentral, Identity: "6A8Zk0iC7gPxFfBq2b9J1mYw3sV5tN4oLdUeRhXcQaE",
		Policy: health.PolicyState{PolicyRef: gate.PolicyRef{ID: "vn-2021-default", Version: 7}, Level: 3, Issued: now.Add(-5 * 24 * time.Hour)},
		Trust:  health.DocumentState{Version: 2, Issued: now.Add(-9 * 24 * time.Hour)},
		Sets:   []health.SetState{{Set: "vn", Version: 214, People: 98_127_406, Issued: now.Add(-47 * time.Minute), HasKey: true, KeyID: "set-vn-202108-0a1b", Hold: health.HoldMemory}},
		Theft:  health.Theft{Memory: true},
		Journal: health.JournalState{
			Epoch: "a1b2c3d4e5f60718", Seq: 15204, Acked: 15204, Bytes: 11 << 20, Max: 256 << 20,
		},
		Link: health.LinkState{Broker: "mqtt://10.20.0.4:1883", Connected: true, Since: now.Add(-25 * time.Hour), Central: now.Add(-time.Minute)},
		Lanes: []health.LaneState{{
			Name: "main", Scanner: "v4l2cam", Relay: "gpiorelay", Picture: 40 * time.Millisecond,
			Decisions: map[gate.Verdict]uint64{gate.Allow: 1893, gate.AllowNotice: 204, gate.Retry: 61, gate.ManualCheck: 97, gate.Deny: 12, gate.DenyAlert: 1},
		}},
	}
}

// offlineBox is a box that decides without central, on ageing data.
func offlineBox() health.Box {
	b := healthyBox()
	reg := registry()
	reg.Set("broker", health.Failed, health.NewFault(health.BrokerUnreachable, "mqtt://10.20.0.4:1883: connection refused"))
	reg.Set("central", health.Degraded, health.NewFault(health.CentralAway, ""))
	reg.Set("data:vn", health.Degraded, health.NewFault(health.DataStale, ""))
	b.Report = reg.Report()
	b.Clock = gate.ClockRTC
	b.Link.Connected, b.Link.Since, b.Link.Central = false, now.Add(-3*time.Hour), now.Add(-3*time.Hour)
	b.Sets[0].Issued, b.Sets[0].Hold = now.Add(-31*time.Hour), health.HoldFile
	b.Theft = health.Theft{Sets: []string{"vn"}, EntryKey: true}
	b.Journal.Acked, b.Journal.Oldest = 14002, now.Add(-3*time.Hour)
	return b
}

// brokenBox is a box that cannot decide: its only scanner is gone, the relay
// fails, nothing has come from central, and a last good configuration runs.
func brokenBox() health.Box {
	b := healthyBox()
	reg := registry()
	reg.Set("scanner:main", health.Failed, health.NewFault(health.ScannerGone, "/dev/v4l/by-id/usb-Example_Camera-video-index0"))
	reg.Set("relay:main", health.Failed, health.NewFault(health.RelayError, `gpiochip0 line 17: <script>alert("x")</script>`))
	reg.Set("config", health.Degraded, health.NewFault(health.ConfigLastGood, "/etc/gateagent/gateagent.toml"))
	reg.Set("data:vn", health.Degraded, health.NewFault(health.DataMissing, ""))
	reg.Set("policy", health.Degraded, health.NewFault(health.PolicyBuiltIn, ""))
	reg.Set("clock", health.Failed, health.NewFault(health.ClockNone, ""))
	b.Report = reg.Report()
	b.Clock = gate.ClockNone
	b.Policy = health.PolicyState{PolicyRef: gate.PolicyRef{ID: "vn-2021-default"}, Level: 4, BuiltIn: true}
	b.Trust = health.DocumentState{}
	b.Sets = []health.SetState{{Set: "vn", HasKey: true}, {Set: "hn01-lists"}}
	b.Theft = health.Theft{}
	b.Lanes[0].Picture, b.Lanes[0].Decisions = -1, nil
	b.Journal.Acked = 0
	b.Started = now.Add(-40 * time.Second)
	return b
}

// keylessBox is a box that was restarted and has not heard of central since:
// its keys were in memory. Somebody has left a key file on it besides.
func keylessBox() health.Box {
	b := healthyBox()
	reg := registry()
	reg.Set("data:vn", health.Failed, health.NewFault(health.DataKeyAwaited, "set-vn-202108-0a1b"))
	reg.Set("keys", health.Degraded, health.NewFault(health.EntryKeyAwaited, ""))
	reg.Set("hold", health.Degraded, health.NewFault(health.KeyOnDisk, "/etc/gateagent/vn.key"))
	reg.Set("central", health.Degraded, health.NewFault(health.CentralAway, ""))
	b.Report = reg.Report()
	b.Link.Central = time.Time{}
	b.Sets[0].HasKey = false
	b.Theft = health.Theft{Sets: []string{"vn"}, Memory: true}
	return b
}

func lastDecisions() []feed.Decision {
	d := func(ago time.Duration, v gate.Verdict, c gate.Class, took time.Duration, reasons ...gate.Reason) feed.Decision {
		return feed.Decision{
			Seq: 1, Time: now.Add(-ago), Lane: "main", Verdict: v, Class: c, Reasons: reasons, Credential: gate.KindCCCD,
			Subject: "00000000000000ff", Opened: v.Opens(), Took: took,
		}
	}
	list := []feed.Decision{
		d(4*time.Second, gate.Allow, gate.Green, 38*time.Millisecond, gate.ReasonVaccinated),
		d(11*time.Second, gate.AllowNotice, gate.Yellow, 41*time.Millisecond, gate.ReasonPartlyVaccinate),
		d(25*time.Second, gate.ManualCheck, gate.Unknown, 35*time.Millisecond, gate.ReasonNoRecord, gate.ReasonSexMismatch),
		d(44*time.Second, gate.Retry, gate.ClassNone, 1204*time.Millisecond, gate.ReasonUnreadable),
		d(61*time.Second, gate.Deny, gate.Red, 36*time.Millisecond, gate.ReasonQuarantine),
		d(75*time.Second, gate.DenyAlert, gate.Block, 39*time.Millisecond, gate.ReasonDenyList),
		d(90*time.Second, gate.Allow, gate.Green, 402*time.Millisecond, gate.ReasonRecovered),
	}
	list[6].Late = true
	list = append(list, list[0])
	list[7].Time, list[7].Opened, list[7].RelayFault = now.Add(-2*time.Minute), false, "relay_error"
	return list
}

func wrongReport() *config.Report {
	rep := config.Check("../config/testdata/wrong/13-three-faults.toml")
	rep.File = "/etc/gateagent/gateagent.toml"
	return &rep
}

// states are the pages whose HTML is golden.
func states() map[string]Options {
	fixed := func(b health.Box) func() health.Box { return func() health.Box { return b } }
	return map[string]Options{
		"healthy": {Box: fixed(healthyBox()), Recent: lastDecisions},
		"offline": {Box: fixed(offlineBox()), Recent: lastDecisions},
		"keyless": {Box: fixed(keylessBox())},
		"broken":  {Box: fixed(brokenBox()), Broken: wrongReport()},
	}
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Host = "127.0.0.1:8080"
	h.ServeHTTP(w, r)
	return w
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestPagesGolden(t *testing.T) {
	for name, o := range states() {
		t.Run(name, func(t *testing.T) {
			w := get(t, New(o, discard()).Handler(), "/")
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("%d %v", w.Code, w.Header())
			}
			holdPage(t, w.Body.String())
			golden(t, filepath.Join("testdata", name+".html"), pretty(w.Body.String()))
		})
	}
}

// pretty breaks a line before each tag, so that a golden file can be read.
func pretty(page string) string {
	return strings.TrimPrefix(strings.ReplaceAll(page, "<", "\n<"), "\n") + "\n"
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

var outside = regexp.MustCompile(`(?i)(?:src|href|action|content)\s*=\s*"?(?:https?:)?//|url\(|@import|<script|<iframe|<form|\son[a-z]+\s*=|style\s*=\s*"`)

// holdPage judges what is true of every page: small, no request outside, no
// script, no inline style (the security policy would refuse it).
func holdPage(t *testing.T, html string) {
	t.Helper()
	if n := len(html) + len(style) + len(icon); n > 60<<10 {
		t.Errorf("the page weighs %d bytes", n)
	}
	if m := outside.FindString(html + string(style)); m != "" {
		t.Errorf("the page has %q", m)
	}
	for _, want := range []string{`<meta name="viewport"`, `<html lang="vi">`, "Cổng này có quyết định được không?", "Can this gate decide?"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(html, "00000000000000ff") {
		t.Error("the page shows a pseudonym")
	}
	if strings.Index(html, "Cổng này") > strings.Index(html, "<table") && strings.Contains(html, "<table") {
		t.Error("the answer is not on top")
	}
}

// TestAwaitedBase: a version that is fetched later is announced, in the zone of
// the page.
func TestAwaitedBase(t *testing.T) {
	b := healthyBox()
	b.Sets[0].Fetch = health.Fetch{Version: 215, At: time.Date(2021, 8, 24, 7, 32, 9, 0, time.UTC), Left: time.Hour}
	body := get(t, New(Options{Box: func() health.Box { return b }}, discard()).Handler(), "/").Body.String()
	for _, want := range []string{"bản mới v215 sẽ được tải lúc 14:32", "new base v215 is taken at 14:32"} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	body := get(t, New(states()["broken"], discard()).Handler(), "/").Body.String()
	if strings.Contains(body, "<script>") || !strings.Contains(body, "&lt;script&gt;") {
		t.Error("a fault's detail is not escaped")
	}
}

// TestLargestPage: sixteen lanes with everything failing, a configuration full
// of mistakes and a table full of decisions still fit.
func TestLargestPage(t *testing.T) {
	b := healthyBox()
	reg := health.New(func() time.Time { return now })
	b.Lanes = nil
	for i := range 16 {
		name := strings.Repeat("x", 30) + string(rune('a'+i))
		for _, kind := range []string{"lane:", "scanner:", "relay:"} {
			reg.Set(kind+name, health.Failed, health.NewFault(health.ScannerGone, "/dev/v4l/by-id/usb-Example_Camera-video-index0"))
		}
		b.Lanes = append(b.Lanes, health.LaneState{Name: name, Scanner: "serialscan", Relay: "gpiorelay", Picture: time.Second})
	}
	for range 8 {
		b.Sets = append(b.Sets, b.Sets[0])
	}
	b.Report = reg.Report()
	rep := wrongReport()
	for len(rep.Problems) < 100 {
		rep.Problems = append(rep.Problems, rep.Problems[0])
	}
	recent := func() []feed.Decision {
		return append(append(lastDecisions(), lastDecisions()...), lastDecisions()...)
	}
	page := get(t, New(Options{Box: func() health.Box { return b }, Recent: recent, Broken: rep}, discard()).Handler(), "/").Body.String()
	holdPage(t, page)
	for _, want := range []string{"and 28 more", "and 75 more"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	t.Logf("%d bytes, %d with the stylesheet", len(page), len(page)+len(style)+len(icon))
}

func TestOnlyConfiguration(t *testing.T) {
	h := New(Options{Broken: wrongReport()}, discard()).Handler()
	w := get(t, h, "/")
	holdPage(t, w.Body.String())
	for _, p := range wrongReport().Problems {
		for _, want := range []string{p.Key, p.What} {
			if !strings.Contains(w.Body.String(), html.EscapeString(want)) {
				t.Errorf("the page does not say %q", want)
			}
		}
	}
	if strings.Contains(w.Body.String(), "<table") {
		t.Error("decisions are shown where there can be none")
	}
	if w := get(t, h, "/healthz"); w.Code != http.StatusServiceUnavailable || !strings.HasPrefix(w.Body.String(), "config_broken: ") {
		t.Errorf("healthz %d %q", w.Code, w.Body.String())
	}
	if w := get(t, h, "/metrics"); !strings.Contains(w.Body.String(), "gate_can_decide 0\n") {
		t.Error("metrics do not say that the gate cannot decide")
	}
}

func TestHealthz(t *testing.T) {
	frozen := healthyBox()
	frozen.Lanes[0].Picture = 3 * time.Second
	for _, tt := range []struct {
		name string
		box  health.Box
		code int
		body string
	}{
		{"healthy", healthyBox(), 200, "ok\n"},
		{"offline", offlineBox(), 200, "ok\n"},
		{"broken", brokenBox(), 503, "Scanner main: The scanner or camera is not there.\n"},
		{"frozen", frozen, 503, "The picture of lane main is older than 2s.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := get(t, New(Options{Box: func() health.Box { return tt.box }}, discard()).Handler(), "/healthz")
			if w.Code != tt.code || w.Body.String() != tt.body {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body.String(), tt.code, tt.body)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	s := New(Options{Box: func() health.Box { return offlineBox() }}, discard())
	for _, d := range lastDecisions() {
		s.Observe(d)
	}
	text := get(t, s.Handler(), "/metrics").Body.String()
	for _, want := range []string{
		`gate_info{site="hn01",gate="gate-1",version="v0.1.0 (1b0a1f5)"} 1`,
		"gate_can_decide 1",
		`gate_component_level{component="broker"} 2`,
		`gate_decisions_total{lane="main",verdict="ALLOW_NOTICE"} 204`,
		`gate_data_age_seconds{set="vn"} 111600`,
		"gate_queue_entries 1202",
		"gate_queue_age_seconds 10800",
		"gate_link_connected 0",
		"gate_clock_level 2",
		`gate_decision_seconds_bucket{le="0.05"} 6`,
		"gate_decision_seconds_count 8",
		"gate_record_late_total 1",
		"gate_relay_faults_total 1",
		"process_resident_memory_bytes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q", want)
		}
	}
	line := regexp.MustCompile(`^(?:#.*|[a-z_]+(?:\{[A-Za-z_]+="(?:[^"\\]|\\.)*"(?:, ?[A-Za-z_]+="(?:[^"\\]|\\.)*")*\})? [-+0-9.e]+)$`)
	for l := range strings.Lines(text) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("not Prometheus text: %q", l)
		}
	}
	if strings.Contains(text, "00000000000000ff") {
		t.Error("a pseudonym in the metrics")
	}
}

func TestGuard(t *testing.T) {
	h := New(states()["healthy"], discard()).Handler()
	w := get(t, h, "/")
	if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; style-src 'self';") {
		t.Errorf("policy %q", csp)
	}
	for host, want := range map[string]int{
		"localhost:8080": 200, "127.0.0.1": 200, "[::1]:8080": 200, "192.168.1.7:8080": 200,
		"evil.example": 421, "localhost.evil.example:8080": 421, "": 421,
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = host
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: %d, want %d", host, w.Code, want)
		}
	}
	for path, want := range map[string]int{"/style.css": 200, "/icon.svg": 200, "/nothing": 404, "/../etc/passwd": 404} {
		if w := get(t, h, path); w.Code != want && !(want == 404 && w.Code >= 300 && w.Code < 400) {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
	w = httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("x"))
	r.Host = "localhost"
	h.ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}

func TestRun(t *testing.T) {
	o := states()["healthy"]
	o.Listen = "127.0.0.1:0"
	s := New(o, discard())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Started():
	case err := <-done:
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + s.Address() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "ok\n" {
		t.Errorf("%q, %v", body, err)
	}

	// The port is taken now.
	second := o
	second.Listen = s.Address()
	if err := New(second, discard()).Run(t.Context()); err == nil {
		t.Error("two servers on one port")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.Address()); err == nil {
		c.Close()
		t.Error("still listening after Run")
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 40 * time.Millisecond: "40 ms", time.Second: "1 s", 119 * time.Second: "119 s",
		2 * time.Minute: "2 min", 119 * time.Minute: "119 min", 2 * time.Hour: "2 h", 47 * time.Hour: "47 h", 50 * time.Hour: "2 days",
	} {
		if got := span(d).EN; got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
	if got := grouped(98127406, "."); got != "98.127.406" {
		t.Error(got)
	}
	if got := grouped(7, "."); got != "7" {
		t.Error(got)
	}
}

// TestGeneratedPageIsCurrent: page_templ.go is what page.templ says. The
// generator is not fetched here; the texts of the template are looked for.
func TestGeneratedPageIsCurrent(t *testing.T) {
	src, err := os.ReadFile("page.templ")
	if err != nil {
		t.Fatal(err)
	}
	gen, err := os.ReadFile("page_templ.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`>([^<>{}@\n]{3,})<`).FindAllSubmatch(src, -1) {
		if !bytes.Contains(gen, bytes.TrimSpace(m[1])) {
			t.Errorf("page_templ.go lacks %q: run go generate", m[1])
		}
	}
}

// TestContrast: every pair of text and ground that the stylesheet names can be
// read in sunlight: a ratio of 7:1 or more (WCAG 2.1, level AAA).
func TestContrast(t *testing.T) {
	colours := map[string]string{"white": "#ffffff", "black": "#000000", "amber": "#ffc933"}
	for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{3,6});`).FindAllStringSubmatch(string(style), -1) {
		if len(m[2]) == 4 {
			m[2] = "#" + strings.Repeat(m[2][1:2], 2) + strings.Repeat(m[2][2:3], 2) + strings.Repeat(m[2][3:4], 2)
		}
		colours[m[1]] = m[2]
	}
	luminance := func(name string) float64 {
		t.Helper()
		var c [3]uint8
		if _, err := fmt.Sscanf(colours[name], "#%02x%02x%02x", &c[0], &c[1], &c[2]); err != nil {
			t.Fatalf("colour %s: %v", name, err)
		}
		sum := 0.0
		for i, weight := range []float64{.2126, .7152, .0722} {
			v := float64(c[i]) / 255
			if v <= .03928 {
				v /= 12.92
			} else {
				v = math.Pow((v+.055)/1.055, 2.4)
			}
			sum += weight * v
		}
		return sum
	}
	for _, pair := range [][2]string{
		{"ink", "ground"},
		{"ink", "paper"},
		{"soft", "ground"},
		{"soft", "paper"},
		{"white", "good"},
		{"white", "bad"},
		{"white", "warn"},
		{"white", "note"},
		{"black", "amber"},
		{"good", "paper"},
		{"warn", "paper"},
		{"bad", "paper"},
		{"note", "paper"},
		{"ink", "good-ground"},
		{"ink", "warn-ground"},
		{"ink", "bad-ground"},
		{"ink", "note-ground"},
		{"soft", "good-ground"},
		{"soft", "warn-ground"},
		{"soft", "bad-ground"},
		{"soft", "note-ground"},
	} {
		a, b := luminance(pair[0]), luminance(pair[1])
		if ratio := (max(a, b) + .05) / (min(a, b) + .05); ratio < 7 {
			t.Errorf("%s on %s: %.1f:1", pair[0], pair[1], ratio)
		}
	}
}
