package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"golang.org/x/text/unicode/norm"

	"gateagent/agent/hint"
)

// maxNames bounds what is read for the names of a pass, in bytes.
const maxNames = 4 << 10

// howToName is the advice where a name is missing.
const howToName = "--names guest.txt, a file with the name in its first line and who is visited in its second; or the same two lines on standard input"

// nameFlags are where the names in a pass come from. They are to stay off the
// command line, which everybody on the machine can read in the list of
// processes and which the shell writes down.
type nameFlags struct {
	file       string
	name, host string // on the command line
}

func (n *nameFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&n.file, "names", "", "file with the name of the holder in its first line and, if somebody is visited, who in its second; - is standard input (default: standard input, where you are asked)")
	f.StringVar(&n.name, "name", "", "name of the holder, at most 64 letters; shows in the list of processes and the shell's history: better --names")
	f.StringVar(&n.host, "host", "", "who is visited; shows like --name")
}

// read gives the name of the holder and of who is visited, which may be empty,
// in the one form that codes have.
func (n *nameFlags) read(cmd *cobra.Command) (name, host string, err error) {
	given := func(flag string) bool { return cmd.Flags().Changed(flag) }
	onLine := given("name") && n.name != "-" || given("host")
	switch {
	case given("names") && (given("name") || given("host")):
		return "", "", hint.New(howToName, "--names says both names: it cannot go with --name or --host")
	case onLine:
		fmt.Fprint(cmd.ErrOrStderr(), "warning: names on the command line can be read in the list of processes and in the shell's history; --names FILE or standard input keeps them out\n")
	}
	name, host = n.name, n.host
	if !given("name") || n.name == "-" {
		var second string
		if name, second, err = n.lines(cmd); err != nil {
			return "", "", err
		}
		if second != "" && given("host") {
			return "", "", hint.New(howToName, "who is visited is said twice, by --host and by a second line")
		}
		if second != "" {
			host = second
		}
	}
	if name = tidy(name); name == "" {
		return "", "", hint.New(howToName, "there is no name: a pass names somebody")
	}
	return name, tidy(host), nil
}

// lines reads the two lines, from a file, from standard input or by asking.
func (n *nameFlags) lines(cmd *cobra.Command) (name, host string, err error) {
	if n.file != "" && n.file != "-" {
		f, err := os.Open(n.file)
		if err != nil {
			return "", "", hint.Wrap(fmt.Errorf("read the names: %w", err), howToName)
		}
		defer f.Close()
		return twoLines(f, n.file)
	}
	in := cmd.InOrStdin()
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return twoLines(in, "standard input")
	}
	typed := bufio.NewReader(io.LimitReader(f, maxNames))
	for _, q := range []struct {
		ask string
		to  *string
	}{{"Name of the holder: ", &name}, {"Who is visited (Enter for nobody): ", &host}} {
		fmt.Fprint(cmd.ErrOrStderr(), q.ask)
		if *q.to, err = typed.ReadString('\n'); err != nil && !errors.Is(err, io.EOF) {
			return "", "", fmt.Errorf("read the names: %w", err)
		}
	}
	return name, host, nil
}

// twoLines reads one or two lines of text. Where is for messages, which do not
// repeat what was read.
func twoLines(r io.Reader, where string) (first, second string, err error) {
	b, err := io.ReadAll(io.LimitReader(r, maxNames+1))
	if err != nil {
		return "", "", fmt.Errorf("read the names: %w", err)
	}
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // editors on Windows begin a file with it
	switch {
	case len(b) > maxNames:
		return "", "", hint.New(howToName, "%s is too large for two names", where)
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return "", "", hint.New("save the file as UTF-8", "%s is not text in UTF-8", where)
	}
	// A blank first line is not a name left out: the second would be taken for
	// the holder's. Blank lines at the end are nothing.
	lines := strings.Split(strings.TrimRight(string(b), " \t\r\n"), "\n")
	if len(lines) > 2 {
		return "", "", hint.New(howToName, "%s has %d lines: a pass is for one person", where, len(lines))
	}
	if len(lines) == 2 {
		second = lines[1]
	}
	return lines[0], second, nil
}

// tidy gives NFC, with single blanks.
func tidy(name string) string { return norm.NFC.String(strings.Join(strings.Fields(name), " ")) }
