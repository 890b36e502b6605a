// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/container"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/manager"
)

// answers is a kernel that only answers: anything else would panic.
type answers struct {
	auditrules.Kernel

	status libaudit.AuditStatus
	rules  [][]byte
	err    error
}

func (a answers) GetStatus() (*libaudit.AuditStatus, error) { return &a.status, a.err }
func (a answers) GetRules() ([][]byte, error)               { return a.rules, a.err }

func load(t *testing.T, lines ...string) [][]byte {
	t.Helper()
	var wires [][]byte
	for _, line := range lines {
		parsed, err := flags.Parse(line)
		require.NoError(t, err, line)
		wire, err := rule.Build(parsed)
		require.NoError(t, err, line)
		wires = append(wires, wire)
	}
	return wires
}

// write makes files below a folder.
func write(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o640))
	}
}

// fake returns a host with nothing in it.
func fake(t *testing.T) (Host, string) {
	t.Helper()
	root := t.TempDir()
	return Host{
		root: root, system: root, log: filepath.Join(root, "var/log/audit/audit.log"),
		kernel: answers{err: syscall.EPERM},
		bpf:    func() error { return syscall.EPERM },
		memory: func() error { return nil },
		has:    func(capability.Cap) (bool, error) { return false, nil },
		namespaces: func() Namespaces {
			return Namespaces{User: NamespaceInitial, PID: NamespaceInitial, Network: NamespaceInitial}
		},
		release:    func() (string, string) { return "6.1.0", "x86_64" },
		runs:       func(pid int) bool { return pid == 812 },
		kernelLog:  func(string) error { return syscall.EPERM },
		systemd:    func(context.Context, string) (listen, sessions error) { return manager.ErrNone, manager.ErrNone },
		containers: func(string) error { return container.ErrNone },
	}, root
}

func TestFactsOfNothing(t *testing.T) {
	t.Parallel()
	h, _ := fake(t)
	f := h.Facts()
	assert.Equal(t, "linux", f.OS)
	assert.Equal(t, "6.1.0", f.Kernel)
	assert.Equal(t, []string{}, f.Capabilities)
	assert.Empty(t, f.Lockdown)
	assert.False(t, f.BTF)
	assert.Equal(t, BPF{Problem: BPFRefused, Error: "operation not permitted"}, f.BPF)
	assert.Equal(t, Audit{State: AuditUnknown, Error: "operation not permitted"}, f.Audit)
	assert.False(t, f.Rules.Known)
	assert.Contains(t, f.Rules.Error, "operation not permitted")
	assert.Equal(t, LogMissing, f.Log.Problem)
	assert.Equal(t, KernelLog{Error: "operation not permitted"}, f.KernelLog)
	assert.False(t, Judge(f).Usable)
}

