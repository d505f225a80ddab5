package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/hint"
	"gateagent/agent/pass"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/passes"
	"gateagent/cmd/gatectl/publish"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

// revokedFlags are what the list of revoked passes of a site is published with.
type revokedFlags struct {
	site      string
	validDays int
	signer    signerFlags
	register  registerFlag
	broker    brokerFlags
}

func (l *revokedFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&l.site, "site", "", "the site (required)")
	f.IntVar(&l.validDays, "valid-days", 365, "days within which a gate may take the list into force")
	l.signer.add(cmd, signed.RolePass)
	l.register.add(cmd)
	l.broker.add(cmd)
}

// open checks the flags and gives the register and the key.
func (l *revokedFlags) open(cmd *cobra.Command) (*passes.Register, signed.Signer, error) {
	if !wire.ValidSite(l.site) {
		return nil, signed.Signer{}, hint.New("--site hn01, for example", "--site: %q is no name of a site", l.site)
	}
	if err := checkDays("valid-days", l.validDays); err != nil {
		return nil, signed.Signer{}, err
	}
	register, err := l.register.open(l.signer.keys)
	if err != nil {
		return nil, signed.Signer{}, err
	}
	key, err := l.signer.open(cmd)
	return register, key, err
}

// publish publishes what the register says, and what was on the list before.
func (l *revokedFlags) publish(cmd *cobra.Command, register *passes.Register, key signed.Signer) error {
	return siteSession(cmd, &l.broker, "pass", l.site, func(ctx context.Context, s *publish.Session, gates *publish.InForce) error {
		topic := s.Topics.Revoked(l.site)
		before, _, err := s.Revoked(ctx, l.site, key)
		if err != nil {
			return err
		}
		version, err := nextVersion(ctx, cmd, s, topic, 0, gates.Revoked)
		if err != nil {
			return err
		}
		now := time.Now()
		list, err := register.List(l.site, before, now)
		if err != nil {
			return err
		}
		list.Ver, list.Iat, list.Exp = version, now.Unix(), now.AddDate(0, 0, l.validDays).Unix()
		compact, err := publish.SignRevoked(key, list)
		if errors.Is(err, wire.ErrTooLarge) {
			return hint.Wrap(err, "passes leave the list when they expire: issue them for shorter times; or replace the pass key, which ends all of its passes at once")
		}
		if err != nil {
			return err
		}
		if err := retain(ctx, s, topic, compact); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "list version %d published on %s: passes revoked %d, spent %d; passports revoked %d\n", version, topic,
			len(list.Passes), len(list.Spent), len(list.Passports))
		return nil
	})
}

func passRevokeCommand() *cobra.Command {
	var (
		l         revokedFlags
		passports []string
		until     string
		undo      bool
	)
	cmd := &cobra.Command{
		Use:   "revoke ID...",
		Short: "take passes back, and vaccine passports",
		Long: `Takes passes back: publishes the list of all that gates of the site are not to take any
more, with these added. Gates that are connected have it within seconds, the others when
they are. A pass stays on the list until it would have expired.

Without an ID it publishes the list again as it is, for a broker that lost it.

--passport adds vaccine passports, by the first 32 hexadecimal digits of SHA-256 over
their identifier (the UCI, such as URN:UVCI:01:VN:...), as revocation lists have them.

--undo takes the passes and passports named off the list again.`,
		Example: `  gatectl pass revoke 0f3a5c7e9b1d2f48 --site hn01 --broker mqtt://broker:1883
  gatectl pass revoke --passport 2f4e6a8c0b1d3f5e7a9c0b2d4f6e8a0c --site hn01 --broker mqtt://broker:1883
  gatectl pass revoke 0f3a5c7e9b1d2f48 --undo --site hn01 --broker mqtt://broker:1883
  gatectl pass revoke --site hn01 --broker mqtt://broker:1883`,
		Args: takes(0, -1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			now := time.Now()
			register, key, err := l.open(cmd)
			if err != nil {
				return err
			}
			if undo && len(ids)+len(passports) == 0 {
				return hint.New("gatectl pass revoke ID --undo, for example", "--undo says nothing without a pass or passport")
			}
			lines, err := revoked(register, l.site, ids, until, undo, now)
			if err != nil {
				return err
			}
			passport := passes.Passport
			if undo {
				passport = passes.PassportRestored
			}
			for _, text := range passports {
				var h wire.PassportHash
				if err := h.UnmarshalText([]byte(text)); err != nil {
					return hint.New("printf %s URN:UVCI:... | sha256sum | cut -c 1-32", "--passport: %q is not 32 hexadecimal digits in lower case", text)
				}
				lines = append(lines, passes.Line{Time: now.Unix(), Site: l.site, What: passport, ID: text})
			}
			if len(lines) > 0 {
				// Written down first: what could not be published now is
				// published with the next.
				if err := register.Add(lines...); err != nil {
					return err
				}
			}
			return l.publish(cmd, register, key)
		},
	}
	cmd.Flags().StringSliceVar(&passports, "passport", nil, "hashes of vaccine passports to revoke")
	cmd.Flags().BoolVar(&undo, "undo", false, "take them off the list again")
	cmd.Flags().StringVar(&until, "until", "", "when a pass ends that is not in the register: a day")
	l.add(cmd)
	return cmd
}

