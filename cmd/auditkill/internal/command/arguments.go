// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noArguments refuses arguments, in plainer words than cobra's own.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unexpected argument %q; see `%s --help`", args[0], cmd.CommandPath())
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
