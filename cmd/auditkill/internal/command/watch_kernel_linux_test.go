// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/diagnosis"
	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// audit locks the kernel's audit system for a test, with audit off, and restores it at the end.
// Until then, signals are sent by a process that the kernel records.
func audit(t *testing.T) auditcontrol.Client {
	t.Helper()
	kernel := audittest.Kernel(t)
	require.NoError(t, kernel.SetEnabled(false, libaudit.WaitForReply))
	sendSignal = audittest.StartSender(t).Kill
	t.Cleanup(func() { sendSignal = syscall.Kill })
	return kernel
}

// asBefore requires that a watch that has ended has left nothing behind.
func asBefore(t *testing.T, kernel auditcontrol.Client, before *libaudit.AuditStatus) {
	t.Helper()
	after, err := kernel.GetStatus()
	require.NoError(t, err)
	assert.Equal(t, audittest.Settings(before), audittest.Settings(after))
}

// kills kills processes, and expects the watch to report it.
func kills(t *testing.T, w *watching, source string) {
	t.Helper()
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		v := newVictim(t)
		v.kill(signal)
		got := w.next("kill.signal", v.pid)
		assert.Equal(t, kill.Signal(signal).Name(), got.signal)
		assert.Equal(t, "ok", got.result)
		assert.Equal(t, source, got.source)
		if source != "audit_file" {
			// A slow machine sees it later. The victim stays a zombie until then, as before Linux 6.15
			// the exit status is not known of a process that was reaped meanwhile.
			assert.Regexp(t, `^gone (at once|after 0\.\d s), by `+kill.Signal(signal).Name()+"$", w.next("kill.outcome", v.pid).result)
		}
		v.gone()
	}
	lineDelay(t, w)
}

// lineDelay measures how long it takes from a signal to its line.
func lineDelay(t *testing.T, w *watching) {
	t.Helper()
	var took []time.Duration
	for range 30 {
		v := newVictim(t)
		sent := v.kill(syscall.SIGKILL)
		took = append(took, w.next("kill.signal", v.pid).at.Sub(sent))
		v.gone()
	}
	slices.Sort(took)
	t.Logf("from the signal to the line: %v, at most %v", took[len(took)/2], took[len(took)-1])
}

func TestWatchByEBPF(t *testing.T) {
	needRoot(t)
	w := startWatch(t, "--source", "ebpf")
	programs := programsOf(t, w.cmd.Process.Pid)
	require.NotEmpty(t, programs)
	kills(t, w, "ebpf")
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	assert.NotContains(t, w.errors.String(), "cannot use")
	assert.Eventually(t, func() bool { return !slices.ContainsFunc(programs, inKernel) }, limit, time.Millisecond,
		"the programs are out of the kernel")
}

// programsOf returns the kernel's numbers of the programs that a process holds.
func programsOf(t *testing.T, pid int) []ebpf.ProgramID {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	require.NoError(t, err)
	var programs []ebpf.ProgramID
	for _, file := range files {
		text, _ := os.ReadFile(file) // it may be closed by now
		if id := regexp.MustCompile(`prog_id:\s*(\d+)`).FindSubmatch(text); id != nil {
			number, err := strconv.ParseUint(string(id[1]), 10, 32)
			require.NoError(t, err)
			programs = append(programs, ebpf.ProgramID(number))
		}
	}
	return programs
}

func inKernel(id ebpf.ProgramID) bool {
	program, err := ebpf.NewProgramFromID(id)
	if err == nil {
		_ = program.Close() // it was only checked that it exists
	}
	return err == nil
}

func TestWatchByUnicast(t *testing.T) {
	kernel := audit(t)
	before, err := kernel.GetStatus()
	require.NoError(t, err)
	w := startWatch(t, "--source", "unicast")
	during, err := kernel.GetStatus()
	require.NoError(t, err)
	assert.EqualValues(t, w.cmd.Process.Pid, during.PID)
	kills(t, w, "audit_unicast")
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	assert.Contains(t, w.errors.String(), "audit was off and has been turned on")
	asBefore(t, kernel, before)
}

// Beside a watch that is the audit daemon there may be others, which go on when it ends:
// it leaves audit on, which it had turned on.
func TestWatchByMulticast(t *testing.T) {
	kernel := audit(t)
	before, err := kernel.GetStatus()
	require.NoError(t, err)
	daemon := startWatch(t, "--source", "unicast")
	w := startWatch(t, "--source", "multicast")
	other := startWatch(t, "--source", "multicast", "-s", "all")
	kills(t, w, "audit_multicast")
	assert.True(t, daemon.sees(limit))

	assert.Zero(t, daemon.end(), "it says: %s", &daemon.errors)
	assert.Regexp(t, fmt.Sprintf(`audit was off and stays on, .* \(process (%d|%d)\)`, w.cmd.Process.Pid, other.cmd.Process.Pid),
		daemon.errors.String())
	for _, each := range []*watching{w, other} {
		assert.True(t, each.sees(limit), "it goes on; it says: %s", &each.errors)
		assert.NotContains(t, each.errors.String(), "audit rule", "an end is no tampering")
	}
	assert.Zero(t, other.end(), "it says: %s", &other.errors)
	assert.True(t, w.sees(limit))
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	after, err := kernel.GetStatus()
	require.NoError(t, err)
	before.Enabled = after.Enabled // a later watch finds it on
	asBefore(t, kernel, before)
}

