// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/likeness"
)

// noArguments refuses arguments, in plainer words than cobra's own.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q; see `%s --help`", args[0], cmd.CommandPath())
}

// flagError says of a flag that does not exist which one may be meant.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return err
	}
	var near []string
	if unknown.GetSpecifiedShortnames() == "" {
		var all []string
		cmd.Flags().VisitAll(func(flag *pflag.Flag) { all = append(all, flag.Name) })
		near = likeness.Nearest(unknown.GetSpecifiedName(), slices.Values(all))
	}
	if len(near) == 0 {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	}
	return fmt.Errorf("%w; did you mean --%s? See `%s --help`", err, strings.Join(near, " or --"), cmd.CommandPath())
}

// refuseEmpty refuses a flag with an empty value, as from a shell variable that is not set: it
// would not mean what the user meant.
func refuseEmpty(flags *pflag.FlagSet) (err error) {
	flags.Visit(func(flag *pflag.Flag) {
		if value := flag.Value.String(); err == nil && (value == "" || value == "[]") {
			err = fmt.Errorf("--%s: is empty; leave it out, or give it a value", flag.Name)
		}
	})
	return err
}
