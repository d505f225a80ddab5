package replaycam

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gateagent/driver/frame/imagefile"
	"gateagent/driver/frame/mjpeg"
)

// source opens what is to be played, and gives the function that plays it to
// its end: io.EOF, an error, or the context's.
func (c *Camera) source(o Options) (play func(context.Context) error, err error) {
	if o.Source == Stdin {
		if o.Loop {
			return nil, errors.New("standard input cannot be played in a loop")
		}
		in, err := openStdin()
		if err != nil {
			return nil, err
		}
		c.input, c.inStep = in, false
		return func(ctx context.Context) error {
			_, err := c.stream(ctx, in, pace{})
			return err
		}, nil
	}
	info, err := os.Stat(o.Source)
	if err != nil {
		return nil, err
	}
	beat := newPace(o.FPS)
	switch {
	case info.IsDir():
		files, err := pictures(o.Source)
		if err != nil {
			return nil, err
		}
		c.patience = len(files)
		return func(ctx context.Context) error { return c.files(ctx, files, o.Loop, beat) }, nil
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("is neither a folder nor a file; pipes are read from standard input (%q)", Stdin)
	case isStill(o.Source):
		c.patience = 1
		return func(ctx context.Context) error { return c.files(ctx, []string{o.Source}, o.Loop, beat) }, nil
	}
	f, err := os.Open(o.Source)
	if err != nil {
		return nil, err
	}
	c.input = f
	return func(ctx context.Context) error { return c.recording(ctx, f, o.Loop, beat) }, nil
}

// isStill says whether a file holds one picture that is no JPEG.
func isStill(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png", ".webp", ".pgm":
		return true
	}
	return false
}

// pictures lists the picture files of a folder in the order of their names.
func pictures(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir) // sorted
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if imagefile.Known(e.Name()) && (e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0) {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	if len(files) == 0 {
		return nil, errors.New("holds no PNG, JPEG, WebP or PGM file")
	}
	return files, nil
}

// files plays pictures that lie in files of their own.
func (c *Camera) files(ctx context.Context, files []string, loop bool, beat pace) error {
	for {
		for _, path := range files {
			if err := beat.wait(ctx); err != nil {
				return err
			}
			if err := c.put(ctx, path, nil); err != nil {
				return err
			}
		}
		if !loop {
			return io.EOF
		}
	}
}

// recording plays a file of motion JPEG.
func (c *Camera) recording(ctx context.Context, f *os.File, loop bool, beat pace) error {
	for {
		n, err := c.stream(ctx, f, beat)
		if !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return errors.New("replay: the file holds no JPEG picture")
		}
		if !loop {
			return io.EOF
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("replay: begin again: %w", err)
		}
	}
}

// stream plays motion JPEG to its end and says how many pictures it held.
func (c *Camera) stream(ctx context.Context, r io.Reader, beat pace) (n int, err error) {
	split := mjpeg.NewSplitter(r)
	earlier := c.cut.Load()
	for {
		jpeg, err := split.Next()
		c.cut.Store(earlier + split.Torn())
		switch {
		case ctx.Err() != nil:
			return n, ctx.Err()
		case errors.Is(err, io.EOF):
			return n, io.EOF
		case err != nil:
			return n, fmt.Errorf("replay: read: %w", err)
		}
		n++
		if err := beat.wait(ctx); err != nil {
			return n, err
		}
		if err := c.put(ctx, "", jpeg); err != nil {
			return n, err
		}
	}
}

// pace spreads frames evenly; the zero value lets them through as they come.
type pace struct {
	every time.Duration
	next  *time.Time
}

func newPace(fps float64) pace {
	if fps == 0 {
		return pace{}
	}
	return pace{every: time.Duration(float64(time.Second) / fps), next: new(time.Time)}
}

// wait waits until the next frame is due. After a pause (the machine slept) it
// goes on from now instead of catching up.
func (p pace) wait(ctx context.Context) error {
	if p.every == 0 {
		return ctx.Err()
	}
	now := time.Now()
	if p.next.IsZero() || now.Sub(*p.next) > time.Second {
		*p.next = now
	}
	due := *p.next
	*p.next = due.Add(p.every)
	if !due.After(now) {
		return ctx.Err()
	}
	timer := time.NewTimer(due.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// openStdin opens standard input once more, in a form whose reads end when it
// is closed: Go's own os.Stdin would keep a read, and the goroutine in it,
// until the writer writes. The process keeps its standard input.
func openStdin() (*os.File, error) {
	if f, err := os.OpenFile("/proc/self/fd/0", os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		return f, nil
	}
	// A socket, or a system without /proc.
	fd, err := syscall.Dup(0)
	if err != nil {
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		syscall.Close(fd)
		return nil, fmt.Errorf("open standard input: %w", err)
	}
	return os.NewFile(uintptr(fd), "stdin"), nil
}
