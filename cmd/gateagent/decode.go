package main

import "github.com/spf13/cobra"

func decodeCommand() *cobra.Command { return &cobra.Command{Use: "decode"} }
