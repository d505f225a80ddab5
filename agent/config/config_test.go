package config

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateagent/agent/gate"
)

const testKey = "root-2021:kyOJiMzKFjtBS9YFoXDUxCi6bBTwVZ3KBgVz5n0jZqQ"

// minimal is the shortest good configuration, lane aside.
const minimal = "[site]\nid = \"hn01\"\ngate = \"gate-1\"\n[trust]\nroot_keys = [\"" + testKey + "\"]\n"

const dryLane = "[[lane]]\n[lane.scanner]\ndriver = \"v4l2cam\"\ndevice = \"/dev/video0\"\n[lane.relay]\ndriver = \"dryrelay\"\n"

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "gateagent.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkText(t *testing.T, text string) Report {
	t.Helper()
	rep := Check(write(t, text))
	for _, p := range rep.Problems {
		if !problemLine.MatchString(p.Text("f.toml")) || foreign.MatchString(p.What+"\n"+p.Hint) {
			t.Errorf("wording: %s", p.Text("f.toml"))
		}
	}
	return rep
}

func TestMinimalHasAllDefaults(t *testing.T) {
	rep := checkText(t, minimal+dryLane)
	if !rep.OK() {
		t.Fatalf("not good: %+v", rep.Problems)
	}
	want := &Config{
		Site:    Site{ID: "hn01", Gate: "gate-1"},
		Storage: Storage{Dir: "/var/lib/gateagent", KeepAcked: 24 * time.Hour, MaxJournalMB: 256},
		Record:  Record{Wait: 250 * time.Millisecond, OnTimeout: TimeoutDeny},
		MQTT:    MQTT{Broker: "mqtt://127.0.0.1:1883", Prefix: "gate/v1", KeepAlive: 25 * time.Second},
		Trust:   Trust{RootKeys: []string{testKey}},
		Page:    Page{Listen: "127.0.0.1:8080"},
		Local:   Local{Socket: "/run/gateagent/agent.sock"},
		Log:     Log{Level: slog.LevelInfo, Format: LogText},
		Lanes: []Lane{{
			Name: "main", Direction: gate.DirectionIn, OnFault: gate.OnFaultClosed, Repeat: 3 * time.Second,
			Scanner: Scanner{Driver: V4L2Cam, Device: "/dev/video0", Width: 1280, Height: 720, FPS: 15},
			Relay:   Relay{Driver: DryRelay, Pulse: 800 * time.Millisecond},
		}},
	}
	if diff := cmp.Diff(want, rep.Config()); diff != "" {
		t.Error(diff)
	}
}

// withoutDefault are the keys of which the sample holds an example.
var withoutDefault = regexp.MustCompile(`^(site\.(id|gate)|trust\.root_keys|lane\[1\]\.(scanner|relay)\.(driver|device|chip|line|source)|set\[1\]\..*)$`)

// TestSampleEqualsDefaults: the annotated sample names every key, each with
// its default, so that deleting a line of it changes nothing.
func TestSampleEqualsDefaults(t *testing.T) {
	const file = "../../configs/gateagent.toml"
	rep := Check(file)
	if wrong, warnings := rep.Counts(); wrong != 0 || warnings != 1 {
		t.Fatalf("%d problems, %d warnings (want only the one about the sample's key): %+v", wrong, warnings, rep.Problems)
	}
	short := checkText(t, minimal+`[[lane]]
[lane.scanner]
driver = "v4l2cam"
device = "/dev/video0"
[lane.relay]
driver = "gpiorelay"
chip = "gpiochip0"
line = 17
`)
	defaults := map[string]string{}
	for _, s := range short.Settings {
		defaults[s.Key] = s.Value
	}
	for _, s := range rep.Settings {
		want, known := defaults[s.Key]
		delete(defaults, s.Key)
		if s.Line == 0 {
			t.Errorf("%s is not in the sample", s.Key)
		}
		if !withoutDefault.MatchString(s.Key) && (!known || s.Value != want) {
			t.Errorf("sample line %d: %s = %s; the default is %s", s.Line, s.Key, s.Value, want)
		}
	}
	for key := range defaults {
		t.Errorf("%s is a known key, but not in the sample", key)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	holdComments(t, string(text))
}

// holdComments: each driver and the set section stand in the sample too, as
// lines to uncomment, with the defaults of their options.
func holdComments(t *testing.T, text string) {
	t.Helper()
	lanes := map[string]string{
		V4L2Cam:    "[lane.scanner]\ndriver = \"v4l2cam\"\ndevice = \"/dev/video0\"\n[lane.relay]\ndriver = \"dryrelay\"\n",
		ReplayCam:  "[lane.scanner]\ndriver = \"replaycam\"\nsource = \"-\"\n[lane.relay]\ndriver = \"dryrelay\"\n",
		SerialScan: "[lane.scanner]\ndriver = \"serialscan\"\ndevice = \"/dev/ttyUSB0\"\n[lane.relay]\ndriver = \"dryrelay\"\n",
		GPIORelay:  "[lane.scanner]\ndriver = \"replaycam\"\nsource = \"-\"\n[lane.relay]\ndriver = \"gpiorelay\"\nchip = \"gpiochip0\"\nline = 17\n",
		DryRelay:   "[lane.scanner]\ndriver = \"replaycam\"\nsource = \"-\"\n[lane.relay]\ndriver = \"dryrelay\"\n",
	}
	for _, d := range slices.Concat(driverNames(scanners), driverNames(relays)) {
		lane, ok := lanes[d]
		if !ok {
			t.Errorf("driver %s is not tried here", d)
			continue
		}
		kind := "scanner"
		if slices.Contains(driverNames(relays), d) {
			kind = "relay"
		}
		_, block, found := strings.Cut(text, fmt.Sprintf("driver = %q\n", d))
		if !found {
			t.Errorf("driver %s is not in the sample", d)
			continue
		}
		block, _, _ = strings.Cut(block, "\n\n")
		for _, s := range checkText(t, minimal+"[[lane]]\n"+lane).Settings {
			option, is := strings.CutPrefix(s.Key, "lane[1]."+kind+".")
			if !is || option == "driver" {
				continue
			}
			line := option + " = " + s.Value
			if withoutDefault.MatchString(s.Key) {
				line = option + " = "
			}
			if !regexp.MustCompile(`(?m)^#?` + regexp.QuoteMeta(line)).MatchString(block) {
				t.Errorf("sample, driver %s: no line %q", d, line)
			}
		}
	}
	for _, line := range []string{"#[[set]]", "#name = ", "#key_file = "} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("sample: no line %q", line)
		}
	}
}

