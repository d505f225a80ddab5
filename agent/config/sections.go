package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/gate"
)

// homes says in which section a key belongs, for keys that stand elsewhere.
// Only keys that occur in one section are here.
var homes = map[string]string{
	"id": "site", "gate": "site", "zones": "site", "dir": "storage", "keep_acked": "storage", "max_journal_mb": "storage",
	"wait": "record", "on_timeout": "record", "broker": "mqtt", "prefix": "mqtt", "username": "mqtt",
	"password_file": "mqtt", "keep_alive": "mqtt", "max_rate_kb": "sync", "urls": "sync", "urls_ca": "sync", "root_keys": "trust", "entry_file": "keys",
	"shadow_file": "policy",
	"key_file":    "set", "listen": "page", "socket": "local", "level": "log", "format": "log",
	"direction": "lane", "on_fault": "lane", "repeat": "lane", "scanner": "lane", "relay": "lane",
	"width": "lane.scanner", "height": "lane.scanner", "fps": "lane.scanner", "source": "lane.scanner",
	"loop": "lane.scanner", "baud": "lane.scanner", "framing": "lane.scanner", "silence": "lane.scanner",
	"max_length": "lane.scanner", "device": "lane.scanner", "chip": "lane.relay", "line": "lane.relay",
	"active_low": "lane.relay", "pulse": "lane.relay",
}

// read takes the whole configuration out of the document.
func (r *reader) read() Config {
	root := r.doc.root
	r.adopt(root)
	c := Config{
		Site:    r.site(root),
		Storage: r.storage(root),
		Record:  r.record(root),
		MQTT:    r.mqtt(root),
		Sync:    r.sync(root),
		Trust:   r.trust(root),
		Keys:    r.keys(root),
		Policy:  r.policy(root),
		Sets:    r.sets(root),
		Page:    r.page(root),
		Local:   r.local(root),
		Log:     r.log(root),
		Lanes:   r.lanes(root),
	}
	r.finish(root)
	return c
}

// adopt reads a misspelt section as the one it was meant to be, so that what
// is in it is judged as well and not called missing.
func (r *reader) adopt(root *table) {
	known := []string{"site", "storage", "record", "mqtt", "sync", "trust", "keys", "policy", "set", "page", "local", "log", "lane"}
	for _, e := range root.entries {
		if e.val.kind != kindTable && e.val.kind != kindTables {
			continue
		}
		near := nearest(e.name, known)
		if near == "" || root.find(near) != nil || root.find(e.name) != e {
			continue
		}
		r.report(e.at, join("", e.name), "there is no such section", fmt.Sprintf("did you mean [%s]?", near))
		e.name = near
		if e.val.kind == kindTable {
			e.val.table.path = near
			repath(e.val.table)
		}
	}
}

func (r *reader) site(root *table) Site {
	t := r.section(root, "site")
	defer r.finish(t)
	return Site{
		ID:   r.text(t, "id", "", `"hn01"`, name("data", "central", "enroll", "update")),
		Gate: r.text(t, "gate", "", `"gate-1"`, name("data", "policy", "trust", "revoked")),

		Zones: r.zones(t),
	}
}

// maxZones bounds the zones of a gate.
const maxZones = 16

func (r *reader) zones(t *table) []string {
	const key, example = "zones", `["lobby"]`
	path := join(t.path, key)
	var zones, written []string
	v, ok := r.take(t, key, kindList, example)
	if ok && len(v.items) > maxZones {
		r.report(v.items[maxZones].at, path, fmt.Sprintf("has %d zones; a gate belongs to at most %d", len(v.items), maxZones), "delete those that no pass names")
		ok = false
	}
	for i := 0; ok && i < len(v.items); i++ {
		item := v.items[i]
		switch {
		case item.kind != kindText:
			r.report(item.at, path, fmt.Sprintf("each zone must be text in quotation marks, not %s", item.kind.phrase()), "write zones = "+example)
		case !namePattern.MatchString(item.text):
			hint := "use small letters a-z, digits and hyphens, beginning with a letter or digit, at most 32"
			if better := simpler(item.text); better != "" {
				hint += fmt.Sprintf("; for example %q", better)
			}
			r.report(item.at, path, fmt.Sprintf("%q cannot name a zone", clip(item.text)), hint)
		case slices.Contains(zones, item.text):
			r.report(item.at, path, fmt.Sprintf("the zone %q is named twice", item.text), "delete one of the two")
		default:
			zones, written = append(zones, item.text), append(written, strconv.Quote(item.text))
		}
	}
	r.note(t, key, "["+strings.Join(written, ", ")+"]")
	return zones
}

func (r *reader) storage(root *table) Storage {
	t := r.section(root, "storage")
	defer r.finish(t)
	return Storage{
		Dir:          r.text(t, "dir", DefaultStorageDir, "", absolute),
		KeepAcked:    r.duration(t, "keep_acked", 24*time.Hour, 0, 8760*time.Hour),
		MaxJournalMB: r.integer(t, "max_journal_mb", 256, 8, 1024, ""),
	}
}

func (r *reader) record(root *table) Record {
	t := r.section(root, "record")
	defer r.finish(t)
	return Record{
		Wait:      r.duration(t, "wait", 250*time.Millisecond, 10*time.Millisecond, 5*time.Second),
		OnTimeout: OnTimeout(r.choice(t, "on_timeout", string(TimeoutDeny), string(TimeoutDeny), string(TimeoutOpen))),
	}
}

