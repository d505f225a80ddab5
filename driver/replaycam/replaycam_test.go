package replaycam

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
)

func TestMain(m *testing.M) {
	if os.Getenv("REPLAYCAM_STDIN") != "" {
		os.Exit(playStdin())
	}
	goleak.VerifyTestMain(m)
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// plain gives a grey picture of one tone.
func plain(tone byte) *frame.Gray {
	g := frame.New(16, 16)
	for i := range g.Pix {
		g.Pix[i] = tone
	}
	return g
}

func jpegOf(t testing.TB, tone byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := mjpeg.Encode(&b, plain(tone), 100); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// write makes a file in a folder.
func write(t testing.TB, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pgm(tone byte) []byte { return append([]byte("P5 16 16 255\n"), plain(tone).Pix...) }

func folder(t testing.TB) string {
	dir := t.TempDir()
	write(t, dir, "03.pgm", pgm(30))
	write(t, dir, "01.PGM", pgm(10))
	write(t, dir, "02.jpg", jpegOf(t, 20))
	write(t, dir, "meta.tsv", []byte("no picture"))
	if err := os.Mkdir(filepath.Join(dir, "00.png"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tones plays to the end, at most n frames, and gives the tone of each.
func tones(t testing.TB, c *Camera, n int) (got []byte, err error) {
	t.Helper()
	for len(got) < n {
		g, err := c.Frame(t.Context())
		if err != nil {
			return got, err
		}
		if g.Taken.IsZero() || g.Check() != nil {
			t.Errorf("frame %d: taken %v, %v", len(got), g.Taken, g.Check())
		}
		got = append(got, g.Pix[0])
	}
	return got, nil
}

func TestInStep(t *testing.T) {
	dir := t.TempDir()
	stream := bytes.Join([][]byte{jpegOf(t, 10), jpegOf(t, 20), []byte("--x\r\n\r\n"), jpegOf(t, 30), jpegOf(t, 40)[:90]}, nil)
	broken := folder(t)
	write(t, broken, "02.jpg", []byte("\xff\xd8 no JPEG"))
	for name, tt := range map[string]struct {
		source string
		loop   bool
		want   []byte
		stats  Stats
	}{
		"folder":             {folder(t), false, []byte{10, 20, 30}, Stats{Frames: 3}},
		"folder in a loop":   {folder(t), true, []byte{10, 20, 30, 10, 20}, Stats{Frames: 5}},
		"one still":          {write(t, dir, "a.pgm", pgm(9)), false, []byte{9}, Stats{Frames: 1}},
		"stream":             {write(t, dir, "a.mjpeg", stream), false, []byte{10, 20, 30}, Stats{Frames: 3, Torn: 1}},
		"stream in a loop":   {write(t, dir, "b.mjpeg", stream), true, []byte{10, 20, 30, 10, 20}, Stats{Frames: 5, Torn: 1}},
		"a picture is wrong": {broken, false, []byte{10, 30}, Stats{Frames: 2, Torn: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(Options{Source: tt.source, Loop: tt.loop}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			got, err := tones(t, c, 5)
			if want := io.EOF; !tt.loop && !errors.Is(err, want) || tt.loop && err != nil {
				t.Errorf("ended with %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			stats := c.Stats()
			if tt.loop && stats.Torn == tt.stats.Torn+1 {
				stats.Torn = tt.stats.Torn // the next round may have been read ahead
			}
			if diff := cmp.Diff(tt.stats, stats); diff != "" {
				t.Error(diff)
			}
			if !tt.loop {
				if _, err := c.Frame(t.Context()); !errors.Is(err, io.EOF) {
					t.Errorf("again at the end: %v", err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"nothing there":   {Options{Source: filepath.Join(dir, "none")}, "no such file"},
		"empty folder":    {Options{Source: dir}, "holds no PNG"},
		"device":          {Options{Source: os.DevNull}, "pipes are read from standard input"},
		"loop of a pipe":  {Options{Source: Stdin, Loop: true}, "loop"},
		"negative rate":   {Options{Source: dir, FPS: -1}, "rate"},
		"impossible rate": {Options{Source: dir, FPS: 1e6}, "rate"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(tt.o, quiet())
			if err == nil {
				c.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestNothingButBrokenPictures(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "1.png", []byte("no PNG"))
	write(t, dir, "2.png", []byte("no PNG"))
	file := write(t, dir, "x.mjpeg", []byte("no JPEG"))
	for name, source := range map[string]string{"folder": dir, "stream": file} {
		t.Run(name, func(t *testing.T) {
			c, err := Open(Options{Source: source, Loop: true}, quiet())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Frame(t.Context()); err == nil || errors.Is(err, io.EOF) {
				t.Errorf("Frame = %v", err)
			}
		})
	}
}

func TestPaceDropsWhatNobodyLooksAt(t *testing.T) {
	dir := t.TempDir()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("%02d.pgm", i), pgm(byte(i)))
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, err := Open(Options{Source: dir, FPS: 10}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		got, err := tones(t, c, 2) // frames 0 and 1, at 0 and 100 ms
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(450 * time.Millisecond) // 2 to 5 come, the last is kept
		g, err := c.Frame(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, g.Pix[0])
		if at := g.Taken.Sub(start); at != 500*time.Millisecond {
			t.Errorf("frame 5 taken at %v", at)
		}
		rest, err := tones(t, c, 10)
		if !errors.Is(err, io.EOF) || time.Since(start) != 900*time.Millisecond {
			t.Errorf("ended with %v after %v", err, time.Since(start))
		}
		if diff := cmp.Diff([]byte{0, 1, 5, 6, 7, 8, 9}, append(got, rest...)); diff != "" {
			t.Error(diff)
		}
		if s := c.Stats(); s.Dropped != 3 || c.Dropped() != 3 {
			t.Errorf("%+v", s)
		}
	})
}

func TestFrameHeedsItsContextAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Open(Options{Source: write(t, t.TempDir(), "a.pgm", pgm(1)), FPS: 0.001, Loop: true}, quiet())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Frame(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Frame(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Frame = %v", err)
		}
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Frame(t.Context()); err == nil {
			t.Error("a frame after Close")
		}
	})
}

// playStdin is what the test binary does when it is started as a player of its
// standard input: it prints the tone of each frame. With "close" it closes the
// camera while that waits for the writer.
func playStdin() int {
	c, err := Open(Options{Source: Stdin, FPS: 10}, quiet())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for {
		g, err := c.Frame(context.Background())
		if err != nil {
			fmt.Println("end:", errors.Is(err, io.EOF))
			break
		}
		fmt.Println(g.Pix[0])
		if os.Getenv("REPLAYCAM_STDIN") == "close" {
			break
		}
	}
	if err := c.Close(); err != nil {
		fmt.Println("close:", err)
		return 1
	}
	return 0
}

func TestStdin(t *testing.T) {
	for name, mode := range map[string]string{"to the end": "play", "closed while it waits": "close"} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "REPLAYCAM_STDIN="+mode)
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			// The next picture is written when the last was seen: none is dropped.
			var got []string
			for _, tone := range []byte{10, 20, 30} {
				if _, err := in.Write(jpegOf(t, tone)); err != nil {
					t.Fatal(err)
				}
				var line string
				if _, err := fmt.Fscanln(out, &line); err != nil {
					t.Fatal(err)
				}
				got = append(got, line)
				if mode == "close" {
					break
				}
			}
			want := []string{"10"}
			if mode == "play" {
				want = []string{"10", "20", "30", "end: true"}
				in.Close()
				rest, err := io.ReadAll(out)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, strings.TrimSpace(string(rest)))
			}
			if err := cmd.Wait(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	g := frame.New(1280, 720)
	for i := range g.Pix {
		g.Pix[i] = byte(i * 7)
	}
	var buf bytes.Buffer
	if err := mjpeg.Encode(&buf, g, 85); err != nil {
		b.Fatal(err)
	}
	c, err := Open(Options{Source: write(b, b.TempDir(), "a.mjpeg", buf.Bytes()), Loop: true}, quiet())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Frame(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
