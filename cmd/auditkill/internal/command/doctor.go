// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/diagnosis"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
)

// doctorFlags say which host is looked at.
type doctorFlags struct{ output, file, root string }

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Tell which sources of signals this host has, and what the others lack",
		Long: `Looks whether this host is ready, with the rights that it is run with: which of the sources
of signals can be used, why another cannot, and the commands and settings that mend it.

  ebpf       programs in the kernel see every signal
  multicast  audit records, beside the audit daemon
  unicast    audit records, in the place of the daemon
  file       the audit log that the daemon writes

"ok, but" is a source that is usable, with something to know first: mostly what it will not
see. Nothing on the host is changed: a BPF program is loaded for a moment to see whether
that is possible, and not attached.

Exit codes: 0 if at least one source is usable, 1 if none is, 2 for a wrong flag.

--output json prints one object:

  {"usable": bool, "chosen": what a receiver uses if none is configured, or "",
   "sources": [{"name": "ebpf", "multicast", "unicast" or "file", "usable": bool,
                "reasons": [why not, or what to know], "mend": [commands, settings]}],
   "warnings": [{"what", "mend"}],
   "facts": {"os", "kernel", "machine", "user_id", "capabilities": ["CAP_BPF"],
     "namespaces": {"user", "pid", "network": "initial", "other" or "unknown"},
     "lockdown": "none", "integrity", "confidentiality" or "", "btf": bool,
     "bpf": {"possible": bool,
             "problem": "refused", "absent", "too_old", "unsupported", "other" or "", "error"},
     "audit": {"state": "on", "off", "locked", "absent" or "unknown", "error",
               "daemon": {"pid", "name"} or null, "backlog", "backlog_limit",
               "backlog_wait_time", "lost", "from_boot": bool, "off_at_boot": bool},
     "rules": {"known": bool, "error", "needed", "recorded", "partly", "task_never": bool,
               "obstacles": [{"what", "mend"}]},
     "log": {"path", "problem": "missing", "denied", "irregular", "other" or "", "error",
             "rights": {"path", "mode", "owner", "group", "group_reads"} or null,
             "size", "modified", "rotated": number of older files that are read with it,
             "since": the oldest, "unread": [paths of those that are not],
             "free": bytes or -1, "configured", "daemon_installed", "install"}}}`,
		Example: `  auditkill doctor                               what can I do?
  sudo auditkill doctor                          what can root do?
  sudo -u otelcol-auditkill auditkill doctor     what can that user do?
  auditkill doctor --output json | jq .chosen    for a program
  auditkill doctor --root-path /host             in a container that has the host's files there`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", outputTable, "table or json")
	flags.StringVar(&f.file, "file", defaultLog, "the audit log")
	flags.StringVar(&f.root, "root-path", "", "where the host's file system is; the default log is looked for in it")
	_ = cmd.RegisterFlagCompletionFunc("output", // the flag is there
		cobra.FixedCompletions([]string{outputTable, outputJSON}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.MarkFlagDirname("root-path")
	return cmd
}

func (f *doctorFlags) run(cmd *cobra.Command) error {
	if err := refuseEmpty(cmd.Flags()); err != nil {
		return err
	}
	if !slices.Contains([]string{outputTable, outputJSON}, f.output) {
		return fmt.Errorf("--output: %q must be %s or %s", f.output, outputTable, outputJSON)
	}
	log := f.file
	if !cmd.Flags().Changed("file") {
		log = filepath.Join(f.root, f.file)
	}
	if err := f.checkRoot(); err != nil {
		return err
	}
	report := diagnosis.Judge(diagnosis.This(f.root, log).Facts())
	w := cmd.OutOrStdout()
	var err error
	if f.output == outputJSON {
		err = report.WriteJSON(w)
	} else {
		err = report.WriteTable(w, terminal.Of(w))
	}
	if err == nil && !report.Usable {
		err = exitError(exitNothing)
	}
	return err
}

// checkRoot refuses a folder that has no host's files, of which there would be nothing good
// to say.
func (f *doctorFlags) checkRoot() error {
	if f.root == "" {
		return nil
	}
	info, err := os.Stat(f.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--root-path: %s does not exist; it is the folder where a container has the host's files, such as /host", f.root)
	case err != nil:
		return fmt.Errorf("--root-path: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--root-path: %s is not a folder; it is where a container has the host's files, such as /host", f.root)
	}
	return nil
}
