package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/unicode/norm"

	"gateagent/driver/drivertest"
	"gateagent/sync/mqttlink"
)

// tainted are people of whom nothing may be left anywhere in the clear.
type tainted []person

// secrets are the texts to look for: what only the payload says.
func (ps tainted) secrets() []string {
	var out []string
	for _, p := range ps {
		out = append(out, string(p.number), p.name, p.address, p.card())
	}
	return out
}

// forms are the ways in which a text could stand somewhere by accident.
func forms(secret string) map[string][]byte {
	raw := []byte(secret)
	wide := utf16.Encode([]rune(secret))
	le, _ := binary.Append(nil, binary.LittleEndian, wide) // plain numbers: cannot fail
	m := map[string][]byte{
		"UTF-8": raw, "UTF-8, decomposed": norm.NFD.Bytes(raw), "UTF-16": le,
		"hex": []byte(hex.EncodeToString(raw)), "HEX": []byte(strings.ToUpper(hex.EncodeToString(raw))),
		"quoted": []byte(strings.Trim(strconv.QuoteToASCII(secret), `"`)), "bytes": []byte(strings.Trim(fmt.Sprint(raw), "[]")),
	}
	// Base64 has three forms, as the text lies in what is encoded; the
	// characters at both ends depend on the neighbours.
	for shift := range 3 {
		for name, enc := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := enc.EncodeToString(append(make([]byte, shift), raw...))
			whole := text[(shift*8+5)/6 : len(text)-1]
			m[fmt.Sprintf("%s, shifted by %d", name, shift)] = []byte(whole)
		}
	}
	if n, err := strconv.ParseUint(secret, 10, 64); err == nil {
		m["number, big endian"] = binary.BigEndian.AppendUint64(nil, n)[3:]
		m["number, little endian"] = binary.LittleEndian.AppendUint64(nil, n)[:5]
		m["number without zeros"] = []byte(strconv.FormatUint(n, 10))
	}
	return m
}

// find says what of the people stands in a text.
func (ps tainted) find(in []byte) (found []string) {
	for _, secret := range ps.secrets() {
		for name, form := range forms(secret) {
			if i := bytes.Index(in, form); i >= 0 {
				found = append(found, fmt.Sprintf("%q as %s at %d", secret, name, i))
			}
		}
	}
	return found
}

// notIn looks everywhere where a box leaves or shows something: its disk, its
// log, its page and metrics, what commands print, and what it sent.
func (ps tainted) notIn(t testing.TB, a *agent, sent []message) {
	t.Helper()
	places := map[string][]byte{}
	err := filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/metrics", "/healthz"} {
		code, body := a.get(path)
		if code == 0 {
			t.Errorf("%s: %s", path, body)
		}
		places["page "+path] = []byte(plain(body) + body)
	}
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"entries"}, {"entries", "--json"}} {
		out, said, _ := a.do(append(args, "--config", a.config)...)
		places["gateagent "+strings.Join(args, " ")] = []byte(out + said)
	}
	for i, m := range sent {
		places[fmt.Sprintf("message %d on %s", i, m.topic)] = append([]byte(m.topic+"\n"), m.body...)
	}
	for where, text := range places {
		for _, what := range ps.find(text) {
			t.Errorf("%s holds %s", where, what)
		}
	}
	if len(places) < 12 || len(places["gateagent entries --json"]) < 1000 {
		t.Errorf("only %d places were looked at", len(places))
	}
}

// message is one that went over the broker.
type message struct {
	topic string
	body  []byte
}

// listen collects everything that goes over the office's broker.
func (o *office) listen() (sent func() []message) {
	o.t.Helper()
	var mu sync.Mutex
	var all []message
	link, err := mqttlink.New(mqttlink.Options{Broker: o.broker.URL(), ClientID: "listener"}, quiet)
	if err != nil {
		o.t.Fatal(err)
	}
	link.Add(mqttlink.Subscription{Filter: "#", QoS: 0, Queue: 4096, Once: true, Handle: func(topic string, body []byte, _ bool) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, message{topic, bytes.Clone(body)})
	}})
	runLink(o.t, link)
	return func() []message {
		mu.Lock()
		defer mu.Unlock()
		return append([]message(nil), all...)
	}
}

