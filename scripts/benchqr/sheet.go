package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"gateagent/driver/frame"
	"gateagent/driver/qr/qrframes"
)

// A tile of a contact sheet, in pixels: the frame made small, and below it what
// is around its middle as it is.
const (
	tileWide, tileHigh = 480, 270
	cutHigh            = 330
)

// contactSheets draws a sheet of each category, one column a level, so that
// someone can look at them.
func contactSheets(o options) error {
	if err := os.MkdirAll(o.sheet, 0o755); err != nil {
		return err
	}
	renderer := qrframes.NewRenderer()
	for _, c := range qrframes.Categories() {
		if !o.wants(c.Name) {
			continue
		}
		sheet := image.NewGray(image.Rect(0, 0, len(c.Levels)*tileWide, tileHigh+cutHigh))
		for i, level := range c.Levels {
			texts := []string{"", ""}
			it := drawn(renderer, c, o.seed, level, 0)
			copy(texts, it.want)
			scene := c.Scene(o.seed, level, 0, texts...)
			var g frame.Gray
			if err := renderer.Render(scene, &g); err != nil {
				return fmt.Errorf("%s at %g: %w", c.Name, level, err)
			}
			tile(sheet, i*tileWide, &g, scene.View)
		}
		path := filepath.Join(o.sheet, strings.ReplaceAll(c.Name, " ", "-")+".png")
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := png.Encode(f, sheet); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
		fmt.Println(path, c.Levels)
	}
	return nil
}

// tile puts a frame at x: whole above, cut out around its code below.
func tile(sheet *image.Gray, x int, g *frame.Gray, v qrframes.View) {
	step := max(g.Width/tileWide, g.Height/tileHigh) + 1
	for ty := range min(tileHigh, g.Height/step) {
		for tx := range min(tileWide, g.Width/step) {
			sum := 0
			for dy := range step {
				for dx := range step {
					sum += int(g.Row(ty*step + dy)[tx*step+dx])
				}
			}
			sheet.SetGray(x+tx, ty, color.Gray{Y: byte(sum / (step * step))})
		}
	}
	left := min(max(int(v.X*float64(g.Width))-tileWide/2, 0), max(g.Width-tileWide, 0))
	top := min(max(int(v.Y*float64(g.Height))-cutHigh/2, 0), max(g.Height-cutHigh, 0))
	for cy := range min(cutHigh, g.Height) {
		for cx := range min(tileWide-4, g.Width) {
			sheet.SetGray(x+cx, tileHigh+cy, color.Gray{Y: g.Row(top + cy)[left+cx]})
		}
	}
}
