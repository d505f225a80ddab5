// Command cross builds gateagent for every kind of box, says how large each
// binary is and what each module costs in it, and fails when one is not static
// or larger than 12 MiB. `make cross` runs it.
package main

import (
	"cmp"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const limit = 12 << 20

type box struct{ name, arch, arm string }

var boxes = []box{
	{"armv6", "arm", "6"},
	{"armv7", "arm", "7"},
	{"arm64", "arm64", ""},
	{"amd64", "amd64", ""},
	{"riscv64", "riscv64", ""},
}

func main() {
	out := flag.String("out", "bin/cross", "folder for the binaries")
	modules := flag.Bool("modules", true, "also say what each module costs (one more build)")
	flags := flag.String("flags", "-trimpath", "flags of go build, as the Makefile has them")
	flag.Parse()
	if err := run(*out, strings.Fields(*flags), *modules); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out string, flags []string, modules bool) error {
	fmt.Printf("%-28s %9s  %s\n", "gateagent", "MiB", "of 12 MiB")
	var failed []string
	for _, b := range boxes {
		path := filepath.Join(out, "gateagent-"+b.name)
		if err := build(b, path, flags, "-s -w"); err != nil {
			return err
		}
		st, err := os.Stat(path)
		if err != nil {
			return err
		}
		note := ""
		if static, err := isStatic(path); err != nil {
			return err
		} else if !static {
			note = "  NOT STATIC"
			failed = append(failed, b.name+" is not static")
		}
		if st.Size() > limit {
			note += "  TOO LARGE"
			failed = append(failed, b.name+" is larger than 12 MiB")
		}
		fmt.Printf("%-28s %9.2f  %3.0f %%%s\n", path, float64(st.Size())/(1<<20), 100*float64(st.Size())/limit, note)
	}
	if modules {
		if err := costs(out, flags); err != nil {
			return err
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%s", strings.Join(failed, "; "))
	}
	return nil
}

func build(b box, path string, flags []string, ldflags string) error {
	args := slices.Concat([]string{"build"}, flags, []string{"-ldflags", ldflags, "-o", path, "./cmd/gateagent"})
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+b.arch, "GOARM="+b.arm)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("build for %s: %w", b.name, err)
	}
	return nil
}

// isStatic says whether the file asks for no interpreter and no library.
func isStatic(path string) (bool, error) {
	f, err := elf.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false, nil
		}
	}
	libs, err := f.ImportedLibraries()
	return err == nil && len(libs) == 0, nil
}

// costs adds up symbol sizes by module in an armv7 build with symbols. Tables
// that the linker makes for all (pclntab, type links) stand in a row of their
// own.
func costs(out string, flags []string) error {
	path := filepath.Join(out, "gateagent-armv7.sym")
	if err := build(box{"armv7", "arm", "7"}, path, flags, ""); err != nil {
		return err
	}
	defer os.Remove(path)
	list := exec.Command("go", "list", "-deps", "-f", "{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}", "./cmd/gateagent")
	list.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=arm")
	pkgs, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list: %w", err)
	}
	moduleOf := map[string]string{}
	for line := range strings.Lines(string(pkgs)) {
		pkg, mod, _ := strings.Cut(strings.TrimSpace(line), " ")
		if mod == "" {
			mod = "standard library"
		}
		moduleOf[pkg] = mod
	}
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	syms, err := f.Symbols()
	if err != nil {
		return err
	}
	sizes := map[string]uint64{}
	for _, s := range syms {
		if s.Section == elf.SHN_UNDEF || int(s.Section) >= len(f.Sections) || f.Sections[s.Section].Type == elf.SHT_NOBITS {
			continue
		}
		sizes[owner(s.Name, moduleOf)] += s.Size
	}
	type row struct {
		name string
		size uint64
	}
	var rows []row
	for n, s := range sizes {
		rows = append(rows, row{n, s})
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name)) })
	fmt.Printf("\n%-44s %9s\n", "what each module costs (armv7, symbols)", "KiB")
	for _, r := range rows {
		fmt.Printf("%-44s %9.0f\n", r.name, float64(r.size)/1024)
	}
	return nil
}

// owner gives the module of a symbol: the longest package path that its name
// begins with.
func owner(sym string, moduleOf map[string]string) string {
	for _, prefix := range []string{"type:.eq.", "type:.hash.", "type:", "go:itab.*", "go:itab."} {
		sym = strings.TrimPrefix(sym, prefix)
	}
	sym = strings.TrimLeft(sym, "*[]")
	slash := strings.LastIndexByte(strings.SplitN(sym, "(", 2)[0], '/') + 1
	if dot := strings.IndexByte(sym[slash:], '.'); dot >= 0 {
		pkg := strings.ReplaceAll(sym[:slash+dot], "%2e", ".")
		for {
			if m, ok := moduleOf[pkg]; ok {
				return m
			}
			i := strings.LastIndexByte(pkg, '/')
			if i < 0 {
				break
			}
			pkg = pkg[:i]
		}
	}
	return "tables of the linker and run time"
}
