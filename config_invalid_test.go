// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInvalidConfig(t *testing.T) {
	t.Parallel()

	const keys = "attribution, command_line, correlation, ebpf, exclude_senders, exclude_targets, file, include_failed, include_original, kernel_log, netlink, outcome, plugin, " +
		"resource_attributes, retry_on_failure, root_path, rules, senders, signals, storage, targets"
	const oneSource = "only one source is possible; use an audit_kill receiver of its own for each"
	const text = " must be a text, in quotes if it looks like a number"
	const unknownSignal = ": use a name such as SIGTERM or TERM, a number from 0 to 64, or SIGRTMIN+0 to SIGRTMIN+30"
	tests := []struct {
		name string
		yaml string
		want string
	}{
		{"unknown key", "signal: [SIGKILL]", "signal: unknown key, use one of " + keys},
		{"unknown keys, always in the same order", "{z: 1, a: 1, file: {y: 1, b: 1}, correlation: {x: 1}}", "" +
			"a: unknown key, use one of " + keys + "\n" +
			"z: unknown key, use one of " + keys + "\n" +
			"correlation::x: unknown key, use one of max_pending, timeout\n" +
			"file::b: unknown key, use one of follow, path, start_at\n" +
			"file::y: unknown key, use one of follow, path, start_at"},
		{
			"unknown resource attribute", "resource_attributes: {host.type: {enabled: true}}", "resource_attributes::host.type: unknown key, " +
				"use one of host.id, host.ip, host.name, os.type, service.instance.id, service.name",
		},
		{
			"resource attribute without a section", "resource_attributes: {host.ip: true}",
			"resource_attributes::host.ip: true must be a section with some of the keys enabled",
		},
		{
			"resource attribute that is not on or off", "resource_attributes: {host.ip: {enabled: 1}}",
			"resource_attributes::host.ip::enabled: 1 must be true or false",
		},
		{"unknown key of the retries", "retry_on_failure: {interval: 1s}", "retry_on_failure::interval: unknown key, " +
			"use one of enabled, initial_interval, max_elapsed_time, max_interval, multiplier, randomization_factor"},
		{
			"a section that can be switched off elsewhere", "file: {enabled: false}",
			"file::enabled: unknown key, use one of follow, path, start_at",
		},
		{"keys are case-sensitive", "file: {Path: /a}", "file::Path: unknown key, use one of follow, path, start_at"},
		{"outcome without a unit", "outcome: {timeout: 120}", "outcome::timeout: 120 must be a duration with its unit, such as 2s"},
		{"part of outcome", "outcome: {after: 2m}", "outcome::after: unknown key, use one of enabled, timeout, unsent"},

		{
			"part of attribution", "attribution: {socket: /a}",
			"attribution::socket: unknown key, use one of enabled, sockets, timeout",
		},
		{"attribution switched off", "attribution: false", "attribution: false must be a section with some of the keys enabled, sockets, timeout"},
		{"one socket", "attribution: {sockets: /run/a}", "attribution::sockets: /run/a must be a list, such as [/run/a]"},
		{
			"attribution without a unit", "attribution: {timeout: 200}",
			"attribution::timeout: 200 must be a duration with its unit, such as 2s",
		},
		{
			"attribution for no time", "attribution: {timeout: 0s}",
			"receivers::audit_kill::attribution: timeout: 0s must be from 1ms to 10s, such as 200ms",
		},
		{
			"attribution for too long", "attribution: {timeout: 11s}",
			"receivers::audit_kill::attribution: timeout: 11s must be from 1ms to 10s, such as 200ms",
		},
		{
			"a relative socket of a manager", "attribution: {sockets: [/run/a, run/b, '']}", "" +
				`receivers::audit_kill::attribution::sockets::1: "run/b" must be an absolute path, such as /run/supervisor.sock` + "\n" +
				`receivers::audit_kill::attribution::sockets::2: "" must be an absolute path, such as /run/supervisor.sock`,
		},
		{
			"a path too long for a manager", "attribution: {sockets: [/" + strings.Repeat("a", 107) + "]}",
			`receivers::audit_kill::attribution::sockets::0: "/` + strings.Repeat("a", 107) + `" must have at most 107 bytes, ` +
				"as the path of a Unix socket",
		},
		{
			"a pattern that the kernel cannot compare", "attribution: {sockets: [/run/a*b]}",
			`receivers::audit_kill::attribution::sockets::0: "/run/a*b" may have one *, which stands for a number: after /run/user/ or at the end`,
		},
		{
			"the same socket twice", "attribution: {sockets: [/run/a, /run/b, /run/a]}",
			`receivers::audit_kill::attribution: sockets::2: "/run/a" is there twice, leave it out`,
		},

		{"unknown key of netlink", "netlink: {path: /a}", "netlink::path: unknown key, use one of mode, receive_buffer"},
		{"unknown key of rules", "rules: {keys: a}", "rules::keys: unknown key, use one of key, manage"},
		{"text as size", "netlink: {receive_buffer: 8MB}", "netlink::receive_buffer: 8MB must be a whole number"},
		{"manage", "rules: {manage: yes please}", "rules::manage: yes please must be true or false"},
		{"two sources", "{file: {}, netlink: {}}", "receivers::audit_kill: file, netlink: " + oneSource},
		{"two others", "{ebpf: {}, netlink: {}}", "receivers::audit_kill: ebpf, netlink: " + oneSource},
		{"three sources", "{netlink: {}, file: {}, ebpf: {}}", "receivers::audit_kill: ebpf, file, netlink: " + oneSource},
		{"all sources", "{plugin: {}, netlink: {}, file: {}, ebpf: {}}", "receivers::audit_kill: ebpf, file, netlink, plugin: " + oneSource},
		{"plugin beside another", "{plugin: {}, file: {}}", "receivers::audit_kill: file, plugin: " + oneSource},
		{"unknown key of plugin", "plugin: {socket: /a}", "plugin::socket: unknown key, use one of path"},
		{"the socket as section", "plugin: /a", "plugin: /a must be a section with some of the keys path"},
		{
			"a relative socket", "plugin: {path: events}", "receivers::audit_kill::plugin: " +
				`path: "events" must be an absolute path, such as /var/run/audispd_events`,
		},
		{"unsent without ebpf", "{netlink: {}, outcome: {unsent: killed}}", "receivers::audit_kill: " +
			"outcome::unsent: killed is for ebpf, which sees how all processes end; leave it out"},
		{"unsent with senders", "{ebpf: {}, exclude_senders: [systemd], outcome: {unsent: all}}", "receivers::audit_kill: " +
			"outcome::unsent: all cannot be told with senders or exclude_senders, as others may have sent a signal; " +
			"drop records of senders with a filter processor instead"},
		{"unsent", "outcome: {unsent: some}", `receivers::audit_kill::outcome: unsent: "some" must be none, killed or all`},
		{
			"no socket", `plugin: {path: ""}`, "receivers::audit_kill::plugin: " +
				"path: must name the socket of auditd's af_unix plugin, such as /var/run/audispd_events",
		},
		{
			"a path too long for a socket", "plugin: {path: /" + strings.Repeat("a", 107) + "}", "receivers::audit_kill::plugin: " +
				`path: "/` + strings.Repeat("a", 107) + `" must have at most 107 bytes, as the path of a Unix socket`,
		},
		{"unknown key of ebpf", "ebpf: {receive_buffer: 1}", "ebpf::receive_buffer: unknown key, use one of ring_buffer"},
		{"ebpf switched off", "ebpf: false", "ebpf: false must be a section with some of the keys ring_buffer"},
		{"text as size of the ring", "ebpf: {ring_buffer: 4MiB}", "ebpf::ring_buffer: 4MiB must be a whole number"},
		{"no ring", "ebpf: {ring_buffer: 0}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 0 must be a power of two from 65536 to 1073741824 bytes, such as 4194304"},
		{"ring too small", "ebpf: {ring_buffer: 32768}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 32768 must be a power of two from 65536 to 1073741824 bytes, such as 4194304"},
		{"ring too large", "ebpf: {ring_buffer: 2147483648}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 2147483648 must be a power of two from 65536 to 1073741824 bytes, such as 4194304"},
		{"odd ring", "ebpf: {ring_buffer: 5000000}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 5000000 must be a power of two, such as 4194304 or 8388608"},
		{"just above a good ring", "ebpf: {ring_buffer: 65537}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 65537 must be a power of two, such as 65536 or 131072"},
		{"just below the largest ring", "ebpf: {ring_buffer: 1073741823}", "receivers::audit_kill::ebpf: " +
			"ring_buffer: 1073741823 must be a power of two, such as 536870912 or 1073741824"},
		{"rules for ebpf", "{ebpf: {}, rules: {manage: true}}", "receivers::audit_kill: " +
			"rules::manage: true is for netlink, file and plugin, as ebpf needs no audit rules; leave it out"},
		{"kernel_log for ebpf", "{ebpf: {}, kernel_log: true}", "receivers::audit_kill: " +
			"kernel_log: true is for netlink, file and plugin, as ebpf sees these kills itself; leave it out"},
		{"kernel_log for a backfill", "{file: {follow: false}, kernel_log: true}", "receivers::audit_kill: " +
			"kernel_log: true is for file with follow: true, as the kernel's log tells what happens now; leave it out"},
		{"root_path", "root_path: hostfs", `receivers::audit_kill: root_path: "hostfs" must be an absolute path, such as /hostfs`},
		{"mode", "netlink: {mode: broadcast}", `receivers::audit_kill::netlink: mode: "broadcast" must be auto, multicast or unicast`},
		{"receive_buffer", "netlink: {receive_buffer: 0}", "receivers::audit_kill::netlink: " +
			"receive_buffer: 0 must be from 65536 to 1073741823 bytes, such as 8388608"},
		{"no key", `rules: {key: ""}`, `receivers::audit_kill::rules: key: "" must be 1 to 31 printable ASCII characters ` +
			"without spaces, quotes, commas, backslashes and equals signs, such as audit_kill"},
		{"odd key", `rules: {key: "my key"}`, `receivers::audit_kill::rules: key: "my key" must be 1 to 31 printable ASCII ` +
			"characters without spaces, quotes, commas, backslashes and equals signs, such as audit_kill"},

		{
			"a scalar as section", "file: /var/log/audit/audit.log",
			"file: /var/log/audit/audit.log must be a section with some of the keys follow, path, start_at",
		},
		{
			"a list as section", "correlation: [1]",
			"correlation: [1] must be a section with some of the keys max_pending, timeout",
		},
		{"a scalar as list", "signals: SIGKILL", "signals: SIGKILL must be a list, such as [SIGKILL]"},
		{"a number as list", "signals: 9", "signals: 9 must be a list, such as [9]"},
		{"targets as scalar", "targets: mysqld", "targets: mysqld must be a list, such as [mysqld]"},
		{"senders as scalar", "senders: mykill", "senders: mykill must be a list, such as [mykill]"},
		{"no boolean", "{include_failed: 1, include_original: no, file: {follow: maybe}}", "" +
			"include_failed: 1 must be true or false\n" +
			"include_original: no must be true or false\n" +
			"file::follow: maybe must be true or false"},
		{"no duration", "{correlation: {timeout: 5}, retry_on_failure: {initial_interval: 1x, max_interval: true}}", "" +
			"correlation::timeout: 5 must be a duration with its unit, such as 2s\n" +
			"retry_on_failure::initial_interval: 1x must be a duration with its unit, such as 2s\n" +
			"retry_on_failure::max_interval: true must be a duration with its unit, such as 2s"},
		{"nothing where a value must be", "{include_failed: , correlation: {timeout: , max_pending: }, file: {follow: }}", "" +
			"include_failed: null must be true or false\n" +
			"correlation::max_pending: null must be a whole number\n" +
			"correlation::timeout: null must be a duration with its unit, such as 2s\n" +
			"file::follow: null must be true or false"},
		{"no whole number", "correlation: {max_pending: 1.5}", "correlation::max_pending: 1.5 must be a whole number"},
		{"text as number", "correlation: {max_pending: many}", "correlation::max_pending: many must be a whole number"},
		{"signals that are neither name nor number", "signals: [9.0, SIGKILL, true, [9], {a: 1}, null]", "" +
			"signals::0: 9 must be a name or a whole number, such as SIGTERM or 15\n" +
			"signals::2: true must be a name or a whole number, such as SIGTERM or 15\n" +
			"signals::3: [9] must be a name or a whole number, such as SIGTERM or 15\n" +
			"signals::4: map[a:1] must be a name or a whole number, such as SIGTERM or 15\n" +
			"signals::5: null must be a name or a whole number, such as SIGTERM or 15"},

		{"all signals", "signals: all", `signals: "all" is no signal: list those that you want, by name or by number from 1 to 64`},
		{"all signals as list", "signals: [ALL]", `receivers::audit_kill::signals::0: "ALL" is no signal: ` +
			"list those that you want, by name or by number from 1 to 64"},
		{"no text", "{signals: [9], file: {path: 5, start_at: [end]}, rules: {key: 5}, command_line: true, attribution: {sockets: [/run/a, 5]}}", "" +
			"command_line: true" + text + "\n" +
			"attribution::sockets::1: 5" + text + "\n" +
			"file::path: 5" + text + "\n" +
			"file::start_at: [end]" + text + "\n" +
			"rules::key: 5" + text},
		{"no name of a process", "targets: [true]", "targets::0: true must be the name of a process or the path of its program, such as mysqld"},
		{"no name of an extension", "storage: 5", "storage: 5 must be the name of an extension, such as file_storage"},
		{"no type of an extension", "storage: a b", "storage: a b must be the name of an extension, such as file_storage"},
		{"no number", "retry_on_failure: {multiplier: twice}", "retry_on_failure::multiplier: twice must be a number"},
		{"no signals", "signals: []", "receivers::audit_kill: signals: must name at least one; " +
			"leave it out to report those that end, stop or crash a process"},
		{"unknown signals", `signals: [SIGFOO, "", SIGRTMIN+31, "9.5"]`, "" +
			`receivers::audit_kill::signals::0: unknown signal "SIGFOO"` + unknownSignal + "\n" +
			`receivers::audit_kill::signals::1: unknown signal ""` + unknownSignal + "\n" +
			`receivers::audit_kill::signals::2: unknown signal "SIGRTMIN+31"` + unknownSignal + "\n" +
			`receivers::audit_kill::signals::3: unknown signal "9.5"` + unknownSignal},
		{"signals out of range", "signals: [65, -1, 18446744073709551615]", "" +
			`receivers::audit_kill::signals::0: signal "65" is out of range: use 0 to 64` + "\n" +
			`receivers::audit_kill::signals::1: signal "-1" is out of range: use 0 to 64` + "\n" +
			`receivers::audit_kill::signals::2: unknown signal "18446744073709551615"` + unknownSignal},
		{"globs", `{targets: [mysqld, "[a"], senders: [""]}`, "" +
			`receivers::audit_kill::targets::1: "[a" is not a valid glob (close every [ and do not end with a backslash): ` +
			"syntax error in pattern\n" +
			`receivers::audit_kill::senders::0: empty name: use a command name such as mysqld, ` +
			`a glob such as "postgres*", or the path of a program`},
		{"globs of other programs", `{targets: ["{mysqld,mariadbd}", "!sleep", 3936], exclude_senders: ["/opt/**"], exclude_targets: [" a"]}`, "" +
			`receivers::audit_kill::targets::0: "{mysqld,mariadbd}" has braces, which match only themselves: use one name for each, ` +
			"as in [mysqld, mariadbd]\n" +
			`receivers::audit_kill::targets::1: "!sleep" does not exclude anything: name what to leave out in the list of what is excluded, ` +
			"without the !\n" +
			`receivers::audit_kill::targets::2: "3936" is a number, and a pid names another process after a restart: use the name of the ` +
			"process; if that is a number, write [3]936\n" +
			`receivers::audit_kill::exclude_targets::0: " a" begins or ends with a blank: no program is called so` + "\n" +
			`receivers::audit_kill::exclude_senders::0: "/opt/**" has **, which matches no more than *: a star does not go beyond a /, ` +
			"so use one for each part of the path"},
		{"names with pids", `{targets: ["mysqld[3936]"], senders: [mysqld, "my*[7001]"], exclude_targets: ["a[129]"]}`, "" +
			`receivers::audit_kill::targets::0: "mysqld[3936]" has a pid, and a pid names another process after a restart: use the name of ` +
			"the process, mysqld; if one of several digits is meant, write a range such as mysqld[0-9]\n" +
			`receivers::audit_kill::senders::1: "my*[7001]" has a pid, and a pid names another process after a restart: use the name of ` +
			"the process, my*; if one of several digits is meant, write a range such as my*[0-9]\n" +
			`receivers::audit_kill::exclude_targets::0: "a[129]" has a pid, and a pid names another process after a restart: use the name of ` +
			"the process, a; if one of several digits is meant, write a range such as a[0-9]"},
		{
			"several logs", `file: {path: "/var/log/audit/*.log"}`, `receivers::audit_kill::file: path: "/var/log/audit/*.log" must be one log, ` +
				"as its rotated files are found beside it; use an audit_kill receiver of its own for each log",
		},
		{
			"no path", `file: {path: ""}`,
			"receivers::audit_kill::file: path: must name a log file, such as /var/log/audit/audit.log",
		},
		{"nothing as text", "{file: {path: }, command_line: }", "" +
			`receivers::audit_kill: command_line: "" must be redacted, program, full or off` + "\n" +
			"receivers::audit_kill::file: path: must name a log file, such as /var/log/audit/audit.log"},
		{"a directory as path", "file: {path: /var/log/audit/}", "receivers::audit_kill::file: path: " +
			`"/var/log/audit/" is a directory, it must name a log file in it, such as /var/log/audit/audit.log`},
		{"this directory as path", "file: {path: .}", "receivers::audit_kill::file: path: " +
			`"." is a directory, it must name a log file in it, such as audit.log`},
		{"start_at", "file: {start_at: now}", `receivers::audit_kill::file: start_at: "now" must be end or beginning`},
		{"nothing to read", "file: {follow: false, start_at: end}", "receivers::audit_kill::file: " +
			"start_at: end with follow: false would read nothing; use start_at: beginning"},
		{"several problems of one section", `file: {path: "", start_at: 7am}`, "receivers::audit_kill::file: " +
			"path: must name a log file, such as /var/log/audit/audit.log; " +
			`start_at: "7am" must be end or beginning`},
		{
			"command_line", "command_line: hidden",
			`receivers::audit_kill: command_line: "hidden" must be redacted, program, full or off`,
		},
		{"outcome", "outcome: {timeout: 0s}", "receivers::audit_kill::outcome: timeout: 0s must be at least 1ms, such as 2m"},
		{"correlation", "correlation: {timeout: 0s, max_pending: 0}", "receivers::audit_kill::correlation: " +
			"timeout: 0s must be at least 1ms, such as 2s; max_pending: 0 must be from 1 to 100000"},
		{"too many pending", "correlation: {timeout: -1s, max_pending: 100001}", "receivers::audit_kill::correlation: " +
			"timeout: -1s must be at least 1ms, such as 2s; max_pending: 100001 must be from 1 to 100000"},
		{
			"retries without a pause", "retry_on_failure: {initial_interval: 0s, max_interval: 1us, multiplier: 0.5}",
			"receivers::audit_kill: retry_on_failure::initial_interval: 0s must be at least 1ms, such as 1s; " +
				"retry_on_failure::max_interval: 1µs must be at least 1ms, such as 30s; " +
				"retry_on_failure::multiplier: 0.5 must be at least 1, such as 1.5",
		},
		{
			"what the collector refuses is said once", "retry_on_failure: {initial_interval: -1s}",
			"receivers::audit_kill::retry_on_failure: initial_interval value must be greater than or equal to 0",
		},
		{
			"retries that end before they begin", "retry_on_failure: {max_elapsed_time: 100ms}",
			"receivers::audit_kill::retry_on_failure: 'max_elapsed_time' must not be less than 'initial_interval'",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for range 5 { // maps would give another order each time
				assert.EqualError(t, check(t, test.yaml), test.want)
			}
		})
	}
}
