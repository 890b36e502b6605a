// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// newCompletion replaces cobra's own command, which has no examples.
func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print the script that makes a shell complete commands, flags and their values",
		Long: `Prints a script that makes a shell complete the commands of auditkill, their flags and the
values of flags. The packages install it for bash, zsh and fish.

SHELL is bash (with the package bash-completion), zsh, fish or powershell.`,
		Example: `  source <(auditkill completion bash)                      until this shell ends
  auditkill completion bash | sudo tee /etc/bash_completion.d/auditkill
  auditkill completion zsh > "${fpath[1]}/_auditkill"      if ~/.zshrc calls compinit
  auditkill completion fish > ~/.config/fish/completions/auditkill.fish
  auditkill completion powershell >> $PROFILE`,
		Args:                  oneShell,
		ValidArgs:             []cobra.Completion{"bash", "zsh", "fish", "powershell"},
		DisableFlagsInUseLine: true,
		RunE:                  complete,
	}
}

func oneShell(cmd *cobra.Command, shells []string) error {
	if len(shells) != 1 || !slices.Contains(cmd.ValidArgs, shells[0]) {
		return fmt.Errorf("name one shell: %s", strings.Join(cmd.ValidArgs, ", "))
	}
	return nil
}

func complete(cmd *cobra.Command, shell []string) error {
	root, out := cmd.Root(), cmd.OutOrStdout()
	switch shell[0] {
	case "bash":
		return root.GenBashCompletionV2(out, true)
	case "zsh":
		return root.GenZshCompletion(out)
	case "fish":
		return root.GenFishCompletion(out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(out)
	}
	return fmt.Errorf("no completion for the shell %q", shell[0])
}
