// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

const nobody = 65534

// roleVariable makes the test program collect the facts of its host, and print them.
const roleVariable = "DIAGNOSIS_TEST_LOG"

func init() {
	log, play := os.LookupEnv(roleVariable)
	if !play {
		return
	}
	if err := json.NewEncoder(os.Stdout).Encode(This("", log).Facts()); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// factsAs collects the facts of this host with the rights of another process.
func factsAs(t *testing.T, log string, attributes *syscall.SysProcAttr) *Facts {
	t.Helper()
	command := exec.CommandContext(t.Context(), "/proc/self/exe") // which is found without rights to its folder
	command.Env = append(os.Environ(), roleVariable+"="+log)
	command.SysProcAttr = attributes
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	require.NoError(t, err, stderr.String())
	var f Facts
	require.NoError(t, json.Unmarshal(out, &f), string(out))
	return &f
}

// log makes an audit log that everybody may find, but only root may read.
func log(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte("type=X\n"), 0o600))
	for folder := filepath.Dir(path); folder != os.TempDir() && folder != "/"; folder = filepath.Dir(folder) {
		require.NoError(t, os.Chmod(folder, 0o755))
	}
	return path
}

func marksOf(f *Facts) map[string]string {
	marks := make(map[string]string)
	for _, s := range Judge(f).Sources {
		marks[s.Name] = mark(s)
	}
	return marks
}

// The facts depend on the rights of the process. audittest checks that nothing has changed.
func TestThisHost(t *testing.T) {
	kernel := audittest.Kernel(t)
	path := log(t)
	status, err := kernel.GetStatus()
	require.NoError(t, err)
	state := map[uint32]AuditState{0: AuditOff, 1: AuditOn}[status.Enabled]

	t.Run("as root", func(t *testing.T) {
		f := factsAs(t, path, &syscall.SysProcAttr{})
		assert.Equal(t, state, f.Audit.State)
		assert.Nil(t, f.Audit.Daemon)
		assert.Equal(t, status.BacklogLimit, f.Audit.BacklogLimit)
		assert.True(t, f.Rules.Known)
		assert.Equal(t, f.BTF, f.BPF.Possible, f.BPF.Error)
		assert.Equal(t, NamespaceInitial, f.Namespaces.User)
		assert.Contains(t, f.Capabilities, capAuditControl)
		assert.Equal(t, LogReadable, f.Log.Problem)
		assert.NotEqual(t, no, marksOf(f)[SourceUnicast])
	})
	t.Run("with audit on", func(t *testing.T) {
		require.NoError(t, kernel.SetEnabled(true, libaudit.WaitForReply))
		f := factsAs(t, path, &syscall.SysProcAttr{})
		assert.Equal(t, AuditOn, f.Audit.State)
		assert.Equal(t, but, marksOf(f)[SourceMulticast])
		require.NoError(t, kernel.SetEnabled(status.Enabled == 1, libaudit.WaitForReply))
	})
	t.Run("with audit off", func(t *testing.T) { // which it is not for good, on a kernel that answers
		require.NoError(t, kernel.SetEnabled(false, libaudit.WaitForReply))
		f := factsAs(t, path, &syscall.SysProcAttr{})
		assert.Equal(t, AuditOff, f.Audit.State)
		assert.False(t, f.Audit.OffAtBoot)
		marks := marksOf(f)
		assert.Equal(t, but, marks[SourceMulticast])
		assert.Equal(t, but, marks[SourceUnicast])
		require.NoError(t, kernel.SetEnabled(status.Enabled == 1, libaudit.WaitForReply))
	})
	t.Run("with a daemon", func(t *testing.T) {
		client, err := libaudit.NewAuditClient(nil)
		require.NoError(t, err)
		defer func() { assert.NoError(t, client.Close()) }() // which gives the place back
		require.NoError(t, client.SetPID(libaudit.WaitForReply))
		f := factsAs(t, path, &syscall.SysProcAttr{})
		require.NotNil(t, f.Audit.Daemon)
		assert.Equal(t, os.Getpid(), f.Audit.Daemon.PID)
		assert.NotEmpty(t, f.Audit.Daemon.Name)
		assert.Equal(t, no, marksOf(f)[SourceUnicast])
	})
	t.Run("as nobody", func(t *testing.T) {
		f := factsAs(t, path, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
		assert.Equal(t, nobody, f.UserID)
		assert.Empty(t, f.Capabilities)
		assert.Equal(t, AuditUnknown, f.Audit.State)
		assert.False(t, f.Rules.Known)
		assert.Equal(t, BPFRefused, f.BPF.Problem)
		assert.Equal(t, LogDenied, f.Log.Problem)
		assert.Equal(t, path, f.Log.Rights.Path)
		r := Judge(f)
		assert.False(t, r.Usable)
		assert.Empty(t, r.Chosen)
	})
	t.Run("as nobody, and the folder is hidden", func(t *testing.T) {
		folder := filepath.Dir(path)
		require.NoError(t, os.Chmod(folder, 0o700))
		f := factsAs(t, path, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
		require.NoError(t, os.Chmod(folder, 0o755))
		assert.Equal(t, LogDenied, f.Log.Problem)
		assert.Equal(t, folder, f.Log.Rights.Path)
		assert.False(t, f.Log.Rights.GroupReads)
	})
	t.Run("with the right to read", func(t *testing.T) {
		f := factsAs(t, path, &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: []uintptr{unix.CAP_AUDIT_READ},
		})
		assert.Equal(t, []string{capAuditRead}, f.Capabilities)
		assert.Equal(t, but, marksOf(f)[SourceMulticast])
		assert.Equal(t, SourceMulticast, Judge(f).Chosen)
	})
	t.Run("with the rights to trace", func(t *testing.T) {
		f := factsAs(t, path, &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: []uintptr{unix.CAP_BPF, unix.CAP_PERFMON},
		})
		if !f.BTF {
			audittest.Skip(t, "this kernel has no type information")
		}
		assert.True(t, f.BPF.Possible, f.BPF.Error)
		assert.Equal(t, map[string]string{SourceEBPF: ok, SourceMulticast: no, SourceUnicast: no, SourceFile: no}, marksOf(f))
	})
	t.Run("in other namespaces", func(t *testing.T) {
		f := factsAs(t, path, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET})
		assert.Equal(t, Namespaces{User: NamespaceInitial, PID: NamespaceOther, Network: NamespaceOther}, f.Namespaces)
		assert.Equal(t, AuditUnknown, f.Audit.State)
		assert.Equal(t, no, marksOf(f)[SourceMulticast])
		assert.Equal(t, no, marksOf(f)[SourceUnicast])
	})
	t.Run("in a user namespace", func(t *testing.T) {
		root := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
		f := factsAs(t, path, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: root, GidMappings: root})
		assert.Equal(t, NamespaceOther, f.Namespaces.User)
		assert.Equal(t, AuditUnknown, f.Audit.State)
		assert.Equal(t, map[string]string{SourceEBPF: no, SourceMulticast: no, SourceUnicast: no, SourceFile: but}, marksOf(f))
	})
}

func BenchmarkFacts(b *testing.B) {
	for b.Loop() {
		This("", "/var/log/audit/audit.log").Facts()
	}
}
