// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// foreignRules are rules of other software. Most of them resemble ours.
var foreignRules = []string{
	"always,exit -F arch=b64 -S mkdir -k other",
	"always,exit -F arch=b64 -S kill -F a1=9 -k other",
	"always,exit -F arch=b64 -S tkill -k audit_kill_too",
	"always,exit -F arch=b64 -S tgkill -F a2=6 -k audit_kill",
}

// mostRules is how many rules the collector may load: the kernel checks each rule at
// every system call of the host.
const mostRules = 8

// A clean shutdown restores the kernel's audit settings and rules.
func TestLeavesTheKernelAsItWas(t *testing.T) {
	tests := map[string]struct {
		receiver string
		daemon   bool
		settings [][]string
		during   map[string]string
	}{
		"unicast, audit was off": {
			receiver: `{netlink: {mode: unicast}}`,
			settings: [][]string{{"-e", "0"}, {"-b", "100"}, {"--backlog_wait_time", "700"}, {"-f", "0"}},
			during:   map[string]string{"enabled": "1", "backlog_wait_time": "0", "failure": "0"},
		},
		"unicast, audit was on": {
			receiver: `{netlink: {mode: unicast}}`,
			settings: [][]string{{"-e", "1"}, {"-b", "50000"}, {"--backlog_wait_time", "0"}},
			during:   map[string]string{"enabled": "1", "backlog_limit": "50000", "backlog_wait_time": "0"},
		},
		"multicast, audit was off": {
			receiver: `{netlink: {mode: multicast}}`,
			daemon:   true,
			settings: [][]string{{"-e", "0"}, {"-b", "500"}, {"--backlog_wait_time", "700"}},
			during:   map[string]string{"enabled": "1", "backlog_limit": "500", "backlog_wait_time": "700"},
		},
		"rules are not managed": {
			receiver: `{netlink: {mode: unicast}, rules: {manage: false}}`,
			settings: [][]string{{"-e", "1"}},
			during:   map[string]string{"enabled": "1", "backlog_wait_time": "0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			if test.daemon {
				audit.NewDaemon(t, "log_format = RAW").Run()
			}
			for _, setting := range test.settings {
				audit.Auditctl(t, setting...)
			}
			for _, rule := range foreignRules {
				audit.AddRule(t, rule)
			}
			before, rules := audit.Status(t), ruleLines(t)

			c := startLive(t, test.receiver, otlp.NewSink(t, "grpc"))
			during := audit.Status(t)
			for setting, value := range test.during {
				assert.Equal(t, value, during[setting], setting)
			}
			if !test.daemon {
				assert.Equal(t, strconv.Itoa(c.PID()), during["pid"])
			}
			ours := without(ruleLines(t), rules)
			if strings.Contains(test.receiver, "manage: false") {
				assert.Empty(t, ours)
			} else {
				assert.NotEmpty(t, ours)
				assert.LessOrEqual(t, len(ours), mostRules)
			}

			c.Stop()
			assert.Equal(t, before, audit.Status(t))
			assert.Equal(t, rules, ruleLines(t))
		})
	}
}

// A collector that was killed leaves its rules behind. The next one recognizes them:
// it loads none of them again, and removes them at the end.
func TestRecognizesItsRulesAfterACrash(t *testing.T) {
	for name, receiver := range map[string]string{
		"auto": `{netlink: {}}`, "unicast": `{netlink: {mode: unicast}}`,
	} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			for _, rule := range foreignRules {
				audit.AddRule(t, rule)
			}
			foreign := ruleLines(t)
			for range 3 {
				c := startLive(t, receiver, otlp.NewSink(t, "grpc"))
				assert.Equal(t, strconv.Itoa(c.PID()), audit.Status(t)["pid"],
					"the new collector takes the place of the dead one")
				loaded := ruleLines(t)
				c.Kill()
				assert.Equal(t, loaded, ruleLines(t))
				require.Greater(t, len(loaded), len(foreign))
				require.LessOrEqual(t, len(loaded), len(foreign)+mostRules)
			}
			// Other signals need other rules; the old ones are removed.
			c := startLive(t, strings.Replace(receiver, "{", "{signals: [KILL], ", 1), otlp.NewSink(t, "grpc"))
			assert.LessOrEqual(t, len(ruleLines(t)), len(foreign)+mostRules)
			c.Stop()
			assert.Equal(t, foreign, ruleLines(t))
		})
	}
}

// The kernel may still have a killed collector registered as the audit daemon, because nothing has
// made it notice the death. The next collector takes its place.
func TestTakesThePlaceOfADeadCollector(t *testing.T) {
	for name, mode := range map[string]string{"auto": "auto", "unicast": "unicast"} {
		t.Run(name, func(t *testing.T) {
			audit.Use(t)
			receiver := fmt.Sprintf(`{netlink: {mode: %s}, rules: {manage: false}}`, mode)
			c := startLive(t, receiver, otlp.NewSink(t, "grpc"))
			c.Kill()
			c = startLive(t, receiver, otlp.NewSink(t, "grpc"))
			pid := strconv.Itoa(c.PID())
			harness.Eventually(t, func() bool { return audit.Status(t)["pid"] == pid }, "the new collector takes the place of the dead one")
			c.Stop()
		})
	}
}

// Rules that an administrator has loaded stay, even if they equal ours.
func TestEqualRulesOfOthersStay(t *testing.T) {
	audit.Use(t)
	c := startLive(t, `{netlink: {}}`, otlp.NewSink(t, "grpc"))
	ours := ruleLines(t)
	c.Stop()
	require.Empty(t, ruleLines(t))
	for _, rule := range ours {
		// Our rules are marked with a process id, an administrator's are not.
		require.Regexp(t, ownMark, rule)
		audit.AddRule(t, strings.TrimPrefix(ownMark.ReplaceAllString(rule, ""), "-a "))
	}
	foreign := ruleLines(t)
	c = startLive(t, `{netlink: {}}`, otlp.NewSink(t, "grpc"))
	assert.Equal(t, foreign, ruleLines(t), "no rule is loaded a second time")
	c.Stop()
	assert.Equal(t, foreign, ruleLines(t))
}

var ownMark = regexp.MustCompile(` -F pid!=\d+`)

// ruleLines returns the kernel's rules, in order.
func ruleLines(t *testing.T) []string {
	t.Helper()
	said := strings.TrimSpace(audit.Auditctl(t, "-l"))
	if said == "No rules" {
		return nil
	}
	return strings.Split(said, "\n")
}

// without returns the lines that are not in others.
func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}
