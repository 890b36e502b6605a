// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The collector reports which right or namespace it lacks, and what to change under systemd
// and in Kubernetes.

// inNamespaces returns an option that runs the collector in new namespaces.
func inNamespaces(flags uintptr) func(*exec.Cmd) {
	return func(command *exec.Cmd) { harness.Attributes(command).Cloneflags |= flags }
}

// withCapabilities returns an option that gives the collector only these capabilities.
func withCapabilities(capabilities ...uintptr) func(*exec.Cmd) {
	return func(command *exec.Cmd) { harness.Attributes(command).AmbientCaps = capabilities }
}

func TestNamesWhatIsMissing(t *testing.T) {
	tests := map[string]struct {
		mode    string
		daemon  bool
		user    bool
		options []func(*exec.Cmd)
		says    []string
	}{
		"multicast without rights": {
			mode: "multicast", user: true,
			says: []string{"CAP_AUDIT_READ", "AmbientCapabilities=", "securityContext.capabilities"},
		},
		"auto without rights": {
			mode: "auto", user: true,
			says: []string{"CAP_AUDIT_", "AmbientCapabilities=", "securityContext.capabilities"},
		},
		"unicast without rights": {
			mode: "unicast", user: true,
			says: []string{"CAP_AUDIT_CONTROL", "AmbientCapabilities=", "securityContext.capabilities"},
		},
		"unicast with CAP_AUDIT_READ": {
			mode: "unicast", user: true, options: []func(*exec.Cmd){withCapabilities(unix.CAP_AUDIT_READ)},
			says: []string{"CAP_AUDIT_CONTROL", "AmbientCapabilities=", "securityContext.capabilities"},
		},
		"multicast in a network namespace": {
			mode: "multicast", daemon: true, options: []func(*exec.Cmd){inNamespaces(unix.CLONE_NEWNET)},
			says: []string{"network namespace", "hostNetwork: true", "PrivateNetwork="},
		},
		"auto beside auditd in a network namespace": {
			mode: "auto", daemon: true, options: []func(*exec.Cmd){inNamespaces(unix.CLONE_NEWNET)},
			says: []string{"network namespace", "hostNetwork: true", "PrivateNetwork="},
		},
		"unicast in a pid namespace": {
			mode: "unicast", options: []func(*exec.Cmd){inNamespaces(unix.CLONE_NEWPID)},
			says: []string{"pid namespace", "hostPID: true", "systemd"},
		},
		"unicast in a user namespace": {
			mode: "unicast", options: []func(*exec.Cmd){inUserNamespace},
			says: []string{"user namespace", "hostUsers: true", "PrivateUsers="},
		},
		"multicast in a user namespace": {
			mode: "multicast", options: []func(*exec.Cmd){inUserNamespace},
			says: []string{"user namespace", "hostUsers: true", "PrivateUsers="},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if test.daemon {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			options := test.options
			if test.user {
				options = append([]func(*exec.Cmd){collector.AsNobody(t)}, options...)
			}
			before, rules := audit.Status(t), ruleLines(t)
			c := collector.Start(t, collector.Config{Receiver: `{netlink: {mode: ` + test.mode + `}}`}, options...)
			assert.Equal(t, 1, c.Wait(), "exit code")
			for _, text := range test.says {
				assert.Contains(t, c.Output.String(), text)
			}
			assert.Equal(t, before, audit.Status(t), "the audit system is unchanged")
			assert.Equal(t, rules, ruleLines(t), "the audit system is unchanged")
		})
	}
}

// inUserNamespace runs the collector as root of a new user namespace.
func inUserNamespace(command *exec.Cmd) {
	a := harness.Attributes(command)
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
}

// With only the right to read, the collector listens beside auditd, and logs which rules an
// administrator has to load.
func TestReadsWithoutTheRightToChangeRules(t *testing.T) {
	audit.Use(t)
	audit.NewDaemon(t, "log_format = RAW").Run()
	sink := otlp.NewSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink, collector.AsNobody(t), withCapabilities(unix.CAP_AUDIT_READ))
	c.Says("CAP_AUDIT_CONTROL")
	followAdvice(t, c)
	s := process.NewSender(t, process.NativeSender(t))
	victim := s.Start(1, false)[0]
	for _, call := range signalCalls {
		s.Send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGTERM)}, victim)
	}
	awaitSent(t, sink, []*process.Sender{s})
	c.Stop()
	assertSent(t, sink.Records(), []*process.Sender{s})
}

var advicePattern = regexp.MustCompile(`auditctl (-[ae] [^\\"\n]+)`)

// followAdvice runs exactly the commands that the collector suggests.
func followAdvice(t *testing.T, c *collector.Collector) {
	t.Helper()
	advice := advicePattern.FindAllStringSubmatch(c.Output.String(), -1)
	require.NotEmpty(t, advice, "auditctl commands in the output of the collector")
	for _, line := range advice {
		if rule, ok := strings.CutPrefix(line[1], "-a "); ok {
			audit.AddRule(t, strings.ReplaceAll(rule, "'", ""))
			continue
		}
		audit.Auditctl(t, strings.Fields(line[1])...)
	}
}

// The collector reports rules that suppress records, and how to remove them.
func TestSaysWhatSuppressesRecords(t *testing.T) {
	for name, rule := range map[string]string{
		"processes": "task,never",
		"calls":     "exit,never -F arch=b64 -S kill",
		"records":   "exclude,always -F msgtype=OBJ_PID",
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			audit.AddRule(t, rule)
			suppressing := ruleLines(t)
			c := startLive(t, `{netlink: {}}`, otlp.NewSink(t, "grpc"))
			c.Says("auditctl -d ")
			assert.Subset(t, ruleLines(t), suppressing, "the collector leaves foreign rules alone")
			c.Stop()
			assert.Equal(t, suppressing, ruleLines(t))
		})
	}
}
