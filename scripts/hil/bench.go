package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// The size of all pictures on the bench.
const (
	pictureWidth  = 1280
	pictureHeight = 720
	// jpegQuality makes frames of about 110 KB, as cameras send at this size.
	jpegQuality = 75
)

// bench is what the proofs share.
type bench struct {
	options
	passed, failed int
	vm             *machine
	stopWatch      context.CancelFunc
	line           *lineWatch
	gatectl        string // path
	programs       string // folder of what was built
	c              *central
}

// prepare builds the programs and boots the guest.
func (b *bench) prepare(ctx context.Context, k kernel) error {
	dir, err := os.MkdirTemp("", "hil-build-")
	if err != nil {
		return err
	}
	b.programs, b.gatectl = dir, filepath.Join(dir, "gatectl")
	if err := command(ctx, []string{"CGO_ENABLED=0"}, "go", "build", "-o", b.gatectl, "./cmd/gatectl"); err != nil {
		return err
	}
	root, err := b.root(ctx, k, dir)
	if err != nil {
		return err
	}
	booting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if b.vm, err = boot(booting, k, root, b.verbose); err != nil {
		return err
	}
	b.line = &lineWatch{q: b.vm.qmp}
	watching, stop := context.WithCancel(ctx)
	b.stopWatch = stop
	b.vm.wait.Go(func() { b.line.run(watching) })
	return nil
}

func (b *bench) close() {
	if b.vm != nil {
		b.stopWatch()
		b.vm.stop()
	}
	_ = os.RemoveAll(b.programs)
}

// root builds the guest's file system.
func (b *bench) root(ctx context.Context, k kernel, dir string) ([]byte, error) {
	var a archive
	for _, d := range []string{"proc", "sys", "dev", "tmp", "run", "var"} {
		a.folder(d)
	}
	a.device("dev/console", 0o600, 5, 1)
	for _, m := range k.modules {
		data, err := os.ReadFile(m)
		if err != nil {
			return nil, err
		}
		a.file("modules/"+filepath.Base(m), 0o600, data)
	}
	init, err := build(ctx, dir, "./scripts/hil/guest")
	if err != nil {
		return nil, err
	}
	a.file("init", 0o755, init)
	agent, err := build(ctx, dir, "./cmd/gateagent")
	if err != nil {
		return nil, err
	}
	a.file(strings.TrimPrefix(agentProgram, "/"), 0o755, agent)
	for name, payload := range cards() {
		if err := addCard(&a, name, payload); err != nil {
			return nil, err
		}
	}
	return a.bytes(), nil
}

// build compiles a program as it ships, for the guest.
func build(ctx context.Context, dir, pkg string) ([]byte, error) {
	out := filepath.Join(dir, filepath.Base(pkg))
	env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + guestArch}
	if err := command(ctx, env, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, pkg); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
}

// addCard puts a picture into the guest, raw and as JPEG. The JPEG is as cheap
// cameras send it: without Huffman tables.
func addCard(a *archive, name, payload string) error {
	scene := qrframes.Scene{Seed: uint64(len(name) + 1), Subject: qrframes.Card, Payload: payload, ECC: qrframes.M}
	if payload == "" {
		scene.Subject = qrframes.Nothing
	}
	scene.View = qrframes.GateView(scene.Seed)
	scene.View.Width, scene.View.Height = pictureWidth, pictureHeight
	var g frame.Gray
	if err := qrframes.NewRenderer().Render(scene, &g); err != nil {
		return fmt.Errorf("draw card %s: %w", name, err)
	}
	a.file("cards/"+name+".pgm", 0o600, append(fmt.Appendf(nil, "P5 %d %d 255\n", g.Width, g.Height), g.Pix...))
	var b bytes.Buffer
	img := image.NewYCbCr(image.Rect(0, 0, g.Width, g.Height), image.YCbCrSubsampleRatio420) // with colour, as from a camera
	copy(img.Y, g.Pix)
	for i := range img.Cb {
		img.Cb[i], img.Cr[i] = 0x80, 0x80
	}
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: jpegQuality}); err != nil {
		return fmt.Errorf("card %s as JPEG: %w", name, err)
	}
	a.file("cards/"+name+".jpg", 0o600, withoutTables(b.Bytes()))
	return nil
}

// withoutTables takes the Huffman tables (marker FFC4) out of a JPEG's head.
func withoutTables(data []byte) []byte {
	out := append([]byte(nil), data[:2]...)
	for at := 2; at+4 <= len(data); {
		size := 2 + int(data[at+2])<<8 + int(data[at+3])
		if data[at+1] == 0xda { // the scan begins: no more segments
			return append(out, data[at:]...)
		}
		if data[at+1] != 0xc4 {
			out = append(out, data[at:at+size]...)
		}
		at += size
	}
	return out
}
