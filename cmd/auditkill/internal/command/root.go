// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package command holds the commands of auditkill, each in a file of its own: their flags, help
// and output.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// The exit codes, which are those of grep(1).
const (
	exitFound = iota
	// exitNothing means that nothing was found: no signal matches, no source is usable, a
	// rule is not loaded.
	exitNothing
	// exitFailure means that there is no answer, or an incomplete one.
	exitFailure
)

// exitError ends a command with a code. Everything has been printed already.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Execute runs the command that the arguments name, and returns the exit code. When ctx is
// done, the command cleans up and ends.
func Execute(ctx context.Context, arguments []string, in io.Reader, out, errs io.Writer) int {
	root := Root() //nolint:contextcheck // the commands are given ctx below
	root.SetArgs(arguments)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return exitFound
	case errors.As(err, &exit):
		return int(exit)
	}
	if !errors.Is(err, syscall.EPIPE) { // the reader of the output has gone
		fmt.Fprintf(errs, "auditkill: %s\n", printable(err.Error()))
	}
	return exitFailure
}

// printable escapes what a terminal would act on in a text of several lines: the name of a file
// may contain anything.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		text, indented := strings.CutPrefix(line, "\t") // as cobra suggests a command
		lines[i] = visible.Message(text)
		if indented {
			lines[i] = "  " + lines[i]
		}
	}
	return strings.Join(lines, "\n")
}

// Root returns the command that holds all others.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "auditkill",
		Short: "Show which process sent a signal",
		Long: `auditkill shows which process sent the SIGKILL or SIGTERM that ended another one, and who
ran it: from the audit log, or live.`,
		Example: `  auditkill why mysqld                      what killed mysqld last, and who is behind it
  auditkill report --target mysqld          who killed mysqld, from the audit log
  auditkill watch --signal KILL             every SIGKILL from now on, and its sender
  auditkill doctor                          which sources of signals work on this host`,
		Version:       ownVersion(),
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			return errors.Join(cmd.Help(), exitError(exitFailure)) // no command was given
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newReport(), newWhy(), newWatch(), newRules(), newDoctor(), newCompletion(), newVersion())
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Example = "  auditkill help report"
		help.Args = func(_ *cobra.Command, topic []string) error {
			_, _, err := root.Find(topic)
			return err
		}
	}
	return root
}
