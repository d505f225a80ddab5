package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"gateagent/scripts/hil/control"
	"gateagent/scripts/hil/usbcam"
)

// What the agent's configuration says, and the proofs rely on.
const (
	agentProgram = "/bin/gateagent"
	agentConfig  = "/etc/gateagent/gateagent.toml"
	pulseMS      = 800
)

// commonRaw is the common camera with another firmware: the same to the
// system, but it gives nothing but YUYV.
func commonRaw() usbcam.Spec {
	s := common
	s.Modes = []usbcam.Mode{{Kind: usbcam.YUYV, Width: pictureWidth, Height: pictureHeight, FPS: 10}}
	return s
}

// config is the agent's in the guest; its camera is named by its node, so
// that it has to be found again elsewhere.
func (c *central) config() string {
	return fmt.Sprintf(`
[site]
id = %q
gate = %q
[trust]
root_keys = [%q]
[keys]
entry_file = "entry-%[1]s.jwk"
[[set]]
name = %[4]q
key_file = "set-%[4]s.jwk"
[mqtt]
broker = "mqtt://10.0.2.2:%[5]d"
[log]
level = "debug"
[[lane]]
name = "main"
[lane.scanner]
driver = "v4l2cam"
device = "/dev/video0"
width = %[6]d
height = %[7]d
[lane.relay]
driver = "gpiorelay"
chip = "/dev/gpiochip0"
line = %[8]d
pulse = "%[9]dms"
`, siteName, gateName, c.rootKey, setName, c.port, pictureWidth, pictureHeight, relayLine, pulseMS)
}

// status is what the bench looks at of `gateagent status --json`.
type status struct {
	CanDecide bool `json:"can_decide"`
	Policy    struct {
		Version uint64
		BuiltIn bool `json:"built_in"`
	}
	Sets    []struct{ Version, People uint64 }
	Journal struct{ Seq, Acked, Queue uint64 }
	Link    struct{ Connected bool }
	Lanes   []struct {
		PictureMS *int64 `json:"picture_ms"`
	}
	Components []struct {
		Name, Level string
		Fault       *struct{ Code, Detail string }
	}
}

func (s status) fault(code string) bool {
	for _, c := range s.Components {
		if c.Fault != nil && strings.Contains(c.Fault.Code, code) {
			return true
		}
	}
	return false
}

// agent runs a command of the agent in the guest.
func (b *bench) agent(ctx context.Context, args ...string) (string, int, error) {
	m, err := b.vm.Ask(ctx, control.Request{Exec: &control.Exec{
		Args: append([]string{agentProgram}, args...), Seconds: 30,
	}})
	return m.Output, m.Code, err
}