func TestFactsOfFiles(t *testing.T) {
	t.Parallel()
	h, root := fake(t)
	write(t, root, map[string]string{
		"sys/kernel/security/lockdown":  "none [integrity] confidentiality\n",
		"sys/kernel/btf/vmlinux":        "types",
		"proc/cmdline":                  "quiet audit=1 ro\n",
		"proc/812/comm":                 "auditd\n",
		"proc/813/comm":                 "auditd2\n",
		"etc/os-release":                "ID=ubuntu\nID_LIKE=debian\n",
		"etc/audit/auditd.conf":         "# log_file = /no\nlog_file = /srv/audit.log\n",
		"usr/sbin/auditd":               "",
		"etc/passwd":                    fmt.Sprintf("me:x:%d:0:Me:/:/bin/sh\n", os.Getuid()),
		"etc/group":                     fmt.Sprintf("bad\nus:x:%d:\n", os.Getgid()),
		"var/log/audit/audit.log":       "type=SYSCALL\n",
		"var/log/audit/audit.log.1":     "type=SYSCALL\n",
		"var/log/audit/audit.log.2.gz":  "",
		"var/log/audit/other.log":       "",
		"var/log/audit/audit.log.d/sub": "",
		"var/log/audit/audit.log.bak":   "",
	})
	old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	require.NoError(t, os.Chtimes(filepath.Join(root, "var/log/audit/audit.log.1"), old, old))
	h.has = func(c capability.Cap) (bool, error) { return c == capability.CAP_BPF, nil }
	h.bpf = func() error { return nil }

	f := h.Facts()
	assert.True(t, f.BPF.TracesMemory)
	h.memory = func() error { return syscall.ENOTSUP }
	assert.False(t, h.Facts().BPF.TracesMemory)
	assert.Equal(t, "integrity", f.Lockdown)
	assert.True(t, f.BTF)
	assert.True(t, f.BPF.Possible)
	assert.Equal(t, []string{capBPF}, f.Capabilities)
	assert.True(t, f.Audit.FromBoot)
	assert.Equal(t, &Process{PID: 812, Name: "auditd"}, f.Audit.Daemon, "which is the only one to be seen")
	l := f.Log
	assert.Equal(t, LogReadable, l.Problem)
	assert.Equal(t, int64(len("type=SYSCALL\n")), l.Size)
	assert.Equal(t, 2, l.Rotated)
	assert.Empty(t, l.Unread)
	assert.Equal(t, old, *l.Since)
	assert.NotNil(t, l.Modified)
	assert.Positive(t, l.Free)
	assert.Equal(t, &Rights{Path: h.log, Mode: "-rw-r-----", Owner: "me", Group: "us", GroupReads: true}, l.Rights)
	assert.Equal(t, "/srv/audit.log", l.Configured)
	assert.True(t, l.DaemonInstalled)
	assert.Equal(t, "apt-get install auditd", l.Install)
}

func TestFactsOfTheLog(t *testing.T) {
	t.Parallel()
	h, root := fake(t)
	write(t, root, map[string]string{"empty": "", "folder/x": ""})
	require.NoError(t, os.Symlink("loop", filepath.Join(root, "loop")))
	for path, want := range map[string]LogProblem{
		"empty": LogReadable, "folder": LogIrregular, "nothing": LogMissing, "empty/below": LogOther, "loop": LogOther,
	} {
		h.log = filepath.Join(root, path)
		l := h.auditLog()
		assert.Equal(t, want, l.Problem, path)
		assert.Equal(t, want != LogReadable && want != LogIrregular, l.Error != "", path)
	}
}

// What is counted is what auditkill report reads.
func TestFactsOfOlderLogs(t *testing.T) {
	t.Parallel()
	h, root := fake(t)
	line := "type=DAEMON_START msg=audit(1450214919.813:%d): op=start\n"
	write(t, root, map[string]string{"var/log/audit/audit.log": fmt.Sprintf(line, 1000)})
	for i, suffix := range []string{
		".1", ".2", ".10", ".999", ".99999", // with a number
		"-20151214", ".20151216", "-2015-12-17", "-2015121823", // with a date
		"-20151214.bz2", "-20151215.lz4", ".4.bz2", // not read
		".0", ".01", ".100000", "_1", "1", ".x", ".1.x", "~", ".save", ".1.gz.old", "-1", // anything else
	} {
		write(t, root, map[string]string{"var/log/audit/audit.log" + suffix: fmt.Sprintf(line, i)})
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	fmt.Fprintf(z, line, 2000)
	require.NoError(t, z.Close())
	write(t, root, map[string]string{"var/log/audit/audit.log.3.gz": zipped.String(), "var/log/audit/old-audit.log.1": ""})
	link := filepath.Join(root, "link")
	require.NoError(t, os.Symlink(h.log, link))

	for _, path := range []string{h.log, link} {
		h.log = path
		l := h.auditLog()
		assert.Equal(t, 10, l.Rotated)
		var unread []string
		for _, path := range l.Unread {
			unread = append(unread, strings.TrimPrefix(path, root+"/var/log/audit/audit.log"))
		}
		assert.ElementsMatch(t, []string{"-20151214.bz2", "-20151215.lz4", ".4.bz2"}, unread)

		log, err := auditlog.Open(path)
		require.NoError(t, err)
		for e := range log.Events(correlate.Config{Timeout: time.Second, MaxPending: 1}) {
			assert.Fail(t, "no signals are in it", "%+v", e)
		}
		log.Close()
		assert.EqualValues(t, l.Rotated+1, log.Lines(), "each has a line")
	}
}

func TestInstall(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"ID=debian": "apt-get install auditd",
		"ID=fedora": "dnf install audit",
		"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"":    "dnf install audit",
		"ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"": "zypper install audit",
		"ID=arch":  "pacman -S audit",
		"ID=nixos": "",
		"":         "",
	} {
		h, root := fake(t)
		write(t, root, map[string]string{"etc/os-release": release})
		assert.Equal(t, want, h.install(), release)
	}
}

