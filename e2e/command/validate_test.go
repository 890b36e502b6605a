// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

const (
	// What the collector prints before the path of a key that it refuses while it
	// reads the file, or while it checks the configuration.
	reading  = "'receivers' error reading configuration for \"audit_kill\""
	checking = "Error: receivers::audit_kill"
)

// A wrong configuration is refused with the path of the key and a right value.
func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	const (
		signalNames = "use a name such as SIGTERM or TERM, a number from 0 to 64, or SIGRTMIN+0 to SIGRTMIN+30"
		globRules   = "is not a valid glob (close every [ and do not end with a backslash)"
		keys        = "attribution, command_line, correlation, ebpf, exclude_senders, exclude_targets, file, include_failed, include_original, kernel_log, netlink, " +
			"outcome, plugin, resource_attributes, retry_on_failure, root_path, rules, senders, signals, storage, targets"
		keyRules = "must be 1 to 31 printable ASCII characters without spaces, quotes, commas, backslashes and " +
			"equals signs, such as audit_kill"
		retryKeys = "enabled, initial_interval, max_elapsed_time, max_interval, multiplier, randomization_factor"
	)
	tests := map[string]struct {
		receiver string
		when     string
		says     string
	}{
		"unknown key": {
			`{foo: 1}`,
			reading, "foo: unknown key, use one of " + keys,
		},
		"outcome for no time": {
			`{outcome: {timeout: 0s}}`,
			checking, "::outcome: timeout: 0s must be at least 1ms, such as 2m",
		},
		"attribution for too long": {
			`{attribution: {timeout: 1m}}`,
			checking, "::attribution: timeout: 1m0s must be from 1ms to 10s, such as 200ms",
		},
		"relative socket of a manager": {
			`{attribution: {sockets: [supervisor.sock]}}`,
			checking, `::attribution::sockets::0: "supervisor.sock" must be an absolute path, such as /run/supervisor.sock`,
		},
		"unknown key of file": {
			`{file: {paths: [/var/log/audit/audit.log]}}`,
			reading, "file::paths: unknown key, use one of follow, path, start_at",
		},
		"unknown key of correlation": {
			`{correlation: {max_events: 1}}`,
			reading, "correlation::max_events: unknown key, use one of max_pending, timeout",
		},
		"unknown key of retry_on_failure": {
			`{retry_on_failure: {interval: 1s}}`,
			reading, "retry_on_failure::interval: unknown key, use one of " + retryKeys,
		},
		"file is no section": {
			`{file: /var/log/audit/audit.log}`,
			reading, "file: /var/log/audit/audit.log must be a section with some of the keys follow, path, start_at",
		},
		"no path": {
			`{file: {path: ""}}`,
			checking, "::file: path: must name a log file, such as /var/log/audit/audit.log",
		},
		"path of a folder": {
			`{file: {path: /var/log/audit/}}`,
			checking, `::file: path: "/var/log/audit/" is a directory, it must name a log file in it, ` +
				`such as /var/log/audit/audit.log`,
		},
		"path is a number": {
			`{file: {path: 7}}`,
			reading, "file::path: 7 must be a text, in quotes if it looks like a number",
		},
		"start_at": {
			`{file: {start_at: middle}}`,
			checking, `::file: start_at: "middle" must be end or beginning`,
		},
		"nothing to read": {
			`{file: {start_at: end, follow: false}}`,
			checking, "::file: start_at: end with follow: false would read nothing; use start_at: beginning",
		},
		"follow": {
			`{file: {follow: forever}}`,
			reading, "file::follow: forever must be true or false",
		},
		"two sources": {
			`{file: {}, netlink: {}}`,
			checking, ": file, netlink: only one source is possible; use an audit_kill receiver of its own for each",
		},
		"rules for ebpf": {
			`{ebpf: {}, rules: {manage: true}}`,
			checking, ": rules::manage: true is for netlink, file and plugin, as ebpf needs no audit rules; leave it out",
		},
		"unknown key of ebpf": {
			`{ebpf: {buffer: 1}}`,
			reading, "ebpf::buffer: unknown key, use one of ring_buffer",
		},
		"size of the ring buffer": {
			`{ebpf: {ring_buffer: 5000000}}`,
			checking, "::ebpf: ring_buffer: 5000000 must be a power of two, such as 4194304 or 8388608",
		},
		"root_path": {
			`{root_path: hostfs}`,
			checking, `: root_path: "hostfs" must be an absolute path, such as /hostfs`,
		},
		"unknown key of netlink": {
			`{netlink: {group: 1}}`,
			reading, "netlink::group: unknown key, use one of mode, receive_buffer",
		},
		"mode": {
			`{netlink: {mode: broadcast}}`,
			checking, `::netlink: mode: "broadcast" must be auto, multicast or unicast`,
		},
		"receive buffer too small": {
			`{netlink: {receive_buffer: 8}}`,
			checking, "::netlink: receive_buffer: 8 must be from 65536 to 1073741823 bytes, such as 8388608",
		},
		"receive buffer too large": {
			`{netlink: {receive_buffer: 1073741824}}`,
			checking, "::netlink: receive_buffer: 1073741824 must be from 65536 to 1073741823 bytes, such as 8388608",
		},
		"receive buffer with a unit": {
			`{netlink: {receive_buffer: 8MiB}}`,
			reading, "netlink::receive_buffer: 8MiB must be a whole number",
		},
		"unknown key of rules": {
			`{rules: {prefix: x}}`,
			reading, "rules::prefix: unknown key, use one of key, manage",
		},
		"manage": {
			`{rules: {manage: sometimes}}`,
			reading, "rules::manage: sometimes must be true or false",
		},
		"no key of rules": {
			`{rules: {key: ""}}`,
			checking, `::rules: key: "" ` + keyRules,
		},
		"key of rules with a space": {
			`{rules: {key: "audit kill"}}`,
			checking, `::rules: key: "audit kill" ` + keyRules,
		},
		"key of rules too long": {
			`{rules: {key: a123456789012345678901234567890b}}`,
			checking, `::rules: key: "a123456789012345678901234567890b" ` + keyRules,
		},
		"unknown signal": {
			`{signals: [SIGTERM, SIGFOO]}`,
			checking, `::signals::1: unknown signal "SIGFOO": ` + signalNames,
		},
		"signal out of range": {
			`{signals: [65]}`,
			checking, `::signals::0: signal "65" is out of range: use 0 to 64`,
		},
		"negative signal": {
			`{signals: [-9]}`,
			checking, `::signals::0: signal "-9" is out of range: use 0 to 64`,
		},
		"realtime signal out of range": {
			`{signals: [SIGRTMIN+31]}`,
			checking, `::signals::0: unknown signal "SIGRTMIN+31": ` + signalNames,
		},
		"fraction as a signal": {
			`{signals: [9.5]}`,
			reading, "signals::0: 9.5 must be a name or a whole number, such as SIGTERM or 15",
		},
		"signals are no list": {
			`{signals: SIGKILL}`,
			reading, "signals: SIGKILL must be a list, such as [SIGKILL]",
		},
		"no signals": {
			`{signals: []}`,
			checking, ": signals: must name at least one; leave it out to report those that end, stop or crash a process",
		},
		"glob of targets": {
			`{targets: [mysqld, "[a"]}`,
			checking, `::targets::1: "[a" ` + globRules,
		},
		"glob of senders": {
			`{senders: ["a\\"]}`,
			checking, `::senders::0: "a\\" ` + globRules,
		},
		"empty name": {
			`{targets: [""]}`,
			checking, `::targets::0: empty name: use a command name such as mysqld, a glob such as "postgres*", ` +
				`or the path of a program`,
		},
		"include_failed": {
			`{include_failed: maybe}`,
			reading, "include_failed: maybe must be true or false",
		},
		"command_line": {
			`{command_line: all}`,
			checking, `: command_line: "all" must be redacted, program, full or off`,
		},
		"negative timeout": {
			`{correlation: {timeout: -1s}}`,
			checking, "::correlation: timeout: -1s must be at least 1ms, such as 2s",
		},
		"no timeout": {
			`{correlation: {timeout: 0s}}`,
			checking, "::correlation: timeout: 0s must be at least 1ms, such as 2s",
		},
		"timeout without a unit": {
			`{correlation: {timeout: 2}}`,
			reading, "correlation::timeout: 2 must be a duration with its unit, such as 2s",
		},
		"timeout is no duration": {
			`{correlation: {timeout: soon}}`,
			reading, "correlation::timeout: soon must be a duration with its unit, such as 2s",
		},
		"no room for pending events": {
			`{correlation: {max_pending: 0}}`,
			checking, "::correlation: max_pending: 0 must be from 1 to 100000",
		},
		"too much room for pending events": {
			`{correlation: {max_pending: 100001}}`,
			checking, "::correlation: max_pending: 100001 must be from 1 to 100000",
		},
		"retry interval": {
			`{retry_on_failure: {initial_interval: 0s}}`,
			checking, ": retry_on_failure::initial_interval: 0s must be at least 1ms, such as 1s",
		},
		"negative retry limit": {
			`{retry_on_failure: {max_elapsed_time: -1s}}`,
			checking, "::retry_on_failure: max_elapsed_time value must be greater than or equal to 0",
		},
		"retry multiplier": {
			`{retry_on_failure: {multiplier: 0.5}}`,
			checking, ": retry_on_failure::multiplier: 0.5 must be at least 1, such as 1.5",
		},
		"retry randomization": {
			`{retry_on_failure: {randomization_factor: 2}}`,
			checking, "::retry_on_failure: randomization_factor value must be less than or equal to 1",
		},
		"empty storage": {
			`{storage: ""}`,
			reading, `storage: "" must be the name of an extension`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, code := validate(t, collector.Config{Receiver: test.receiver})
			assert.NotZero(t, code)
			assert.Contains(t, said, test.when)
			assert.Contains(t, said, test.says)
		})
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":            ``,
		"empty mapping":      `{}`,
		"empty file":         `{file: {}}`,
		"file without value": `{file: }`,
		"backfill":           `{file: {path: /var/log/audit/audit.log, follow: false}}`,
		"empty netlink":      `{netlink: {}}`,
		"netlink":            `{netlink: {mode: multicast, receive_buffer: 65536}, rules: {manage: false, key: my-key}}`,
		"rules and file":     `{file: {}, rules: {manage: true}}`,
		"names of signals":   `{signals: [SIGKILL, TERM, sighup, int, SIGRTMIN, SIGRTMIN+3, rtmax-1]}`,
		"numbers of signals": `{signals: [9, "15", 0, 64]}`,
		"globs":              `{targets: [mysqld, "postgres*", /usr/sbin/nginx], senders: ["[a-z]*", "/opt/*/bin/*"]}`,
		"no retry":           `{retry_on_failure: {enabled: false, initial_interval: 0s}}`,
		"everything": `{file: {path: /var/log/audit/audit.log, start_at: beginning, follow: true}, signals: [SIGKILL], ` +
			`targets: [mysqld], senders: [bash], include_failed: false, command_line: full, include_original: true, ` +
			`correlation: {timeout: 5s, max_pending: 1}, storage: file_storage, ` +
			`retry_on_failure: {enabled: true, initial_interval: 1s, max_interval: 30s, max_elapsed_time: 0s}}`,
	}
	for name, receiver := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said, code := validate(t, collector.Config{Receiver: receiver})
			assert.Zero(t, code, said)
		})
	}
}

// The collector can check only at the start whether an extension exists.
func TestStorageMustExist(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config collector.Config
		says   string
	}{
		"missing": {
			collector.Config{Receiver: `{file: {path: ../../testdata/seed.log}, storage: file_storage}`},
			`storage: extension "file_storage" does not exist; configure it, and list it under service::extensions`,
		},
		"of another kind": {
			collector.Config{
				Receiver:   `{file: {path: ../../testdata/seed.log}, storage: health_check}`,
				Extensions: `{health_check: {endpoint: "127.0.0.1:0"}}`,
			},
			`storage: extension "health_check" keeps no data; use one such as file_storage`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := collector.Start(t, test.config)
			assert.NotZero(t, c.Wait())
			assert.Contains(t, c.Output.String(), test.says)
		})
	}
}

func validate(t *testing.T, c collector.Config) (said string, code int) {
	t.Helper()
	return collector.Run(t, collector.Arguments("validate", "--config", c.Write(t, harness.FreePort(t))))
}
