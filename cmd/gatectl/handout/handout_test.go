package handout

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/sync/sealed"
)

var now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestRule(t *testing.T) {
	for _, tc := range []struct {
		name        string
		what, sites string
		hn01, hn02  string
	}{
		{"all sites by default", "vn,entry", "", "vn,entry", "vn,entry"},
		{"some sites", "vn,entry", "hn01", "vn,entry", ""},
		{"a list of one site", "vn,hn01-lists@hn01,entry", "", "vn,hn01-lists,entry", "vn,entry"},
		{"one set at two of three sites", "vn@hn01,vn@hn02", "", "vn", "vn"},
		{"twice is once", "vn,vn@hn01", "", "vn", "vn"},
		{"entry keys of one site", "entry@hn02", "", "", "entry"},
		{"nothing", "", "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := ParseRule(split(tc.what), split(tc.sites))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(r.Sets("hn01"), ","); got != tc.hn01 {
				t.Errorf("hn01 gets %q", got)
			}
			if got := strings.Join(r.Sets("hn02"), ","); got != tc.hn02 {
				t.Errorf("hn02 gets %q", got)
			}
			if r.IsZero() != (tc.what == "") {
				t.Error("IsZero")
			}
		})
	}
	for _, bad := range []struct{ what, sites string }{
		{"VN", ""}, {"vn@", ""}, {"vn@HN", ""}, {"../vn", ""}, {"vn@data", ""}, {"vn", "HN01"}, {"vn@hn02", "hn01"}, {"vn@hn01@hn02", ""},
	} {
		if _, err := ParseRule(split(bad.what), split(bad.sites)); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestNarrow: the lists of a site go to its gates alone.
func TestNarrow(t *testing.T) {
	ring := keyring.Open(t.TempDir())
	for _, site := range []string{"hn01", "hn01-annex", "hn02"} {
		if _, err := ring.MakeEntrySecret(site, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, set := range []string{"vn", "hn01-lists", "hn01-annex-lists", "hn03-lists", "hn01lists"} {
		if _, err := ring.MakeSecret(set, now); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ what, sites, hn01, hn02, annex string }{
		{"vn,hn01-lists", "", "vn,hn01-lists", "vn", "vn"},
		{"vn,hn01-lists@*", "", "vn,hn01-lists", "vn,hn01-lists", "vn,hn01-lists"},
		{"hn01-annex-lists", "", "", "", "hn01-annex-lists"},
		{"hn03-lists", "", "hn03-lists", "hn03-lists", "hn03-lists"}, // of a site that is not known here
		{"hn03-lists,vn", "hn02,hn03", "", "vn", ""},
		{"hn01lists", "", "hn01lists", "hn01lists", "hn01lists"},
		{"hn01-lists@hn02", "", "", "hn01-lists", ""},
		{"entry", "", "entry", "entry", "entry"},
	} {
		rule, err := ParseRule(split(tc.what), split(tc.sites))
		if err != nil {
			t.Fatal(err)
		}
		k, err := New(ring, rule)
		if err != nil {
			t.Fatalf("%s: %v", tc.what, err)
		}
		for site, want := range map[string]string{"hn01": tc.hn01, "hn02": tc.hn02, "hn01-annex": tc.annex} {
			if got := strings.Join(k.Rule().Sets(site), ","); got != want {
				t.Errorf("%s to %q: %s gets %q, want %q", tc.what, tc.sites, site, got, want)
			}
		}
	}
	rule, err := ParseRule([]string{"hn01-lists"}, []string{"hn02"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(ring, rule); err == nil || !strings.Contains(err.Error(), "hn01-lists@*") {
		t.Errorf("for a site that gets nothing: %v", err)
	}
	rule, err = ParseRule([]string{"vn", "hn01-lists", "entry"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(ring, rule)
	if err != nil || k.Rule().String() != "vn to all sites, hn01-lists to hn01, entry to all sites" {
		t.Errorf("%v, %v", k.Rule(), err)
	}
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func kids(secrets []sealed.Secret) (out []string) {
	for _, s := range secrets {
		out = append(out, s.Set+" "+s.Kid)
	}
	return out
}

func TestKeys(t *testing.T) {
	ring := keyring.Open(t.TempDir())
	rule, err := ParseRule([]string{"vn", "entry"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(ring, rule); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
	one, err := ring.MakeSecret("vn", now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(ring, rule); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no entry key: %v", err)
	}
	entry, err := ring.MakeEntrySecret("hn01", now)
	if err != nil {
		t.Fatal(err)
	}
	k, err := New(ring, rule)
	if err != nil {
		t.Fatal(err)
	}
	clock := now
	k.now = func() time.Time { return clock }

	want := func(site string, want ...string) {
		t.Helper()
		got, err := k.For(record.Origin{Site: site, Gate: "g1"})
		if err != nil || !slices.Equal(kids(got), want) {
			t.Errorf("%s gets %q, %v; want %q", site, kids(got), err, want)
		}
		for _, s := range got {
			if s.Key == (gate.Key{}) {
				t.Errorf("%s of %s is empty", s.Kid, s.Set)
			}
		}
		clear(got) // as central does; what is kept stays
	}
	want("hn01", "vn "+one, "entry "+entry)
	want("hn01", "vn "+one, "entry "+entry)
	want("hn02", "vn "+one) // it has no entry key

	// A follower is handed out soon, the newest two at most, the newest last.
	two, err := ring.NextSecret("vn", now)
	if err != nil {
		t.Fatal(err)
	}
	want("hn01", "vn "+one, "entry "+entry)
	clock = clock.Add(readAgain)
	want("hn01", "vn "+one, "vn "+two.Kid, "entry "+entry)
	three, err := ring.NextSecret("vn", now)
	if err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(readAgain)
	want("hn01", "vn "+two.Kid, "vn "+three.Kid, "entry "+entry)

	// A folder that cannot be read hands out nothing at all.
	if err := os.WriteFile(ring.Path(three.File), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(readAgain)
	if got, err := k.For(record.Origin{Site: "hn01", Gate: "g1"}); err == nil || got != nil {
		t.Errorf("a broken file: %q, %v", kids(got), err)
	}
}
