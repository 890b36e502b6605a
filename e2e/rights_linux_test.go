// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/orders"
)

// What the kernel does not grant is named, with what to change under systemd
// and in Kubernetes.

// inNamespaces runs the collector in new namespaces.
func inNamespaces(flags uintptr) func(*exec.Cmd) {
	return func(command *exec.Cmd) { attributes(command).Cloneflags |= flags }
}

// withCapabilities leaves the collector so many rights of root.
func withCapabilities(capabilities ...uintptr) func(*exec.Cmd) {
	return func(command *exec.Cmd) { attributes(command).AmbientCaps = capabilities }
}

func attributes(command *exec.Cmd) *syscall.SysProcAttr {
	if command.SysProcAttr == nil {
		command.SysProcAttr = new(syscall.SysProcAttr)
	}
	return command.SysProcAttr
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
			useAudit(t)
			if test.daemon {
				newAuditd(t, "log_format = RAW").run()
			}
			options := test.options
			if test.user {
				options = append([]func(*exec.Cmd){asNobody(t)}, options...)
			}
			before, rules := auditStatus(t), ruleLines(t)
			c := start(t, config{receiver: `{netlink: {mode: ` + test.mode + `}}`}, options...)
			assert.Equal(t, 1, c.wait(), "exit code")
			for _, text := range test.says {
				assert.Contains(t, c.output.String(), text)
			}
			assert.Equal(t, before, auditStatus(t), "nothing has changed")
			assert.Equal(t, rules, ruleLines(t), "nothing has changed")
		})
	}
}

// inUserNamespace makes the collector root of a new user namespace.
func inUserNamespace(command *exec.Cmd) {
	a := attributes(command)
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1}}
}

// With the right to read alone the collector reads beside auditd, and says what
// a person has to load.
func TestReadsWithoutTheRightToChangeRules(t *testing.T) {
	useAudit(t)
	newAuditd(t, "log_format = RAW").run()
	sink := newSink(t, "grpc")
	c := startLive(t, `{netlink: {}}`, sink, asNobody(t), withCapabilities(unix.CAP_AUDIT_READ))
	c.says("CAP_AUDIT_CONTROL")
	followAdvice(t, c)
	s := newSender(t, nativeSender(t))
	victim := s.start(1, false)[0]
	for _, call := range signalCalls {
		s.send(orders.Order{Call: call, PID: victim, Thread: victim, Signal: int(unix.SIGTERM)}, victim)
	}
	awaitSent(t, sink, []*sender{s})
	c.stop()
	assertSent(t, sink.records(), []*sender{s})
}

var advicePattern = regexp.MustCompile(`auditctl (-[ae] [^\\"\n]+)`)

// followAdvice does what the collector says, to the letter.
func followAdvice(t *testing.T, c *collector) {
	t.Helper()
	advice := advicePattern.FindAllStringSubmatch(c.output.String(), -1)
	require.NotEmpty(t, advice, "auditctl lines in what the collector says")
	for _, line := range advice {
		if rule, ok := strings.CutPrefix(line[1], "-a "); ok {
			addRule(t, strings.ReplaceAll(rule, "'", ""))
			continue
		}
		auditctl(t, strings.Fields(line[1])...)
	}
}

// What suppresses records is named, with how to remove it.
func TestSaysWhatSuppressesRecords(t *testing.T) {
	for name, rule := range map[string]string{
		"processes": "task,never",
		"calls":     "exit,never -F arch=b64 -S kill",
		"records":   "exclude,always -F msgtype=OBJ_PID",
	} {
		t.Run(name, func(t *testing.T) {
			useAudit(t)
			addRule(t, rule)
			suppressing := ruleLines(t)
			c := startLive(t, `{netlink: {}}`, newSink(t, "grpc"))
			c.says("auditctl -d ")
			assert.Subset(t, ruleLines(t), suppressing, "it is somebody else's rule")
			c.stop()
			assert.Equal(t, suppressing, ruleLines(t))
		})
	}
}