// until asks for the agent's status until it is as wanted.
func (b *bench) until(ctx context.Context, what string, wanted func(status) bool) error {
	for {
		out, _, err := b.agent(ctx, "status", "--json", "--config", agentConfig)
		var s status
		if err == nil && json.Unmarshal([]byte(out), &s) == nil && wanted(s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the agent's status does not say: %s; it says %s", what, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (b *bench) show(ctx context.Context, port int, card string) error {
	_, err := b.vm.Ask(ctx, control.Request{Show: &control.Show{Port: port, Card: card}})
	return err
}

// gate proves the agent as it ships.
func (b *bench) gate(ctx context.Context) {
	const port, otherPort, thirdPort = 0, 3, 5
	started := b.prove(ctx, "the agent starts with no camera there, says so, and takes central's data and policy", time.Minute, b.startAgent)
	if !started {
		return
	}
	defer b.c.stop()

	b.prove(ctx, "MJPEG: the card that is allowed pulses the relay; its entry reaches the broker", time.Minute, func(ctx context.Context) (string, error) {
		if _, err := b.plug(ctx, port, common, "wall"); err != nil {
			return "", err
		}
		return b.allowed(ctx, port, "allowed")
	})
	b.prove(ctx, "the card that is refused does not; its entry reaches the broker", time.Minute, func(ctx context.Context) (string, error) {
		return b.refused(ctx, port)
	})
	b.prove(ctx, "a card held in view for eight seconds is one entry and one pulse", time.Minute, func(ctx context.Context) (string, error) {
		return b.held(ctx, port)
	})
	b.latency(ctx, port, "MJPEG", 60)
	b.prove(ctx, "unplugged: the agent says so; back at another port under another node, it reads again", time.Minute, func(ctx context.Context) (string, error) {
		return b.replugged(ctx, port, otherPort, thirdPort, common)
	})
	b.prove(ctx, "YUYV: the card that is allowed pulses the relay", time.Minute, func(ctx context.Context) (string, error) {
		if err := errors.Join(b.unplug(ctx, otherPort), b.unplug(ctx, thirdPort)); err != nil {
			return "", err
		}
		if err := b.until(ctx, "no camera", func(s status) bool { return s.fault("scanner") }); err != nil {
			return "", err
		}
		if _, err := b.plug(ctx, port, commonRaw(), "wall"); err != nil {
			return "", err
		}
		return b.allowed(ctx, port, "second")
	})
	b.prove(ctx, "YUYV: the card that is refused does not", time.Minute, func(ctx context.Context) (string, error) {
		return b.refused(ctx, port)
	})
	b.latency(ctx, port, "YUYV", 60)
	b.prove(ctx, "the agent ends in order; the relay is low; central has every record and the chain is whole", time.Minute, b.endAgent)
}

// startAgent sets central up and starts the agent.
func (b *bench) startAgent(ctx context.Context) (_ string, err error) {
	if b.c, err = startCentral(ctx, b.gatectl); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			b.c.stop()
		}
	}()
	files := map[string][]byte{agentConfig: []byte(b.c.config())}
	for _, key := range []string{"entry-" + siteName + ".jwk", "set-" + setName + ".jwk"} {
		if files["/etc/gateagent/"+key], err = os.ReadFile(b.c.path("keys/" + key)); err != nil {
			return "", err
		}
	}
	for path, data := range files {
		if _, err := b.vm.Ask(ctx, control.Request{Put: &control.Put{Path: path, Data: data, Mode: 0o600}}); err != nil {
			return "", err
		}
	}
	if out, code, err := b.agent(ctx, "check", "--config", agentConfig); err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("gateagent check: exit %d: %s", code, out))
	}
	began := time.Now()
	_, err = b.vm.Ask(ctx, control.Request{Start: &control.Start{Name: "agent", Args: []string{agentProgram, "run", "--config", agentConfig}}})
	if err != nil {
		return "", err
	}
	err = b.until(ctx, "data and policy in force, linked, and the camera's fault", func(s status) bool {
		return s.Link.Connected && !s.Policy.BuiltIn && len(s.Sets) == 1 && s.Sets[0].People == uint64(len(people())) && s.fault("scanner")
	})
	return fmt.Sprintf("%d people, %.1f s", len(people()), time.Since(began).Seconds()), err
}

// allowed shows a card and wants one pulse of the right length and its entry.
func (b *bench) allowed(ctx context.Context, port int, card string) (string, error) {
	if err := b.until(ctx, "pictures", func(s status) bool { return !s.fault("scanner") }); err != nil {
		return "", err
	}
	mark, began := b.c.mark(), time.Now()
	if err := b.show(ctx, port, card); err != nil {
		return "", err
	}
	ps, err := b.line.whole(ctx, began, 1)
	if err != nil {
		return "", err
	}
	if err := b.show(ctx, port, "wall"); err != nil {
		return "", err
	}
	if !about(ps[0].length(), pulseMS) {
		return "", fmt.Errorf("the relay was active for %v, want %d ms", ps[0].length(), pulseMS)
	}
	got, err := b.c.wait(ctx, mark, "the entry and its passage", func(es []event) bool { return len(passagesOf(es)) > 0 })
	if err != nil {
		return "", err
	}
	entries, passages := entriesOf(got), passagesOf(got)
	if len(entries) != 1 || entries[0].Data.Verdict != "ALLOW" || len(passages) != 1 || !passages[0].Data.Opened {
		return "", fmt.Errorf("central got %+v", got)
	}
	if ps, err := b.line.since(began); err != nil || len(ps) != 1 {
		return "", errors.Join(err, fmt.Errorf("%d pulses, want 1", len(ps)))
	}
	return fmt.Sprintf("card shown to relay active %d ms (of these in the agent %.0f), active for %d ms",
		ps[0].from.Sub(began).Milliseconds(), passages[0].Data.LatencyMS.Actuate, ps[0].length().Milliseconds()), nil
}

