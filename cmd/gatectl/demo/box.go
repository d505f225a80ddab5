package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"

	"gateagent/agent/gate"
	"gateagent/agent/localapi"
	"gateagent/driver/frame"
	"gateagent/driver/frame/mjpeg"
	"gateagent/driver/qr/qrframes"
	"gateagent/sync/signed"
)

const (
	frameEvery  = 50 * time.Millisecond // 20 pictures a second
	jpegQuality = 90
	// sameCode is how long a code has to be out of view to be another scan: a
	// little more than lane.repeat.
	sameCode = 3300 * time.Millisecond
	// gap is how long the lane is empty between two people.
	gap = 600 * time.Millisecond
	// patience is how long a person is held before the camera at most.
	patience = 8 * time.Second
	// emptyFor is how long a thing without a code is shown.
	emptyFor = 700 * time.Millisecond
)

// box is the real gateagent with a camera whose pictures come through its
// standard input.
type box struct {
	page   string
	client *localapi.Client
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	log    *os.File

	render *qrframes.Renderer
	gray   frame.Gray
	jpeg   bytes.Buffer
	shot   uint64

	decisions chan decision
	stopFeed  context.CancelFunc
	feed      sync.WaitGroup
	feedEnded chan error
	exited    chan error
}

const boxConfig = `# The demo's gate: pictures from standard input, a relay that only says what it would open.
[site]
id = "%s"
gate = "%s"

[storage]
dir = "%s"

# The machine of a demo is busy with other things: its disk may take longer than
# the 250 ms that a gate grants by default.
[record]
wait = "2s"

[mqtt]
broker = "%s"

[trust]
root_keys = ["%s"]

# Its key is in no file: central hands it to this gate.
[[set]]
name = "%s"

[page]
listen = "%s"

[local]
socket = "%s"

[[lane]]
name = "main"

[lane.scanner]
driver = "replaycam"
source = "-"

[lane.relay]
driver = "dryrelay"
`

func (d *demo) startBox(ctx context.Context) error {
	b := &box{render: qrframes.NewRenderer(), decisions: make(chan decision, 64), exited: make(chan error, 1)}
	d.box = b
	var err error
	if b.page, err = freeAddress(); err != nil {
		return err
	}
	socket := d.path("agent.sock")
	config := fmt.Sprintf(boxConfig, site, gateID, d.path("box"), d.world.url, d.world.signers[signed.RoleRoot].Root(),
		setName, b.page, socket)
	if err := os.WriteFile(d.path("gateagent.toml"), []byte(config), 0o600); err != nil {
		return err
	}
	if b.log, err = os.Create(d.path("gateagent.log")); err != nil {
		return err
	}
	b.cmd = exec.Command(d.Agent, "run", "--config", d.path("gateagent.toml"))
	b.cmd.Stderr = b.log
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the demo, which stops it in order
	if b.stdin, err = b.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.Agent, err)
	}
	go func() { b.exited <- b.cmd.Wait() }()
	b.client = localapi.NewClient(socket)
	if err := b.untilReady(ctx); err != nil {
		return err
	}
	return b.follow()
}

// well says whether a component has no fault.
func well(s localapi.Status, name string) bool {
	return slices.ContainsFunc(s.Components, func(c localapi.Component) bool { return c.Name == name && c.Fault == nil })
}

// untilReady waits until the agent has keys, data, policy and believable time.
func (b *box) untilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var last localapi.Status
	for {
		s, err := b.client.Status(ctx)
		if err == nil {
			last = s
			if len(s.Sets) == 1 && s.Sets[0].Version == 1 && s.Sets[0].HasKey && s.Policy.Version == 1 &&
				s.Clock == gate.ClockCentral.String() && well(s, "keys") && s.Proofs.PassportKeys == 1 && s.Proofs.PassKeys == 1 {
				return nil
			}
		}
		select {
		case err := <-b.exited:
			b.exited <- err
			return b.failed(fmt.Errorf("gateagent ended: %w", err))
		case <-ctx.Done():
			var why bytes.Buffer
			for _, c := range last.Components {
				if c.Fault != nil {
					fmt.Fprintf(&why, "\n  %-14s %s %s", c.Name, c.Fault.Code, c.Fault.Detail)
				}
			}
			return b.failed(fmt.Errorf("the gate does not become ready: policy %d, clock %s%s", last.Policy.Version, last.Clock, why.String()))
		case <-time.After(30 * time.Millisecond):
		}
	}
}

