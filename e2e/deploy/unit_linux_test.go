// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// A systemd unit, read as systemd does, for machines without systemd.

// unit has the settings in a unit's [Service] section. A setting that occurs several times has several
// values.
type unit map[string][]string

// readUnit reads a unit, and then its drop-ins.
func readUnit(t *testing.T, paths ...string) unit {
	t.Helper()
	u := make(unit)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		section := ""
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			name, value, assigned := strings.Cut(line, "=")
			switch {
			case line == "" || line[0] == '#':
			case line[0] == '[':
				section = line
			case section != "[Service]":
			case !assigned:
				t.Errorf("%s: %q is no assignment", path, line)
			case value == "": // resets the setting
				delete(u, name)
			default:
				u[name] = append(u[name], value)
			}
		}
	}
	return u
}

// words returns all words in the values of a setting.
func (u unit) words(name string) []string { return strings.Fields(strings.Join(u[name], " ")) }

// value returns the last value of a setting, the only one that counts for most settings.
func (u unit) value(name string) string {
	if values := u[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

func (u unit) on(name string) bool { return u.value(name) == "yes" }

// capabilityNumbers has the capabilities in our units and manifests.
var capabilityNumbers = map[string]int{
	"CAP_BPF": unix.CAP_BPF, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_SYS_PTRACE": unix.CAP_SYS_PTRACE,
	"CAP_AUDIT_READ": unix.CAP_AUDIT_READ, "CAP_AUDIT_CONTROL": unix.CAP_AUDIT_CONTROL,
	"CAP_NET_ADMIN": unix.CAP_NET_ADMIN, "CAP_DAC_READ_SEARCH": unix.CAP_DAC_READ_SEARCH,
	"CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE,
}

// capabilities returns the set of capabilities that a setting names.
func (u unit) capabilities(t *testing.T, name string) (set uint64) {
	t.Helper()
	for _, word := range u.words(name) {
		number, known := capabilityNumbers[word]
		require.True(t, known, "%s=%s", name, word)
		set |= 1 << number
	}
	return set
}

// environment returns the environment variables of the service. If a variable has several values, the last one counts.
func (u unit) environment(t *testing.T) []string {
	t.Helper()
	variables := append(u.words("Environment"), "STATE_DIRECTORY="+u.stateDirectory())
	for _, path := range u["EnvironmentFile"] {
		text, err := os.ReadFile(strings.TrimPrefix(path, "-"))
		if !strings.HasPrefix(path, "-") || !os.IsNotExist(err) {
			require.NoError(t, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				variables = append(variables, line)
			}
		}
	}
	values := make(map[string]string)
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	variables = variables[:0]
	for name, value := range values {
		variables = append(variables, name+"="+value)
	}
	return variables
}

func (u unit) stateDirectory() string { return filepath.Join("/var/lib", u.value("StateDirectory")) }

// service starts the command of the unit, as its user and with its restrictions. binds are additional
// mounts for this process only.
func (u unit) service(t *testing.T, binds ...bind) *collector.Collector {
	t.Helper()
	owner, err := user.Lookup(u.value("User"))
	require.NoError(t, err)
	group, err := user.LookupGroup(u.value("Group"))
	require.NoError(t, err)
	s := sandbox{
		Command: strings.Fields(u.value("ExecStart")), Environment: u.environment(t),
		UID: harness.Number(owner.Uid), GID: harness.Number(group.Gid),
		Ambient: u.capabilities(t, "AmbientCapabilities"), Bounding: u.capabilities(t, "CapabilityBoundingSet"),
		NoNewPrivileges: u.on("NoNewPrivileges"),
		// The state directory is a mount of its own, so that it can be writable.
		Binds: append(binds, bind{u.stateDirectory(), u.stateDirectory()}), Writable: []string{u.stateDirectory()},
		Temporary: []string{"/tmp", "/var/tmp"}, Inaccessible: u.inaccessible(), Calls: systemCalls(t, u["SystemCallFilter"]),
		Families: families(t, u.words("RestrictAddressFamilies")), NoExecutableMemory: u.on("MemoryDenyWriteExecute"),
		NoSetIDFiles: u.on("RestrictSUIDSGID"),
	}
	require.True(t, u.on("PrivateTmp"))
	require.Equal(t, "strict", u.value("ProtectSystem"))
	u.makeState(t, s.UID, s.GID)
	c := s.start(t, unix.CLONE_NEWNS)
	c.Ready()
	s.assertRights(t, c.PID())
	assert.Equal(t, "2", processStatus(t, c.PID())["Seccomp"], "system calls are filtered")
	return c
}

// makeState creates the state directory, as StateDirectory= does.
func (u unit) makeState(t *testing.T, uid, gid int) {
	t.Helper()
	mode, err := strconv.ParseUint(u.value("StateDirectoryMode"), 8, 32)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(u.stateDirectory(), 0o755))
	require.NoError(t, os.Chown(u.stateDirectory(), uid, gid))
	require.NoError(t, os.Chmod(u.stateDirectory(), os.FileMode(mode)))
}

// inaccessible returns the paths that the service cannot access (systemd's core/namespace.c).
func (u unit) inaccessible() []string {
	paths := u.words("InaccessiblePaths")
	for i := range paths {
		paths[i] = strings.TrimPrefix(paths[i], "-")
	}
	if u.on("ProtectHome") {
		paths = append(paths, "/home", "/root", "/run/user")
	}
	if u.on("ProtectKernelTunables") {
		paths = append(paths, "/proc/kallsyms", "/proc/kcore")
	}
	if u.on("ProtectKernelModules") {
		paths = append(paths, "/usr/lib/modules")
	}
	if u.on("ProtectKernelLogs") {
		paths = append(paths, "/dev/kmsg", "/proc/kmsg")
	}
	return paths
}
