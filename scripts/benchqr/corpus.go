package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gateagent/driver/frame"
	"gateagent/driver/frame/imagefile"
)

// item is a frame to be read.
type item struct {
	category string
	level    float64
	want     []string // its texts; none where it holds no code
	load     func(*frame.Gray) error
}

// load gives the frames that the options ask for.
func load(o options) ([]item, error) {
	var all []item
	var err error
	switch {
	case o.dir == "":
		all = rendered(o.seed, o.perLevel)
	default:
		if all, err = folder(o.dir); err != nil {
			return nil, err
		}
	}
	var some []item
	for _, it := range all {
		if o.wants(it.category) {
			some = append(some, it)
		}
	}
	if len(some) == 0 && (o.dir != "" || !o.wants("tracking")) {
		return nil, errors.New("no frame to measure")
	}
	return some, nil
}

// wants says whether a category is asked for.
func (o options) wants(category string) bool {
	if o.only == "" {
		return true
	}
	for start := range strings.SplitSeq(o.only, ",") {
		if strings.HasPrefix(category, start) {
			return true
		}
	}
	return false
}

func folder(dir string) ([]item, error) {
	f, err := os.Open(filepath.Join(dir, "meta.tsv"))
	if errors.Is(err, fs.ErrNotExist) {
		return besideTexts(dir)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMeta(f, dir)
}

// parseMeta reads framegen's list: path, category, level, size, px per module,
// version, EC level, payload in hex (- for none). Paths are as they were seen
// from where framegen ran; the last two parts are looked for in dir too.
func parseMeta(r io.Reader, dir string) ([]item, error) {
	var items []item
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) != 8 {
			return nil, fmt.Errorf("meta.tsv, line %d: %d fields, want 8", n, len(fields))
		}
		level, err := strconv.ParseFloat(fields[2], 64)
		if err != nil {
			return nil, fmt.Errorf("meta.tsv, line %d: level: %w", n, err)
		}
		it := item{category: fields[1], level: level, load: fromFile(locate(dir, fields[0]))}
		if fields[7] != "-" {
			text, err := hex.DecodeString(fields[7])
			if err != nil {
				return nil, fmt.Errorf("meta.tsv, line %d: payload: %w", n, err)
			}
			it.want = []string{string(text)}
		}
		items = append(items, it)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("meta.tsv: %w", err)
	}
	return items, nil
}

// locate finds a path of meta.tsv: in dir by its last two parts, else as it is.
func locate(dir, path string) string {
	near := filepath.Join(dir, filepath.Base(filepath.Dir(path)), filepath.Base(path))
	if _, err := os.Stat(near); err == nil {
		return near
	}
	return path
}

// besideTexts lists the pictures under dir, each with the .txt beside it. Their
// categories are their folders.
func besideTexts(dir string) ([]item, error) {
	var items []item
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !imagefile.Known(path) {
			return err
		}
		category, err := filepath.Rel(dir, filepath.Dir(path))
		if err != nil {
			return err
		}
		if category == "." {
			category = filepath.Base(dir)
		}
		it := item{category: category, load: fromFile(path)}
		text, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".txt")
		switch {
		case err == nil:
			it.want = []string{string(text)}
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		items = append(items, it)
		return nil
	})
	return items, err
}

// write puts the frames of the options into a folder that --dir can read. A
// frame of several codes is left out: meta.tsv has room for one.
func write(o options) error {
	items, err := load(o)
	if err != nil {
		return err
	}
	var meta strings.Builder
	var g frame.Gray
	for n, it := range items {
		if len(it.want) > 1 {
			continue
		}
		if err := it.load(&g); err != nil {
			return err
		}
		folder := filepath.Join(o.write, strings.ReplaceAll(it.category, " ", "-"))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		path := filepath.Join(folder, fmt.Sprintf("%04d.pgm", n))
		file := fmt.Appendf(nil, "P5\n%d %d\n255\n", g.Width, g.Height)
		for y := range g.Height {
			file = append(file, g.Row(y)...)
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			return err
		}
		text := "-"
		if len(it.want) == 1 {
			text = hex.EncodeToString([]byte(it.want[0]))
		}
		fmt.Fprintf(&meta, "%s\t%s\t%v\t%dx%d\t0\t0\t0\t%s\n", path, it.category, it.level, g.Width, g.Height, text)
	}
	return os.WriteFile(filepath.Join(o.write, "meta.tsv"), []byte(meta.String()), 0o600)
}

func fromFile(path string) func(*frame.Gray) error {
	return func(g *frame.Gray) error { return imagefile.Load(path, g) }
}

// turn puts src, turned clockwise by quarters of a circle, into dst.
func turn(dst, src *frame.Gray, quarters int) {
	w, h := src.Width, src.Height
	if quarters%2 == 1 {
		dst.Reset(h, w)
	} else {
		dst.Reset(w, h)
	}
	for y := range h {
		for x, v := range src.Row(y) {
			switch quarters {
			case 1:
				dst.Pix[x*dst.Stride+h-1-y] = v
			case 2:
				dst.Pix[(h-1-y)*dst.Stride+w-1-x] = v
			case 3:
				dst.Pix[(w-1-x)*dst.Stride+y] = v
			default:
				dst.Pix[y*dst.Stride+x] = v
			}
		}
	}
}
