package main

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The readers by name.
const (
	ours         = "ours"
	plainGozxing = "gozxing"
	zxingCPP     = "zxing-cpp"
	zbar         = "zbar"
)

// gozxingEnv, set to plainGozxing, makes this package's test program a reader.
const gozxingEnv = "BENCHQR_SERVE"

//go:embed peers
var peerSources embed.FS

// library is a peer written in C++.
type library struct {
	source, header, link, debian string
}

var libraries = map[string]library{
	zxingCPP: {"zxing.cpp", "/usr/include/ZXing/ReadBarcode.h", "-lZXing", "libzxing-dev"},
	zbar:     {"zbar.cpp", "/usr/include/zbar.h", "-lzbar", "libzbar-dev"},
}

// errAbsent says that a peer is not here; the reason is in the text.
var errAbsent = errors.New("not here")

// peer is a reader in a process of its own.
type peer struct {
	name string
	argv []string
	env  []string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// build finds or builds the program of a reader in dir. It fails with errAbsent
// where the machine lacks what it needs.
func build(name, dir string, install bool, note func(string, ...any)) (*peer, error) {
	switch name {
	case ours:
		self, err := os.Executable()
		return &peer{name: name, argv: []string{self, "-serve", ours}}, err
	case plainGozxing:
		program := filepath.Join(dir, "gozxing.test")
		if out, err := exec.Command("go", "test", "-c", "-o", program, "gateagent/scripts/benchqr").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w: building its test program: %w: %s", errAbsent, err, out)
		}
		return &peer{name: name, argv: []string{program}, env: []string{gozxingEnv + "=" + plainGozxing}}, nil
	}
	lib, ok := libraries[name]
	if !ok {
		return nil, fmt.Errorf("no reader %q; there are %s, %s, %s, %s", name, ours, plainGozxing, zxingCPP, zbar)
	}
	if err := lib.present(); err != nil && install && os.Geteuid() == 0 {
		note("installing g++ and %s", lib.debian)
		lib.install(note)
	}
	if err := lib.present(); err != nil {
		return nil, fmt.Errorf("%w: %w (Debian: g++ %s)", errAbsent, err, lib.debian)
	}
	for _, name := range []string{"serve.h", lib.source} {
		text, err := peerSources.ReadFile("peers/" + name)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	program := filepath.Join(dir, strings.TrimSuffix(lib.source, ".cpp"))
	if out, err := exec.Command("g++", "-O3", "-std=c++17", "-o", program, filepath.Join(dir, lib.source), lib.link).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: g++ %s: %w: %s", errAbsent, lib.source, err, out)
	}
	return &peer{name: name, argv: []string{program}}, nil
}

func (l library) present() error {
	if _, err := exec.LookPath("g++"); err != nil {
		return err
	}
	_, err := os.Stat(l.header)
	return err
}

func (l library) install(note func(string, ...any)) {
	for _, args := range [][]string{{"update"}, {"install", "-y", "--no-install-recommends", "g++", l.debian}} {
		cmd := exec.Command("apt-get", append([]string{"-o", "DPkg::Lock::Timeout=240"}, args...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			note("apt-get %s: %v: %s", args[0], err, out)
		}
	}
}

// start runs the reader, under a wrapping command if one is given.
func (p *peer) start(wrap ...string) error {
	argv := append(wrap, p.argv...)
	p.cmd = exec.Command(argv[0], argv[1:]...)
	p.cmd.Env = append(os.Environ(), p.env...)
	p.cmd.Stderr = os.Stderr
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	return nil
}

// ask waits for the reader's answer.
func (p *peer) ask(q question) (answer, error) {
	if err := q.send(p.in); err != nil {
		return answer{}, fmt.Errorf("ask %s: %w", p.name, err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		return answer{}, fmt.Errorf("answer of %s: %w", p.name, err)
	}
	return parseAnswer(line)
}

// stop lets the reader end.
func (p *peer) stop() error {
	if p.cmd == nil {
		return nil
	}
	if err := p.in.Close(); err != nil {
		return err
	}
	err := p.cmd.Wait()
	p.cmd = nil
	return err
}
