// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// since is the time of the n-th event.
func since(n int) time.Time { return time.Unix(1450214919, 0).Add(time.Duration(n) * time.Millisecond) }

// What the collector itself does when it starts and stops is not reported.
func TestTamperByUs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config Config
		lines  []string
		ours   bool
	}{
		"nothing known of us": {Config{}, []string{change(1, disabled), changer(1), title(1)}, false},
		"our program":         {Config{Executable: "/bin/auditctl"}, []string{change(1, disabled), changer(1), title(1)}, true},
		"another program":     {Config{Executable: "/bin/audit"}, []string{change(1, disabled), changer(1), title(1)}, false},
		"our program, replaced": {Config{Executable: "/bin/auditctl"}, []string{
			// /bin/auditctl (deleted)
			change(1, disabled), strings.Replace(changer(1), `"/bin/auditctl"`, "2F62696E2F617564697463746C202864656C6574656429", 1), title(1),
		}, true},
		"unknown program": {Config{Executable: "/bin/auditctl"}, []string{change(1, disabled)}, false},
		"our program, another process": {
			Config{Executable: "/bin/auditctl", PID: 101}, []string{change(1, disabled), changer(1), title(1)}, false,
		},
		"our process, another program": {
			Config{Executable: "/bin/collector", PID: 100}, []string{change(1, disabled), changer(1), title(1)}, true,
		},
		"our program, an earlier process": {
			Config{Executable: "/bin/auditctl", PID: 101, Since: since(2)}, []string{change(1, disabled), changer(1), title(1)}, true,
		},
		"our program, another process since": {
			Config{Executable: "/bin/auditctl", PID: 101, Since: since(1)}, []string{change(1, disabled), changer(1), title(1)}, false,
		},
		"our process since": {
			Config{PID: 100, Since: since(1)}, []string{change(1, disabled), changer(1), title(1)}, true,
		},
		"our pid, before us": {
			Config{PID: 100, Since: since(2)}, []string{change(1, disabled), changer(1), title(1)}, false,
		},
		"our program on another host": {Config{Executable: "/bin/auditctl", PID: 101, Since: since(1)}, []string{
			"node=other " + change(1, disabled), "node=other " + changer(1), "node=other " + title(1),
		}, true},
		"our process":             {Config{PID: 100}, []string{change(1, disabled), changer(1), title(1)}, true},
		"another process":         {Config{PID: 101}, []string{change(1, disabled), changer(1), title(1)}, false},
		"we are the daemon":       {Config{PID: 77}, []string{change(1, "op=set audit_pid=0 old=77 res=1")}, true},
		"another is the daemon":   {Config{PID: 78}, []string{change(1, "op=set audit_pid=0 old=77 res=1")}, false},
		"a kill by us is no less": {Config{PID: 100, Executable: "/bin/killer"}, []string{syscall(1, "64", "9"), target(1, 5), title(1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(tt.config)
			b.feed(tt.lines...)
			b.Flush()
			assert.Equal(t, tt.ours, len(b.events) == 0)
			assert.Zero(t, b.Pending())
		})
	}
}

// What others do to the audit system is passed on before it is emitted, and who adds a rule is
// passed on only.
func TestTamperChanged(t *testing.T) {
	t.Parallel()
	const added = `op=add_rule key="audit_kill" list=4 res=1`
	for name, tt := range map[string]struct {
		lines            []string
		changed, emitted []string
	}{
		"rule added": {
			[]string{change(1, added), changer(1), title(1)}, []string{"rule_added exit [audit_kill] true by auditctl[100] of 1000"}, nil,
		},
		"rule added, no call": {[]string{change(1, added)}, []string{"rule_added exit [audit_kill] true by [0] of 1000"}, nil},
		"rule excluded": {
			[]string{change(1, `op=add_rule key=(null) list=5 res=1`)}, []string{"rule_added exclude [] true by [0] of 1000"}, nil,
		},
		"unknown list":     {[]string{change(1, "op=add_rule key=(null) list=9 res=1")}, []string{"rule_added [] true by [0] of 1000"}, nil},
		"rule not added":   {[]string{change(1, "op=add_rule key=(null) list=4 res=0")}, nil, nil},
		"added, as locked": {[]string{change(1, "pid=7 uid=0 op=add_rule audit_enabled=2 res=0")}, nil, nil},
		"disabled": {
			[]string{change(1, disabled)}, []string{"audit_disabled [] true by [0] of 1000"}, []string{"audit_disabled [] true by [0] of 1000"},
		},
		"rule of others removed": {
			[]string{change(1, "op=remove_rule key=(null) list=5 res=1")}, []string{"other_change [] false by [0] of 1000"}, nil,
		},
		"limit lifted": {
			[]string{change(1, "op=set audit_rate_limit=0 old=5 res=1")}, []string{"other_change [] false by [0] of 1000"}, nil,
		},
		"another setting": {[]string{change(1, "op=set audit_failure=1 old=0 res=1")}, nil, nil},
		"nothing changed": {[]string{change(1, "op=set audit_rate_limit=5 old=5 res=1")}, nil, nil},
		"by us":           {[]string{strings.Replace(change(1, added), "auid=", "pid=77 auid=", 1)}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changed []*kill.Event
			b := newBench(Config{PID: 77, Changed: func(e *kill.Event) { changed = append(changed, e) }})
			b.feed(tt.lines...)
			b.Flush()
			assert.Equal(t, tt.changed, tampers(changed))
			assert.Equal(t, tt.emitted, tampers(b.take()))
			assert.Zero(t, b.table.tampers)
		})
	}
}
