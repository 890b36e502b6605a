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
	"github.com/auditkill/auditkillreceiver/internal/capture"
)

// doctorFlags are the flags of doctor.
type doctorFlags struct{ output, file, root string }

func newDoctor() *cobra.Command {
	var f doctorFlags
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show which sources of signals work on this host, and what the others lack",
		Long: `Checks which sources of signals work on this host, with the rights of whoever runs it, why
the others do not, and which commands and settings fix that.

  ebpf       programs in the kernel see every signal
  multicast  audit records, beside the audit daemon
  unicast    audit records, in the place of the daemon
  file       the audit log that the daemon writes

behind       who is behind a signal that a manager such as systemd sends: what of that can be
             known, beside what is in audit records, and whether containers have names

"ok, but" marks a source that is usable, but has limits: mostly signals that it will not see.
doctor changes nothing on the host. To find out whether BPF programs can be loaded, it loads
two for a moment, one of which it attaches; to find out whether systemd can be listened to, it
connects to the system bus.

Exit codes: 0 if at least one source is usable, 1 if none is, 2 for a wrong flag.

--output json prints one object:

  {"usable": bool, "chosen": the source of a receiver that configures none, or "",
   "sources": [{"name": "ebpf", "multicast", "unicast" or "file", "usable": bool,
                "reasons": [why not, or its limits], "mend": [commands, settings]}],
   "behind": [{"name": "connects", "jobs", "calls", "logins", "others", "names" or "limits",
               "known": bool, "what": why not, "mend"}],
   "warnings": [{"what", "mend"}],
   "facts": {"os", "kernel", "machine", "user_id", "capabilities": ["CAP_BPF"],
     "namespaces": {"user", "pid", "network": "initial", "other" or "unknown"},
     "lockdown": "none", "integrity", "confidentiality" or "", "btf": bool,
     "bpf": {"possible": bool,
             "problem": "refused", "absent", "too_old", "unsupported", "other" or "", "error",
             "traces_memory": bool},
     "audit": {"state": "on", "off", "locked", "absent" or "unknown", "error",
               "daemon": {"pid", "name"} or null, "backlog", "backlog_limit",
               "backlog_wait_time", "lost", "from_boot": bool, "off_at_boot": bool},
     "rules": {"known": bool, "error", "needed", "recorded", "partly", "task_never": bool,
               "obstacles": [{"what", "mend"}]},
     "log": {"path", "problem": "missing", "denied", "irregular", "other" or "", "error",
             "rights": {"path", "mode", "owner", "group", "group_reads"} or null,
             "size", "modified", "rotated": number of older files that are read with it,
             "since": the oldest, "unread": [paths of older files that are not],
             "free": bytes or -1, "configured", "daemon_installed", "install"},
     "systemd": {"runs": bool, "reached": bool, "error", "sessions": bool},
     "kernel_log": {"readable": bool, "error"},
     "containers": {"found": bool, "error"}}}`,
		Example: `  auditkill doctor                               what can I use?
  sudo auditkill doctor                          what can root use?
  sudo -u otelcol-auditkill auditkill doctor     what can that user use?
  auditkill doctor --output json | jq .chosen    for a script
  auditkill doctor --root-path /host             in a container with the host's files at /host`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.output, "output", "o", outputTable, "table or json")
	flags.StringVar(&f.file, "file", capture.DefaultLog, "the audit log")
	flags.StringVar(&f.root, "root-path", "", "where the host's file system is mounted; the default of --file is in it")
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

// checkRoot refuses a --root-path that is not a folder: the diagnosis would be about no host.
func (f *doctorFlags) checkRoot() error {
	if f.root == "" {
		return nil
	}
	info, err := os.Stat(f.root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--root-path: %s does not exist; name the folder where the host's file system is mounted, such as /host", f.root)
	case err != nil:
		return fmt.Errorf("--root-path: %w", err)
	case !info.IsDir():
		return fmt.Errorf("--root-path: %s is not a folder; name the one where the host's file system is mounted, such as /host", f.root)
	}
	return nil
}
