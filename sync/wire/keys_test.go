package wire

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func replyWithKeys() HelloReply {
	return HelloReply{
		Aud: "hn01/g1", Iat: 1633046400, Nonce: strings.Repeat("0f", 16), Time: 1633046400123,
		Keys: []SealedKey{
			{Set: "vn", Kid: "set-vn-202109-0a1b", Sealed: Blob{1, 2, 3}},
			{Set: "vn", Kid: "set-vn.2-202110-0c2d", Sealed: Blob{4, 5, 6}},
			{Set: "entry", Kid: "entry-hn01-202109-3e4f", Sealed: Blob{7, 8, 9}},
		},
	}
}

func TestKeysInAReply(t *testing.T) {
	want := replyWithKeys()
	body, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseHelloReply(body)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	b, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "hello_reply_keys.json", b)

	for name, change := range map[string]func(*HelloReply){
		"no set":       func(r *HelloReply) { r.Keys[1].Set = "" },
		"set no name":  func(r *HelloReply) { r.Keys[1].Set = "../vn" },
		"no kid":       func(r *HelloReply) { r.Keys[0].Kid = "" },
		"kid no name":  func(r *HelloReply) { r.Keys[0].Kid = "a b" },
		"kid too long": func(r *HelloReply) { r.Keys[0].Kid = strings.Repeat("k", 65) },
		"nothing":      func(r *HelloReply) { r.Keys[2].Sealed = nil },
		"too much":     func(r *HelloReply) { r.Keys[2].Sealed = make(Blob, maxSealed+1) },
		"too many":     func(r *HelloReply) { r.Keys = slices.Repeat(r.Keys, MaxKeys) },
	} {
		r := replyWithKeys()
		change(&r)
		body, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseHelloReply(body); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	most := replyWithKeys()
	most.Keys = slices.Repeat([]SealedKey{{
		Set: strings.Repeat("s", 32), Kid: strings.Repeat("k", 64), Sealed: make(Blob, maxSealed),
	}}, MaxKeys)
	body, err = most.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseHelloReply(body); err != nil {
		t.Errorf("the largest: %d bytes: %v", len(body), err)
	}
}
