package main

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
	"strings"
)

// guestModules are what the guest needs beyond the kernel itself; what these
// need comes by their own word.
var guestModules = []string{
	"virtio_pci", "virtio_net", // the network
	"vhci_hcd", // USB ports to plug software cameras into
	"uvcvideo", // the driver under test
}

// moduleFolders bounds what is looked at in the kernel's package.
var moduleFolders = []string{
	"drivers/media", "drivers/usb", "drivers/virtio", "drivers/net", "net/core", "lib", "crypto", "drivers/base",
}

func wantedFolder(dir string) bool {
	_, in, ok := strings.Cut(dir, "/kernel/")
	return ok && slices.ContainsFunc(moduleFolders, func(f string) bool { return strings.HasPrefix(in, f+"/") })
}

type module struct {
	data    []byte
	depends []string
}

// modules are kernel modules by name, with underscores as the kernel has it.
type modules map[string]module

// add reads which modules a module needs.
func (m modules) add(file string, data []byte) error {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("module %s: %w", file, err)
	}
	s := f.Section(".modinfo")
	if s == nil {
		return fmt.Errorf("module %s says nothing about itself", file)
	}
	info, err := s.Data()
	if err != nil {
		return fmt.Errorf("module %s: %w", file, err)
	}
	mod := module{data: data}
	for line := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(line, "depends="); ok && list != "" {
			mod.depends = strings.Split(strings.ReplaceAll(list, "-", "_"), ",")
		}
	}
	m[moduleName(file)] = mod
	return nil
}

func moduleName(file string) string {
	return strings.ReplaceAll(strings.TrimSuffix(file, ".ko"), "-", "_")
}

// order lists the wanted modules and all they need, each after what it needs.
func (m modules) order(wanted []string) ([]string, error) {
	var all []string
	var visit func(name, by string) error
	visit = func(name, by string) error {
		if slices.Contains(all, name) {
			return nil
		}
		mod, ok := m[name]
		if !ok {
			return fmt.Errorf("module %s, which %s needs, is not in the kernel's package", name, by)
		}
		for _, d := range mod.depends {
			if err := visit(d, name); err != nil {
				return err
			}
		}
		all = append(all, name)
		return nil
	}
	for _, w := range wanted {
		if err := visit(w, "the bench"); err != nil {
			return nil, err
		}
	}
	return all, nil
}