// revoked gives the lines that take passes back, or undo that.
func revoked(register *passes.Register, site string, ids []string, until string, undo bool, now time.Time) ([]passes.Line, error) {
	var lines []passes.Line
	for _, text := range ids {
		id, err := pass.ParseID(strings.TrimSpace(text))
		if err != nil {
			return nil, hint.Wrap(err, "ids come before the flags or behind them, one by one")
		}
		line := passes.Line{Time: now.Unix(), Site: site, What: passes.Revoked, ID: id.String()}
		switch issued, known := register.Find(site, line.ID); {
		case undo:
			line.What = passes.Restored
		case known:
			line.Exp = issued.Exp
		case until == "":
			return nil, hint.New("--until 2026-12-31 says when it ends; --register names another register",
				"no pass %s of site %s is in the register: when does it end?", line.ID, site)
		default:
			end, err := time.Parse(time.DateOnly, until)
			if err != nil {
				return nil, hint.New("--until 2026-12-31, for example", "--until: %q is no day", until)
			}
			line.Exp = end.AddDate(0, 0, 2).Unix() // whatever the time zone
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func passSpentCommand() *cobra.Command {
	var (
		l       revokedFlags
		entries string
		every   time.Duration
	)
	cmd := &cobra.Command{
		Use:   "spent",
		Short: "tell the gates which passes for one entry were used",
		Long: `Looks through the entries that ingest keeps for passes for one entry that are good at
several gates, and publishes those that were used, so that the other gates do not take
them. A pass that names one gate needs none of this: it is used up there at once.

Until a gate has heard of it, a pass can be used there once more: that takes a second or
two on a good line, plus --every, and as long as a gate is not connected. Entries say which
pass it was by a pseudonym under the entry key of the site, which must be in the folder of
keys.`,
		Example: `  gatectl pass spent --site hn01 --entries entries.jsonl --broker mqtt://broker:1883
  gatectl pass spent --site hn01 --entries entries.jsonl --every 10s --passphrase-file pass --broker mqtt://broker:1883`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if entries == "" {
				return hint.New("--entries entries.jsonl, as ingest --sink has it", "--entries is missing")
			}
			if every != 0 && every < time.Second {
				return fmt.Errorf("--every %v is less than a second", every)
			}
			_, key, err := l.open(cmd)
			if err != nil {
				return err
			}
			watch := passes.NewWatch(entries, l.site)
			for {
				if err := l.spent(cmd, watch, key); err != nil {
					if every == 0 {
						return err
					}
					fmt.Fprintf(cmd.ErrOrStderr(), "error: %v\n", err) // the next time may do better
				}
				if every == 0 {
					return nil
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(every):
				}
			}
		},
	}
	cmd.Flags().StringVar(&entries, "entries", "", "file of entries that ingest keeps (required)")
	cmd.Flags().DurationVar(&every, "every", 0, "look again so often, until stopped (default: once)")
	l.add(cmd)
	return cmd
}

// spent publishes the passes that were used since the last time. The register
// is read anew: passes are issued meanwhile.
func (l *revokedFlags) spent(cmd *cobra.Command, watch *passes.Watch, key signed.Signer) error {
	register, err := l.register.open(l.signer.keys)
	if err != nil {
		return err
	}
	now := time.Now()
	travelling := register.Travelling(l.site, now)
	secrets, err := keyring.Open(l.signer.keys).EntrySecrets(l.site, maxEntryKeys)
	if err != nil {
		return err
	}
	if len(secrets) == 0 && len(travelling) > 0 {
		return hint.New("gatectl keygen --only none --site "+l.site+" makes it; gates must have the same", "there is no entry key of %s in %s", l.site, l.signer.keys)
	}
	subjects := passes.Subjects{}
	for _, s := range secrets {
		if err := subjects.Add(s.Key, travelling); err != nil {
			return err
		}
	}
	clear(secrets)
	used, err := watch.Used(subjects)
	if errors.Is(err, os.ErrNotExist) {
		return hint.Wrap(err, "gatectl ingest --sink jsonl:FILE makes it")
	}
	if err != nil || len(used) == 0 && !watch.Unpublished {
		return err
	}
	for i := range used {
		used[i].Time, used[i].What = now.Unix(), passes.Spent
		used[i].Kind, used[i].Gates, used[i].Single = "", nil, false
	}
	if len(used) > 0 {
		if err := register.Add(used...); err != nil {
			return err
		}
	}
	// What is in the register now is published with the next list, also if
	// this one fails.
	watch.Unpublished = true
	if err := l.publish(cmd, register, key); err != nil {
		return err
	}
	watch.Unpublished = false
	return nil
}

// maxEntryKeys bounds the entry keys that are tried: the one in use, and some
// before it.
const maxEntryKeys = 4
