package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProblems holds single problems by place, key and text. Texts are whole
// where a technician will meet them often.
func TestProblems(t *testing.T) {
	scanner := func(lines string) string {
		return minimal + "[[lane]]\n[lane.scanner]\n" + lines + "\n[lane.relay]\ndriver = \"dryrelay\"\n"
	}
	tests := []struct {
		name string
		text string
		want []string // each "line:col: key: what", or its beginning
	}{
		{"section misspelt is read all the same", strings.Replace(minimal, "[site]", "[sites]", 1) + dryLane, []string{
			"1:2: sites: there is no such section",
		}},
		{"required key misspelt is not missing too", strings.Replace(minimal, "gate =", "gat =", 1) + dryLane, []string{
			"3:1: site.gat: there is no such key in this section",
		}},
		{"key of another section", minimal + "[storage]\nwait = \"1s\"\n" + dryLane, []string{
			"7:1: storage.wait: there is no such key in this section",
		}},
		{"key outside a section", "foo = 1\n" + minimal + dryLane, []string{
			"1:1: foo: there is no such key outside a section",
		}},
		{"single brackets", minimal + strings.Replace(dryLane, "[[lane]]", "[lane]", 1), []string{
			"6:2: lane: must be written with double brackets, because there can be several",
		}},
		{"double brackets", strings.Replace(minimal, "[site]", "[[site]]", 1) + dryLane, []string{
			"1:3: site: has double brackets, but there is only one [site]",
		}},
		{"no header for the lane", minimal + strings.Replace(dryLane, "[[lane]]\n", "", 1), []string{
			"6:2: lane: must be written with double brackets",
		}},
		{"value where a section belongs", "page = 8080\n" + minimal + dryLane, []string{
			"1:1: page: must be a section, not a whole number",
		}},
		{"value where lanes belong", "lane = 1\n" + minimal, []string{
			"1:1: lane: must be a list of sections, not a whole number",
		}},
		{"section twice", minimal + "[site]\nid = \"x\"\n" + dryLane, []string{
			"6:2: site: the section [site] stands twice; the first is at line 1",
			"7:1: site.id: is set twice; the first is at line 2",
		}},
		{"key twice", minimal + "[log]\nlevel = \"info\"\nlevel = \"warn\"\n" + dryLane, []string{
			"8:1: log.level: is set twice; the first is at line 7",
		}},
		{"scanner missing", minimal + "[[lane]]\n[lane.relay]\ndriver = \"dryrelay\"\n", []string{
			"6:3: lane[1].scanner.driver: is missing and has no default",
		}},
		{"device missing", scanner(`driver = "v4l2cam"`), []string{
			"7:7: lane[1].scanner.device: is missing and has no default",
		}},
		{"option of another driver", scanner("driver = \"v4l2cam\"\ndevice = \"/dev/video0\"\nbaud = 9600"), []string{
			"10:1: lane[1].scanner.baud: is an option of serialscan, but the driver at line 8 is v4l2cam",
		}},
		{"device without slash", scanner("driver = \"v4l2cam\"\ndevice = \"video0\""), []string{
			`9:10: lane[1].scanner.device: "video0" is not the path of a device`,
		}},
		{"baud between speeds", scanner("driver = \"serialscan\"\ndevice = \"/dev/ttyUSB0\"\nbaud = 9601"), []string{
			"10:1: lane[1].scanner.baud: 9601 is not a speed of serial lines",
		}},
		{"silence without length", scanner("driver = \"serialscan\"\ndevice = \"/dev/ttyUSB0\"\nframing = \"silence\"\nsilence = \"0s\""), []string{
			`11:1: lane[1].scanner.silence: 0s is too short to end a code with framing "silence" (line 10) at 9600 baud (the default): at least 5ms`,
		}},
		{"silence too short for the speed", scanner("driver = \"serialscan\"\ndevice = \"/dev/ttyUSB0\"\nbaud = 1200\nframing = \"silence\"\nsilence = \"20ms\""), []string{
			`12:1: lane[1].scanner.silence: 20ms is too short to end a code with framing "silence" (line 11) at 1200 baud (line 10): at least 33ms`,
		}},
		{"number out of bounds", minimal + "[storage]\nmax_journal_mb = 99999999999999999999\n" + dryLane, []string{
			"7:18: storage.max_journal_mb: must be between 8 and 1024, not 99999999999999999999",
		}},
		{"word out of a list", minimal + "[log]\nlevel = \"warning\"\n" + dryLane, []string{
			`7:9: log.level: must be "debug", "info", "warn" or "error", not "warning"`,
		}},
		{"duration out of bounds", minimal + "[record]\nwait = \"1h30m\"\n" + dryLane, []string{
			"7:8: record.wait: must be between 10ms and 5s, not 1h30m",
		}},
		{"duration of another kind", minimal + "[record]\nwait = true\n" + dryLane, []string{
			"7:8: record.wait: must be a time in quotation marks, not true or false",
		}},
		{"date", minimal + "[record]\nwait = 2021-09-01\n" + dryLane, []string{
			"7:8: record.wait: must be a time in quotation marks, not a date",
		}},
		{"fraction", minimal + "[storage]\nmax_journal_mb = 1.5\n" + dryLane, []string{
			"7:18: storage.max_journal_mb: must be a whole number, not a number with a fraction",
		}},
		{"broker without scheme", minimal + "[mqtt]\nbroker = \"central:1883\"\n" + dryLane, []string{
			`7:10: mqtt.broker: "central:1883" has no mqtt:// in front`,
		}},
		{"broker encrypted", minimal + "[mqtt]\nbroker = \"mqtts://central\"\n" + dryLane, []string{
			"7:10: mqtt.broker: mqtts:// is encrypted, which this version cannot do yet",
		}},
		{"broker with password", minimal + "[mqtt]\nbroker = \"mqtt://a:b@central\"\n" + dryLane, []string{
			"7:10: mqtt.broker: has a user name or a password in it",
		}},
		{"broker port", minimal + "[mqtt]\nbroker = \"mqtt://central:99999\"\n" + dryLane, []string{
			"7:10: mqtt.broker: the port 99999 does not exist",
		}},
		{"page on the broker's port", minimal + "[page]\nlisten = \"127.0.0.1:1883\"\n" + dryLane, []string{
			"7:1: page.listen: the port 1883 is the broker's (mqtt.broker, the default)",
		}},
		{"page on every address", minimal + "[page]\nlisten = \":8080\"\n" + dryLane, []string{
			"7:10: page.listen: every address would show the page to the network, and this version has no password for it yet",
		}},
		{"prefix with slash", minimal + "[mqtt]\nprefix = \"/gate\"\n" + dryLane, []string{
			`7:10: mqtt.prefix: "/gate" has a slash at an end`,
		}},
		{"prefix of the broker", minimal + "[mqtt]\nprefix = \"$SYS\"\n" + dryLane, []string{
			`7:10: mqtt.prefix: "$SYS" begins with $, which brokers keep for themselves`,
		}},
		{"prefix with spaces", minimal + "[mqtt]\nprefix = \"my gates/v1\"\n" + dryLane, []string{
			`7:10: mqtt.prefix: "my gates" cannot be part of a topic`,
		}},
		{"reserved gate", strings.Replace(minimal, `"gate-1"`, `"policy"`, 1) + dryLane, []string{
			`3:8: site.gate: "policy" is a reserved word in the topics`,
		}},
		{"no root key", strings.Replace(minimal, `"`+testKey+`"`, "", 1) + dryLane, []string{
			"5:1: trust.root_keys: is an empty list",
		}},
		{"root key not in a list", strings.Replace(minimal, `["`+testKey+`"]`, `"`+testKey+`"`, 1) + dryLane, []string{
			"5:13: trust.root_keys: must be a list, not text in quotation marks",
		}},
		{"root key twice", strings.Replace(minimal, `["`, `["`+testKey+`", "`, 1) + dryLane, []string{
			"5:71: trust.root_keys: key 2 is the same as key 1 at line 5",
		}},
		{"root key cut off", strings.Replace(minimal, "jZqQ", "", 1) + dryLane, []string{
			"5:14: trust.root_keys: the part behind the colon is not a key: it has 39 letters, not 43",
		}},
		{"root key in plain base64", strings.Replace(minimal, "jZqQ", "jZq+", 1) + dryLane, []string{
			"5:14: trust.root_keys: is written in plain base64",
		}},
		{"two lanes of one name", minimal + dryLane + strings.Replace(dryLane, "video0", "video1", 1), []string{
			`12:3: lane[2].name: two lanes are called "main"; the other one is at line 6`,
		}},
		{"wait longer than the default repeat", minimal + "[record]\nwait = \"4s\"\n" + dryLane, []string{
			"7:1: record.wait: record.wait (4s, line 7) must be shorter than lane.repeat (3s, the default)",
		}},
		{"relative storage", minimal + "[storage]\ndir = \"data\"\n" + dryLane, []string{
			`7:7: storage.dir: "data" does not begin with a slash`,
		}},
		{"socket too long", minimal + "[local]\nsocket = \"/" + strings.Repeat("x", 100) + "\"\n" + dryLane, []string{
			"7:10: local.socket: is 101 bytes long; sockets have at most 90",
		}},
		{"set twice", minimal + "[[set]]\nname = \"vn\"\nkey_file = \"f.toml\"\n[[set]]\nname = \"vn\"\nkey_file = \"f.toml\"\n" + dryLane, []string{
			"8:1: set[1].key_file: the key file of this data set is not there: f.toml",
			`10:1: set[2].name: the set "vn" is already at line 7`,
			"11:1: set[2].key_file: the key file of this data set is not there: f.toml",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rep := checkText(t, tt.text)
			var got []string
			for _, p := range rep.Problems {
				got = append(got, strings.TrimPrefix(strings.SplitN(p.Text("f"), "\n", 2)[0], "f:"))
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got %d problems:\n%s\nwant:\n%s", len(got), strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("got  %s\nwant %s", got[i], w)
				}
			}
		})
	}
}