// failed adds the end of the agent's log to an error.
func (b *box) failed(err error) error {
	text, rerr := os.ReadFile(b.log.Name())
	if rerr != nil {
		return err
	}
	return fmt.Errorf("%w\nthe end of its log:\n%s", err, text[max(0, len(text)-2000):])
}

// follow listens to the gate's decisions until the box is stopped.
func (b *box) follow() error {
	ctx, cancel := context.WithCancel(context.Background())
	b.stopFeed = cancel
	ready := make(chan struct{})
	b.feedEnded = make(chan error, 1)
	b.feed.Go(func() {
		b.feedEnded <- b.client.Decisions(ctx, func() { close(ready) }, func(d decision) error {
			select {
			case b.decisions <- d:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	select {
	case <-ready:
		return nil
	case err := <-b.feedEnded:
		return fmt.Errorf("listen to the gate: %w", err)
	}
}

// leftover counts decisions that nobody waited for: a second one for the same
// visitor, or one that came after he had gone.
func (b *box) leftover() (n int) {
	for {
		select {
		case <-b.decisions:
			n++
		default:
			return n
		}
	}
}

// show holds a visitor before the camera until the gate has decided, then
// takes him away. It gives nil when the gate says nothing.
func (b *box) show(ctx context.Context, v *visitor) (*decision, error) {
	until := time.Now().Add(patience)
	if v.row.none {
		until = time.Now().Add(emptyFor)
	}
	var got *decision
	for got == nil && time.Now().Before(until) {
		next := time.Now().Add(frameEvery)
		if err := b.frame(scene(v, b.shot)); err != nil {
			return nil, err
		}
		var err error
		if got, err = b.answer(ctx, next); err != nil {
			return nil, err
		}
	}
	pause := gap
	if v.then != nil && v.then.payload == v.payload {
		pause = sameCode
	}
	return got, b.idle(ctx, pause)
}

// answer waits for a decision until the next picture is due.
func (b *box) answer(ctx context.Context, next time.Time) (*decision, error) {
	t := time.NewTimer(time.Until(next))
	defer t.Stop()
	select {
	case d := <-b.decisions:
		return &d, nil
	case <-t.C:
		return nil, nil
	case err := <-b.exited:
		b.exited <- err
		return nil, b.failed(fmt.Errorf("gateagent ended: %w", err))
	case err := <-b.feedEnded:
		return nil, b.failed(fmt.Errorf("the gate's decisions are not told any more: %w", err))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// idle shows the empty lane.
func (b *box) idle(ctx context.Context, d time.Duration) error {
	for until := time.Now().Add(d); time.Now().Before(until); {
		next := time.Now().Add(frameEvery)
		if err := b.frame(qrframes.Scene{Seed: 7, Shot: b.shot, Subject: qrframes.Nothing, View: qrframes.GateView(7)}); err != nil {
			return err
		}
		select {
		case <-time.After(time.Until(next)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// scene draws a visitor with what he holds.
func scene(v *visitor, shot uint64) qrframes.Scene {
	s := qrframes.Scene{Seed: v.seed, Shot: shot, Subject: qrframes.Card, Payload: v.payload, View: qrframes.GateView(v.seed)}
	switch v.row.show {
	case damaged:
		s.Damage = qrframes.Ruined
	case phone, personalQR, vaccinePass, visitorPass:
		s.Subject, s.Dark = qrframes.Phone, v.seed%2 == 0
	case emptyCard:
		s.Payload = ""
	}
	return s
}

// frame sends one picture.
func (b *box) frame(s qrframes.Scene) error {
	b.shot++
	if err := b.render.Render(s, &b.gray); err != nil {
		return fmt.Errorf("draw a picture: %w", err)
	}
	b.jpeg.Reset()
	if err := mjpeg.Encode(&b.jpeg, &b.gray, jpegQuality); err != nil {
		return fmt.Errorf("encode a picture: %w", err)
	}
	if _, err := b.stdin.Write(b.jpeg.Bytes()); err != nil {
		return b.failed(fmt.Errorf("hand a picture to gateagent: %w", err))
	}
	return nil
}

// stop ends the agent in order.
func (b *box) stop() error {
	if b.stopFeed != nil {
		b.stopFeed()
	}
	b.feed.Wait()
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	defer b.log.Close()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop gateagent: %w", err)
	}
	defer b.stdin.Close()
	select {
	case err := <-b.exited:
		if err != nil {
			return b.failed(fmt.Errorf("gateagent ended: %w", err))
		}
		return nil
	case <-time.After(15 * time.Second):
		return errors.Join(errors.New("gateagent does not stop; killed"), b.cmd.Process.Kill())
	}
}
