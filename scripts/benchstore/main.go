// Command benchstore measures the data store on a made-up nation: how large a
// set is on disk and on the wire, what a look-up costs, what a box needs to
// build a set and to keep it current. `make bench-store` runs it.
//
// Each measurement is a process of its own. Sizes, pages and allocations are
// exact; of times only ratios within one run mean anything.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// childEnv holds the task of a child process.
const childEnv = "GATEAGENT_BENCHSTORE_TASK"

func main() {
	if text := os.Getenv(childEnv); text != "" {
		if err := child(text); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	people := flag.Uint64("n", 1_000_000, "people")
	asJSON := flag.Bool("json", false, "figures as JSON")
	dir := flag.String("dir", "", "folder for the files; 35 bytes a person are needed (default: a temporary one)")
	program386 := flag.Bool("386", true, "also ask a 32-bit build of this program, if this machine runs one")
	flag.Parse()
	ok, err := measure(*people, *dir, *asJSON, *program386)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
	if !ok {
		os.Exit(1)
	}
}

func child(text string) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	r, err := t.run()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// ask runs a task in a process of its own.
func ask(t task, program ...string) (r result, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return r, err
	}
	if len(program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return r, err
		}
		program = []string{self}
	}
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return r, fmt.Errorf("%s: %w: %s", t.What, err, bytes.TrimSpace(complaint.Bytes()))
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("%s: %w", t.What, err)
	}
	return r, nil
}

// measure takes all figures and says whether all bars hold.
func measure(people uint64, dir string, asJSON, with386 bool) (ok bool, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "benchstore"); err != nil {
			return false, err
		}
		defer os.RemoveAll(dir)
	}
	say := func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
	n, sorted := newNation(people), filepath.Join(dir, "sorted")
	started := time.Now()
	step := func(what string) { say("%6.0f s  %s", time.Since(started).Seconds(), what) }
	step(fmt.Sprintf("pseudonyms of %d people", people))
	tell := time.Now()
	if err := n.writePseudonyms(sorted, func(done uint64) {
		if time.Since(tell) > 10*time.Second {
			tell = time.Now()
			step(fmt.Sprintf("  %d %%", done*100/people))
		}
	}); err != nil {
		return false, err
	}
	t := newTable(people)
	plain := task{People: people, Sorted: sorted, Dir: filepath.Join(dir, "plain")}
	checked, extra := plain, plain
	checked.Dir, checked.Check = filepath.Join(dir, "checked"), true
	extra.Dir, extra.Extras = filepath.Join(dir, "extras"), true
	on := func(base task, what string) (result, error) {
		base.What = what
		step(what + ", " + filepath.Base(base.Dir))
		return ask(base)
	}

	built, err := on(plain, "build")
	if err != nil {
		return false, err
	}
	t.plain(built)
	opened, err := on(plain, "open")
	if err != nil {
		return false, err
	}
	looked, err := on(plain, "look")
	if err != nil {
		return false, err
	}
	t.look(opened, looked)
	changed, err := on(plain, "delta")
	if err != nil {
		return false, err
	}
	t.delta(changed)
	if with386 {
		step("32 bits")
		t.on386(ask386(plain, dir))
	}
	if err := os.RemoveAll(plain.Dir); err != nil {
		return false, err
	}
	for _, other := range []task{checked, extra} {
		built, err := on(other, "build")
		if err != nil {
			return false, err
		}
		var opened, looked result
		if other.Extras {
			if opened, err = on(other, "open"); err != nil {
				return false, err
			}
			if looked, err = on(other, "look"); err != nil {
				return false, err
			}
			t.extras(built, opened, looked)
		} else {
			t.checked(built)
		}
		if err := os.RemoveAll(other.Dir); err != nil {
			return false, err
		}
	}
	step("wire")
	w, err := n.measureWire(sorted)
	if err != nil {
		return false, err
	}
	t.wire(w)
	step("done")
	if asJSON {
		return t.ok(), json.NewEncoder(os.Stdout).Encode(t.rows)
	}
	t.print(os.Stdout)
	return t.ok(), nil
}

// errNo386 is for machines that run no 32-bit program.
var errNo386 = errors.New("this machine runs no 32-bit program")

// ask386 has a 32-bit build of this program look people up, within an address
// space of 3 GB, as a 32-bit box has it: in a set of its own, in parts.
func ask386(t task, dir string) (r result, err error) {
	program := filepath.Join(dir, "benchstore386")
	build := exec.Command("go", "build", "-o", program, "./scripts/benchstore")
	build.Env = append(os.Environ(), "GOARCH=386", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return r, fmt.Errorf("build for 386: %w: %s", err, out)
	}
	if err := exec.Command(program, "-h").Run(); errors.Is(err, os.ErrPermission) {
		return r, errNo386
	}
	t.Dir = filepath.Join(dir, "small")
	defer os.RemoveAll(t.Dir)
	t.What = "build"
	run := []string{program}
	if setarch, err := exec.LookPath("setarch"); err == nil {
		run = []string{setarch, "--3gb", program}
	}
	if r, err = ask(t, run...); err != nil {
		return r, err
	}
	t.What = "some"
	some, err := ask(t, run...)
	some.File, some.Files, some.Written = r.File, r.Files, r.Written
	some.Anonymous = max(some.Anonymous, r.Anonymous)
	return some, err
}
