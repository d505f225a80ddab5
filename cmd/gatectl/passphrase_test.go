package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"gateagent/driver/drivertest"
)

// TestPassphraseIsAskedFor types the passphrase of new keys into a terminal.
func TestPassphraseIsAskedFor(t *testing.T) {
	tests := []struct {
		name   string
		typed  []string
		code   int
		stderr string
	}{
		{"twice the same", []string{"correct horse", "correct horse"}, 0, "Passphrase of the new keys: \nOnce more: \n"},
		{"not the same", []string{"correct horse", "correct house"}, 1, "error: the two are not the same"},
		{"too short", []string{"horse", "horse"}, 1, "error: a passphrase of 5 characters is too short"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			pty := drivertest.NewPTY(t)
			terminal, err := os.OpenFile(pty.Path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer terminal.Close()
			var out, errs lockedBuffer
			code := make(chan int, 1)
			go func() {
				code <- run(context.Background(), []string{"keygen", "--dir", t.TempDir() + "/keys", "--only", "ack"}, terminal, &out, &errs)
			}()
			// What is typed before the prompt would be thrown away.
			for i, prompt := range []string{"Passphrase of", "Once more"} {
				waitFor(t, "the prompt", func() bool { return strings.Contains(errs.String(), prompt) })
				time.Sleep(20 * time.Millisecond) // the prompt is written just before echo goes off
				pty.Send(t, tc.typed[i]+"\n")
			}
			select {
			case got := <-code:
				if got != tc.code || !strings.Contains(errs.String(), tc.stderr) {
					t.Errorf("exit %d, want %d; said %q, want %q", got, tc.code, errs.String(), tc.stderr)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("keygen does not end")
			}
			if strings.Contains(errs.String()+out.String(), tc.typed[0]) {
				t.Error("the passphrase was shown")
			}
		})
	}
}