// TestNothingPersonalIsLeft: people with names that nobody has come by, known
// and unknown, with good and with damaged cards; then everything that the box
// wrote, said and sent is searched for them.
func TestNothingPersonalIsLeft(t *testing.T) {
	t.Parallel()
	people := tainted{
		{"001090000001", "Tôn Thất Không Ai Biết", "Số 777, Ngõ Bịa Đặt, Phường Tưởng Tượng"},
		{"001090999998", "Đặng Thị Chưa Từng Có", "Ấp Vô Danh, Xã Hư Cấu, Huyện Giả Định"},
		{"079190424242", "Lê Hoàng Tưởng Tượng", "Căn hộ 4242, Chung cư Không Gian"},
	}
	o := newOffice(t)
	o.publishPeople(100) // the first of the three is the first of them
	o.open()
	sent := o.listen()
	pty := drivertest.NewPTY(t)
	s := o.settings(serialLane("main", pty.Path))
	s.logLevel = "debug"
	b := newBench(t, s)
	a := b.start()
	o.equipped(a)

	dynamic := strings.Repeat("Tk9UQVJFQUxUT0tFTg", 5)
	secrets := tainted{{number: "555000111222", name: dynamic, address: "token=khong-co-that-31415926"}}
	var payloads []string
	for _, p := range people {
		payloads = append(payloads, p.card(), p.card()+"\x07", p.card()[:40], "GP1:"+p.card(), strings.ReplaceAll(p.card(), "|", ","))
	}
	payloads = append(payloads, dynamic, "https://example.vn/p?"+secrets[0].address, "555000111222", "HC1:"+dynamic)
	for i, payload := range payloads {
		pty.Send(t, payload+"\r")
		a.waitEntries(i + 1)
	}
	// One that is torn off by the engine's unplugging is never ended.
	pty.Send(t, people[2].card())
	pty.Unplug()
	a.waitFault("scanner:main", "scanner_gone")
	o.delivered(a)

	all := append(people, secrets...)
	a.until("central's copy went over the broker", func() bool { return bytes.Contains(join(sent()), []byte("gate.entry.v1")) })
	all.notIn(t, a, sent())
	epoch := a.events()[0].Epoch()
	for _, e := range o.ledger.of(epoch) {
		l := e.Link()
		for _, what := range all.find(append(bytes.Clone(l.Record.Public), l.Record.Personal...)) {
			t.Errorf("record %d holds %s", l.Seq, what)
		}
	}
	a.stop()
	a = b.start() // what a restart reads and writes anew
	a.status()
	all.notIn(t, a, sent())
	a.stop()
}

func join(messages []message) (all []byte) {
	for _, m := range messages {
		all = append(append(all, m.topic...), m.body...)
	}
	return all
}

// TestForms holds the search to finding what it looks for.
func TestForms(t *testing.T) {
	p := tainted{{"001090000001", "Tôn Thất Không Ai Biết", "Số 777"}}
	for _, hidden := range [][]byte{
		[]byte("x" + string(p[0].number) + "y"),
		[]byte(base64.RawURLEncoding.EncodeToString([]byte("ab" + string(p[0].number) + "c"))),
		[]byte(base64.StdEncoding.EncodeToString([]byte(p[0].card()))),
		[]byte(hex.EncodeToString([]byte(p[0].name))),
		binary.BigEndian.AppendUint64(nil, 1090000001),
		norm.NFD.Bytes([]byte(p[0].name)),
		[]byte(strconv.QuoteToASCII(p[0].name)),
	} {
		if len(p.find(hidden)) == 0 {
			t.Errorf("nothing found in %q", hidden)
		}
	}
	if found := p.find([]byte("001*******01 Nguyễn Văn Mẫu")); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}
