package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/sync/signed"
)

// minPassphrase is the shortest passphrase for a new key, in characters.
const minPassphrase = 8

// maxPassphrase bounds a passphrase file, in bytes.
const maxPassphrase = 4 << 10

// passphraseFlag is where the passphrase of private keys comes from.
type passphraseFlag struct{ file string }

func (p *passphraseFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&p.file, "passphrase-file", "", "file with the passphrase of the private keys in its first line; without it you are asked")
}

// read gives the passphrase, from the file or from the terminal. A new one is
// asked for twice.
func (p *passphraseFlag) read(cmd *cobra.Command, what string, isNew bool) ([]byte, error) {
	var (
		pass []byte
		err  error
	)
	if p.file != "" {
		pass, err = readPassphraseFile(p.file)
	} else {
		pass, err = ask(cmd, what, isNew)
	}
	switch {
	case err != nil:
		return nil, err
	case len(pass) == 0:
		return nil, errors.New("the passphrase is empty")
	case isNew && len(pass) < minPassphrase:
		return nil, hint.New("take a few random words", "a passphrase of %d characters is too short; at least %d", len(pass), minPassphrase)
	}
	return pass, nil
}

func readPassphraseFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	if info.Mode().IsRegular() && info.Size() > maxPassphrase {
		return nil, fmt.Errorf("%s is too large for a passphrase", path)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the passphrase: %w", err)
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return bytes.TrimRight(line, "\r"), nil
}

// ask reads from the terminal without showing what is typed.
func ask(cmd *cobra.Command, what string, twice bool) ([]byte, error) {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return nil, hint.New("give --passphrase-file FILE", "there is no terminal to ask for the passphrase of %s", what)
	}
	prompt := func(text string) ([]byte, error) {
		fmt.Fprint(cmd.ErrOrStderr(), text)
		pass, err := term.ReadPassword(int(in.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return nil, fmt.Errorf("read the passphrase: %w", err)
		}
		return pass, nil
	}
	pass, err := prompt("Passphrase of " + what + ": ")
	if err != nil || !twice {
		return pass, err
	}
	again, err := prompt("Once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(pass, again) {
		return nil, errors.New("the two are not the same")
	}
	return pass, nil
}

// checkDays wants a flag to name at least one day and at most ten years.
func checkDays(flag string, days int) error {
	if days < 1 || days > 3660 {
		return fmt.Errorf("--%s %d is not within 1 to 3660 days", flag, days)
	}
	return nil
}

// signerFlags name a signing key: a folder of keys, or one file.
type signerFlags struct {
	role       signed.Role
	keys, file string
	pass       passphraseFlag
}

func (s *signerFlags) add(cmd *cobra.Command, role signed.Role) {
	s.role = role
	cmd.Flags().StringVar(&s.keys, "keys", "keys", "folder of keys that keygen made")
	cmd.Flags().StringVar(&s.file, "key", "", fmt.Sprintf("private key of role %s (default: %s in the folder of keys)", role, keyring.PrivateFile(role)))
	s.pass.add(cmd)
}

// open gives the key, asking for its passphrase.
func (s *signerFlags) open(cmd *cobra.Command) (signed.Signer, error) {
	path := s.file
	if path == "" {
		path = keyring.Open(s.keys).Path(keyring.PrivateFile(s.role))
	}
	if _, err := os.Stat(path); err != nil {
		return signed.Signer{}, hint.Wrap(fmt.Errorf("read the %s key: %w", s.role, err),
			"gatectl keygen makes keys; --keys FOLDER or --key FILE says where they are")
	}
	pass, err := s.pass.read(cmd, path, false)
	if err != nil {
		return signed.Signer{}, err
	}
	key, err := keyring.ReadSigner(path, s.role, pass)
	clear(pass)
	if errors.Is(err, signed.ErrPassphrase) {
		return signed.Signer{}, hint.Wrap(err, "passphrases are told apart by case and by spaces at the end")
	}
	return key, err
}
