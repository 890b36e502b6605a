// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/host"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The unit with drop-ins under a real systemd: unit_linux_test.go does not know all that systemd makes of them.

const stateFile = packageState + "/events.json"

// kernelLogConfig reads nothing but the kernel's log: an empty file stands in for that of auditd.
const kernelLogConfig = `
receivers:
  audit_kill: {file: {path: /var/log/audit/audit.log}, kernel_log: true}
exporters:
  file: {path: ` + stateFile + `, flush_interval: 100ms}
service:
  pipelines:
    logs: {receivers: [audit_kill], exporters: [file]}
  telemetry: {metrics: {level: none}}
`

// installUnit installs the program, the unit and drop-ins on a host, as the package and its instructions do.
func installUnit(t *testing.T, h *host.Host, config string, dropIns map[string]string) {
	t.Helper()
	h.Root("useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", "otelcol-auditkill")
	h.Install(harness.Distribution(), "/usr/bin/otelcol-auditkill")
	h.Write(packageConfig, config, 0o644)
	h.Write(packagedUnit, read(t, harness.Path("deploy/systemd/otelcol-auditkill.service")), 0o644)
	for to, from := range dropIns {
		h.Write("/etc/systemd/system/otelcol-auditkill.service.d/"+to, read(t, harness.Path("deploy/systemd/"+from)), 0o644)
	}
	h.Root("systemctl", "daemon-reload")
}

// starve runs a process in a control group with a limit until the kernel kills it, and returns its pid.
func starve(t *testing.T, name string) int {
	t.Helper()
	file, mount := "memory.limit_in_bytes", process.CgroupMount(t, "memory")
	if mount == "" {
		file, mount = "memory.max", process.CgroupMount(t, "")
	}
	folder := process.NewCgroupIn(t, mount, name)
	if err := os.WriteFile(filepath.Join(folder, file), []byte("33554432"), 0); err != nil {
		harness.Skip(t, "no hierarchy of control groups is mounted that could limit memory: %v", err)
	}
	hog := exec.Command("sh", "-c", `echo $$ >"$0/cgroup.procs" && exec tail /dev/zero`, folder) //nolint:gosec // a test's own
	require.EqualError(t, hog.Run(), "signal: killed")
	return hog.Process.Pid
}

// With kmsg.conf and names.conf the service starts in its sandbox, has exactly the rights that these grant, and reports what the
// kernel's log says.
func TestDropInsUnderSystemd(t *testing.T) {
	h := host.BootWith(t, "CAP_SYSLOG")
	device := h.File("/dev/kmsg")
	if err := unix.Mknod(device, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 11))); err != nil {
		harness.Skip(t, "the host cannot have /dev/kmsg: %v", err)
	}
	if log, err := os.Open(device); err != nil {
		harness.Skip(t, "the host cannot read /dev/kmsg: %v", err)
	} else {
		require.NoError(t, log.Close())
	}
	h.Write("/var/log/audit/audit.log", "", 0o600)
	installUnit(t, h, kernelLogConfig, map[string]string{
		"file.conf": "file.conf", "zz-kmsg.conf": "kmsg.conf", "zz-names.conf": "names.conf",
	})
	_, err := h.Try("systemctl", "start", "otelcol-auditkill")
	said := func() string { return h.Root("journalctl", "--no-pager", "--output=cat", "--unit=otelcol-auditkill") }
	require.NoError(t, err, said())
	harness.Until(t, func() bool { return strings.Contains(said(), "Everything is ready") }, func() {
		require.NotContains(t, h.Root("systemctl", "show", "--property=NRestarts", "otelcol-auditkill"), "=1", said())
	}, "the collector is ready")
	assert.NotContains(t, said(), "will not be reported")
	pid := h.MainPID("otelcol-auditkill")
	want := fmt.Sprintf("%016x", 1<<unix.CAP_SYSLOG|1<<unix.CAP_DAC_READ_SEARCH)
	for _, set := range []string{"CapEff", "CapBnd", "CapAmb"} {
		assert.Equal(t, want, processStatus(t, pid)[set], set)
	}
	_, err = os.Stat(fmt.Sprintf("/proc/%d/root/dev/mem", pid))
	require.ErrorIs(t, err, os.ErrNotExist, "it has a /dev of its own")

	victim := starve(t, "/auditkill-e2e-drop-ins")
	harness.Eventually(t, func() bool {
		text, _ := os.ReadFile(h.File(stateFile))
		return strings.Contains(string(text), fmt.Sprintf("tail[%d]: out of memory", victim))
	}, "the kill of process %d is reported", victim)
	h.Root("systemctl", "stop", "otelcol-auditkill")
}
