package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadKeepsTheLastGood(t *testing.T) {
	dir := t.TempDir()
	conf, storage := filepath.Join(dir, "etc.toml"), filepath.Join(dir, "state")
	good := minimal + "[storage]\ndir = \"" + storage + "\"\nkeep_acked = \"1h\"\n" + dryLane
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	put(strings.Replace(good, "keep_acked", "keep_aked", 1))
	if l := Load(conf, ""); l.Config != nil || l.UsedLastGood || l.Report.OK() {
		t.Fatalf("nothing good was ever seen, yet %+v", l)
	}

	put(good)
	l := Load(conf, "")
	if l.Config == nil || l.UsedLastGood || l.LastGood.File != "" {
		t.Fatalf("good configuration not loaded: %+v", l.Report.Problems)
	}
	last := LastGoodPath(l.Config.Storage.Dir)
	for range 2 {
		if err := SaveLastGood(l.Report, last); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadDir(filepath.Dir(last))
	if err != nil || len(names) != 1 {
		t.Errorf("the folder holds %v (%v), want only the copy", names, err)
	}

	broken := strings.Replace(good, "keep_acked", "keep_aked", 1)
	put(broken)
	l = Load(conf, "")
	if !l.UsedLastGood || l.Config == nil || l.Config.Storage.KeepAcked.Hours() != 1 {
		t.Fatalf("last good configuration not used: %+v", l)
	}
	if l.Report.OK() || l.LastGood.File != last {
		t.Errorf("report %+v, last good %q", l.Report, l.LastGood.File)
	}
	if err := SaveLastGood(l.Report, last); err == nil {
		t.Error("a broken configuration was saved as good")
	}

	// The file is gone altogether, or the copy is given by name.
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	if l = Load(conf, last); !l.UsedLastGood {
		t.Error("last good configuration not used when the file is gone")
	}
	if err := os.WriteFile(last, []byte(broken), 0o600); err != nil {
		t.Fatal(err)
	}
	if l = Load(conf, last); l.UsedLastGood || l.Config != nil {
		t.Error("a broken copy was used")
	}
}

// TestLastGoodWithoutItsKey: a key file that has gone must not close the gate
// for ever; the part that needs it reports its own fault.
func TestLastGoodWithoutItsKey(t *testing.T) {
	dir := t.TempDir()
	conf, last, key := filepath.Join(dir, "c.toml"), filepath.Join(dir, "last.toml"), filepath.Join(dir, "entry.key")
	if err := os.WriteFile(key, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(minimal+"[keys]\nentry_file = \"entry.key\"\n"+dryLane), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := SaveLastGood(Check(conf), last); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	l := Load(conf, last)
	if l.Report.OK() || !l.UsedLastGood || l.Config.Keys.EntryFile != key {
		t.Errorf("got %+v", l)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ path, what string }{
		{filepath.Join(dir, "none.toml"), "is not there"},
		{dir, "is a folder"},
	} {
		rep := Check(tt.path)
		if rep.OK() || len(rep.Problems) != 1 || rep.Problems[0].What != tt.what {
			t.Errorf("%s: %+v", tt.path, rep.Problems)
		}
		if s := rep.Salvage(); s.Listen != DefaultListen || s.StorageDir != DefaultStorageDir || s.Socket != DefaultSocket {
			t.Errorf("salvage %+v", s)
		}
	}
}

func TestSalvageTakesWhatCanBeUsed(t *testing.T) {
	rep := checkText(t, "[page]\nlisten = \"127.0.0.1:9\"\n[storage]\ndir = \"relative\"\n[local]\nsocket = \"/x.sock\"\n")
	want := Salvage{StorageDir: DefaultStorageDir, Listen: "127.0.0.1:9", Socket: "/x.sock"}
	if got := rep.Salvage(); got != want {
		t.Errorf("salvage %+v, want %+v", got, want)
	}
}

func TestReportText(t *testing.T) {
	good := checkText(t, minimal+dryLane)
	good.File = "f.toml"
	var b strings.Builder
	if err := good.WriteText(&b); err != nil || b.String() != "f.toml: good\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	for _, s := range good.Settings {
		if s.Key == "site.id" && (s.Line != 2 || s.Value != `"hn01"`) || s.Key == "record.wait" && (s.Line != 0 || s.Value != `"250ms"`) {
			t.Errorf("setting %+v", s)
		}
	}
}

// FuzzCheck: whatever the file holds, it is judged without a crash, every
// problem has a place within it, and nobody reads a word of Go.
func FuzzCheck(f *testing.F) {
	seeds, _ := filepath.Glob("testdata/wrong/*.toml")
	for _, s := range seeds {
		raw, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte(minimal + dryLane))
	f.Add([]byte("a = [[{b = 1}]]\n[a.b]\n[[a]]\n\"\" = ''\na.b.c = 1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		rep := judge("f.toml", raw, "/nowhere")
		if rep.OK() != (rep.Config() != nil) {
			t.Fatal("OK and Config disagree")
		}
		lines := strings.Count(string(raw), "\n") + 1
		for _, p := range rep.Problems {
			if p.Line < 1 || p.Line > lines || p.Col < 1 || p.What == "" || p.Hint == "" || p.Key == "" {
				t.Fatalf("problem without place or words: %+v", p)
			}
			if strings.Contains(p.What+p.Hint, "\n") {
				t.Fatalf("problem of several lines: %q", p.Text("f"))
			}
		}
	})
}
