// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command man writes the files that the packages install beside auditkill into a directory: a
// manual page for each command, and completion scripts for bash, zsh and fish.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/command"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: man DIRECTORY")
		os.Exit(2)
	}
	if err := write(command.Root(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

func write(root *cobra.Command, directory string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	// The completions come before the pages, which change the texts of the commands.
	if err := writeCompletions(root, directory); err != nil {
		return err
	}
	return writePages(root, directory, root.Version)
}

// writeCompletions writes the completion scripts. Their names are those that the shells look
// for, except for bash, which looks for the bare name of the program.
func writeCompletions(root *cobra.Command, directory string) error {
	name := func(format string) string { return filepath.Join(directory, fmt.Sprintf(format, root.Name())) }
	if err := root.GenBashCompletionFileV2(name("%s.bash"), true); err != nil {
		return err
	}
	if err := root.GenZshCompletionFile(name("_%s")); err != nil {
		return err
	}
	return root.GenFishCompletionFile(name("%s.fish"), true)
}

// writePages writes the pages of a command and of its subcommands.
func writePages(cmd *cobra.Command, directory, version string) error {
	text, err := page(cmd, version)
	if err != nil {
		return fmt.Errorf("the page of %q: %w", cmd.CommandPath(), err)
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := os.WriteFile(filepath.Join(directory, name), text, 0o644); err != nil { //nolint:gosec // nothing in it is secret
		return err
	}
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() { // such as cobra's help, which needs no page
			continue
		}
		if err := writePages(c, directory, version); err != nil {
			return err
		}
	}
	return nil
}
