package v4l2cam

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// tree is a stand-in for /dev and /sys with cameras plugged in and out.
type tree struct {
	t    *testing.T
	root string
	finder
}

func newTree(t *testing.T) *tree {
	root := t.TempDir()
	return &tree{t: t, root: root, finder: finder{dev: filepath.Join(root, "dev"), sys: filepath.Join(root, "sys")}}
}

// cam is a USB camera with one node of the given number.
type cam struct {
	vendor, product, serial, port, index string
}

func (tr *tree) must(err error) {
	tr.t.Helper()
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) write(path, text string) {
	tr.t.Helper()
	tr.must(os.MkdirAll(filepath.Dir(path), 0o755))
	tr.must(os.WriteFile(path, []byte(text), 0o600))
}

func (tr *tree) link(path, to string) {
	tr.t.Helper()
	tr.must(os.MkdirAll(filepath.Dir(path), 0o755))
	tr.must(os.Symlink(to, path))
}

// plug makes node appear; links are made as udev makes them.
func (tr *tree) plug(node string, c cam, links ...string) {
	tr.t.Helper()
	usb := filepath.Join(tr.sys, "devices/pci0/usb1", strings.Split(c.port, ":")[0])
	tr.must(os.MkdirAll(filepath.Join(usb, c.port), 0o755))
	if c.vendor != "" {
		tr.write(filepath.Join(usb, "idVendor"), c.vendor+"\n")
		tr.write(filepath.Join(usb, "idProduct"), c.product+"\n")
	}
	if c.serial != "" {
		tr.write(filepath.Join(usb, "serial"), c.serial+"\n")
	}
	class := filepath.Join(usb, c.port, "video4linux", node)
	tr.write(filepath.Join(class, "index"), c.index+"\n")
	tr.link(filepath.Join(class, "device"), filepath.Join(usb, c.port))
	tr.link(filepath.Join(tr.sys, "class/video4linux", node), class)
	tr.write(filepath.Join(tr.dev, node), "")
	for _, l := range links {
		tr.link(filepath.Join(tr.dev, l), "../../"+node)
	}
}

func (tr *tree) unplug(node string, links ...string) {
	tr.t.Helper()
	class := filepath.Join(tr.sys, "class/video4linux", node)
	usb, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
	tr.must(err)
	tr.must(os.RemoveAll(filepath.Dir(usb)))
	tr.must(os.Remove(class))
	tr.must(os.Remove(filepath.Join(tr.dev, node)))
	for _, l := range links {
		tr.must(os.Remove(filepath.Join(tr.dev, l)))
	}
}

// find gives the node's name, or "gone".
func (tr *tree) find(device string, known identity) (string, identity) {
	tr.t.Helper()
	node, id, stranger, err := tr.locate(filepath.Join(tr.dev, device), known)
	if err != nil {
		if !errors.Is(err, ErrGone) {
			tr.t.Fatal(err)
		}
		return "gone", known
	}
	if stranger {
		return "stranger at " + filepath.Base(node), id
	}
	return filepath.Base(node), id
}

func (tr *tree) expect(device string, known identity, want string) identity {
	tr.t.Helper()
	got, id := tr.find(device, known)
	if got != want {
		tr.t.Errorf("%s is at %s, want %s", device, got, want)
	}
	return id
}

var (
	plain  = cam{"1209", "0001", "", "1-1:1.0", "0"}
	second = cam{"1209", "0001", "", "1-2:1.0", "0"}
	named  = cam{"1209", "0002", "G-77", "1-1:1.0", "0"}
	other  = cam{"0bda", "5844", "X1", "1-4:1.0", "0"}
)

func at(c cam, port string) cam {
	c.port = port
	return c
}

