//go:build linux

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const byID = "/dev/v4l/by-id"

// links plays udev's part: it keeps /dev/v4l/by-id as the rules of systemd
// would (60-persistent-v4l.rules).
func links(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		want := map[string]string{}
		classes, _ := filepath.Glob("/sys/class/video4linux/video*") // the pattern is ours
		for _, class := range classes {
			if name := stableName(class); name != "" {
				want[filepath.Join(byID, name)] = "../../" + filepath.Base(class)
			}
		}
		have, _ := filepath.Glob(byID + "/*")
		for _, link := range have {
			if to, err := os.Readlink(link); err != nil || to != want[link] {
				_ = os.Remove(link)
			} else {
				delete(want, link)
			}
		}
		for link, to := range want {
			if os.MkdirAll(byID, 0o755) == nil {
				_ = os.Symlink(to, link) // next time, if not now
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stableName gives "usb-Maker_Name_Serial-video-index0".
func stableName(class string) string {
	device, err := filepath.EvalSymlinks(filepath.Join(class, "device"))
	if err != nil {
		return ""
	}
	usb := filepath.Dir(device)
	parts := []string{attribute(usb, "manufacturer"), attribute(usb, "product")}
	if serial := attribute(usb, "serial"); serial != "" {
		parts = append(parts, serial)
	}
	name := strings.ReplaceAll(strings.Join(parts, "_"), " ", "_")
	return "usb-" + name + "-video-index" + attribute(class, "index")
}

func attribute(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// nodes lists camera nodes and links for the bench.
func nodes() []string {
	var all []string
	plain, _ := filepath.Glob("/dev/video*")
	all = append(all, plain...)
	stable, _ := filepath.Glob(byID + "/*")
	for _, l := range stable {
		if to, err := filepath.EvalSymlinks(l); err == nil {
			all = append(all, l+" -> "+to)
		}
	}
	return all
}
