package passport

import (
	"bytes"
	"testing"
)

func TestBase45(t *testing.T) {
	// The examples of RFC 9285 §4.3 and §4.4.
	for plain, text := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": ""} {
		if b, err := DecodeBase45([]byte(text)); err != nil || string(b) != plain {
			t.Errorf("%q: %q, %v", text, b, err)
		}
		if got := encodeBase45([]byte(plain)); got != text {
			t.Errorf("%q: %q", plain, got)
		}
	}
	for name, text := range map[string]string{
		"one digit at the end": "BB8B", "lower case": "bb8", "another character": "BB_", "above 65535": "GGW",
		"above 255": "V5", "largest": ":::", "line end": "BB8\n", "not ASCII": "BB8É",
	} {
		if b, err := DecodeBase45([]byte(text)); err == nil {
			t.Errorf("%s: %q is taken for %x", name, text, b)
		}
	}
}

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
