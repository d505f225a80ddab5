package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// The guest's kernel: Debian's, as it is.
const (
	guestArch    = "arm64"
	guestRelease = "bookworm"
	kernelMeta   = "linux-image-arm64"
)

// hostTools are the programs the bench needs and the packages they come in.
var hostTools = []struct{ program, pkg string }{
	{"qemu-system-aarch64", "qemu-system-arm"},
	{"mosquitto", "mosquitto"},
	{"dpkg-deb", "dpkg"},
}

// errNoTools says that the bench cannot run on this machine.
var errNoTools = errors.New("the bench needs Debian's packages")

// installTools installs what is missing, when run as root on Debian.
func installTools(ctx context.Context, say func(string, ...any)) error {
	var missing []string
	for _, t := range hostTools {
		if _, err := lookPath(t.program); err != nil {
			missing = append(missing, t.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	install := "apt-get install --no-install-recommends " + strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("%w; as root: %s", errNoTools, install)
	}
	say("installing %s", strings.Join(missing, " "))
	base := []string{"-q", "-o", "DPkg::Lock::Timeout=240"}
	if err := command(ctx, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", append(base, "update")...); err != nil {
		return err
	}
	args := append(base, "install", "-y", "--no-install-recommends")
	return command(ctx, []string{"DEBIAN_FRONTEND=noninteractive"}, "apt-get", append(args, missing...)...)
}

// lookPath also looks where Debian keeps daemons.
func lookPath(program string) (string, error) {
	if p, err := exec.LookPath(program); err == nil {
		return p, nil
	}
	return exec.LookPath("/usr/sbin/" + program)
}

// command runs a program and gives its output with its error.
func command(ctx context.Context, env []string, name string, args ...string) error {
	_, err := output(ctx, "", env, name, args...)
	return err
}

func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), errs.String())
	}
	return out.String(), nil
}

// kernel is a guest kernel and the modules it needs, in order of loading.
type kernel struct {
	version string
	image   string   // path
	modules []string // paths
}

// fetchKernel gives the guest's kernel from the cache, or downloads it: the
// package is unpacked, never installed, and the machine's own package state is
// not touched.
func fetchKernel(ctx context.Context, cache string, say func(string, ...any)) (kernel, error) {
	if k, err := cachedKernel(cache); err == nil {
		return k, nil
	}
	say("fetching %s (%s)", kernelMeta, guestArch)
	private := filepath.Join(cache, "apt")
	env, err := privateApt(private)
	if err != nil {
		return kernel{}, err
	}
	if err := command(ctx, env, "apt-get", "-q", "update"); err != nil {
		return kernel{}, err
	}
	depends, err := output(ctx, "", env, "apt-cache", "depends", kernelMeta)
	if err != nil {
		return kernel{}, err
	}
	_, pkg, ok := strings.Cut(depends, "Depends: ")
	if !ok {
		return kernel{}, fmt.Errorf("%s depends on no kernel: %s", kernelMeta, depends)
	}
	pkg = strings.Fields(pkg)[0]
	if _, err := output(ctx, private, env, "apt-get", "-q", "download", pkg); err != nil {
		return kernel{}, err
	}
	debs, err := filepath.Glob(filepath.Join(private, pkg+"_*.deb"))
	if err != nil || len(debs) == 0 {
		return kernel{}, fmt.Errorf("%s was downloaded and is not there", pkg)
	}
	if err := unpackKernel(ctx, debs[0], cache); err != nil {
		return kernel{}, err
	}
	if err := os.RemoveAll(private); err != nil {
		return kernel{}, err
	}
	return cachedKernel(cache)
}