// TestSyntax holds what is said about lines that cannot be read, and that one
// slip does not hide the next.
func TestSyntax(t *testing.T) {
	tests := []struct {
		name, lines string // below [log], whose header is at line 6
		want        []string
		hint        string // of the first problem
	}{
		{"colon", "level: info", []string{"7:6: log.level: a colon stands where an equals sign must"}, "write level = info"},
		{"no equals sign", "level", []string{"7:6: log.level: the equals sign after the key is missing"}, ""},
		{"no value", "level =", []string{"7:8: log.level: the value after the equals sign is missing"}, ""},
		{"no quotation marks", "level = warn", []string{"7:9: log.level: text, and a number with a unit, must stand in quotation marks"}, `write level = "warn"`},
		{"path without quotation marks", "level = /dev/null", []string{"7:9: log.level: text, and a number with a unit, must stand"}, `write level = "/dev/null"`},
		{"curly quotation marks", "level = “warn”", []string{"7:9: log.level: has a curly quotation mark; only straight ones count"}, ""},
		{"open quotation mark", "level = \"warn", []string{"7:14: log.level: the closing quotation mark is missing"}, ""},
		{"backslash", `level = "C:\logs"`, []string{"7:12: log.level: a backslash in double quotation marks has a special meaning, and not this one"}, ""},
		{"two keys on a line", `level = "warn" format = "text"`, []string{"7:16: log.level: there is more on this line than one value"}, ""},
		{"yes", "level = Yes", []string{"7:9: log.level: yes and no are written true and false, in small letters"}, "write level = true"},
		{"zero in front", "level = 007", []string{"7:9: log.level: a number must not begin with a zero"}, ""},
		{"open header", "[page\nlisten = \"127.0.0.1:1\"", []string{"7:6: page: the closing bracket of the section name is missing"}, ""},
		{"junk", "%%%\n= 5", []string{"7:1: syntax: a line cannot begin like this", "8:1: syntax: the key before the equals sign is missing"}, ""},
		{"list over lines", "level = [\n\"a\"\n\"b\"\n]\nformat: x", []string{"9:1: log.level: a comma or the closing ] of the list is missing", "11:7: log.format: a colon"}, ""},
		{"open text over lines", "level = \"\"\"\nwarn\nformat = 1", []string{
			"7:9: log.level: the closing quotation mark is missing", "9:10: log.format: must be text in quotation marks, not a whole number",
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rep := checkText(t, minimal+"[log]\n"+tt.lines+"\n"+dryLane)
			var got []string
			for _, p := range rep.Problems {
				got = append(got, strings.TrimPrefix(strings.SplitN(p.Text("f"), "\n", 2)[0], "f:"))
			}
			if len(got) != len(tt.want) {
				t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			for i, w := range tt.want {
				if !strings.HasPrefix(got[i], w) {
					t.Errorf("got  %s\nwant %s", got[i], w)
				}
			}
			if tt.hint != "" && rep.Problems[0].Hint != tt.hint {
				t.Errorf("hint %q, want %q", rep.Problems[0].Hint, tt.hint)
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	tests := []struct{ name, raw, want string }{
		{"UTF-16BE with mark", "\xfe\xff\x00[\x00s", "is saved as UTF-16BE; it must be UTF-8"},
		{"UTF-16LE without mark", "[\x00s\x00i\x00t\x00e\x00]\x00", "is saved as UTF-16LE; it must be UTF-8"},
		{"UTF-16BE without mark", "\x00[\x00s\x00i\x00t\x00e\x00]", "is saved as UTF-16BE; it must be UTF-8"},
		{"UTF-32", "\xff\xfe\x00\x00[\x00\x00\x00", "is saved as UTF-32; it must be UTF-8"},
		{"Windows-1258", "# C\xf4ng\n" + minimal + dryLane, "has the byte 0xF4, which is not UTF-8 text"},
		{"escape", "# \x1b[0m\n" + minimal + dryLane, "has the control character U+001B (escape)"},
		{"too large", strings.Repeat("#", maxFile+1), "is larger than 64 KiB, which no configuration is"},
		{"old Mac line ends", strings.ReplaceAll(minimal, "\n", "\r"), "has a carriage return without a line feed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rep := checkText(t, tt.raw)
			if len(rep.Problems) == 0 || rep.Problems[0].What != tt.want {
				t.Errorf("got %+v, want %q", rep.Problems, tt.want)
			}
			if len(rep.Problems) > maxTextProblems+1 {
				t.Errorf("%d problems are too many to read", len(rep.Problems))
			}
		})
	}
}

func TestOutsideFiles(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "entry.key")
	conf := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(conf, []byte(minimal+"[keys]\nentry_file = \"entry.key\"\n"+dryLane), 0o600); err != nil {
		t.Fatal(err)
	}
	put := func(data string, mode os.FileMode) {
		t.Helper()
		if err := os.RemoveAll(key); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(key, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(key, mode); err != nil {
			t.Fatal(err)
		}
	}
	one := func(want string, warning bool) {
		t.Helper()
		rep := Check(conf)
		if len(rep.Problems) != 1 || rep.Problems[0].What != want || rep.Problems[0].Warning != warning || rep.OK() != warning {
			t.Errorf("got %+v, want %q", rep.Problems, want)
		}
	}
	put("x", 0o600)
	if rep := Check(conf); len(rep.Problems) != 0 {
		t.Errorf("good file: %+v", rep.Problems)
	}
	put("x", 0o644)
	one("the file of the entry key can be read or changed by others (mode 0644): entry.key", true)
	put("", 0o600)
	one("the file of the entry key is empty: entry.key", false)
	put(strings.Repeat("x", maxSecret+1), 0o600)
	one("the file of the entry key is larger than 64 KiB: entry.key", false)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(key, 0o700); err != nil {
		t.Fatal(err)
	}
	one("the file of the entry key is not a file: entry.key", false)
}

// TestLinksOfOneDevice: two names that lead to one device are one device.
// TestSecretsWithoutFiles: a set needs no key file, and one may be handed over
// by systemd.
func TestSecretsWithoutFiles(t *testing.T) {
	text := minimal + "[keys]\nentry_file = \"$CREDENTIALS_DIRECTORY/entry.key\"\n[[set]]\nname = \"vn\"\n[[set]]\nname = \"hn01-lists\"\nkey_file = \"$CREDENTIALS_DIRECTORY/lists.key\"\n" + dryLane
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	rep := checkText(t, text)
	if wrong, warned := rep.Counts(); wrong != 0 || warned != 2 || !rep.OK() || !strings.Contains(rep.Problems[0].Hint, "LoadCredential=entry.key:") {
		t.Errorf("outside of systemd: %+v", rep.Problems)
	}
	dir := t.TempDir()
	for _, name := range []string{"entry.key", "lists.key"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	rep = checkText(t, text)
	if len(rep.Problems) > 0 {
		t.Errorf("under systemd: %+v", rep.Problems)
	}
	c := rep.Config()
	if c == nil || c.Keys.EntryFile != filepath.Join(dir, "entry.key") || c.Sets[0].KeyFile != "" || c.Sets[1].KeyFile != filepath.Join(dir, "lists.key") {
		t.Errorf("%+v", c)
	}
	for written, want := range map[string]string{
		"$CREDENTIALS_DIRECTORY/../shadow": "names no credential",
		"$CREDENTIALS_DIRECTORY/..":        "names no credential",
		"$CREDENTIALS_DIRECTORY/":          "names no credential",
		"$HOME/vn.key":                     "begins with a variable",
	} {
		rep := checkText(t, minimal+"[[set]]\nname = \"vn\"\nkey_file = \""+written+"\"\n"+dryLane)
		if len(rep.Problems) != 1 || !strings.HasPrefix(rep.Problems[0].What, want) {
			t.Errorf("%s: %+v", written, rep.Problems)
		}
	}
}

func TestLinksOfOneDevice(t *testing.T) {
	dir := t.TempDir()
	node, link := filepath.Join(dir, "video0"), filepath.Join(dir, "by-id")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(node, link); err != nil {
		t.Fatal(err)
	}
	second := strings.Replace(strings.Replace(dryLane, "/dev/video0", link, 1), "[[lane]]", "[[lane]]\nname = \"side\"", 1)
	rep := checkText(t, minimal+strings.Replace(dryLane, "/dev/video0", node, 1)+second)
	if len(rep.Problems) != 1 || !strings.HasPrefix(rep.Problems[0].What, `the lane "main" reads from this device too`) {
		t.Errorf("got %+v", rep.Problems)
	}
}

func TestNearest(t *testing.T) {
	known := []string{"keep_acked", "dir", "max_journal_mb", "v4l2cam"}
	for word, want := range map[string]string{
		"keep_aked": "keep_acked", "Keep-Acked": "keep_acked", "keepacked": "keep_acked", "dri": "dir",
		"max_journal": "max_journal_mb", "v4l2": "v4l2cam", "completely": "", "": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
}
