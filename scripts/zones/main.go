// Command zones packs the time zone files of the Go distribution for
// agent/zones, where their form is described. `make generate` runs it.
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	out := flag.String("o", "zones.deflate", "where the packed zones go")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env GOROOT: %w", err)
	}
	path := filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip")
	z, err := zip.OpenReader(path)
	if err != nil {
		return fmt.Errorf("zone files: %w", err)
	}
	defer func() { _ = z.Close() }() // it was only read
	plain, err := records(&z.Reader)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(plain); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(out, packed.Bytes(), 0o644)
}

// records lays the zones out one after the other, those with the same rules as
// one, in the order of the archive.
func records(z *zip.Reader) ([]byte, error) {
	names := map[string][]string{}
	var order []string
	for _, f := range z.File {
		if strings.HasSuffix(f.Name, "/") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil {
			return nil, err
		}
		if len(b) > math.MaxUint16 || strings.ContainsAny(f.Name, " \n") {
			return nil, fmt.Errorf("%q does not fit the form", f.Name)
		}
		if len(names[string(b)]) == 0 {
			order = append(order, string(b))
		}
		names[string(b)] = append(names[string(b)], f.Name)
	}
	var out []byte
	for _, file := range order {
		out = append(out, strings.Join(names[file], " ")...)
		out = append(out, '\n')
		out = binary.BigEndian.AppendUint16(out, uint16(len(file)))
		out = append(out, file...)
	}
	return out, nil
}
