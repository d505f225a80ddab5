package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/cmd/gatectl/dataset"
	"gateagent/cmd/gatectl/publish"
	"gateagent/cmd/gatectl/serve"
	"gateagent/sync/mqttlink"
	"gateagent/sync/wire"
)

// serveFlags are what a chunk server runs by.
type serveFlags struct {
	sites    []string
	rate     string
	inFlight int
	broker   brokerFlags
}

func snapshotServeCommand() *cobra.Command {
	var s serveFlags
	cmd := &cobra.Command{
		Use:   "serve FOLDER...",
		Short: "answer gates that ask for the chunks of large data sets",
		Long: `Sends gates the chunks that they ask for. Sets of more than 200 chunks, about nine million
people, are not kept on the broker: gates ask for them, four chunks at a time, and this
command answers from the folders in which the sets were built. A version that is built
meanwhile is served too; what is published is what gates ask for.

It needs no key: a chunk is held to the digest that the signed manifest names. Gates take
turns, one chunk each. --rate bounds what all of them get together, for a line that others
use as well. Several servers share the work when each has its own --site.

It runs until it is stopped, and so belongs beside gatectl ingest, which does the same with
--serve FOLDER. While it is away gates work on with what they have and ask again.`,
		Example: `  gatectl snapshot serve vn --broker mqtt://broker:1883
  gatectl snapshot serve vn hn01-lists --site hn01,hn02 --rate 20MB --broker mqtt://broker:1883`,
		Args: takes(1, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := s.options(args)
			if err != nil {
				return err
			}
			to, err := s.broker.broker("serve")
			if err != nil {
				return err
			}
			if err := reportFolders(cmd.OutOrStdout(), args); err != nil {
				return err
			}
			line := newProgress(cmd)
			defer line.end()
			return runServe(cmd.Context(), to, o, line, logger(cmd))
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.sites, "site", nil, "answer only gates of these sites (default: all)")
	f.StringVar(&s.rate, "rate", "", "bytes a second for all gates together, such as 500KB or 20MB (default: unbounded)")
	f.IntVar(&s.inFlight, "in-flight", serve.DefaultInFlight>>20, "MiB of answers under way at most")
	s.broker.add(cmd)
	return cmd
}

func (s *serveFlags) options(folders []string) (serve.Options, error) {
	o := serve.Options{Sites: s.sites, InFlight: int64(s.inFlight) << 20}
	for _, site := range s.sites {
		if !wire.ValidSite(site) {
			return o, hint.New("--site hn01, for example", "--site: %q is no name of a site", site)
		}
	}
	if s.inFlight < 1 || s.inFlight > 1024 {
		return o, fmt.Errorf("--in-flight %d is not within 1 to 1024 MiB", s.inFlight)
	}
	var err error
	if o.Rate, err = parseRate(s.rate); err != nil {
		return o, err
	}
	for _, dir := range folders {
		o.Sources = append(o.Sources, dataset.NewFolder(dir))
	}
	return o, nil
}

// parseRate reads bytes a second; empty is 0, unbounded.
func parseRate(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit := strings.TrimSuffix(strings.ToUpper(text), "/S"), int64(1)
	for _, u := range []struct {
		suffix string
		bytes  int64
	}{{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"KB", 1e3}, {"MB", 1e6}, {"B", 1}} {
		if n, ok := strings.CutSuffix(number, u.suffix); ok {
			number, unit = n, u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if err != nil || n*unit < 10_000 {
		return 0, hint.New("20MB or 500KB, for example", "the rate %q is no number of bytes a second, at least 10KB", text)
	}
	return n * unit, nil
}

// reportFolders says what is in the folders. An empty one is a mistake.
func reportFolders(out io.Writer, dirs []string) error {
	for _, dir := range dirs {
		compact, err := dataset.NewFolder(dir).Manifest()
		if errors.Is(err, fs.ErrNotExist) {
			return hint.New("gatectl snapshot build makes one", "%s holds no data set", dir)
		}
		if err != nil {
			return err
		}
		m, err := publish.ReadManifest(compact)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		what := "they are kept on the broker too"
		if len(m.Chunks) > wire.MaxRetained {
			what = "gates ask for them"
		}
		fmt.Fprintf(out, "%s: set %s, version %d, %s; %s\n", dir, m.Aud, m.Ver, count(len(m.Chunks), "chunk"), what)
	}
	return nil
}

// sayEvery is how often the counts are logged while something goes on.
const sayEvery = time.Minute

// runServe serves until ctx ends, and says how it goes.
func runServe(ctx context.Context, to publish.Broker, o serve.Options, line *progress, log *slog.Logger) error {
	var last, before serve.Stats
	said := time.Now()
	st, err := serve.Run(ctx, to, o, func(st serve.Stats, link mqttlink.Status) {
		if line != nil {
			where := "broker " + link.Broker
			if !link.Connected {
				where = "no broker: " + link.LastError
			}
			line.say("%s  %d chunks sent to %s, %.1f MB/s; %d waiting", where, st.Sent, count(st.Gates, "gate"), float64(st.Bytes-last.Bytes)/1e6, st.Waiting)
		}
		last = st
		if time.Since(said) >= sayEvery {
			said = time.Now()
			if st.Chunks != before.Chunks {
				log.Info("chunks served", serveFigures(st)...)
				before = st
			}
		}
	}, log)
	if line != nil {
		line.end()
	}
	log.Info("chunk server ended", serveFigures(st)...)
	return hint.Wrap(err, "is --broker right?")
}

func serveFigures(s serve.Stats) []any {
	return []any{
		"sent", s.Sent, "bytes", s.Bytes, "gates", s.Gates, "asked", s.Chunks, "again", s.Again,
		"unknown", s.Unknown, "turned_away", s.Turned, "malformed", s.Malformed, "failed", s.Failed, "waiting", s.Waiting,
	}
}
