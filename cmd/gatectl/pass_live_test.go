package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gateagent/agent/localapi"
	"gateagent/driver/drivertest"
	"gateagent/sync/brokertest"
)

// TestPassFromIssueToExplain takes both programs as they ship through the day
// of a visitor: a pass is issued, lets in once and no second time, and whoever
// asks why is told so in both languages without whose it is.
func TestPassFromIssueToExplain(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds both programs")
	}
	const guest, host = "Nguyễn Văn Hư Cấu", "Trần Thị Ví Dụ"
	broker := brokertest.Start(t)
	s := &soak{t: t, dir: t.TempDir(), pty: drivertest.NewPTY(t)}
	s.pty.Survive(t)
	s.build()
	via := []string{"--broker", broker.URL()}
	keys := []string{"--keys", "keys", "--passphrase-file", "pass"}
	gatectl := func(args ...string) string { t.Helper(); return s.run(s.gatectl, args...) }

	s.write("pass", soakPass+"\n")
	s.write("guest.txt", guest+"\n"+host+"\n")
	gatectl("keygen", "--dir", "keys", "--passphrase-file", "pass", "--site", "hn01", "--set", "vn")
	gatectl(slices.Concat([]string{"trust", "publish", "--site", "hn01"}, keys, via)...)
	gatectl(slices.Concat([]string{"policy", "publish", "--site", "hn01", "--level", "1"}, keys, via)...)
	issued := gatectl(slices.Concat([]string{
		"pass", "issue", "--site", "hn01", "--kind", "visitor", "--names", "guest.txt", "--until", "4h", "--single", "--gate", "gate-1",
	}, keys)...)
	code, id := "", ""
	for line := range strings.Lines(issued) {
		if strings.HasPrefix(line, "GP1:") {
			code = strings.TrimSpace(line)
		}
		if rest, ok := strings.CutPrefix(line, "pass "); ok {
			id, _, _ = strings.Cut(rest, ":")
		}
	}
	if code == "" || len(id) != 16 {
		t.Fatalf("no pass in\n%s", issued)
	}

	s.central = s.start(s.gatectl, slices.Concat([]string{"ingest", "--sink", "jsonl:entries.jsonl", "--learn"}, keys, via)...)
	s.startKeyless(broker.URL())
	s.until("keys of passes are there, and the time by central", time.Minute, func(st localapi.Status) bool {
		return st.Proofs.PassKeys > 0 && st.Clock == "central"
	})
	present := func(want string) uint64 {
		t.Helper()
		s.pty.Send(t, code+"\r")
		select {
		case d := <-s.decide:
			if got := d.Verdict + " " + strings.Join(d.Reasons, " "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			return d.Seq
		case <-time.After(20 * time.Second):
			t.Fatal("the pass was not decided")
			return 0
		}
	}
	first := present("ALLOW pass")
	time.Sleep(4 * time.Second) // within three seconds it would be the same scan
	second := present("DENY pass_spent")

	for _, tt := range []struct {
		seq   uint64
		lang  string
		wants []string
	}{
		{first, "vi", []string{"giấy qua cổng hợp lệ: được qua", "Cổng đã mở."}},
		{first, "en", []string{"a pass that counts: let through", "The gate was opened."}},
		{second, "vi", []string{"giấy qua cổng một lần đã dùng: bị từ chối"}},
		{second, "en", []string{"the pass was for one entry, which was made: refused"}},
	} {
		said := s.run(s.gateagent, "explain", fmt.Sprint(tt.seq), "--lang", tt.lang, "--config", "gateagent.toml")
		for _, want := range tt.wants {
			if !strings.Contains(said, want) {
				t.Errorf("explain %d --lang %s lacks %q:\n%s", tt.seq, tt.lang, want, said)
			}
		}
		said += s.run(s.gateagent, "explain", fmt.Sprint(tt.seq), "--json", "--config", "gateagent.toml")
		for _, what := range []string{guest, host, "Hư Cấu", "Ví Dụ", id, code[4:24]} {
			if strings.Contains(strings.ToLower(said), strings.ToLower(what)) {
				t.Errorf("explain %d --lang %s says %q", tt.seq, tt.lang, what)
			}
		}
	}
	s.box.end(syscall.SIGTERM)
	s.endCentral(syscall.SIGTERM)
}