func (r *reader) mqtt(root *table) MQTT {
	t := r.section(root, "mqtt")
	defer r.finish(t)
	m := MQTT{
		Broker:   withPort(r.text(t, "broker", "mqtt://127.0.0.1:1883", "", brokerAddress)),
		Prefix:   r.text(t, "prefix", "gate/v1", "", topicPrefix),
		Username: r.text(t, "username", "", "", nil),
	}
	m.PasswordFile = r.secretPath(t, "password_file")
	m.KeepAlive = r.duration(t, "keep_alive", 25*time.Second, 5*time.Second, 10*time.Minute)
	r.secretFile("mqtt.password_file", m.PasswordFile, "the file of the broker's password")
	return m
}

func (r *reader) sync(root *table) Sync {
	t := r.section(root, "sync")
	defer r.finish(t)
	return Sync{
		MaxRateKB: r.integer(t, "max_rate_kb", 0, 0, 1<<20, ""),
		URLs:      r.truth(t, "urls", false),
		URLsCA:    r.path(t, "urls_ca", "", "", nil),
	}
}

func (r *reader) trust(root *table) Trust {
	const name, key = "root_keys", "trust.root_keys"
	t := r.section(root, "trust")
	defer r.finish(t)
	example := fmt.Sprintf("[%q]", "root-1:…")
	v, ok := r.take(t, name, kindList, example)
	if !ok {
		r.require(t, name, example)
		return Trust{}
	}
	var keys []string
	written := ""
	for i, item := range v.items {
		if item.kind != kindText {
			r.report(item.at, key, fmt.Sprintf("each key must be text in quotation marks, not %s", item.kind.phrase()), "write root_keys = "+example)
			continue
		}
		if what, hint := rootKey(item.text); what != "" {
			r.report(item.at, key, what, hint)
			continue
		}
		for j, earlier := range v.items[:i] {
			if earlier.text == item.text {
				r.report(item.at, key, fmt.Sprintf("key %d is the same as key %d at line %d", i+1, j+1, earlier.at.line), "delete one of the two")
			}
		}
		if item.text == sampleRootKey {
			r.warn(item.at, key, "is the key of the sample: nothing that central signs will be accepted",
				`write the key that "gatectl keygen" printed`)
		}
		keys = append(keys, item.text)
		if written != "" {
			written += ", "
		}
		written += fmt.Sprintf("%q", item.text)
	}
	switch {
	case len(v.items) == 0:
		r.report(v.at, key, "is an empty list", "write root_keys = "+example)
	case len(v.items) > 2:
		r.report(v.items[2].at, key, fmt.Sprintf("has %d keys; one is in use and one may follow it", len(v.items)), "delete those no longer used")
	}
	r.note(t, name, "["+written+"]")
	return Trust{RootKeys: keys}
}

func (r *reader) keys(root *table) Keys {
	t := r.section(root, "keys")
	defer r.finish(t)
	k := Keys{EntryFile: r.secretPath(t, "entry_file")}
	r.secretFile("keys.entry_file", k.EntryFile, "the file of the entry key")
	return k
}

func (r *reader) policy(root *table) Policy {
	t := r.section(root, "policy")
	defer r.finish(t)
	return Policy{ShadowFile: r.path(t, "shadow_file", "", "", nil)}
}

func (r *reader) sets(root *table) []Set {
	var out []Set
	for _, t := range r.sections(root, "set") {
		s := Set{
			Name:    r.text(t, "name", "", `"vn"`, name("entry")),
			KeyFile: r.secretPath(t, "key_file"),
		}
		r.secretFile(join(t.path, "key_file"), s.KeyFile, "the key file of this data set")
		for j, earlier := range out {
			if s.Name != "" && earlier.Name == s.Name {
				at := r.at[join(t.path, "name")]
				other := r.at[fmt.Sprintf("set[%d].name", j+1)]
				r.report(at, join(t.path, "name"), fmt.Sprintf("the set %q is already at line %d", s.Name, other.line), "delete one of the two sections")
			}
		}
		out = append(out, s)
		r.finish(t)
	}
	if len(out) > gate.MaxSets {
		at := r.at[fmt.Sprintf("set[%d].name", gate.MaxSets+1)]
		r.report(at, "set", fmt.Sprintf("there are %d data sets; a box merges at most %d", len(out), gate.MaxSets), "delete those not needed here")
	}
	return out
}

func (r *reader) page(root *table) Page {
	t := r.section(root, "page")
	defer r.finish(t)
	return Page{Listen: r.text(t, "listen", DefaultListen, "", listenAddress)}
}

func (r *reader) local(root *table) Local {
	t := r.section(root, "local")
	defer r.finish(t)
	return Local{Socket: r.text(t, "socket", DefaultSocket, "", socketPath)}
}

func (r *reader) log(root *table) Log {
	t := r.section(root, "log")
	defer r.finish(t)
	var level slog.Level
	switch r.choice(t, "level", "info", "debug", "info", "warn", "error") {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	return Log{Level: level, Format: LogFormat(r.choice(t, "format", string(LogText), string(LogText), string(LogJSON)))}
}
