package frame

import (
	"bytes"
	"errors"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		g        Gray
		ok       bool
		tooLarge bool
	}{
		"whole":             {Gray{Pix: make([]byte, 12), Width: 4, Height: 3, Stride: 4}, true, false},
		"padded":            {Gray{Pix: make([]byte, 24), Width: 4, Height: 3, Stride: 8}, true, false},
		"last row unpadded": {Gray{Pix: make([]byte, 20), Width: 4, Height: 3, Stride: 8}, true, false},
		"a byte missing":    {Gray{Pix: make([]byte, 19), Width: 4, Height: 3, Stride: 8}, false, false},
		"narrow stride":     {Gray{Pix: make([]byte, 24), Width: 4, Height: 3, Stride: 3}, false, false},
		"empty":             {Gray{}, false, false},
		"negative":          {Gray{Pix: make([]byte, 24), Width: -4, Height: -3, Stride: 4}, false, false},
		"too many pixels":   {Gray{Width: 1 << 14, Height: 1 << 14, Stride: 1 << 14}, false, true},
		"too wide":          {Gray{Width: 1 << 20, Height: 1, Stride: 1 << 20}, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			err := tt.g.Check()
			if (err == nil) != tt.ok || errors.Is(err, ErrTooLarge) != tt.tooLarge {
				t.Errorf("Check() = %v", err)
			}
		})
	}
}

func TestCopyDropsPadding(t *testing.T) {
	src := Gray{Pix: []byte("abc.def."), Width: 3, Height: 2, Stride: 4}
	dst := New(20, 20)
	before := &dst.Pix[0]
	dst.CopyFrom(&src)
	if !bytes.Equal(dst.Pix, []byte("abcdef")) || dst.Stride != 3 || dst.Check() != nil {
		t.Errorf("copy is %q, stride %d", dst.Pix, dst.Stride)
	}
	if &dst.Pix[0] != before {
		t.Error("memory was not reused")
	}
}
