// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/death"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/journal"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

const (
	// journalBefore and journalAfter are how long around a death systemd may say something about it.
	journalBefore, journalAfter = 2 * time.Second, 10 * time.Second
	// systemctlPatience is how long systemctl may take.
	systemctlPatience = 5 * time.Second
)

// systemd returns what the journal says about the end of the unit, and what the unit is now.
func (q *inquiry) systemd(ctx context.Context, a *death.Answer) (notes []string, now *death.Unit) {
	unit := q.target.Unit()
	if a.Death != nil {
		unit = ""
		if i := a.Death.Target.Instance; i != nil {
			unit = i.Unit
		}
	}
	if !strings.HasSuffix(unit, ".service") {
		return nil, nil // nobody knows of a unit, or it is that of a login
	}
	opened, err := journal.Open()
	if err != nil {
		q.unseen = append(q.unseen, "the journal ("+err.Error()+")")
		return nil, nil
	}
	say := func(entries []journal.Entry) {
		for _, entry := range entries {
			notes = append(notes, fmt.Sprintf("The journal, %s: systemd[1]: %s", local(entry.Time), visible.Text(entry.Message)))
		}
	}
	if a.Death != nil {
		entries, wrong := opened.Ends(ctx, unit, a.Death.Time.Add(-journalBefore), a.Death.Time.Add(journalAfter))
		say(entries)
		err = wrong
	} else if entry, wrong := opened.LastEnd(ctx, unit, q.until); entry != nil {
		say([]journal.Entry{*entry})
	} else {
		err = wrong
	}
	if err != nil {
		q.unseen = append(q.unseen, "the journal ("+visible.Text(err.Error())+")")
	}
	if a.Death == nil && len(notes) == 0 {
		return nil, nil
	}
	return notes, unitNow(ctx, unit)
}

// unitNow says whether a unit runs now, and as which process; nil if nobody says.
func unitNow(ctx context.Context, unit string) *death.Unit {
	program, err := exec.LookPath("systemctl")
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, systemctlPatience)
	defer cancel()
	//nolint:gosec // each is one argument, and no shell reads it
	out, err := exec.CommandContext(ctx, program, "show", "--property=MainPID,ActiveState,ActiveEnterTimestamp", "--", unit).Output()
	if err != nil {
		return nil
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		values[key] = visible.Text(value)
	}
	if values["ActiveState"] == "" {
		return nil
	}
	pid, _ := strconv.Atoi(values["MainPID"]) // 0 if there is none
	return &death.Unit{Name: unit, State: values["ActiveState"], MainPID: max(pid, 0), Since: values["ActiveEnterTimestamp"]}
}

func processName(m *death.Moment) string { return telemetry.Name(m.Target) }

// completeRunning completes the names of processes that run now: what has died has often been started again.
func completeRunning(_ *cobra.Command, arguments []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(arguments) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return runningNames(), cobra.ShellCompDirectiveNoFileComp
}
