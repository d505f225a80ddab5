package main

import (
	"encoding/json"
	"fmt"

	"gateagent/agent/hint"
	"gateagent/driver/qr"
	"gateagent/driver/qr/decodefile"

	"github.com/spf13/cobra"
)

func decodeCommand() *cobra.Command {
	var asJSON bool
	var repeat int
	cmd := &cobra.Command{
		Use:   "decode FILE...",
		Short: "read the codes in image files as the camera path would",
		Long: `decode reads PNG, JPEG, WebP and PGM files as the camera path would and prints the
text of each code, several codes in several lines. It ends with 0 when something
was read in every file, else with 1.

The text of a card is personal data: it goes to standard output and nowhere else.`,
		Example: `  gateagent decode card.png
  gateagent decode --json --repeat 5 frames/*.jpg`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return hint.New("for example: gateagent decode card.png", "no image file named")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			d := decodefile.New(qr.NewReader(), repeat)
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetEscapeHTML(false)
			failed := false
			for _, file := range args {
				lines, err := d.File(file)
				if err != nil {
					failed = true
					hint.Print(cmd.ErrOrStderr(), hint.Wrap(err, "decode reads picture files: PNG, JPEG, WebP and PGM"))
					continue
				}
				for _, l := range lines {
					failed = failed || !l.Found
					switch {
					case asJSON:
						err = out.Encode(l)
					case l.Found:
						_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %q\n", l.File, l.Payload)
					case l.Unreadable:
						_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: a code is in view and cannot be read\n", l.File)
					default:
						_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: no code\n", l.File)
					}
					if err != nil {
						return err
					}
				}
			}
			if failed {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line: file, payload, found, micros")
	cmd.Flags().IntVar(&repeat, "repeat", 1, "read each picture so often; micros is the median")
	return cmd
}
