package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/driver/drivertest"
	"gateagent/sync/brokertest"
	"gateagent/sync/sealed"
)

// TestHandOut takes both programs as they ship through the life of a key: a box
// that is listed is handed the keys, one that was only learnt is not; a secret
// follows another while the gate works; a box that was struck off gets nothing.
// In the end no key is in any file or log but central's folder of keys.
func TestHandOut(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds both programs")
	}
	broker := brokertest.Start(t)
	s := &soak{t: t, dir: t.TempDir(), pty: drivertest.NewPTY(t), decide: make(chan localapi.Decision, 16)}
	s.pty.Survive(t)
	for i := range 1000 {
		s.numbers = append(s.numbers, gate.Number(fmt.Sprintf("001190%06d", i)))
	}
	s.build()
	via := []string{"--broker", broker.URL()}
	keys := []string{"--keys", "keys", "--passphrase-file", "pass"}
	gatectl := func(args ...string) string { t.Helper(); return s.run(s.gatectl, args...) }
	publish := func() {
		t.Helper()
		gatectl(slices.Concat([]string{"snapshot", "build", "people.csv", "--set", "vn", "--out", "vn", "--key-hold", "memory"}, keys)...)
		gatectl(slices.Concat([]string{"snapshot", "publish", "vn"}, via)...)
	}
	ingest := func(more ...string) {
		t.Helper()
		s.central = s.start(s.gatectl, slices.Concat([]string{
			"ingest", "--sink", "jsonl:entries.jsonl", "--gates", "gates.json", "--hand-out", "vn,entry", "--sites", "hn01",
		}, keys, via, more)...)
	}
	said := func(what string) func(localapi.Status) bool {
		return func(localapi.Status) bool { return strings.Contains(s.central.said.String(), what) }
	}

	s.write("pass", soakPass+"\n")
	var list strings.Builder
	list.WriteString("id,doses\n")
	for _, n := range s.numbers {
		fmt.Fprintf(&list, "%s,1/2@%s;2/2@%s\n", string(n), ago(90), ago(60))
	}
	s.write("people.csv", list.String())
	gatectl("keygen", "--dir", "keys", "--passphrase-file", "pass", "--site", "hn01", "--set", "vn")
	gatectl(slices.Concat([]string{"trust", "publish", "--site", "hn01"}, keys, via)...)
	publish()
	gatectl(slices.Concat([]string{"policy", "publish", "--site", "hn01", "--level", "3"}, keys, via)...)
	ring := keyring.Open(s.path("keys"))
	first, entry := secretOf(t, ring.Secrets, "vn"), secretOf(t, ring.EntrySecrets, "hn01")
	s.subjects = gate.NewPseudonymer(entry.Key)

	// A gate that was only learnt is handed nothing.
	ingest("--learn")
	s.startKeyless(broker.URL())
	s.until("the data is there and its key is not", time.Minute, func(st localapi.Status) bool {
		return len(st.Sets) == 1 && st.Sets[0].Version == 1 && !st.Sets[0].HasKey && st.Sets[0].KeyHold == "memory"
	})
	s.until("central says that it keeps the keys to itself", time.Minute, said("keys_withheld"))
	if d := s.show(0); d.Verdict != "MANUAL_CHECK" || d.Reasons[0] != "no_data" || d.Subject != "" {
		t.Errorf("without a key: %+v", d)
	}
	// Once listed, it is, without a restart of the box.
	s.endCentral(syscall.SIGTERM)
	ingest()
	s.until("the keys are here", time.Minute, keyed(first.Kid))
	if log := s.central.said.String(); !strings.Contains(log, "keys_handed") || !strings.Contains(log, first.Kid) || !strings.Contains(log, entry.Kid) {
		t.Errorf("central does not say which keys it has handed out:\n%s", log)
	}
	if d := s.show(1); d.Verdict != "ALLOW" || d.Subject != s.subjects.Of(s.numbers[1]).String() {
		t.Errorf("with its key: %+v", d)
	}

	// A secret follows another. While the data changes there is no moment
	// without a key.
	gatectl("keygen", "--dir", "keys", "--next", "--set", "vn")
	second := secretOf(t, ring.Secrets, "vn")
	if second.Kid == first.Kid {
		t.Fatal("no secret followed")
	}
	publish()
	s.until("the version under the next secret is in force", time.Minute, func(st localapi.Status) bool {
		if !st.Sets[0].HasKey {
			t.Fatal("there was a moment without a key")
		}
		return st.Sets[0].Version == 2 && keyed(second.Kid)(st)
	})
	if d := s.show(2); d.Verdict != "ALLOW" {
		t.Errorf("with the second key: %+v", d)
	}
	if err := os.Remove(s.path("keys/set-vn.jwk")); err != nil {
		t.Fatal(err)
	}

	// The power goes; the box is struck off; whoever starts it gets nothing.
	s.box.end(syscall.SIGKILL)
	s.pty.Free(t)
	s.endCentral(syscall.SIGTERM)
	s.write("gates.json", `{"gates":{}}`)
	s.noKeyOutside(first, second, entry)
	ingest()
	s.startKeyless(broker.URL())
	s.until("central refuses it", time.Minute, said("unknown_gate"))
	st := s.until("the box has been answered nothing", time.Minute, func(st localapi.Status) bool { return st.Sets[0].Version == 2 })
	if st.Sets[0].HasKey || strings.Contains(s.central.said.String(), "keys_handed") {
		t.Error("a box that was struck off was handed keys")
	}
	s.box.end(syscall.SIGTERM)
	s.endCentral(syscall.SIGTERM)
}

