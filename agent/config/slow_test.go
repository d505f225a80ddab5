package config

import (
	"strings"
	"testing"
	"time"
)

// TestHostileFilesAreQuick: a file as large as is read at all, made to be slow,
// is judged in a moment.
func TestHostileFilesAreQuick(t *testing.T) {
	for name, unit := range map[string]string{
		"sections": "[[lane]]\n", "keys": "a=1\n", "junk": "%\n", "open lists": "a=[\n", "nesting": "[", "dots": "a.", "headers": "[a.b.c]\n", "controls": "\x01",
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			rep := judge("f.toml", []byte(strings.Repeat(unit, maxFile/len(unit))), "/nowhere")
			took := time.Since(begin)
			t.Logf("%v, %d problems", took, len(rep.Problems))
			if len(rep.Problems) > maxProblems+1 {
				t.Error("more problems than anybody reads")
			}
			if took > 10*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
	var b strings.Builder
	for i := 0; b.Len() < maxFile-100; i++ {
		b.WriteString("k")
		for n := i; n > 0; n /= 10 {
			b.WriteByte(byte('0' + n%10))
		}
		b.WriteString("=1\n")
	}
	begin := time.Now()
	judge("f.toml", []byte(b.String()), "/nowhere")
	t.Logf("different keys: %v", time.Since(begin))
}
