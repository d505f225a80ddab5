package cachetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec" //nolint:depguard // a harness for tests; it never ships
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/record"
	"gateagent/cache"
)

// The test binary plays the child processes itself; these variables tell it.
const (
	envRole = "GATEAGENT_CACHETEST_ROLE"
	envPath = "GATEAGENT_CACHETEST_PATH"
)

// Origin is the gate of the journals made here.
var Origin = record.Origin{Site: "hn01", Gate: "north-1"}

// Main runs the tests, or plays a child when the process was started as one.
// Call it from TestMain.
func Main(m *testing.M) {
	path := os.Getenv(envPath)
	switch role := os.Getenv(envRole); role {
	case "":
		os.Exit(m.Run())
	case "check":
		if err := cache.CheckFile(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "append", "churn":
		if err := appendForEver(path, role == "churn"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "spend":
		fmt.Fprintln(os.Stderr, spendForEver(path)) // it ends by failing only
		os.Exit(1)
	case RoleDelta, RoleFold, RoleRebase, RoleSwitch:
		fmt.Fprintln(os.Stderr, deltasForEver(path, role)) // it ends by failing only
		os.Exit(1)
	case "large", "large-fold":
		if err := largeDelta(path, role == "large-fold"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "stage", "parts", "back":
		fmt.Fprintln(os.Stderr, stageForEver(role, path)) // it ends by failing only
		os.Exit(1)
	case "build":
		if err := buildChild(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case "nomap":
		if err := withoutMaps(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "unknown role", role)
		os.Exit(2)
	}
	os.Exit(0)
}

func child(ctx context.Context, role, path string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), envRole+"="+role, envPath+"="+path)
	return cmd
}

// Check runs cache.CheckFile in a child process, as the agent does.
func Check(ctx context.Context, path string) error {
	out, err := child(ctx, "check", path).CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("not finished in time: %w", ctx.Err())
	case errors.As(err, &exit):
		text := strings.TrimSpace(string(out))
		return fmt.Errorf("%w: %s", exit, text[:min(len(text), 300)])
	}
	return fmt.Errorf("%w: %w", cache.ErrNotChecked, err)
}

// Options are those of a journal in dir that is checked in a child process.
func Options(dir string) cache.JournalOptions {
	return cache.JournalOptions{Dir: dir, Origin: Origin, Check: Check}
}

// appendForEver appends passages from several goroutines, each with a Ref of
// its own, and prints "done <seq> <ref>" once a receipt is fulfilled. With churn
// it also acknowledges, so that records are removed and the file is compacted.
func appendForEver(dir string, churn bool) error {
	o := Options(dir)
	if churn {
		var minutes atomic.Int64 // time flies, so that retention has work
		o.Now = func() time.Time { return time.Now().Add(time.Duration(minutes.Add(1)) * time.Minute) }
		o.KeepAcked = time.Nanosecond
	}
	j, err := cache.OpenJournal(o, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if err := j.Status().Fault; err != nil {
		return err
	}
	var out sync.Mutex
	say := func(format string, args ...any) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf(format+"\n", args...) // unbuffered: said before the next step
	}
	say("open %d", j.Position().Seq)
	base := uint64(time.Now().UnixNano())
	var next atomic.Uint64
	fail := make(chan error)
	for range 4 {
		go func() {
			for {
				ref := (base + next.Add(1)) % record.MaxSeq
				seq, err := j.AppendPassage(gate.Passage{Time: time.Now(), Lane: "main", Ref: ref}).Wait()
				if err != nil {
					fail <- err
					return
				}
				say("done %d %d", seq, ref)
			}
		}()
	}
	if churn {
		go func() {
			for {
				p := j.Position()
				if err := j.Ack(p); err != nil {
					fail <- err
					return
				}
				say("acked %d", p.Seq)
			}
		}()
	}
	return <-fail
}

// Survivor collects what killed children said was durable.
type Survivor struct {
	Dir   string
	Done  map[uint64]uint64 // seq -> ref
	Acked uint64
	Kills int
}

// Kill runs one child of the given role ("append", "churn", "spend", or one that puts
// sets in force: "stage", "parts", "back") for about that long, kills it without warning, and notes what it had said.
func (s *Survivor) Kill(role string, after time.Duration) error {
	cmd := child(context.Background(), role, s.Dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		return err
	}
	opened := false
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var seq, ref uint64
		line := lines.Text()
		if _, err := fmt.Sscanf(line, "done %d %d", &seq, &ref); err == nil {
			if old, ok := s.Done[seq]; ok {
				return fmt.Errorf("number %d was given twice: to %d and %d", seq, old, ref)
			}
			s.Done[seq] = ref
		} else if _, err := fmt.Sscanf(line, "acked %d", &seq); err == nil {
			s.Acked = max(s.Acked, seq)
		} else if strings.HasPrefix(line, "open") {
			opened = true
			timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	err = cmd.Wait()
	if !opened || cmd.ProcessState.Exited() {
		return fmt.Errorf("the child ended by itself: %w: %s", err, complaint.String())
	}
	s.Kills++
	return nil
}

// Check opens what is left and compares it with what was said.
func (s *Survivor) Check(t testing.TB) {
	t.Helper()
	j, err := cache.OpenJournal(Options(s.Dir), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	st := j.Status()
	if st.Fault != nil || st.EpochCause != "" {
		t.Fatalf("fault %v, new epoch because of %q", st.Fault, st.EpochCause)
	}
	if st.Acked.Seq < s.Acked {
		t.Errorf("acknowledged up to %d, now only %d", s.Acked, st.Acked.Seq)
	}
	if st.First > st.Acked.Seq+1 {
		t.Errorf("records from %d on, acknowledged up to %d", st.First, st.Acked.Seq)
	}
	all := All(t, j)
	if len(all) == 0 || all[0].Seq != st.First || all[len(all)-1].Seq != st.Position.Seq {
		t.Fatalf("%d records, from %d to %d", len(all), st.First, st.Position.Seq)
	}
	refs := map[uint64]uint64{}
	for _, l := range all {
		p, err := l.Record.Passage()
		if errors.Is(err, record.ErrWrongType) {
			continue // the epoch
		}
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := refs[p.Ref]; ok {
			t.Errorf("the same passage is record %d and %d", other, l.Seq)
		}
		refs[p.Ref] = l.Seq
		if ref, ok := s.Done[l.Seq]; ok && ref != p.Ref {
			t.Errorf("record %d is not what was promised under that number", l.Seq)
		}
	}
	for seq, ref := range s.Done {
		if seq >= st.First && refs[ref] != seq {
			t.Errorf("record %d was durable and is gone", seq)
		}
	}
}
