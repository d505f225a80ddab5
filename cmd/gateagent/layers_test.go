package main

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const module = "gateagent/"

// layers says, for each folder, which of our own packages it may import.
// A package is ruled by its longest matching prefix.
var layers = map[string][]string{
	"agent/gate":    {},
	"agent/record":  {"agent/gate", "agent/record"},
	"agent/durable": {},
	"agent":         {"agent"},
	"driver":        {"agent/gate", "driver"},
	"cache":         {"agent/gate", "agent/record", "agent/durable", "cache"},
	"sync":          {"agent/gate", "agent/record", "agent/health", "agent/durable", "sync"},
	"configs":       {},
	"cmd":           {"agent", "driver", "cache", "sync", "configs"},
	"scripts":       {"agent", "driver", "cache", "sync", "configs", "scripts"},
}

// ownCmd lets a program's own sub-packages be imported by that program alone.
func ownCmd(pkg, dep string) bool {
	p, d := strings.Split(pkg, "/"), strings.Split(dep, "/")
	return len(p) >= 2 && len(d) > 2 && p[0] == "cmd" && d[0] == "cmd" && p[1] == d[1]
}

// confined names the folders that may import a package from outside, tests
// apart.
var confined = map[string][]string{
	"go.etcd.io/bbolt":                     {"cache"},
	"github.com/eclipse/paho.mqtt.golang":  {"sync/mqttlink"},
	"github.com/mochi-mqtt/server/v2":      {"sync/brokertest", "cmd/gatectl"},
	"github.com/makiuchi-d/gozxing":        {"driver/qr"},
	"github.com/makiuchi-d/gozxing/qrcode": {"driver/qr"},
	"github.com/blackjack/webcam":          {"driver/v4l2cam"},
	"go.bug.st/serial":                     {"driver/serialport", "driver/serialscan"},
	"github.com/warthog618/go-gpiocdev":    {"driver/gpiorelay"},
	"github.com/pelletier/go-toml/v2":      {"agent/config"},
	"github.com/go-jose/go-jose/v4":        {"sync/signed"},
	"github.com/fxamacker/cbor/v2":         {"agent/record", "agent/credential", "agent/passport", "agent/pass"},
	"github.com/VictoriaMetrics/metrics":   {"agent/statuspage"},
	"github.com/klauspost/compress/fse":    {"sync/wire"},
	"github.com/spf13/cobra":               {"cmd"},
	"os/exec":                              {"cmd", "scripts", "cache/cachetest", "sync/brokertest"}, // the last two do not ship
	"html/template":                        {},
	"text/template":                        {},
}

type listed struct {
	ImportPath, Dir string
	Imports         []string // tests are not held to the table
	GoFiles         []string
	ForTest         string
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Imports,GoFiles,ForTest"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	out, err := cmd.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %s", e.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestLayers(t *testing.T) {
	for _, p := range list(t, module+"...") {
		pkg := strings.TrimPrefix(p.ImportPath, module)
		if pkg == "sync" && len(p.GoFiles) > 0 {
			t.Error("sync/: no Go file directly here; its package name would hide the standard library's sync")
		}
		rule, ok := ruleFor(pkg)
		if !ok {
			t.Errorf("%s: no layer; add it to the table", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, module); ours && !allowed(dep, rule) && !ownCmd(pkg, dep) {
				t.Errorf("%s imports %s; allowed: %v", pkg, dep, rule)
			}
			if homes, isConfined := confined[imp]; isConfined && !allowed(pkg, homes) {
				t.Errorf("%s imports %s; only %v may", pkg, imp, homes)
			}
		}
	}
}

// TestShippedDeps keeps bench, test and central's code out of the binary that
// ships to the box.
func TestShippedDeps(t *testing.T) {
	bad := map[string]string{
		"testing":                         "test code in the shipped binary",
		"runtime/cgo":                     "the binary is static",
		"github.com/mochi-mqtt/server/v2": "the demo broker does not ship",
		"github.com/chromedp/chromedp":    "browser driver",
		module + "agent/hostile":          "seeds of tests do not ship",
		module + "driver/drivertest":      "fakes do not ship",
		module + "driver/qr/qrframes":     "the renderer is for tests and the demo",
		module + "cache/cachetest":        "test helper",
		module + "sync/brokertest":        "the bench broker does not ship",
		module + "sync/central":           "central's side stays at central",
	}
	for _, p := range list(t, "-deps", module+"cmd/gateagent") {
		if why, isBad := bad[p.ImportPath]; isBad {
			t.Errorf("gateagent depends on %s: %s", p.ImportPath, why)
		}
	}
}

// TestModules holds the list of modules that the box links to the one that is
// reviewed in DECISIONS.md.
func TestModules(t *testing.T) {
	text, err := os.ReadFile("../../DECISIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", module+"cmd/gateagent", module+"cmd/gatectl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm64")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for mod := range strings.FieldsSeq(string(out)) {
		if !seen[mod] && !strings.Contains(string(text), "`"+mod+"`") {
			t.Errorf("%s is linked but not named in DECISIONS.md (licence, size, reason)", mod)
		}
		seen[mod] = true
	}
}

// TestPackageComments wants exactly one package comment in each package that
// is not only tests.
func TestPackageComments(t *testing.T) {
	for _, p := range list(t, module+"...") {
		n := 0
		for _, f := range p.GoFiles {
			src, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if text := src.Doc.Text(); strings.HasPrefix(text, "Package ") || strings.HasPrefix(text, "Command ") {
				n++
			}
		}
		if n != 1 && len(p.GoFiles) > 0 {
			t.Errorf("%s has %d package comments, want 1", p.ImportPath, n)
		}
	}
}

func ruleFor(pkg string) (rule []string, ok bool) {
	longest := -1
	for prefix, r := range layers {
		if within(pkg, prefix) && len(prefix) > longest {
			longest, rule, ok = len(prefix), r, true
		}
	}
	return rule, ok
}

func allowed(dep string, rule []string) bool {
	for _, prefix := range rule {
		if within(dep, prefix) {
			return true
		}
	}
	return false
}

func within(pkg, prefix string) bool {
	return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
}
