package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"gateagent/agent/config"
	"gateagent/agent/feed"
	"gateagent/agent/health"
	"gateagent/agent/hint"
	"gateagent/agent/localapi"
	"gateagent/agent/statuspage"
	"gateagent/agent/supervise"
	"gateagent/cache"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"
)

func runCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "the agent itself",
		Long: `run is the agent: it opens the scanners and relays of all lanes, decides, records
and keeps in step with central until it is told to stop.

It always starts. What is missing or broken is a fault with a next step on its
page and in "gateagent status"; the rest works. A configuration with mistakes
never takes the gate down: the last good one stays in force, and where there is
none, the page says what to mend.`,
		Example: "  gateagent run --config /etc/gateagent/gateagent.toml",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAgent(cmd.Context(), path, cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &path)
	return cmd
}

func runAgent(ctx context.Context, path string, stderr io.Writer) error {
	loaded := config.Load(path, "")
	log := newLogger(loaded.Config, stderr)
	if !loaded.Report.OK() {
		wrong, _ := loaded.Report.Counts()
		log.Error("the configuration has mistakes", "file", path, "count", wrong, "last_good_in_force", loaded.UsedLastGood)
		if err := loaded.Report.WriteText(stderr); err != nil {
			return err
		}
	}
	if loaded.Config == nil {
		return runPageOnly(ctx, loaded, log)
	}
	guardMemory(log)
	b, err := newBox(loaded, log)
	if errors.Is(err, cache.ErrInUse) {
		return hint.Wrap(err, "stop the other one first: systemctl status gateagent, or set another storage.dir")
	}
	if err != nil {
		return err
	}
	notify(log, daemon.SdNotifyReady)
	err = b.run(ctx)
	notify(log, daemon.SdNotifyStopping)
	return err
}

// runPageOnly serves nothing but what is wrong with the configuration: on the
// page, and to whoever asks for the status.
func runPageOnly(ctx context.Context, loaded config.Loaded, log *slog.Logger) error {
	salvage := loaded.Report.Salvage()
	page := statuspage.New(statuspage.Options{Listen: salvage.Listen, Broken: &loaded.Report}, log.With("component", "page"))
	local := localapi.New(localapi.Options{
		Socket: salvage.Socket, Box: onlyConfig(loaded.Report.File), Feed: feed.New(1),
	}, log.With("component", "local"))
	group := supervise.New(log.With("component", "supervise"), nil)
	for _, t := range []supervise.Task{{Name: "page", Run: page.Run}, {Name: "local", Run: local.Run}} {
		if err := group.Add(t); err != nil {
			return err
		}
	}
	log.Error("no configuration to run with: no lane works; the page says what to mend", "page", "http://"+salvage.Listen+"/")
	notify(log, daemon.SdNotifyReady)
	return group.Run(ctx)
}

// onlyConfig gives the view of a box that has no configuration: all that is
// known of it is which file is to be mended.
func onlyConfig(file string) func() health.Box {
	started, boot := time.Now().UTC(), newBoot()
	parts := health.New(time.Now)
	parts.Declare("config", health.ByGate, "")
	parts.Set("config", health.Failed, health.NewFault(health.ConfigBroken, file))
	return func() health.Box {
		return health.Box{
			Report: parts.Report(), Version: thisVersion().String(), Boot: boot, Now: time.Now().UTC(), Started: started,
		}
	}
}

func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}

// newLogger writes to standard error, where systemd takes it.
func newLogger(cfg *config.Config, w io.Writer) *slog.Logger {
	o := slog.HandlerOptions{}
	if cfg == nil {
		return slog.New(slog.NewTextHandler(w, &o))
	}
	o.Level = cfg.Log.Level
	if cfg.Log.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, &o))
	}
	return slog.New(slog.NewTextHandler(w, &o))
}
