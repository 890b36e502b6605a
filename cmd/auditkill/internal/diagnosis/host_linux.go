// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/wording"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/container"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/manager"
	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// patience is how long systemd may take to let us in.
const patience = 2 * time.Second

// Host is where facts come from. Nothing on it is changed.
type Host struct {
	// root is where its file system is mounted; empty for this one. system is the same for
	// /proc and /sys: a container has those of the running kernel anyway, if it shares its
	// pids.
	root, system string
	// log is the path of the audit log, as the user gave it.
	log string

	// The rest is about this process and the kernel that it runs on.

	kernel auditrules.Kernel
	bpf    func() error
	// memory returns nil if the function of the kernel can be traced that knows which limit was reached.
	memory     func() error
	has        func(capability.Cap) (bool, error)
	namespaces func() Namespaces
	release    func() (kernel, machine string)
	runs       func(pid int) bool
	// kernelLog is oomwatch.Check.
	kernelLog func(root string) error
	// systemd is manager.Check.
	systemd func(ctx context.Context, root string) (listen, sessions error)
	// containers is container.Check.
	containers func(root string) error
}

// This returns the host that this process runs on. Its file system is mounted at root, unless
// that is empty; log is the path of the audit log.
func This(root, log string) Host {
	return Host{
		root: root, log: log,
		kernel: auditcontrol.Client{}, bpf: tryBPF, memory: tryMemory, has: privilege.Has,
		namespaces: namespaces, release: release, runs: runs, systemd: manager.Check,
		kernelLog: oomwatch.Check, containers: container.Check,
	}
}

func (h Host) path(path string) string { return filepath.Join("/", h.root, path) }

func (h Host) systemPath(path string) string { return filepath.Join("/", h.system, path) }

// read returns the content of a small file; empty if it cannot be read.
func read(path string) string {
	content, _ := os.ReadFile(path) // a missing file is as good as an empty one
	return strings.TrimSpace(string(content))
}

// Facts collects the facts of the host.
func (h Host) Facts() *Facts {
	f := &Facts{OS: runtime.GOOS, UserID: os.Geteuid(), Namespaces: h.namespaces(), Capabilities: h.capabilities()}
	f.Kernel, f.Machine = h.release()
	// none [integrity] confidentiality (kernel_lockdown(7))
	if _, chosen, found := strings.Cut(read(h.systemPath("/sys/kernel/security/lockdown")), "["); found {
		f.Lockdown, _, _ = strings.Cut(chosen, "]")
	}
	_, err := os.Stat(h.systemPath("/sys/kernel/btf/vmlinux"))
	f.BTF = err == nil
	f.BPF = explainBPF(h.bpf())
	f.BPF.TracesMemory = f.BPF.Possible && h.memory() == nil
	f.Audit = h.audit(f.Namespaces)
	f.Rules = h.rules()
	f.Log = h.auditLog()
	f.Systemd = h.askSystemd()
	f.KernelLog = h.openKernelLog()
	if err := h.containers(h.root); !errors.Is(err, container.ErrNone) {
		f.Containers.Found = true
		if err != nil {
			f.Containers.Error = err.Error()
		}
	}
	return f
}

// openKernelLog opens the kernel's log, and reads nothing.
func (h Host) openKernelLog() KernelLog {
	if err := h.kernelLog(h.root); err != nil {
		return KernelLog{Error: wording.Error(err).Error()}
	}
	return KernelLog{Readable: true}
}

// askSystemd connects to systemd, and asks it for nothing.
func (h Host) askSystemd() Systemd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	listen, sessions := h.systemd(ctx, h.root)
	s := Systemd{Runs: !errors.Is(listen, manager.ErrNone), Reached: listen == nil, Sessions: sessions == nil}
	if s.Runs && listen != nil {
		s.Error = strings.ReplaceAll(listen.Error(), "\n", "; ")
	}
	return s
}

// capabilities returns the capabilities that help and that this process has.
func (h Host) capabilities() []string {
	held := []string{}
	for _, c := range []capability.Cap{
		capability.CAP_AUDIT_CONTROL, capability.CAP_AUDIT_READ, capability.CAP_BPF, capability.CAP_PERFMON,
		capability.CAP_SYS_ADMIN, capability.CAP_DAC_READ_SEARCH, capability.CAP_SYS_PTRACE, capability.CAP_DAC_OVERRIDE,
	} {
		if has, err := h.has(c); err == nil && has {
			held = append(held, "CAP_"+strings.ToUpper(c.String()))
		}
	}
	return held
}