// refused shows the card of somebody who may not pass.
func (b *bench) refused(ctx context.Context, port int) (string, error) {
	b.line.fresh()
	mark, began := b.c.mark(), time.Now()
	if err := b.show(ctx, port, "refused"); err != nil {
		return "", err
	}
	got, err := b.c.wait(ctx, mark, "the entry", func(es []event) bool { return len(entriesOf(es)) > 0 })
	if err != nil {
		return "", err
	}
	time.Sleep(1500 * time.Millisecond) // a pulse would have come by now
	if err := b.show(ctx, port, "wall"); err != nil {
		return "", err
	}
	ps, err := b.line.since(began)
	if err != nil {
		return "", err
	}
	e := entriesOf(got)[0].Data
	times, gap := b.line.sampled()
	switch {
	case e.Verdict != "DENY_ALERT" || len(ps) != 0:
		return "", fmt.Errorf("verdict %s, %d pulses", e.Verdict, len(ps))
	case gap > pulseMS*time.Millisecond*3/4:
		return "", fmt.Errorf("no pulse seen, but the register was not read for %v", gap)
	}
	return fmt.Sprintf("%s %v; register read %d times, at most %d ms apart", e.Verdict, e.Reasons, times, gap.Milliseconds()), nil
}

func (b *bench) held(ctx context.Context, port int) (string, error) {
	mark, began := b.c.mark(), time.Now()
	if err := b.show(ctx, port, "first"); err != nil {
		return "", err
	}
	time.Sleep(8 * time.Second)
	next := time.Now()
	if err := b.show(ctx, port, "second"); err != nil {
		return "", err
	}
	got, err := b.c.wait(ctx, mark, "two entries and passages", func(es []event) bool { return len(passagesOf(es)) >= 2 })
	if err != nil {
		return "", err
	}
	ps, err := b.line.whole(ctx, began, 2)
	if err != nil {
		return "", err
	}
	if err := b.show(ctx, port, "wall"); err != nil {
		return "", err
	}
	if n := len(entriesOf(got)); n != 2 || len(ps) != 2 {
		return "", fmt.Errorf("%d entries, %d pulses; want one each for two cards", n, len(ps))
	}
	return fmt.Sprintf("the next card, put in its place, opened after %d ms", ps[1].from.Sub(next).Milliseconds()), nil
}

// latencyBar is what Must show 3 allows from frame handed over to relay told.
const latencyBar = 1000