// If audit is off and there is no daemon, a watch by multicast turns audit on while it runs, as
// doctor says.
func TestWatchByMulticastAlone(t *testing.T) {
	kernel := audit(t)
	before, err := kernel.GetStatus()
	require.NoError(t, err)
	multicast := doctorJSON(t, "--file", "/nonexistent").Sources[1]
	assert.Equal(t, diagnosis.SourceMulticast, multicast.Name)
	assert.True(t, multicast.Usable)
	assert.Contains(t, strings.Join(multicast.Reasons, "\n"), "audit is off: `auditkill watch` turns it on while it runs")

	w := startWatch(t, "--source", "multicast")
	assert.True(t, w.sees(limit))
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	said := w.errors.String()
	assert.Equal(t, 1, strings.Count(said, "there is no audit daemon"), said)
	assert.Equal(t, 1, strings.Count(said, "audit was off and has been turned on"), said)
	asBefore(t, kernel, before)
}

// A watch and a collector, which this is, do each other no harm, even with the same key.
func TestWatchBesideACollector(t *testing.T) {
	for name, collectorFirst := range map[string]bool{"that was there": true, "that comes": false} {
		t.Run(name, func(t *testing.T) {
			const key = "audit_kill"
			kernel := audit(t)
			collector := auditrules.New(auditrules.Settings{Signals: kill.DefaultSignals(), Key: key})
			var w *watching
			steps := []func(){
				func() { collector.Install() },
				func() { w = startWatch(t, "--source", "unicast", "--key", key) },
			}
			if !collectorFirst {
				slices.Reverse(steps)
			}
			for _, step := range steps {
				step()
			}
			during, err := kernel.GetRules()
			require.NoError(t, err)
			assert.Len(t, during, 2*len(auditrules.For(kill.DefaultSignals(), key, os.Getpid())), "both have theirs")

			assert.Zero(t, w.end())
			found, err := collector.Restore()
			require.NoError(t, err)
			assert.False(t, found.Any(), "%+v", found)
			if !collectorFirst {
				assert.Contains(t, w.errors.String(), fmt.Sprintf("(process %d)", os.Getpid()), "it names the process that needs audit")
			}
			require.NoError(t, collector.Remove())
			after, err := kernel.GetStatus()
			require.NoError(t, err)
			assert.Equal(t, collectorFirst, after.Enabled == 0, "only the process that has turned it on turns it off")
		})
	}
}

// With auto it says which of the two ways it was that netlink has, by the name that --source
// has for it.
func TestWatchSaysByWhat(t *testing.T) {
	audit(t)
	says := func(by string) {
		t.Helper()
		var errs lockedBuffer
		cmd := auditkill(t, "watch", "-o", "json", "--file", "/nonexistent")
		cmd.Stderr = &errs
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
		cmd.SysProcAttr.AmbientCaps = []uintptr{unix.CAP_AUDIT_READ, unix.CAP_AUDIT_CONTROL} // for all but ebpf
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() }) // it should have ended
		line := "auditkill: watching with " + by + "\n"
		require.Eventually(t, func() bool { return strings.Contains(errs.String(), line) }, limit, 10*time.Millisecond, "%s", &errs)
		assert.Contains(t, errs.String(), "auditkill: cannot use ebpf: it lacks CAP_BPF and CAP_PERFMON\n")
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		assert.NoError(t, cmd.Wait())
	}
	says("unicast")
	daemon := startWatch(t, "--source", "unicast")
	says("multicast")
	assert.Zero(t, daemon.end(), "it says: %s", &daemon.errors)
}

// If two processes want to be the daemon, the second says which one is.
func TestWatchByUnicastIfTaken(t *testing.T) {
	audit(t)
	daemon := startWatch(t, "--source", "unicast")
	w := launchWatch(t, nil, "--source", "unicast")
	assert.Equal(t, exitFailure, w.wait())
	assert.Regexp(t, fmt.Sprintf(`^auditkill: --source unicast: \S+\[%d\] holds the audit pid; `+
		`stop it, or use --source multicast, which listens beside it\n`,
		daemon.cmd.Process.Pid), w.errors.String())
	assert.True(t, daemon.sees(limit), "it has not been disturbed")
}

// A rule that somebody else removes is put back and reported.
func TestWatchPutsRulesBack(t *testing.T) {
	kernel := audit(t)
	w := startWatch(t, "--source", "unicast", "--key", "somebodys")
	rules, err := kernel.GetRules()
	require.NoError(t, err)
	for _, rule := range rules {
		require.NoError(t, kernel.DeleteRule(rule))
	}
	require.Eventually(t, func() bool {
		return regexp.MustCompile(`(?m)^auditkill: put back an audit rule that was missing: .* -k somebodys$`).
			MatchString(w.errors.String())
	}, limit, 10*time.Millisecond)
	require.Eventually(t, func() bool { return w.sees(250 * time.Millisecond) }, limit, time.Millisecond)
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
}

func TestWatchByFile(t *testing.T) {
	kernel := audit(t)
	log := startAuditd(t, kernel)

	w := launchWatch(t, nil, "--source", "file", "--file", log)
	require.Eventually(t, func() bool {
		return regexp.MustCompile("the audit rules of this host do not record all").MatchString(w.errors.String())
	}, limit, 10*time.Millisecond)
	assert.Zero(t, w.end(), "it says: %s", &w.errors)

	manager := auditrules.New(auditrules.Settings{Signals: kill.DefaultSignals(), Key: "audit_kill", Self: 1})
	require.Empty(t, manager.Install())
	t.Cleanup(func() { assert.NoError(t, manager.Remove()) })
	w = startWatch(t, "--source", "file", "--file", log)
	kills(t, w, "audit_file")
	assert.Zero(t, w.end(), "it says: %s", &w.errors)
	assert.Equal(t, "auditkill: watching with file\n", w.errors.String())
}
