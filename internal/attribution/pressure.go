// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// pressureLag is for how long after a kill systemd-oomd may report it, and pressureLead for how long before, by two readings of the
// clock: a report from before that is of an earlier kill in the same group.
const pressureLag, pressureLead = 5 * time.Second, 100 * time.Millisecond

// killers are daemons that kill when memory is short, with the services in which distributions run them.
var killers = map[string][]string{
	"systemd-oomd": {"systemd-oomd.service"},
	"earlyoom":     {"earlyoom.service"},
	"nohang":       {"nohang.service", "nohang-desktop.service"},
	"oomd":         {"oomd.service", "fb-oomd.service"},
}

// programFolders are where a host has them, if root has started one by other means.
var programFolders = map[string]bool{
	"/usr/lib/systemd/": true, "/lib/systemd/": true, "/usr/bin/": true, "/bin/": true, "/usr/sbin/": true, "/sbin/": true,
	"/usr/local/bin/": true, "/usr/local/sbin/": true,
}

// The numbers of the users that systemd makes for one service alone (systemd.exec(5), DynamicUser=).
const firstDynamicUser, lastDynamicUser = 61184, 65519

// relieves reports whether a signal is one of a daemon that kills when memory is short. Anybody can give a program its
// name, or run it with code of his own in it (ld.so(8), LD_PRELOAD). Only root can have it run as the service of that
// name. What one in a container kills counts in that container only.
func (t *Table) relieves(e *kill.Event) bool {
	p := &e.Sender
	if p.Login.ID.Known { // whoever has logged in and runs one acts for himself
		return false
	}
	folder, program := path.Split(p.Executable)
	if interpreter(program) {
		folder, program = "", scriptOf(p)
	}
	services := killers[program]
	if services == nil {
		return false
	}
	if slices.Contains(services, t.systemUnit(e)) {
		return true
	}
	return programFolders[folder] && p.Home.Program != kill.WhoseOther && (rooted(p) || p.Instance == nil && dynamic(p.User.ID))
}

// scriptOf returns the name of the script that an interpreter runs.
func scriptOf(p *kill.Process) string {
	program, _ := programOf(commandLine(p))
	return program
}

// systemUnit returns the unit of the sender of the systemd of its host or container; empty if it is none, or if a target
// is in another one.
func (t *Table) systemUnit(e *kill.Event) string {
	system := t.systemOf(&e.Sender)
	if system == nil {
		return ""
	}
	for i := range e.Targets {
		if !within(cgroupOf(&e.Targets[i]), system.root) {
			return ""
		}
	}
	return system.unitIn(cgroupOf(&e.Sender))
}

// systemOf returns the systemd of the host or container that a process is in; nil if it is not known where it is.
func (t *Table) systemOf(p *kill.Process) *manager {
	cgroup := cgroupOf(p)
	if cgroup == "" {
		return nil
	}
	if inner := t.containerOf(cgroup); inner != nil {
		return &inner.manager
	}
	return &manager{pid: hostInit, root: "/"}
}

// dynamic reports whether a user is one that systemd has made for a service.
func dynamic(user kill.ID) bool {
	return user.Known && user.Value >= firstDynamicUser && user.Value <= lastDynamicUser
}

// explainPressure explains a signal of a daemon that kills when memory is short. It returns false if systemd-oomd has yet to
// say what it has killed for, which it does once it has.
func (t *Table) explainPressure(e *kill.Event) (settled bool) {
	e.Cause = kill.CauseMemoryPressure
	b := &kill.Behind{Managed: true, Evidence: kill.EvidenceInferred}
	e.Behind = b
	if len(e.Targets) == 0 {
		return true
	}
	cgroup := cgroupOf(&e.Targets[0])
	system := t.systemOf(&e.Sender)
	if system != nil {
		b.Unit = system.unitIn(cgroup)
	}
	byOomd := path.Base(e.Sender.Executable) == "systemd-oomd" && (system == nil || system.pid == hostInit)
	for i := range t.pressures {
		p := &t.pressures[i]
		if lag := p.Time.Sub(e.Time); byOomd && cgroup != "" && within(cgroup, p.Cgroup) && lag > -pressureLead && lag < pressureLag {
			b.Evidence = kill.EvidenceObserved
			if p.Swap {
				e.Cause = kill.CauseSwapPressure
			}
			return true
		}
	}
	host := t.managers[hostInit]
	return host == nil || !host.told || system == nil || system.pid != hostInit || system.unitIn(cgroupOf(&e.Sender)) != "systemd-oomd.service"
}