func TestLocateByLink(t *testing.T) {
	tr := newTree(t)
	byID, byPath := "v4l/by-id/usb-Gate_Cam_G-77-video-index0", "v4l/by-path/pci-0-usb-0:1:1.0-video-index0"
	tr.expect(byID, identity{}, "gone")
	tr.plug("video0", named, byID, byPath)
	id := tr.expect(byID, identity{}, "video0")
	if want := (identity{"1209", "0002", "G-77", "1-1:1.0", "0"}); id != want {
		t.Errorf("identity %+v", id)
	}
	tr.unplug("video0", byID, byPath)
	tr.expect(byID, id, "gone")
	tr.plug("video2", named, byID, byPath)
	tr.expect(byID, id, "video2")
	tr.expect(byPath, id, "video2")
	tr.unplug("video2", byID, byPath)

	// udev has not made its links yet, or is not there.
	tr.plug("video4", at(named, "1-3:1.0"))
	tr.expect(byID, id, "video4")
	// By path means the port.
	tr.expect(byPath, id, "gone")
	tr.unplug("video4")
	tr.plug("video5", named)
	tr.expect(byPath, id, "video5")
}

func TestLocateByNode(t *testing.T) {
	for name, tt := range map[string]struct {
		first cam
		then  func(tr *tree)
		want  string
	}{
		"back at its node":                 {plain, func(tr *tree) { tr.plug("video0", plain) }, "video0"},
		"back at its port, another node":   {plain, func(tr *tree) { tr.plug("video3", plain) }, "video3"},
		"another port, the only one":       {plain, func(tr *tree) { tr.plug("video3", at(plain, "1-9:1.0")) }, "video3"},
		"another port, serial":             {named, func(tr *tree) { tr.plug("video3", at(named, "1-9:1.0")) }, "video3"},
		"another camera of another model":  {plain, func(tr *tree) { tr.plug("video3", other) }, "gone"},
		"replaced by another model":        {plain, func(tr *tree) { tr.plug("video0", other) }, "stranger at video0"},
		"another serial is another camera": {named, func(tr *tree) { tr.plug("video3", cam{"1209", "0002", "G-78", "1-7:1.0", "0"}) }, "gone"},
		"its node taken by another": {named, func(tr *tree) {
			tr.plug("video0", other)
			tr.plug("video1", named)
		}, "video1"},
		"two alike swapped: the port decides": {plain, func(tr *tree) {
			tr.plug("video0", second)
			tr.plug("video1", plain)
		}, "video1"},
		"two alike, both moved: nobody knows": {plain, func(tr *tree) {
			tr.plug("video3", at(plain, "1-8:1.0"))
			tr.plug("video4", at(plain, "1-9:1.0"))
		}, "gone"},
		"its metadata node is not it": {plain, func(tr *tree) { tr.plug("video3", cam{"1209", "0001", "", "1-1:1.0", "1"}) }, "gone"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTree(t)
			tr.plug("video0", tt.first)
			_, id := tr.find("video0", identity{})
			tr.unplug("video0")
			tt.then(tr)
			tr.expect("video0", id, tt.want)
		})
	}
}

func TestLocateOffUSB(t *testing.T) {
	tr := newTree(t)
	vivid := cam{port: "vivid.0", index: "0"}
	tr.plug("video0", vivid)
	_, id := tr.find("video0", identity{})
	tr.unplug("video0")
	tr.plug("video1", cam{port: "vivid.1", index: "0"})
	tr.expect("video0", id, "gone")
	tr.plug("video2", vivid)
	tr.expect("video0", id, "video2")
}

func TestGoneNamesWhatIsThere(t *testing.T) {
	tr := newTree(t)
	_, _, _, err := tr.locate(filepath.Join(tr.dev, "video7"), identity{})
	if !errors.Is(err, ErrGone) || !strings.Contains(err.Error(), "no camera is plugged in") {
		t.Errorf("error %q", err)
	}
	tr.plug("video10", plain)
	tr.plug("video2", other)
	_, _, _, err = tr.locate(filepath.Join(tr.dev, "video7"), identity{})
	if !strings.Contains(err.Error(), "video2, "+tr.dev+"/video10") {
		t.Errorf("error %q", err)
	}
}

// A stranger at the node is given time to turn out as one of two cameras that
// were plugged in together.
func TestStrangerIsTakenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Device{known: identity{vendor: "1209"}}
		if err := d.admit(false); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for d.admit(true) != nil {
			time.Sleep(time.Second)
		}
		if took := time.Since(began); took < strangerAfter || took > strangerAfter+time.Second {
			t.Errorf("taken after %v", took)
		}
		if err := d.admit(false); err != nil {
			t.Fatal(err)
		}
		if err := d.admit(true); !errors.Is(err, ErrGone) {
			t.Errorf("the next one: %v", err)
		}
	})
}