// privateApt makes package state of our own for the guest's architecture and
// gives the environment that selects it.
func privateApt(dir string) ([]string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "etc/sources.list.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	mirror, err := hostMirror()
	if err != nil {
		return nil, err
	}
	const signed = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	sources := fmt.Sprintf("deb %s %s %s main\ndeb %s %s-security %s-security main\n",
		signed, mirror, guestRelease, signed, strings.TrimSuffix(mirror, "/"), guestRelease)
	conf := fmt.Sprintf(`APT::Architecture "%s";
APT::Architectures { "%s"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "%[3]s/state";
Dir::State::status "%[3]s/status";
Dir::Cache "%[3]s/cache";
Dir::Etc "%[3]s/etc";
`, guestArch, guestArch, dir)
	for name, text := range map[string]string{"status": "", "etc/sources.list": sources, "apt.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{"APT_CONFIG=" + filepath.Join(dir, "apt.conf")}, nil
}

// hostMirror gives the archive that this machine itself uses.
func hostMirror() (string, error) {
	files, _ := filepath.Glob("/etc/apt/sources.list.d/*") // the pattern is ours
	for _, name := range append(files, "/etc/apt/sources.list") {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(text)) {
			if strings.HasPrefix(word, "http") && strings.HasSuffix(strings.TrimSuffix(word, "/"), "/debian") {
				return word, nil
			}
		}
	}
	return "", errors.New("no Debian archive in this machine's apt sources")
}

// unpackKernel takes the kernel's image and the modules we need out of a
// package and lays them down in the cache.
func unpackKernel(ctx context.Context, deb, cache string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	image, version, stock, err := readKernel(tar.NewReader(bufio.NewReaderSize(pipe, 1<<20)))
	if err != nil {
		_ = cmd.Process.Kill() // it would wait for us to read on
		_ = cmd.Wait()
		return fmt.Errorf("%s: %w", deb, err)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("unpack %s: %w", deb, err)
	}
	order, err := stock.order(guestModules)
	if err != nil {
		return err
	}
	dir := filepath.Join(cache, "kernel-"+version)
	staging := dir + ".new"
	if err := errors.Join(os.RemoveAll(staging), os.RemoveAll(dir), os.MkdirAll(filepath.Join(staging, "modules"), 0o755)); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(staging, "vmlinuz"), image, 0o600); err != nil {
		return err
	}
	for i, name := range order {
		file := fmt.Sprintf("%02d-%s.ko", i, name)
		if err := os.WriteFile(filepath.Join(staging, "modules", file), stock[name].data, 0o600); err != nil {
			return err
		}
	}
	return os.Rename(staging, dir)
}

func readKernel(t *tar.Reader) (image []byte, version string, stock modules, err error) {
	stock = modules{}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, "", nil, err
		}
		dir, base := path.Split(h.Name)
		switch {
		case strings.HasPrefix(base, "vmlinuz-") && h.Typeflag == tar.TypeReg:
			version = strings.TrimPrefix(base, "vmlinuz-")
			image, err = io.ReadAll(t)
		case wantedFolder(dir) && strings.HasSuffix(base, ".ko"):
			var data []byte
			if data, err = io.ReadAll(t); err == nil {
				err = stock.add(base, data)
			}
		}
		if err != nil {
			return nil, "", nil, err
		}
	}
	if image == nil {
		return nil, "", nil, errors.New("no kernel image inside")
	}
	return image, version, stock, nil
}

// cachedKernel finds the newest unpacked kernel that has all our modules.
func cachedKernel(cache string) (kernel, error) {
	dirs, err := filepath.Glob(filepath.Join(cache, "kernel-*"))
	if err != nil {
		return kernel{}, err
	}
	for _, dir := range slices.Backward(dirs) {
		k := kernel{version: strings.TrimPrefix(filepath.Base(dir), "kernel-"), image: filepath.Join(dir, "vmlinuz")}
		if k.modules, err = filepath.Glob(filepath.Join(dir, "modules/*.ko")); err != nil {
			return kernel{}, err
		}
		have := strings.Join(k.modules, "\n")
		complete := !strings.HasSuffix(dir, ".new")
		for _, m := range guestModules {
			complete = complete && strings.Contains(have, "-"+m+".ko")
		}
		if complete {
			return k, nil
		}
	}
	return kernel{}, errors.New("no kernel in the cache")
}
