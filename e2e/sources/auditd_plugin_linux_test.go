// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// What the af_unix plugin of a real auditd writes to its socket.

// startPlugin starts an auditd whose socket the group of nobody may connect to.
func startPlugin(t *testing.T, settings string) (daemon *audit.Daemon, path string) {
	t.Helper()
	audit.Use(t)
	directory := harness.PublicDir(t)
	require.NoError(t, os.Chown(directory, 0, harness.NobodyID))
	require.NoError(t, os.Chmod(directory, 0o750|os.ModeSetgid)) // a new socket has the group
	daemon, path = audit.NewDaemon(t, settings), filepath.Join(directory, "events")
	daemon.OpenSocket(path, 0o660)
	runPlugin(t, daemon, path)
	return daemon, path
}

// runPlugin starts auditd until it has made its socket.
func runPlugin(t *testing.T, daemon *audit.Daemon, path string) {
	t.Helper()
	daemon.Run()
	harness.Eventually(t, func() bool { return mode(path) == os.ModeSocket|0o660 }, "auditd makes its socket")
}

func mode(path string) os.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode()
}

// awaitDeath waits until the only signal to a process is reported, and its outcome.
func awaitDeath(t *testing.T, sink *otlp.Sink, sender *process.Sender, target *process.Target, outcome ...any) {
	t.Helper()
	told := func(event string) (found []otlp.Record) {
		for _, r := range sink.Records() {
			if r.Event == event && r.Attributes["kill.target.pid"] == int64(target.PID) {
				found = append(found, r)
			}
		}
		return found
	}
	harness.Eventually(t, func() bool { return len(told("kill.outcome")) > 0 }, "the outcome for process %d", target.PID)
	signals, outcomes := told("kill.signal"), told("kill.outcome")
	require.Len(t, signals, 1)
	require.Len(t, outcomes, 1)
	assert.Equal(t, "audit_plugin", signals[0].Attributes["kill.source"])
	assert.Equal(t, int64(sender.PID), signals[0].Attributes["process.pid"])
	assert.Equal(t, "SIGTERM", signals[0].Attributes["kill.signal.name"])
	assert.Equal(t, true, signals[0].Attributes["kill.complete"])
	assert.Contains(t, outcome, outcomes[0].Attributes["kill.outcome"])
}

// A collector without rights reports kills and their outcomes, and goes on when auditd does.
func TestPlugin(t *testing.T) {
	for _, format := range []string{"RAW", "ENRICHED"} {
		t.Run(format, func(t *testing.T) {
			daemon, path := startPlugin(t, "log_format = "+format)
			audit.LoadRules(t, harness.Path("deploy/audit_kill.rules"))
			sink := otlp.NewSink(t, "grpc")
			c := startLive(t, fmt.Sprintf(`{plugin: {path: %q}}`, path), sink, collector.AsNobody(t))
			sender := process.NewSender(t, process.NativeSender(t))
			killTarget := func() {
				target := process.StartScript(t, "victim", "echo ready; read -r line", true)
				sender.Kill(target, unix.SIGTERM)
				awaitDeath(t, sink, sender, target, "ended", "killed") // without rights it is not always known of what
			}
			killTarget()

			daemon.Stop()
			c.Says("the connection to auditd has ended")
			runPlugin(t, daemon, path)
			c.Says("connected to auditd again")
			killTarget()
			c.Running()
			c.Stop()
		})
	}
}

// With rules::manage what the kernel lacks is added to auditd's rules, and nothing else.
func TestPluginManagesRules(t *testing.T) {
	_, path := startPlugin(t, "log_format = RAW")
	audit.AddRule(t, "always,exit -F arch=b64 -S sethostname -k of_auditd")
	before := audit.Auditctl(t, "-l")
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, fmt.Sprintf(`{plugin: {path: %q}, rules: {manage: true}}`, path), sink)
	assert.Contains(t, audit.Auditctl(t, "-l"), "of_auditd")
	sender := process.NewSender(t, process.NativeSender(t))
	// The target stays a zombie, so that its status is known however late auditd hands on the signal.
	target := process.StartScript(t, "victim", "echo ready; read -r line", false)
	sender.Kill(target, unix.SIGTERM)
	awaitDeath(t, sink, sender, target, "killed")
	c.Stop()
	assert.Equal(t, before, audit.Auditctl(t, "-l"))
	for _, r := range sink.Records() {
		assert.NotEqual(t, "kill.tamper", r.Event, "what the collector does itself is none: %+v", r)
	}
}

// What auditd writes into its log comes through its socket as well. Where the machine leaves it no
// time to run, it would drop what its own queue does not hold.
func TestPluginUnderLoad(t *testing.T) {
	daemon, path := startPlugin(t, "log_format = RAW\nnum_logs = 99\nq_depth = 50000")
	for _, rule := range auditRules {
		audit.AddRule(t, rule)
	}
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, fmt.Sprintf(`{plugin: {path: %q}, signals: [0, CONT]}`, path), sink)
	keeper, load := newKeeper(t, daemon.Log), newLoad(t)
	for range 10 {
		load.run(500)
		keeper.awaitQuiet()
	}
	load.stop()
	keeper.awaitQuiet()
	want := keeper.by(load.pid) // others may have sent signals before the collector was ready
	otlp.AwaitAll(t, sink, want)
	c.Running()
	assert.Zero(t, c.Metric("audit_kill_incomplete"))
	c.Stop()
	records := slices.DeleteFunc(sink.Records(), func(r otlp.Record) bool {
		return r.Event != "kill.signal" || r.Attributes["process.pid"] != int64(load.pid)
	})
	otlp.AssertConsistent(t, records, want)
	assert.Len(t, records, len(want), "nothing was delivered twice")
	recorded := keeper.written(load.pid)
	assert.Greater(t, recorded, 1000, "calls that auditd has written down")
	t.Logf("%d calls, %d of them recorded, %d log records", load.sent, recorded, len(want))
}

// What the collector advises where there is no socket is what makes one.
func TestPluginIsNotActive(t *testing.T) {
	audit.Use(t)
	path := filepath.Join(t.TempDir(), "events")
	daemon := audit.NewDaemon(t, "log_format = RAW")
	daemon.Run()
	config := collector.Config{Receiver: fmt.Sprintf(`{plugin: {path: %q}}`, path)}
	c := collector.Start(t, config)
	assert.Equal(t, 1, c.Wait(), "exit status")
	c.Says("set `active = yes` and `args = 0640 " + path + "` in /etc/audit/plugins.d/af_unix.conf and run `service auditd reload`")

	daemon.OpenSocket(path, 0o640)
	daemon.Reload()
	harness.Eventually(t, func() bool { return mode(path) == os.ModeSocket|0o640 }, "auditd makes its socket")
	c = collector.Start(t, config)
	c.Ready()
	c.Stop()
}

func TestPluginNamesWhatIsMissing(t *testing.T) {
	harness.NeedRoot(t)
	path := filepath.Join(harness.PublicDir(t), "events")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
	require.NoError(t, os.Chmod(path, 0o640))
	c := collector.Start(t, collector.Config{Receiver: fmt.Sprintf(`{plugin: {path: %q}}`, path)},
		collector.AsNobody(t))
	assert.Equal(t, 1, c.Wait(), "exit status")
	c.Says("needs the right to write to it: permission denied; run as root, or set args to a mode such as 0660")
}
