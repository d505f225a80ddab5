// Command hil is the bench: the program as it ships, on a real arm64 kernel
// with a USB camera, a relay's line and a network, all of it in qemu on this
// machine. It prints each proof with its outcome and its seconds, and as its
// last line "N passed, N failed"; it fails when one of them does.
//
// It owns the order of the proofs and what counts as one. The camera is
// software (scripts/hil/usbcam) behind the kernel's own USB stack and
// uvcvideo; the relay's line is that of the machine's GPIO chip and is read
// from outside, in the chip's register; the broker is Debian's Mosquitto on
// this machine. What is missing is installed when it runs as root on Debian;
// the guest's kernel is Debian's, fetched as a package and kept in .cache/hil.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	var o options
	flag.BoolVar(&o.short, "short", false, "what CI runs: fewer scans behind the latency")
	flag.BoolVar(&o.verbose, "v", false, "show the guest's console and the programs' output")
	flag.StringVar(&o.cache, "cache", ".cache/hil", "folder for the guest's kernel")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: hil [-short] [-v] [-cache DIR]")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	b := &bench{options: o}
	if err := b.run(ctx); err != nil {
		b.failed++
		fmt.Printf("FAIL           %v\n", err)
	}
	fmt.Printf("%d passed, %d failed\n", b.passed, b.failed)
	if b.failed > 0 {
		os.Exit(1)
	}
}

type options struct {
	short, verbose bool
	cache          string
}

// run makes everything ready and goes through the proofs. An error is what
// kept it from that; how the proofs went, it counts.
func (b *bench) run(ctx context.Context) error {
	began := time.Now()
	cache, err := filepath.Abs(b.cache)
	if err != nil {
		return err
	}
	if err := installTools(ctx, say); err != nil {
		return err
	}
	k, err := fetchKernel(ctx, cache, say)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.prepare(ctx, k); err != nil {
		return err
	}
	say("kernel %s, guest up in %.1f s, all ready after %.0f s", k.version, b.vm.bootIn.Seconds(), time.Since(began).Seconds())
	b.drivers(ctx)
	b.relayDriver(ctx)
	b.gate(ctx)
	return ctx.Err()
}

func say(format string, args ...any) { fmt.Printf("     "+format+"\n", args...) }

// prove runs one proof and prints how it went. What it returns in words is
// shown behind a PASS.
func (b *bench) prove(ctx context.Context, what string, limit time.Duration, proof func(ctx context.Context) (string, error)) bool {
	if ctx.Err() != nil {
		return false // interrupted: said once, at the end
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	figures, err := proof(limited)
	took := time.Since(began).Seconds()
	if err != nil {
		b.failed++
		fmt.Printf("FAIL %6.1f s  %s: %v\n", took, what, err)
		if words := b.vm.lastWords(); words != "" && !b.verbose {
			fmt.Printf("--- the guest's last words\n%s\n---\n", words)
		}
		return false
	}
	b.passed++
	if figures != "" {
		figures = ": " + figures
	}
	fmt.Printf("PASS %6.1f s  %s%s\n", took, what, figures)
	return true
}