func TestFactsOfAudit(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		kernel answers
		user   Namespace
		booted string
		want   Audit
	}{
		"on": {
			answers{status: libaudit.AuditStatus{Enabled: 1, PID: 812, Backlog: 1, BacklogLimit: 2, Lost: 3, BacklogWaitTime: 4}},
			NamespaceInitial, "",
			Audit{
				State: AuditOn, Daemon: &Process{PID: 812, Name: "auditd"},
				Backlog: 1, BacklogLimit: 2, Lost: 3, BacklogWaitTime: 4,
			},
		},
		"off":                      {answers{}, NamespaceInitial, "", Audit{State: AuditOff}},
		"locked":                   {answers{status: libaudit.AuditStatus{Enabled: 2}}, NamespaceInitial, "", Audit{State: AuditLocked}},
		"a daemon that was killed": {answers{status: libaudit.AuditStatus{Enabled: 1, PID: 813}}, NamespaceInitial, "", Audit{State: AuditOn}},
		"not in the kernel":        {answers{err: syscall.EPROTONOSUPPORT}, NamespaceInitial, "", Audit{State: AuditAbsent, Error: "protocol not supported"}},
		"turned off at boot":       {answers{err: syscall.ECONNREFUSED}, NamespaceInitial, "", Audit{State: AuditAbsent, Error: "connection refused"}},
		"booted with audit=1": {
			answers{status: libaudit.AuditStatus{Enabled: 1}},
			NamespaceInitial, "audit=0 audit=1",
			Audit{State: AuditOn, FromBoot: true},
		},
		"booted with audit=on": {
			answers{},
			NamespaceInitial, "ro audit=ON",
			Audit{State: AuditOff, FromBoot: true},
		},
		"booted with audit=0": {
			answers{err: syscall.EPROTONOSUPPORT},
			NamespaceInitial, "audit=0 audit_backlog_limit=1",
			Audit{State: AuditAbsent, OffAtBoot: true, Error: "protocol not supported"},
		},
		"booted with audit=off": {
			answers{err: syscall.ECONNREFUSED},
			NamespaceInitial, "audit=off",
			Audit{State: AuditAbsent, OffAtBoot: true, Error: "connection refused"},
		},
		"from a user namespace": {
			answers{err: syscall.ECONNREFUSED},
			NamespaceOther, "",
			Audit{State: AuditUnknown, Error: "connection refused", Daemon: &Process{PID: 812, Name: "auditd"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, root := fake(t)
			write(t, root, map[string]string{"proc/812/comm": "auditd\n", "proc/self/comm": "auditd\n", "proc/cmdline": tt.booted})
			h.kernel = tt.kernel
			assert.Equal(t, tt.want, h.audit(Namespaces{User: tt.user}))
		})
	}
}

