package qr

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateagent/driver/frame"
	"gateagent/driver/frame/imagefile"
)

// publicSets is where the public test pictures lie, seen from this package:
// beside the project, since they are too large to be part of it.
const publicSets = "../../../shared/testdata/qr"

// picture is one picture of a public set.
type picture struct {
	path string
	want string // expected text; "" where there is no code
}

// pictures lists the pictures under dir. It skips the test where the sets are
// missing.
func pictures(t testing.TB, dir string) []picture {
	t.Helper()
	root := filepath.Join(publicSets, filepath.FromSlash(dir))
	if _, err := os.Stat(root); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("public test pictures are not at %s", root)
	}
	var list []picture
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !imagefile.Known(path) {
			return err
		}
		p := picture{path: path}
		text, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".txt")
		if err == nil {
			p.want = string(text)
		}
		list = append(list, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPublicSets(t *testing.T) {
	for _, set := range []struct {
		dir        string
		n, atLeast int // pictures, and how many must be read
	}{
		{"zxing/qrcode-1", 20, 20},
		{"zxing/qrcode-3", 42, 42},
		{"zxing/qrcode-5", 19, 19},
		{"zxing/qrcode-6", 15, 15},
		{"zxing-cpp/qrcode-1", 8, 8},
		{"zxing-cpp/qrcode-3", 18, 18},
		{"zxing-cpp/qrcode-5", 16, 16},
		{"zxing-cpp/qrcode-6", 15, 15},
	} {
		t.Run(set.dir, func(t *testing.T) {
			list := pictures(t, set.dir)
			if len(list) != set.n {
				t.Fatalf("%d pictures, want %d", len(list), set.n)
			}
			if testing.Short() {
				list = every(4, list)
				set.atLeast = len(list) - (set.n - set.atLeast)
			}
			r, read := NewReader(), 0
			for _, p := range list {
				var g frame.Gray
				if err := imagefile.Load(p.path, &g); err != nil {
					t.Error(err)
					continue
				}
				codes, err := r.Read(&g)
				if err != nil {
					t.Errorf("%s: %v", p.path, err)
				}
				for _, c := range codes {
					switch {
					case !c.Readable():
						t.Logf("%s: in view, not read", p.path)
					case string(c.Text) == p.want:
						read++
					default:
						t.Errorf("%s: read %q, want %q", p.path, c.Text, p.want)
					}
				}
				if len(codes) == 0 {
					t.Logf("%s: not seen", p.path)
				}
			}
			t.Logf("%d of %d read", read, len(list))
			if read < set.atLeast {
				t.Errorf("%d of %d read, want at least %d", read, len(list), set.atLeast)
			}
		})
	}
}

// every takes each nth picture of a list.
func every(n int, list []picture) (some []picture) {
	for i := 0; i < len(list); i += n {
		some = append(some, list[i])
	}
	return some
}

// TestPublicSetsTurned reads all of them in the three other rotations; in the
// short form every fourth, in one.
func TestPublicSetsTurned(t *testing.T) {
	list, last := append(pictures(t, "zxing"), pictures(t, "zxing-cpp")...), 3
	if testing.Short() {
		list, last = every(4, list), 1
	}
	atLeast := len(list) - 2 // each way
	for quarters := 1; quarters <= last; quarters++ {
		r, read := NewReader(), 0
		for _, p := range list {
			var g frame.Gray
			if err := imagefile.Load(p.path, &g); err != nil {
				t.Fatal(err)
			}
			codes, err := r.Read(turned(&g, quarters, false))
			if err != nil {
				t.Errorf("%s: %v", p.path, err)
			}
			for _, c := range codes {
				switch {
				case string(c.Text) == p.want:
					read++
				case c.Readable():
					t.Errorf("%s: read %q, want %q", p.path, c.Text, p.want)
				}
			}
		}
		t.Logf("turned by %d degrees: %d of %d read", 90*quarters, read, len(list))
		if read < atLeast {
			t.Errorf("turned by %d degrees: %d of %d read, want at least %d", 90*quarters, read, len(list), atLeast)
		}
	}
}

func TestPublicSetsWithoutCode(t *testing.T) {
	r, fooled := NewReader(), 0
	list := pictures(t, "no-code")
	for _, p := range list {
		var g frame.Gray
		if err := imagefile.Load(p.path, &g); err != nil {
			t.Error(err)
			continue
		}
		codes, err := r.Read(&g)
		if err != nil {
			t.Errorf("%s: %v", p.path, err)
		}
		for _, c := range codes {
			if c.Readable() {
				t.Errorf("%s: read %q", p.path, c.Text)
			} else {
				fooled++
				t.Logf("%s: said to hold a code", p.path)
			}
		}
	}
	t.Logf("%d of %d pictures without a code said to hold one", fooled, len(list))
}
