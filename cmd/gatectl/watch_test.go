package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"gateagent/agent/record"
	"gateagent/sync/identity"
	"gateagent/sync/wire"
)

// TestWatchStates: a state is shown when it says something new, and nothing
// that it says reaches the terminal as a command.
func TestWatchStates(t *testing.T) {
	topics, err := wire.NewTopics(wire.DefaultPrefix)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := newWatcher(&out, "hn01")
	w.topics = topics
	tell := func(gate string, s wire.State) {
		t.Helper()
		body, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		w.take(topics.State(record.Origin{Site: gate[:4], Gate: gate[5:]}), body, true)
	}
	id, err := identity.New()
	if err != nil {
		t.Fatal(err)
	}
	healthy := wire.State{
		ID:     id.Public(),
		Online: true, Boot: "0011223344556677", Time: 1_700_000_000_000, Decides: true, Clock: "ntp", Trust: 3,
		Policy: &wire.PolicyState{ID: "vn-2021-default", Ver: 2}, Data: map[string]wire.SetState{"vn": {Ver: 9}, "lists": {Ver: 1}},
	}
	tell("hn01/main", healthy)
	healthy.Time += 60_000
	tell("hn01/main", healthy) // nothing new but the time
	tell("hn02/main", healthy) // another site
	ill := healthy
	ill.Decides, ill.Why = false, "no_camera"
	ill.Health = []wire.Component{{Name: "lane main", Level: "failed", Code: "camera_gone"}}
	tell("hn01/main", ill)
	for done := range 300 {
		fetching := healthy
		fetching.Data = map[string]wire.SetState{"vn": {Ver: 9, Fetching: &wire.Fetching{Ver: 10, Done: min(done, 149), Of: 300}}}
		if done == 299 {
			fetching.Data["vn"] = wire.SetState{Ver: 9, Refused: "wrong_chunk"}
		}
		tell("hn01/door", fetching)
	}
	hostile := healthy
	hostile.Policy = &wire.PolicyState{ID: "\x1b[2J\x07evil"}
	tell("hn01/side", hostile)
	tell("hn01/main", wire.State{Boot: "0011223344556677"})
	w.take(topics.State(record.Origin{Site: "hn01", Gate: "main"}), []byte("{"), false)
	w.take("elsewhere/entirely", []byte("x"), false)

	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"hn01/main             online, policy vn-2021-default/2, set lists/1, set vn/9, trust 3, clock ntp",
		"hn01/main             online, CANNOT DECIDE: no_camera, lane main failed (camera_gone), policy",
		"hn01/door             online, policy vn-2021-default/2, set vn/9 fetching 10: 0 %, trust 3",
		"set vn/9 fetching 10: 10 %,",
		"set vn/9 fetching 10: 20 %,",
		"set vn/9 fetching 10: 30 %,",
		"set vn/9 fetching 10: 40 %,",
		"set vn/9 (wrong_chunk), trust 3",
		"hn01/side ",
		"hn01/main             OFFLINE",
		"hn01/main             state that cannot be read",
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), out.String())
	}
	for i := range want {
		if !strings.Contains(lines[i], want[i]) {
			t.Errorf("line %d:\n got %s\nwant %s", i+1, lines[i], want[i])
		}
	}
	if strings.ContainsAny(out.String(), "\x1b\x07") {
		t.Errorf("a control character came through: %q", out.String())
	}
}
