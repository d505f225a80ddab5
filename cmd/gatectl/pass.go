package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateagent/agent/gate"
	"gateagent/agent/hint"
	"gateagent/agent/pass"
	"gateagent/agent/record"
	"gateagent/cmd/gatectl/keyring"
	"gateagent/cmd/gatectl/passes"
	"gateagent/driver/qr/qrprint"
	"gateagent/sync/signed"
	"gateagent/sync/wire"
)

func passCommand() *cobra.Command {
	return group("pass", "passes for people without a card", `A pass is a QR code on paper or on a phone, for a visitor, a child, somebody without a chip
card, or staff who left theirs at home. The pass key of keygen signs it; gates of the site
verify it without a network and let in whom their policy lets in with such a pass.`,
		passIssueCommand(), passRevokeCommand(), passSpentCommand())
}

// registerFlag is where the register of passes is.
type registerFlag struct{ file string }

func (r *registerFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.file, "register", "", "register of the passes that were issued (default: passes.jsonl in the folder of keys)")
}

func (r *registerFlag) open(keys string) (*passes.Register, error) {
	path := r.file
	if path == "" {
		path = keyring.Open(keys).Path("passes.jsonl")
	}
	return passes.Open(path)
}

// issueFlags are what a pass is made of.
type issueFlags struct {
	kind, site      string
	names           nameFlags
	gates, zones    []string
	single          bool
	from, until     string
	weekdays, hours string
	timeZone        string
	out             string
	pixels          int
	text            bool
	signer          signerFlags
	register        registerFlag
}

func passIssueCommand() *cobra.Command {
	var i issueFlags
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "make a pass, as a picture and as text",
		Long: `Makes a pass and writes its code as a picture (PNG) to print or to send, or with --text
or without --out as the text of the code.

Names are for the guard's screen: of the holder, in the first line of a file, and of who
is visited, in the second, which may be missing. --names says which file; without it the
two lines are read from standard input, at a terminal by asking for them. So they show
neither in the list of processes nor in the history of the shell. They are not printed and
not kept: the register notes only what it takes to revoke the pass later.

--single makes the pass good for one entry, at the gate named with --gate, where it is
used up at once. With several gates named it could be used once at each of them until the
others have heard of it (gatectl pass spent): name one gate if that matters.

Times are of --time-zone: 2026-11-24, 2026-11-24 08:00, 08:00 for today, or 4h for a span.
A day as --until is good to its end.`,
		Example: `  gatectl pass issue --site hn01 --kind visitor --names guest.txt --until 17:30 --single --gate gate-1 --out pass.png
  gatectl pass issue --site hn01 --kind child --from 2026-11-24 --until 2027-05-31 --weekdays mon-fri --hours 06:30-17:00 --out child.png
  gatectl pass issue --site hn01 --kind staff --names - --until 1d --zone lobby --zone lab --text < name.txt`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd, time.Now()) },
	}
	f := cmd.Flags()
	f.StringVar(&i.site, "site", "", "the site (required)")
	f.StringVar(&i.kind, "kind", "visitor", "whom it is for: visitor, child, paper (no chip card) or staff")
	i.names.add(cmd)
	f.StringVar(&i.from, "from", "", "when it begins (default: now)")
	f.StringVar(&i.until, "until", "", "when it ends (required)")
	f.BoolVar(&i.single, "single", false, "good for one entry, at the gates named")
	f.StringSliceVar(&i.gates, "gate", nil, "gates it is for (default: all)")
	f.StringSliceVar(&i.zones, "zone", nil, "zones it is for: gates that have one of them in site.zones (default: all)")
	f.StringVar(&i.weekdays, "weekdays", "", "days of the week, such as mon-fri or sat,sun (default: all)")
	f.StringVar(&i.hours, "hours", "", "hours of the day, such as 08:00-17:00 (default: all); 22:00-06:00 goes over midnight")
	f.StringVar(&i.timeZone, "time-zone", "Asia/Ho_Chi_Minh", "time zone of --from and --until")
	f.StringVar(&i.out, "out", "", "write the code to this picture file (.png)")
	f.IntVar(&i.pixels, "pixels", 12, "size of a module in the picture, in pixels")
	f.BoolVar(&i.text, "text", false, "print the text of the code")
	i.signer.add(cmd, signed.RolePass)
	i.register.add(cmd)
	return cmd
}

func (i *issueFlags) run(cmd *cobra.Command, now time.Time) error {
	claims, err := i.claims(cmd, now)
	if err != nil {
		return err
	}
	if i.pixels < 1 || i.pixels > 64 {
		return fmt.Errorf("--pixels %d is not within 1 to 64", i.pixels)
	}
	register, err := i.register.open(i.signer.keys)
	if err != nil {
		return err
	}
	key, err := i.signer.open(cmd)
	if err != nil {
		return err
	}
	text, err := pass.Issue(key.Key, claims)
	if err != nil {
		return err
	}
	if claims, err = pass.Inspect(text); err != nil {
		return fmt.Errorf("read the pass back: %w", err)
	}
	code, err := qrprint.Encode(text)
	if err != nil {
		return err
	}
	// The register comes first: no pass is handed out that could not be
	// revoked.
	if err := register.Add(passes.Line{
		Time: now.Unix(), Site: claims.Site, What: passes.Issued, ID: claims.ID.String(), Exp: claims.To.Unix(),
		Kind: claims.Kind.String(), Gates: claims.Gates, Single: claims.Single,
	}); err != nil {
		return hint.Wrap(err, "--register says where it is; without it a pass could not be revoked, so none was made")
	}
	if i.out != "" {
		if err := writePicture(i.out, code, i.pixels); err != nil {
			return err
		}
	}
	i.report(cmd, claims, code, text)
	return nil
}

