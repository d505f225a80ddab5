package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gateagent/agent/hint"
	"gateagent/agent/policy"
	"gateagent/agent/record"

	"github.com/spf13/cobra"
)

var noTime time.Time

// inFile finds the entry in a file of events as central keeps them.
func (x *explainFlags) inFile(cmd *cobra.Command, seq uint64) (found, error) {
	in := cmd.InOrStdin()
	if x.file != "-" {
		f, err := os.Open(x.file)
		if err != nil {
			return found{}, hint.Wrap(fmt.Errorf("read entries: %w", err), "the file that gatectl ingest keeps, or gateagent entries --json printed")
		}
		defer f.Close()
		in = f
	}
	all, err := x.search(in, seq)
	switch {
	case err != nil:
		return found{}, fmt.Errorf("%s: %w", x.file, err)
	case len(all) == 0:
		return found{}, hint.New("gatectl policy replay --entries "+x.file+" says what is in it", "%s holds no record %d%s", x.file, seq, x.whose())
	case len(all) > 1:
		var names []string
		for _, ev := range all {
			names = append(names, fmt.Sprintf("--gate %s/%s --epoch %s", ev.Origin().Site, ev.Origin().Gate, ev.Epoch()))
		}
		return found{}, hint.New(strings.Join(names, ", or "), "%s holds %d records %d; say which", x.file, len(all), seq)
	}
	e, err := entryIn(all[0])
	if err != nil {
		return found{}, err
	}
	for _, ev := range x.later {
		e.follow(ev)
	}
	return e, nil
}

// whose says what was asked for beside the number.
func (x *explainFlags) whose() string {
	text := ""
	if x.gate != "" {
		text += " of " + x.gate
	}
	if x.epoch != "" {
		text += " in epoch " + x.epoch
	}
	return text
}

// search gives the records of that number, and keeps in later those that say
// what followed.
func (x *explainFlags) search(r io.Reader, seq uint64) (all []record.Event, err error) {
	wanted, ref := []byte(`"seq":`+strconv.FormatUint(seq, 10)), []byte(`"ref":`+strconv.FormatUint(seq, 10))
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), record.MaxEvent+1024)
	for in.Scan() {
		// Most lines are not looked at: reading one whole is a hundred times
		// the work.
		line := bytes.TrimSpace(in.Bytes())
		isIt, follows := holds(line, wanted), holds(line, ref)
		if !isIt && !follows {
			continue
		}
		ev, err := record.ParseEvent(line)
		if err != nil {
			return nil, hint.Wrap(fmt.Errorf("a line that may be the one cannot be used: %w", err), "gatectl verify says whether the file is whole")
		}
		o := ev.Origin()
		if x.gate != "" && o.Site+"/"+o.Gate != x.gate || x.epoch != "" && ev.Epoch().String() != x.epoch {
			continue
		}
		same := func(had record.Event) bool { return had.Position() == ev.Position() && had.Origin() == o }
		if ev.Position().Seq == seq && !slices.ContainsFunc(all, same) {
			all = append(all, ev)
		}
		if follows && ev.Type() == record.TypePassage {
			x.later = append(x.later, ev)
		}
	}
	if errors.Is(in.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line is longer than %d bytes: this is no file of entries", record.MaxEvent+1024)
	}
	return all, in.Err()
}

// holds says whether a member stands in the line with just that number.
func holds(line, member []byte) bool {
	for {
		i := bytes.Index(line, member)
		if i < 0 {
			return false
		}
		line = line[i+len(member):]
		if len(line) == 0 || line[0] < '0' || line[0] > '9' {
			return true
		}
	}
}

// readPolicyFile reads a policy, as its document or signed. The signature is
// not judged: nothing is decided by it.
func readPolicyFile(name string) (*policy.Policy, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read the policy: %w", err)
	}
	if parts := bytes.Split(bytes.TrimSpace(b), []byte{'.'}); len(parts) == 3 && bytes.HasPrefix(parts[0], []byte("eyJ")) {
		if b, err = base64.RawURLEncoding.DecodeString(string(parts[1])); err != nil {
			return nil, fmt.Errorf("%s: a signed document that cannot be read", name)
		}
	}
	p, err := policy.ParseDraft(b)
	if err != nil {
		return nil, hint.Wrap(fmt.Errorf("%s: %w", name, err), "gatectl policy check "+name+" lists what is wrong")
	}
	return p, nil
}
