// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package command holds the commands of auditkill, each in a file of its own: what people
// type, and what they are answered.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// version is set by `make auditkill`.
var version = "devel"

// The exit codes, which are those of grep(1).
const (
	exitFound = iota
	// exitNothing says that what was asked for is not there: no kill, no usable source,
	// a rule that is not loaded.
	exitNothing
	// exitTrouble says that the question could not be answered, or not as a whole.
	exitTrouble
)

// exitError ends a command with a code. What there is to say has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Execute runs the command that the arguments name, and returns the exit code. When ctx
// is done the command ends, after it has cleaned up.
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
	if !errors.Is(err, syscall.EPIPE) { // whoever reads has had enough
		fmt.Fprintf(errs, "auditkill: %s\n", visible(err.Error()))
	}
	return exitTrouble
}

// visible returns a text of several lines so that it can do no harm on a terminal: the name
// of a file may be anything.
func visible(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = telemetry.Visible(line)
	}
	return strings.Join(lines, "\n")
}

// Root returns the command that holds all others.
func Root() *cobra.Command {
	root := &cobra.Command{
		Use:   "auditkill",
		Short: "Tells which process sent a signal",
		Long: `auditkill tells which process sent the SIGKILL or SIGTERM that ended another one, who ran
it, and as part of what: from the audit log, or live.`,
		Example: `  auditkill report --target mysqld          who killed mysqld? ask the audit log
  auditkill watch --signal KILL             who kills whom from now on
  auditkill doctor                          what this host needs for that`,
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			return errors.Join(cmd.Help(), exitError(exitTrouble)) // nothing was asked
		},
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.AddCommand(newReport(), newWatch(), newRules(), newDoctor(), newCompletion())
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