func writePicture(path string, code qrprint.Code, pixels int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the pass: %w", err)
	}
	if err := errors.Join(code.PNG(f, pixels), f.Close()); err != nil {
		return fmt.Errorf("write the pass: %w", err)
	}
	return nil
}

// report says all about a pass but whose it is.
func (i *issueFlags) report(cmd *cobra.Command, c pass.Claims, code qrprint.Code, text string) {
	out := cmd.OutOrStdout()
	entries := "any number of entries"
	if c.Single {
		entries = "one entry"
	}
	fmt.Fprintf(out, "pass %s: %s, %s, %s\n", c.ID, c.Kind, c.Site, entries)
	zone := c.From.Location()
	if loc, err := time.LoadLocation(i.timeZone); err == nil {
		zone = loc
	}
	const form = "2006-01-02 15:04"
	fmt.Fprintf(out, "good from %s to %s (%s)\n", c.From.In(zone).Format(form), c.To.In(zone).Format(form), i.timeZone)
	for _, places := range []struct {
		what  string
		names []string
	}{{"gates", c.Gates}, {"zones", c.Zones}} {
		if len(places.names) > 0 {
			fmt.Fprintf(out, "%s %s\n", places.what, strings.Join(places.names, ", "))
		}
	}
	fmt.Fprintf(out, "code of version %d, %d characters", code.Version, len(text))
	if i.out != "" {
		fmt.Fprintf(out, ", in %s", i.out)
	}
	fmt.Fprintln(out)
	if i.text || i.out == "" {
		fmt.Fprintln(out, text)
	}
	if c.Single && len(c.Gates) > 1 {
		fmt.Fprint(cmd.ErrOrStderr(), "note: it can be used once at each of these gates until they have heard of it: keep gatectl pass spent running, or name one gate\n")
	}
}

// claims reads the flags.
func (i *issueFlags) claims(cmd *cobra.Command, now time.Time) (c pass.Claims, err error) {
	if !wire.ValidSite(i.site) {
		return c, hint.New("--site hn01, for example", "--site: %q is no name of a site", i.site)
	}
	kind, err := gate.ParsePassKind(i.kind)
	if err != nil || kind == gate.PassNobody {
		return c, hint.New("known are visitor, child, paper and staff", "--kind: %q is no kind of pass", i.kind)
	}
	zone, err := time.LoadLocation(i.timeZone)
	if err != nil {
		return c, hint.New("--time-zone Asia/Ho_Chi_Minh, for example", "--time-zone: %q is no time zone", i.timeZone)
	}
	now = now.In(zone).Truncate(time.Minute)
	from := now
	if i.from != "" {
		if from, err = readTime("from", i.from, now, now, false); err != nil {
			return c, err
		}
	}
	if i.until == "" {
		return c, hint.New("--until 17:30 or --until 2026-12-31, for example", "--until is missing: a pass has an end")
	}
	to, err := readTime("until", i.until, now, from, true)
	if err != nil {
		return c, err
	}
	if err := i.span(now, from, to); err != nil {
		return c, err
	}
	if err := i.places(); err != nil {
		return c, err
	}
	name, host, err := i.names.read(cmd)
	if err != nil {
		return c, err
	}
	c = pass.Claims{
		Kind: kind, Name: name, Host: host, Site: i.site, Gates: i.gates, Zones: i.zones, Single: i.single,
		From: from.UTC(), To: to.UTC(),
	}
	if c.Window.Weekdays, err = readWeekdays(i.weekdays); err != nil {
		return c, err
	}
	if c.Window.Start, c.Window.End, err = readHours(i.hours); err != nil {
		return c, err
	}
	switch err := c.Check(); {
	case i.single && len(i.gates) == 0:
		return c, hint.New("--single --gate gate-1, for example", "a pass for one entry names its gate, where it is used up")
	case err != nil:
		return c, hint.Wrap(err, "gatectl pass issue --help shows the flags")
	}
	return c, nil
}

// span refuses times that nobody could pass in.
func (i *issueFlags) span(now, from, to time.Time) error {
	const form = "2006-01-02 15:04"
	switch {
	case !to.After(now):
		return hint.New("--until 17:30 is of today; --until 4h counts from --from; a day is good to its end",
			"--until %q: the pass would have ended already, at %s", i.until, to.Format(form))
	case !to.After(from):
		return hint.New("--from 2026-11-24 --until 2026-11-30, for example; --until 4h counts from --from",
			"--until %q: the pass would end at %s, and begins only at %s", i.until, to.Format(form), from.Format(form))
	case to.Sub(from) > pass.MaxDays*24*time.Hour:
		return hint.New("make a new one then", "--until %q: a pass is good for %d days at most", i.until, pass.MaxDays)
	}
	return nil
}

// places refuses what is no name of a gate or a zone.
func (i *issueFlags) places() error {
	for _, p := range []struct {
		flag, key, like string
		names           []string
		valid           func(string) bool
	}{
		{"gate", "site.gate", "gate-1", i.gates, wire.ValidGate},
		{"zone", "site.zones", "lobby", i.zones, record.ValidName},
	} {
		for k, name := range p.names {
			if !p.valid(name) {
				return hint.New(fmt.Sprintf("as %s in the configuration of the box says it: a to z, 0 to 9 and -, at most 32 characters, such as %s", p.key, p.like),
					"--%s: %q is no name of a %s", p.flag, name, p.flag)
			}
			if slices.Contains(p.names[:k], name) {
				return hint.New("name each once", "--%s: %s is named twice", p.flag, name)
			}
		}
	}
	return nil
}
