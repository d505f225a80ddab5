package v4l2cam

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// finder knows where the kernel and udev list cameras.
type finder struct{ dev, sys string }

// identity is what stays the same about a camera when its node changes. The
// zero value is "not known".
type identity struct {
	vendor, product string // USB numbers, four hexadecimal digits; empty off USB
	serial          string // as the camera says; many say nothing, or all the same
	port            string // where it is plugged in, for example "1-1.4:1.0"
	index           string // which of the camera's nodes
}

func (i identity) known() bool { return i != identity{} }

// sameModel says whether both could be one camera at all.
func (i identity) sameModel(o identity) bool {
	return i.vendor == o.vendor && i.product == o.product && i.index == o.index
}

// locate gives the node to open for a configured path, and who it is.
//
// A link of udev's that exists is taken at its word. A plain node is taken
// when nothing is known yet or when the camera known from before sits there.
// Otherwise the known camera is looked for:
//
//   - the same model at the same port (all that a by-path name allows, since
//     that name means the port and the neighbour may be another lane's);
//   - else the same model with the same serial;
//   - else, for cameras without a serial, the only one of the model.
//
// A plain node with another camera is given last, as a stranger: somebody
// replaced the camera, or the known one is about to come back elsewhere.
func (f finder) locate(device string, known identity) (node string, id identity, stranger bool, err error) {
	node, err = filepath.EvalSymlinks(device)
	if err == nil {
		id = f.identify(filepath.Base(node))
		link := node != filepath.Clean(device)
		if link || !known.known() || id == known {
			return node, id, false, nil
		}
	}
	if known.known() {
		byPort := filepath.Base(filepath.Dir(device)) == "by-path"
		if n, i, ok := f.search(known, byPort); ok {
			return n, i, false, nil
		}
	}
	if err != nil {
		return "", identity{}, false, fmt.Errorf("%w: %s: %w; %s", ErrGone, device, plainError(err), f.present())
	}
	return node, id, true, nil
}

// plainError drops the system call and path that os errors repeat.
func plainError(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

// search looks for a camera known from before.
func (f finder) search(known identity, byPort bool) (node string, id identity, ok bool) {
	var serial, model []string
	ids := map[string]identity{}
	for _, name := range f.nodes() {
		i := f.identify(name)
		ids[name] = i
		switch {
		case !i.sameModel(known):
		case i.port == known.port:
			return filepath.Join(f.dev, name), i, true
		case known.serial != "" && i.serial == known.serial:
			serial = append(serial, name)
		case known.serial == "" && i.serial == "":
			model = append(model, name)
		}
	}
	for _, names := range [][]string{serial, model} {
		if len(names) == 1 && !byPort && known.vendor != "" {
			return filepath.Join(f.dev, names[0]), ids[names[0]], true
		}
	}
	return "", identity{}, false
}

// nodes lists the kernel's video nodes by number.
func (f finder) nodes() []string {
	entries, err := os.ReadDir(filepath.Join(f.sys, "class/video4linux"))
	if err != nil {
		return nil // no camera driver is loaded
	}
	var names []string
	for _, e := range entries {
		if _, err := number(e.Name()); err == nil {
			names = append(names, e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		na, _ := number(a)
		nb, _ := number(b)
		return na - nb
	})
	return names
}

func number(node string) (int, error) {
	digits, ok := strings.CutPrefix(node, "video")
	if !ok {
		return 0, strconv.ErrSyntax
	}
	return strconv.Atoi(digits)
}

// identify reads who sits behind a node; the zero value when sysfs is silent.
func (f finder) identify(name string) identity {
	class := filepath.Join(f.sys, "class/video4linux", name)
	device, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
	if err != nil {
		return identity{}
	}
	usb := filepath.Dir(device) // the device above the interface
	return identity{
		vendor: attribute(usb, "idVendor"), product: attribute(usb, "idProduct"), serial: attribute(usb, "serial"),
		port: filepath.Base(device), index: attribute(class, "index"),
	}
}

// attribute reads a sysfs file; empty when there is none.
func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// present tells a technician which cameras there are.
func (f finder) present() string {
	links, _ := filepath.Glob(filepath.Join(f.dev, "v4l/by-id/*")) // the pattern is ours
	if len(links) == 0 {
		for _, n := range f.nodes() {
			links = append(links, filepath.Join(f.dev, n))
		}
	}
	if len(links) == 0 {
		return "no camera is plugged in"
	}
	return "there is: " + strings.Join(links, ", ")
}