func driverNames[T any](ds []driver[T]) []string {
	var out []string
	for _, d := range ds {
		out = append(out, d.name)
	}
	return out
}

// TestDriverOptionsAreTheOnesRead keeps the lists that name another driver's
// options in step with what the drivers read.
func TestDriverOptionsAreTheOnesRead(t *testing.T) {
	fresh := func() (*reader, *table) {
		return &reader{doc: &document{root: &table{}}, at: map[string]place{}, set: map[string]bool{}, bad: map[string]bool{}}, &table{}
	}
	for _, d := range scanners {
		r, tab := fresh()
		d.read(r, tab, &Scanner{Baud: 9600})
		if diff := cmp.Diff(d.options, tab.known); diff != "" {
			t.Errorf("%s: %s", d.name, diff)
		}
	}
	for _, d := range relays {
		r, tab := fresh()
		d.read(r, tab, &Relay{})
		if diff := cmp.Diff(d.options, tab.known); diff != "" {
			t.Errorf("%s: %s", d.name, diff)
		}
	}
}

func TestEveryKeyIsResolved(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"entry.key", "vn.key", "pass"} {
		if err := os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "c.toml")
	text := "\ufeff" + strings.ReplaceAll(strings.Replace(minimal, "[trust]", "zones = [\"lobby\", \"lab\"]\n[trust]", 1)+`
[keys]
entry_file = "entry.key"
[[set]]
name = "vn"
key_file = "vn.key"
[storage]
dir = "/data"
keep_acked = "36h"
max_journal_mb = 0x40
[record]
wait = "1s"
on_timeout = "open"
[mqtt]
broker = "mqtt://[::1]"
prefix = "x/y_z"
username = "hn01/gate-1"
password_file = "pass"
keep_alive = "1m"
[page]
listen = "localhost:0"
[local]
socket = "/tmp/a.sock"
[log]
level = "debug"
format = "json"
[[lane]]
name = "in"
direction = "out"
on_fault = "guard"
repeat = "5s"
scanner = { driver = "serialscan", device = "/dev/ttyUSB0", baud = 115_200, framing = "silence", silence = "50ms", max_length = 200 }
relay = { driver = "gpiorelay", chip = "gpiochip1", line = 3, active_low = true, pulse = "1.5s" }
`, "\n", "\r\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	rep := Check(path)
	if len(rep.Problems) != 0 {
		t.Fatalf("problems: %+v", rep.Problems)
	}
	want := &Config{
		Site:    Site{ID: "hn01", Gate: "gate-1", Zones: []string{"lobby", "lab"}},
		Storage: Storage{Dir: "/data", KeepAcked: 36 * time.Hour, MaxJournalMB: 64},
		Record:  Record{Wait: time.Second, OnTimeout: TimeoutOpen},
		MQTT: MQTT{
			Broker: "mqtt://[::1]:1883", Prefix: "x/y_z", Username: "hn01/gate-1",
			PasswordFile: filepath.Join(dir, "pass"), KeepAlive: time.Minute,
		},
		Trust: Trust{RootKeys: []string{testKey}},
		Keys:  Keys{EntryFile: filepath.Join(dir, "entry.key")},
		Sets:  []Set{{Name: "vn", KeyFile: filepath.Join(dir, "vn.key")}},
		Page:  Page{Listen: "localhost:0"},
		Local: Local{Socket: "/tmp/a.sock"},
		Log:   Log{Level: slog.LevelDebug, Format: LogJSON},
		Lanes: []Lane{{
			Name: "in", Direction: gate.DirectionOut, OnFault: gate.OnFaultGuard, Repeat: 5 * time.Second,
			Scanner: Scanner{
				Driver: SerialScan, Device: "/dev/ttyUSB0", Baud: 115200, Framing: FrameSilence,
				Silence: 50 * time.Millisecond, MaxLength: 200,
			},
			Relay: Relay{Driver: GPIORelay, Chip: "/dev/gpiochip1", Line: 3, ActiveLow: true, Pulse: 1500 * time.Millisecond},
		}},
	}
	if diff := cmp.Diff(want, rep.Config()); diff != "" {
		t.Error(diff)
	}
	if got := want.Storage.MaxJournalBytes(); got != 64<<20 {
		t.Errorf("%d bytes of journal", got)
	}
}
