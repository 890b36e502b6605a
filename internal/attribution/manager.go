// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// hostInit is the pid of the host's systemd.
const hostInit = 1

// scopeOfInit is the unit in which a systemd itself runs.
const scopeOfInit = "init.scope"

// manager is a systemd: the host's, one of a container or one of a user.
type manager struct {
	pid int
	// start is when it was created, since boot; 0 if not known. Its pid may have been another one's.
	start time.Duration
	// root is the control group that it manages. What it says counts for nothing outside.
	root string
	// owner is the user as whom it runs; unset if not known, and for the host's.
	owner kill.ID
	// personal is true for that of a user, false for that of a system.
	personal bool
}

// ofSystem reports whether it manages a whole system.
func (m *manager) ofSystem() bool { return !m.personal }

// sameProcess reports whether two of the same pid are the same, as far as is known.
func (m *manager) sameProcess(other *manager) bool {
	return m.start == 0 || other.start == 0 || m.start == other.start
}

// systemds is where the program is: no user can put another one there.
var systemds = map[string]bool{"/usr/lib/systemd/systemd": true, "/lib/systemd/systemd": true}

// IsSystemd reports whether the program with a path is systemd's.
func IsSystemd(executable string) bool { return systemds[executable] }

// systemdOf returns the systemd that a process is. Its control group says where it belongs. One that only
// calls itself so, in a container of its own, manages what is below its own control group at most.
func systemdOf(p *kill.Process) (manager, bool) {
	name := p.Leader
	if name == "" {
		name = p.Command
	}
	if name != "systemd" && name != "init" || p.Executable != "" && path.Base(p.Executable) != "systemd" {
		return manager{}, false
	}
	if p.PID == hostInit {
		return manager{pid: hostInit, root: "/"}, true
	}
	if p.Instance == nil || path.Base(p.Instance.Cgroup) != scopeOfInit || p.Home.Program != kill.WhoseOther && !systemds[p.Executable] {
		return manager{}, false
	}
	m := manager{pid: p.PID, start: p.Instance.SinceBoot, root: path.Dir(p.Instance.Cgroup), owner: p.User.ID}
	if !m.owner.Known {
		m.owner = p.RealUser.ID
	}
	// Any user can run the host's program in any control group below that of his services. In a container it manages a
	// system.
	m.personal = p.Home.Program == kill.WhoseHost && p.Home.PIDs != kill.WhoseOther || p.Home.Program != kill.WhoseOther && strings.Contains(m.root+"/", "/user@")
	return m, true
}

// unitIn returns the unit of a manager that a process in a control group belongs to; empty if it is none
// of the manager's.
func (m *manager) unitIn(cgroup string) string {
	below, ok := strings.CutPrefix(cgroup, m.root)
	if !ok || m.root != "/" && !strings.HasPrefix(below, "/") {
		return ""
	}
	for name := range strings.SplitSeq(strings.Trim(below, "/"), "/") {
		name = strings.TrimPrefix(name, "_") // systemd's escape for names that the kernel would misread
		if strings.HasSuffix(name, ".slice") {
			continue
		}
		for _, suffix := range suffixes {
			if strings.HasSuffix(name, suffix) {
				return name
			}
		}
		return ""
	}
	return ""
}

func cgroupOf(p *kill.Process) string {
	if p.Instance == nil {
		return ""
	}
	return p.Instance.Cgroup
}

// runtimes are the programs that a container runtime runs to signal the processes of a container.
var runtimes = map[string]bool{"runc": true, "crun": true, "youki": true, "kata-runtime": true, "runsc": true}

// containerOf returns the container that a runtime is about to signal, if the process is one that another
// part of the runtime has started: who runs it by hand acts for himself.
func containerOf(p *kill.Process) (id string, ok bool) {
	if len(p.Ancestry) == 0 || !ofRuntime(p.Ancestry[0].Command) || !runtimes[programName(p)] {
		return "", false
	}
	title := p.Title
	if p.Instance != nil && p.Instance.CommandLine != "" {
		title = p.Instance.CommandLine
	}
	words := strings.Split(strings.TrimRight(title, "\x00"), "\x00")
	for i, word := range words {
		if i == 0 || word != "kill" && word != "delete" {
			continue
		}
		if rest := plainGrammar.read(words[i+1:]).operands; len(rest) > 0 {
			return rest[0], true
		}
		return "", true
	}
	return "", false
}

// programName returns the name of the program that a process runs. crun, and runc in part, run a copy of themselves that has
// no path, so that no container can change them (CVE-2019-5736).
func programName(p *kill.Process) string {
	if p.Executable == "" || p.Executable == "/" || strings.HasPrefix(p.Executable, "/memfd:") {
		return p.Command
	}
	return path.Base(p.Executable)
}

// ofRuntime reports whether a program is a part of a container runtime, which runs others. Names are cut
// to 15 bytes.
func ofRuntime(command string) bool {
	switch command {
	case "conmon", "podman", "dockerd", "containerd", "crio", "kubelet", "buildah":
		return true
	}
	return strings.HasPrefix(command, "containerd-shim")
}