// ago writes the day so many days before the gate's today.
func ago(days int) string {
	return time.Now().In(gateZone).AddDate(0, 0, -days).Format(time.DateOnly)
}

// gateZone is where the gates of the tests stand: their days are counted there,
// wherever the tests run.
var gateZone = time.FixedZone("UTC+7", 7*60*60)

// secretOf reads the newest secret of one name.
func secretOf(t *testing.T, read func(string, int) ([]sealed.Secret, error), name string) sealed.Secret {
	t.Helper()
	all, err := read(name, 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("secret of %s: %d, %v", name, len(all), err)
	}
	return all[0]
}

// keyed says whether the box holds that key of its set, and an entry key.
func keyed(kid string) func(localapi.Status) bool {
	return func(st localapi.Status) bool {
		return st.Sets[0].HasKey && st.Sets[0].KeyID == kid &&
			slices.ContainsFunc(st.Components, func(c localapi.Component) bool { return c.Name == "keys" && c.Fault == nil })
	}
}

// startKeyless starts the box without any key file and listens to it.
func (s *soak) startKeyless(broker string) {
	s.t.Helper()
	s.socket = s.path("agent.sock")
	s.write("gateagent.toml", fmt.Sprintf(`[site]
id = "hn01"
gate = "gate-1"
[trust]
root_keys = [%q]
[[set]]
name = "vn"
[mqtt]
broker = %q
[storage]
dir = %q
[record]
wait = "2s"
[page]
listen = %q
[local]
socket = %q
[[lane]]
[lane.scanner]
driver = "serialscan"
device = %q
framing = "cr"
[lane.relay]
driver = "dryrelay"
pulse = "50ms"
`, strings.TrimSpace(string(s.read("keys/root.pub"))), broker, s.path("store"), freeAddress(s.t), s.socket, s.pty.Path))
	s.box = s.start(s.gateagent, "run", "--config", "gateagent.toml")
	s.client = localapi.NewClient(s.socket)
	s.until("the box has a policy", time.Minute, func(st localapi.Status) bool { return st.CanDecide && st.Policy.Version > 0 })
	ready, decide := make(chan struct{}), make(chan localapi.Decision, 16)
	s.decide = decide
	go func() {
		defer close(decide)
		_ = s.client.Decisions(s.t.Context(), func() { close(ready) }, func(d localapi.Decision) error {
			decide <- d
			return nil
		})
	}()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		s.t.Fatal("the box does not tell its decisions")
	}
}

// show shows the card of a person and gives what was decided.
func (s *soak) show(i int) localapi.Decision {
	s.t.Helper()
	s.pty.Send(s.t, string(s.numbers[i])+"||"+soakName+"|15071990|Nữ|Số 1 Phố Ví Dụ, Hà Nội|20082021\r")
	select {
	case d := <-s.decide:
		return d
	case <-time.After(20 * time.Second):
		s.t.Fatalf("person %d was not decided", i)
	}
	return localapi.Decision{}
}

// noKeyOutside looks for keys in all files and logs but the folder of keys.
func (s *soak) noKeyOutside(secrets ...sealed.Secret) {
	s.t.Helper()
	look := func(where string, text []byte) {
		for _, x := range secrets {
			for _, form := range [][]byte{
				x.Key[:], []byte(hex.EncodeToString(x.Key[:])), []byte(strings.ToUpper(hex.EncodeToString(x.Key[:]))),
				[]byte(base64.RawURLEncoding.EncodeToString(x.Key[:])), []byte(base64.RawStdEncoding.EncodeToString(x.Key[:])),
			} {
				if bytes.Contains(text, form) {
					s.t.Errorf("%s holds the key %s", where, x.Kid)
				}
			}
		}
	}
	files := 0
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Name() == "keys" && d.IsDir() {
			return filepath.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		look(path, b)
		files++
		return err
	})
	if err != nil || files < 10 {
		s.t.Errorf("%d files looked at: %v", files, err)
	}
	look("the box's log", []byte(s.box.said.String()))
	for _, c := range s.past {
		look("central's log", []byte(c.said.String()))
	}
	// That the search finds what it looks for.
	found, err := os.ReadFile(filepath.Join(s.dir, "keys", "entry-hn01.jwk"))
	entry := secrets[len(secrets)-1]
	if err != nil || !bytes.Contains(found, []byte(base64.RawURLEncoding.EncodeToString(entry.Key[:]))) {
		s.t.Errorf("the folder of keys does not hold what was looked for: %v", err)
	}
}
