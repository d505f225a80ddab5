package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestWrongConfigurations holds the wording of the configurations that a
// technician will really get wrong: it is the product's voice.
func TestWrongConfigurations(t *testing.T) {
	files, err := filepath.Glob("testdata/wrong/*.toml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d wrong configurations, want at least 12 (%v)", len(files), err)
	}
	lastGood := write(t, strings.Replace(minimal, "gate-1", "last-good", 1)+dryLane)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			rep := Check(file)
			if rep.OK() || rep.Config() != nil {
				t.Error("was found good")
			}
			var b strings.Builder
			if err := rep.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			got := b.String()
			holdWording(t, file, rep)
			golden := strings.TrimSuffix(file, ".toml") + ".txt"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
			// run never starts on defaults.
			if l := Load(file, filepath.Join(t.TempDir(), "none.toml")); l.Config != nil || l.UsedLastGood {
				t.Error("Load gave something to run with")
			}
			if l := Load(file, lastGood); l.Config == nil || !l.UsedLastGood || l.Config.Site.Gate != "last-good" {
				t.Error("Load did not keep the last good configuration")
			}
		})
	}
}

var (
	problemLine = regexp.MustCompile(`^[^\n]+:[1-9][0-9]*:[1-9][0-9]*: [^\n:]+: [^\n]+\nhint: [^\n]+$`)
	// foreign is wording of Go or of the parser; none of it may reach anybody.
	foreign = regexp.MustCompile(`(?i)\btoml:|\bstruct\b|\bint64\b|\bfloat64\b|\[\]string|\bnil\b|unmarshal|strconv|parse "|expected |no such file or directory|%!|\bgo\b`)
)

// holdWording judges the form of every problem of a report.
func holdWording(t *testing.T, file string, rep Report) {
	t.Helper()
	if len(rep.Problems) == 0 {
		t.Error("no problem")
	}
	for _, p := range rep.Problems {
		text := p.Text(file)
		if !problemLine.MatchString(text) {
			t.Errorf("not FILE:LINE:COL: KEY: WHAT and hint:\n%s", text)
		}
		if m := foreign.FindString(p.What + "\n" + p.Hint); m != "" {
			t.Errorf("foreign wording %q in\n%s", m, text)
		}
	}
}