func TestFactsOfRules(t *testing.T) {
	t.Parallel()
	var all []string
	for _, r := range auditrules.For(kill.DefaultSignals(), "audit_kill", 0) {
		all = append(all, r.String())
	}
	for name, tt := range map[string]struct {
		loaded           []string
		recorded, partly int
		taskNever        bool
		mend             []string
	}{
		"none":       {},
		"all":        {loaded: all, recorded: 4},
		"everything": {loaded: []string{"-a always,exit -S all -k x"}, recorded: 4},
		"some": {
			loaded: append([]string{"-a always,exit -F arch=b64 -S kill -F a1=9 -k x"}, all[3]), recorded: 1, partly: 1,
		},
		"no processes": {
			loaded: append([]string{"-a never,task"}, all...), recorded: 4, taskNever: true,
			mend: []string{"sudo auditctl -d task,never"},
		},
		"not some processes": {
			loaded: append([]string{"-a never,task -F uid=5"}, all...), recorded: 4,
			mend: []string{"sudo auditctl -d task,never -F uid=5"},
		},
		"hidden": {
			loaded: append([]string{"-a never,exit -F arch=b64 -S tgkill"}, all...), recorded: 3, partly: 1,
			mend: []string{"sudo auditctl -d never,exit -F arch=b64 -S tgkill"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := fake(t)
			h.kernel = answers{status: libaudit.AuditStatus{Enabled: 1}, rules: load(t, tt.loaded...)}
			r := h.rules()
			assert.True(t, r.Known)
			assert.Equal(t, 4, r.Needed)
			assert.Equal(t, tt.recorded, r.Recorded)
			assert.Equal(t, tt.partly, r.Partly)
			assert.Equal(t, tt.taskNever, r.TaskNever)
			var mend []string
			for _, o := range r.Obstacles {
				mend = append(mend, o.Mend...)
			}
			assert.Equal(t, tt.mend, mend)
		})
	}
}

func TestFactsOfSystemd(t *testing.T) {
	t.Parallel()
	refused := fmt.Errorf("opening /run/dbus/system_bus_socket: %w", syscall.EACCES)
	for name, tt := range map[string]struct {
		listen, sessions error
		want             Systemd
	}{
		"none":     {manager.ErrNone, manager.ErrNone, Systemd{}},
		"in reach": {nil, nil, Systemd{Runs: true, Reached: true, Sessions: true}},
		"out of reach": {
			errors.Join(refused, refused), syscall.ENOENT,
			Systemd{Runs: true, Error: refused.Error() + "; " + refused.Error()},
		},
		"its files only": {refused, nil, Systemd{Runs: true, Error: refused.Error(), Sessions: true}},
	} {
		h, root := fake(t)
		h.systemd = func(_ context.Context, at string) (listen, sessions error) {
			assert.Equal(t, root, at)
			return tt.listen, tt.sessions
		}
		assert.Equal(t, tt.want, h.Facts().Systemd, name)
	}
}

func TestFactsOfContainers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want Containers
	}{
		"none":         {container.ErrNone, Containers{}},
		"readable":     {nil, Containers{Found: true}},
		"not readable": {syscall.EACCES, Containers{Found: true, Error: "permission denied"}},
	} {
		h, _ := fake(t)
		h.containers = func(string) error { return tt.err }
		assert.Equal(t, tt.want, h.Facts().Containers, name)
	}
}

func TestExplainBPF(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want BPFProblem
	}{
		"fine":                   {nil, BPFNone},
		"refused":                {fmt.Errorf("creating map: %w", syscall.EPERM), BPFRefused},
		"by a module":            {syscall.EACCES, BPFRefused},
		"no bpf":                 {syscall.ENOSYS, BPFAbsent},
		"not known":              {fmt.Errorf("%w: no BTF", ebpf.ErrNotSupported), BPFTooOld},
		"refused by the checker": {&ebpf.VerifierError{Cause: syscall.EINVAL, Log: []string{"unknown func"}}, BPFTooOld},
		"refused with a log":     {&ebpf.VerifierError{Cause: syscall.EPERM}, BPFRefused},
		"anything else":          {errors.New("out of luck"), BPFOther},
	} {
		b := explainBPF(tt.err)
		assert.Equal(t, tt.want, b.Problem, name)
		assert.Equal(t, tt.err == nil, b.Possible, name)
		assert.Equal(t, tt.err != nil, b.Error != "", name)
	}
}

func TestNameOfAnID(t *testing.T) {
	t.Parallel()
	h, root := fake(t)
	write(t, root, map[string]string{"etc/group": strings.Join([]string{"root:x:0:", "adm:x:4:syslog", "x:y"}, "\n")})
	assert.Equal(t, "adm", h.name("/etc/group", 4))
	assert.Equal(t, "40", h.name("/etc/group", 40))
}
