//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"gateagent/scripts/hil/control"
)

// programs are what the bench started.
type programs struct {
	say     func(control.Message)
	mu      sync.Mutex
	running map[string]*exec.Cmd
}

func (p *programs) start(r control.Start) error {
	if len(r.Args) == 0 {
		return errors.New("start: no program named")
	}
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running[r.Name] != nil {
		return fmt.Errorf("start: %s runs already", r.Name)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if p.running == nil {
		p.running = map[string]*exec.Cmd{}
	}
	p.running[r.Name] = cmd
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			p.say(control.Message{Event: "line", Name: r.Name, Text: lines.Text()})
		}
		err := cmd.Wait()
		p.mu.Lock()
		delete(p.running, r.Name)
		p.mu.Unlock()
		m := control.Message{Event: "exit", Name: r.Name, Code: cmd.ProcessState.ExitCode()}
		if err != nil {
			m.Text = err.Error()
		}
		p.say(m)
	}()
	return nil
}

func (p *programs) signal(r control.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	cmd := p.running[r.Name]
	if cmd == nil {
		return fmt.Errorf("signal: %s does not run", r.Name)
	}
	return cmd.Process.Signal(syscall.Signal(r.Number))
}

func execute(ctx context.Context, r control.Exec) (m control.Message, err error) {
	if len(r.Args) == 0 {
		return m, errors.New("exec: no program named")
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(r.Seconds)*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.Args[0], r.Args[1:]...)
	out, err := cmd.CombinedOutput()
	m.Output = string(out)
	if cmd.ProcessState != nil {
		m.Code = cmd.ProcessState.ExitCode()
	}
	if _, exited := errors.AsType[*exec.ExitError](err); exited && ctx.Err() == nil {
		err = nil // the code says it
	}
	return m, err
}