// latency lets people take turns and judges the agent's own figures.
func (b *bench) latency(ctx context.Context, port int, format string, n int) {
	if b.short {
		n /= 3
	}
	what := fmt.Sprintf("%s %d×%d: p99 from frame handed over to relay told ≤ %d ms", format, pictureWidth, pictureHeight, latencyBar)
	b.prove(ctx, what, 4*time.Minute, func(ctx context.Context) (string, error) {
		mark, began := b.c.mark(), time.Now()
		for i := range n {
			if err := b.show(ctx, port, fmt.Sprintf("turn%d", i%manyCards)); err != nil {
				return "", err
			}
			turn, cancel := context.WithTimeout(ctx, 20*time.Second)
			_, err := b.c.wait(turn, mark, fmt.Sprintf("passage %d of %d", i+1, n), func(es []event) bool { return len(passagesOf(es)) > i })
			cancel()
			if err != nil {
				return "", err
			}
		}
		took := time.Since(began)
		if err := b.show(ctx, port, "wall"); err != nil {
			return "", err
		}
		got, err := b.c.received()
		if err != nil {
			return "", err
		}
		var all, decode, record []float64
		for _, p := range passagesOf(got[mark:]) {
			all = append(all, p.Data.LatencyMS.Actuate)
			record = append(record, p.Data.LatencyMS.Record)
		}
		for _, e := range entriesOf(got[mark:]) {
			decode = append(decode, e.Data.LatencyMS.Decode)
		}
		words := fmt.Sprintf("p50 %.0f, p99 %.0f ms (decode p50 %.0f, record p50 %.0f) over %d people, %.0f a minute",
			quantile(all, 0.5), quantile(all, 0.99), quantile(decode, 0.5), quantile(record, 0.5), n, float64(n)/took.Minutes())
		if len(all) != n || len(decode) != n {
			return "", fmt.Errorf("%d entries and %d passages for %d people; %s", len(decode), len(all), n, words)
		}
		if quantile(all, 0.99) > latencyBar {
			return "", errors.New(words)
		}
		return words, nil
	})
}

// quantile gives the smallest value that at least the share q does not exceed.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return s[max(0, int(float64(len(s))*q+0.999999)-1)]
}

// replugged pulls the camera, gives its node to another one, and plugs it in
// elsewhere.
func (b *bench) replugged(ctx context.Context, port, otherPort, thirdPort int, s usbcam.Spec) (string, error) {
	if err := b.unplug(ctx, port); err != nil {
		return "", err
	}
	gone := time.Now()
	if err := b.until(ctx, "no camera", func(s status) bool { return s.fault("scanner") }); err != nil {
		return "", err
	}
	noticed := time.Since(gone)
	if _, err := b.plug(ctx, thirdPort, decoy, "wall"); err != nil {
		return "", err
	}
	back := time.Now()
	node, err := b.plug(ctx, otherPort, s, "wall")
	if err != nil {
		return "", err
	}
	if node == "/dev/video0" {
		return "", errors.New("the camera came back under the same node")
	}
	if err := b.until(ctx, "pictures", func(s status) bool { return !s.fault("scanner") }); err != nil {
		return "", err
	}
	reopened := time.Since(back)
	words, err := b.allowed(ctx, otherPort, "allowed")
	return fmt.Sprintf("noticed within %.1f s, at %s within %.1f s; %s", noticed.Seconds(), node, reopened.Seconds(), words), err
}

// endAgent ends the agent and looks at what it left.
func (b *bench) endAgent(ctx context.Context) (string, error) {
	if err := b.until(ctx, "everything acknowledged", func(s status) bool { return s.Journal.Queue == 0 && s.Journal.Seq > 0 }); err != nil {
		return "", err
	}
	out, code, err := b.agent(ctx, "entries", "--verify", "--config", agentConfig)
	if err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("gateagent entries --verify: exit %d: %s", code, out))
	}
	mark := b.vm.mark()
	if _, err := b.vm.Ask(ctx, control.Request{Signal: &control.Signal{Name: "agent", Number: 15}}); err != nil {
		return "", err
	}
	code, err = b.vm.exit(ctx, mark, "agent")
	if err != nil || code != 0 {
		return "", errors.Join(err, fmt.Errorf("the agent ended with %d", code))
	}
	if v, err := b.vm.qmp.word(pl061Data); err != nil || v>>relayLine&1 != 0 {
		return "", errors.Join(err, fmt.Errorf("the relay's line is active: %#x", v))
	}
	said, err := b.c.run(ctx, "verify", "--gates", b.c.path("gates.json"), b.c.entries())
	if err != nil {
		return "", err
	}
	all, err := b.c.received()
	return fmt.Sprintf("%d records; %s", len(all), strings.Join(strings.Split(strings.TrimSpace(said), "\n"), "; ")), err
}
