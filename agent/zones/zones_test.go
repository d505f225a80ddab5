package zones

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// distribution reads the zone files of the Go that runs the test.
func distribution(t *testing.T) map[string][]byte {
	t.Helper()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("no go command: %v", err)
	}
	z, err := zip.OpenReader(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Skipf("this Go has no zone files: %v", err)
	}
	defer z.Close()
	files := map[string][]byte{}
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = b
	}
	return files
}

// TestCopy holds the copy to the zone files of the Go distribution. A newer
// one may know of rules that ours does not: then `make generate` is due.
func TestCopy(t *testing.T) {
	want := distribution(t)
	seen := map[string]bool{}
	var other []string
	err := each(func(names string, file []byte) bool {
		for n := range strings.SplitSeq(names, " ") {
			if seen[n] = true; !bytes.Equal(want[n], file) {
				other = append(other, n)
			}
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		if !seen[name] {
			other = append(other, name)
		}
	}
	if slices.Sort(other); len(other) > 0 {
		t.Errorf("%d zones are not those of this Go (make generate): %v", len(other), other[:min(len(other), 10)])
	}
	if len(seen) < 400 {
		t.Errorf("only %d zones", len(seen))
	}
}

func TestLoad(t *testing.T) {
	paris, err := Load("Europe/Paris")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		at   time.Time
		want string
	}{
		{time.Date(2022, 1, 1, 12, 0, 0, 0, time.UTC), "2022-01-01 13:00 CET"},
		{time.Date(2022, 7, 1, 12, 0, 0, 0, time.UTC), "2022-07-01 14:00 CEST"},
		{time.Date(2090, 7, 1, 12, 0, 0, 0, time.UTC), "2090-07-01 14:00 CEST"},
	} {
		if got := tt.at.In(paris).Format("2006-01-02 15:04 MST"); got != tt.want {
			t.Errorf("%v: %s", tt.at, got)
		}
	}
	if paris.String() != "Europe/Paris" {
		t.Errorf("named %v", paris)
	}
	for _, name := range []string{"Mars/Base", "Local", "Europe", "Europe/Paris Europe/Monaco", "../etc/passwd"} {
		if _, err := Load(name); !errors.Is(err, ErrUnknown) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if utc, err := Load("UTC"); err != nil || utc != time.UTC {
		t.Errorf("UTC: %v, %v", utc, err)
	}
	if info, err := os.Stat("zones.deflate"); err != nil || info.Size() > 80_000 {
		t.Errorf("the copy is large: %v, %v", info, err)
	}
}
