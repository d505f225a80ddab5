package identity

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadMakesOnceAndKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "identity")
	first, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if first.Public() != again.Public() || first.Public().IsZero() {
		t.Error("the identity changed between two starts")
	}
	other, err := Load(filepath.Join(t.TempDir(), "identity"))
	if err != nil {
		t.Fatal(err)
	}
	if other.Public().Ed25519 == first.Public().Ed25519 || other.Public().X25519 == first.Public().X25519 {
		t.Error("two boxes have one key")
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, fileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("%d files in the directory", len(list))
	}
}

func TestLoadNeverReplacesADamagedFile(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"cut":           `{"v":1,"ed25519":"`,
		"other version": `{"v":2}`,
		"short keys":    `{"v":1,"ed25519":"AAAA","x25519":"AAAA"}`,
		"too long":      strings.Repeat(" ", maxFile+1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, fileName)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Load(dir); !errors.Is(err, ErrDamaged) {
				t.Errorf("got %v", err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != content {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

func TestSignBindsTopicAndBody(t *testing.T) {
	id, err := New()
	if err != nil {
		t.Fatal(err)
	}
	other, err := New()
	if err != nil {
		t.Fatal(err)
	}
	pub := id.Public().Ed25519
	sig := id.Sign("a/b", []byte("body"))
	if !Verify(pub, "a/b", []byte("body"), sig) {
		t.Fatal("own signature refused")
	}
	for name, ok := range map[string]bool{
		"other topic": Verify(pub, "a/c", []byte("body"), sig),
		"other body":  Verify(pub, "a/b", []byte("bodi"), sig),
		"moved":       Verify(pub, "a/bb", []byte("ody"), sig),
		"other key":   Verify(other.Public().Ed25519, "a/b", []byte("body"), sig),
		"cut":         Verify(pub, "a/b", []byte("body"), sig[:63]),
		"none":        Verify(pub, "a/b", []byte("body"), nil),
	} {
		if ok {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestPublicInJSON(t *testing.T) {
	id, err := New()
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(id.Public())
	if err != nil {
		t.Fatal(err)
	}
	var back Public
	if err := json.Unmarshal(b, &back); err != nil || back != id.Public() {
		t.Errorf("%s: %v", b, err)
	}
	for _, in := range []string{`""`, `"AAAA"`, `"` + strings.Repeat("A", 44) + `"`, `1`} {
		var k Key
		if json.Unmarshal([]byte(in), &k) == nil {
			t.Errorf("%s was taken as a key", in)
		}
	}
	if s := fmt.Sprintf("%v %+v %#v", id, id, id); strings.Contains(s, strings.Trim(fmt.Sprint(id.sign.Seed()[:4]), "[]")) {
		t.Error("printing an identity shows its seed")
	}
}
