package passport

import (
	"bytes"
	"testing"
)

func TestInflate(t *testing.T) {
	most := deflate(t, make([]byte, MaxPlain))
	if b, err := Inflate(most); err != nil || len(b) != MaxPlain {
		t.Error(len(b), err)
	}
	good := deflate(t, []byte("content"))
	broken := bytes.Clone(good)
	broken[len(broken)-1] ^= 1
	for name, packed := range map[string][]byte{
		"one byte too many": deflate(t, make([]byte, MaxPlain+1)), "bomb": deflate(t, make([]byte, 4<<20)),
		"not packed": []byte("content"), "cut off": good[:len(good)-1], "wrong checksum": broken,
		"something after it": append(bytes.Clone(good), 0), "nothing": nil,
	} {
		if b, err := Inflate(packed); err == nil {
			t.Errorf("%s: taken for %d bytes", name, len(b))
		}
	}
}