// audit asks the kernel for the state of the audit system.
func (h Host) audit(in Namespaces) Audit {
	a := Audit{State: AuditUnknown}
	a.FromBoot, a.OffAtBoot = h.auditAtBoot()
	status, err := h.kernel.GetStatus()
	switch {
	case err == nil:
		a.State = map[uint32]AuditState{0: AuditOff, 1: AuditOn, 2: AuditLocked}[status.Enabled]
		a.Backlog, a.BacklogLimit, a.BacklogWaitTime = status.Backlog, status.BacklogLimit, status.BacklogWaitTime
		a.Lost = status.Lost
		a.Daemon = h.daemon(int(status.PID))
		return a
	case errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.ECONNREFUSED) && in.User != NamespaceOther:
		a.State = AuditAbsent
	default:
		a.Daemon = h.findDaemon()
	}
	a.Error = err.Error()
	return a
}

// auditAtBoot returns what the kernel's command line says about audit (kernel/audit.c,
// audit_enable).
func (h Host) auditAtBoot() (on, off bool) {
	for word := range strings.FieldsSeq(read(h.systemPath("/proc/cmdline"))) {
		if value, found := strings.CutPrefix(word, "audit="); found { // the last one counts
			value = strings.ToLower(value)
			on, off = value == "1" || value == "on", value == "0" || value == "off"
		}
	}
	return on, off
}

// daemon returns the process that holds the audit pid. If that was killed, the kernel notices
// only with the next record.
func (h Host) daemon(pid int) *Process {
	if pid == 0 || !h.runs(pid) {
		return nil
	}
	return &Process{PID: pid, Name: read(h.systemPath("/proc/" + strconv.Itoa(pid) + "/comm"))}
}

// findDaemon searches for auditd if the kernel does not say which process is the daemon.
func (h Host) findDaemon() *Process {
	entries, _ := os.ReadDir(h.systemPath("/proc")) // if that fails, there is none to be seen
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err == nil && read(h.systemPath("/proc/"+entry.Name()+"/comm")) == "auditd" {
			return &Process{PID: pid, Name: "auditd"}
		}
	}
	return nil
}

// rules asks the kernel which rules are loaded.
func (h Host) rules() Rules {
	r := Rules{Obstacles: []Obstacle{}}
	found, err := auditrules.Check(auditrules.Settings{
		Signals: kill.DefaultSignals(), Key: capture.DefaultKey, Kernel: h.kernel, Proc: h.systemPath("/proc"),
	})
	if err != nil {
		r.Error = err.Error()
		return r
	}
	r.Known, r.Needed = true, len(found.Needed)
	for _, n := range found.Needed {
		switch {
		case n.Recorded():
			r.Recorded++
		case len(n.By) > 0:
			r.Partly++
		}
	}
	for _, p := range found.Obstacles {
		o := Obstacle{What: p.Say(wording.Words{}), Mend: []string{}}
		for _, line := range p.Lines {
			o.Mend = append(o.Mend, "sudo "+line)
			r.TaskNever = r.TaskNever || line == "auditctl -d task,never"
		}
		r.Obstacles = append(r.Obstacles, o)
	}
	return r
}

func namespaces() Namespaces {
	in := Namespaces{User: NamespaceUnknown, PID: NamespaceUnknown, Network: NamespaceUnknown}
	in.User = namespace("user", privilege.OtherUserNamespace())
	in.PID = namespace("pid", privilege.OtherPIDNamespace())
	// This setting exists in the initial network namespace only
	// (net/core/sysctl_net_core.c, net_core_table).
	if _, err := os.Stat("/proc/sys/net/core/dev_weight"); err == nil {
		in.Network = NamespaceInitial
	} else if _, err := os.Stat("/proc/sys/net/core"); err == nil {
		in.Network = NamespaceOther
	}
	return in
}

func namespace(kind string, other bool) Namespace {
	switch {
	case privilege.Namespace(kind) == "":
		return NamespaceUnknown
	case other:
		return NamespaceOther
	}
	return NamespaceInitial
}

func release() (kernel, machine string) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", ""
	}
	return unix.ByteSliceToString(name.Release[:]), unix.ByteSliceToString(name.Machine[:])
}

// runs reports whether a process exists. It does not use kill(2), which the kernel may record.
func runs(pid int) bool {
	_, err := unix.Getpgid(pid)
	return !errors.Is(err, unix.ESRCH)
}
