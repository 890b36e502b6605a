// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package rendering

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

var now = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// read returns the types of the records in a log, each with the letter of the event that it belongs to.
func read(t *testing.T, log string) string {
	t.Helper()
	var r Reader
	events := map[auditrecord.Stamp]string{}
	var all []string
	for line := range strings.Lines(log) {
		record, ok := r.Read([]byte(strings.TrimSuffix(line, "\n")), now)
		if !ok {
			all = append(all, "-")
			continue
		}
		parsed, err := auditrecord.Parse(record.Line)
		require.NoError(t, err, "%s", record.Line)
		if parsed.Type == auditrecord.TypeOther {
			all = append(all, "other")
			continue
		}
		if events[parsed.Stamp] == "" {
			events[parsed.Stamp] = string(rune('a' + len(events)))
		}
		all = append(all, parsed.Type.String()+":"+events[parsed.Stamp])
	}
	return strings.Join(all, " ")
}

func TestRead(t *testing.T) {
	t.Parallel()
	const head = "Nov 14 22:13:20 db1 audit[701]: "
	const next = "Nov 14 22:13:25 db1 audit[701]: "
	for name, tt := range map[string]struct{ log, want string }{
		"one event": {
			head + "SYSCALL arch=c000003e syscall=62 a0=1060 a1=9\n" + head + "OBJ_PID opid=4192\n" + head + "PROCTITLE proctitle=\"sh\"\n",
			"SYSCALL:a OBJ_PID:a PROCTITLE:a",
		},
		"a group": {
			head + "SYSCALL a0=0 a1=9\n" + head + "OBJ_PID opid=1\n" + head + "OBJ_PID opid=2\n", "SYSCALL:a OBJ_PID:a OBJ_PID:a",
		},
		"two calls after each other": {
			head + "SYSCALL a0=1060\n" + head + "PROCTITLE proctitle=\"a\"\n" + head + "SYSCALL a0=7\n" + head + "OBJ_PID opid=7\n",
			"SYSCALL:a PROCTITLE:a SYSCALL:b OBJ_PID:b",
		},
		"two calls at once, told apart by the pid": {
			head + "SYSCALL a0=1060\n" + head + "SYSCALL a0=7\n" + head + "OBJ_PID opid=4192\n" + head + "OBJ_PID opid=7\n",
			"SYSCALL:a SYSCALL:b OBJ_PID:a OBJ_PID:b",
		},
		"the end of one of two calls": {
			head + "SYSCALL a0=64\n" + head + "SYSCALL a0=c8\n" + head + "OBJ_PID opid=200\n" + head + "PROCTITLE proctitle=\"b\"\n" +
				head + "OBJ_PID opid=100\n" + head + "PROCTITLE proctitle=\"a\"\n",
			"SYSCALL:a SYSCALL:b OBJ_PID:b other OBJ_PID:a other",
		},
		"a call that found nobody": {
			head + "SYSCALL exit=-3 a0=64\n" + head + "OBJ_PID opid=100\n", "SYSCALL:a other",
		},
		"two calls at once that nothing tells apart": {
			head + "SYSCALL a0=0\n" + head + "SYSCALL a0=ffffffff\n" + head + "OBJ_PID opid=5\n" + head + "PROCTITLE proctitle=\"a\"\n",
			"SYSCALL:a SYSCALL:b other other",
		},
		"a later call of an older one without a title": {
			head + "SYSCALL a0=0\n" + next + "SYSCALL a0=0\n" + next + "OBJ_PID opid=5\n", "SYSCALL:a SYSCALL:b OBJ_PID:b",
		},
		"another host": {
			head + "SYSCALL a0=5\n" + strings.Replace(head, "db1", "db2", 1) + "OBJ_PID opid=5\n", "SYSCALL:a other",
		},
		"a record that stands alone":                {head + "ANOM_ABEND auid=0 pid=1 sig=11\n", "ANOM_ABEND:a"},
		"a refusal, which another record tells too": {head + "AVC apparmor=\"DENIED\"\n", "other"},
		"a type that journald has no name for": {
			head + "SYSCALL a0=5\n" + head + "AUDIT1318 opid=5\n", "SYSCALL:a OBJ_PID:a",
		},
		"journalctl -o short-iso": {
			"2026-11-14T22:13:20+0100 db1 audit[701]: SYSCALL a0=5\n2026-11-14T22:13:20+0100 db1 audit: OBJ_PID opid=5\n", "SYSCALL:a OBJ_PID:a",
		},
		"another program that says it": {"Nov 14 22:13:20 db1 logger[7]: audit[701]: SYSCALL a0=5\n", "-"},
		"a program of such a name":     {"Nov 14 22:13:20 db1 auditx: SYSCALL a0=5\n", "-"},
		"no record":                    {head + "hello\n", "-"},
		"journalctl -o json": {
			`{"_TRANSPORT":"audit","_AUDIT_TYPE":"1300","_AUDIT_ID":"45","_SOURCE_REALTIME_TIMESTAMP":"1700000000123000","_HOSTNAME":"db1","MESSAGE":"SYSCALL arch=c000003e"}` + "\n" +
				`{"_TRANSPORT":"audit","_AUDIT_TYPE":"1318","_AUDIT_ID":"45","_SOURCE_REALTIME_TIMESTAMP":"1700000000123000","_HOSTNAME":"db1","MESSAGE":[79,66,74,95,80,73,68,32,111]}` + "\n",
			"SYSCALL:a OBJ_PID:a",
		},
		"JSON of a program that says so": {
			`{"_TRANSPORT":"syslog","_AUDIT_TYPE":"1300","_AUDIT_ID":"45","_SOURCE_REALTIME_TIMESTAMP":"1700000000123000","MESSAGE":"SYSCALL"}` + "\n", "-",
		},
		"JSON without a time": {`{"_TRANSPORT":"audit","_AUDIT_TYPE":"1300","_AUDIT_ID":"45","MESSAGE":"SYSCALL"}` + "\n", "-"},
		"nothing":             {"\n", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, read(t, tt.log))
		})
	}
}

func TestReadGivesTheSameNumberAgain(t *testing.T) {
	t.Parallel()
	const line = "2026-11-14T22:13:20.123456+0000 db1 audit[701]: SYSCALL arch=c000003e"
	var first, second Reader
	a, ok := first.Read([]byte(line), now)
	assert.True(t, ok)
	assert.False(t, a.Numbered)
	assert.False(t, a.Trusted)
	b, _ := second.Read([]byte(line), now.Add(time.Hour))
	assert.Equal(t, string(a.Line), string(b.Line))
	assert.Contains(t, string(a.Line), "node=db1 type=SYSCALL msg=audit(1794694400.123:")
}

func FuzzRead(f *testing.F) {
	f.Add("Nov 14 22:13:20 db1 audit[701]: SYSCALL a0=0\nNov 14 22:13:20 db1 audit[701]: OBJ_PID opid=5")
	f.Add(`{"_TRANSPORT":"audit","_AUDIT_TYPE":"1300","_AUDIT_ID":"45","_SOURCE_REALTIME_TIMESTAMP":"1700000000123000","_HOSTNAME":"a","MESSAGE":"SYSCALL x"}`)
	cases, err := filepath.Glob("../../testdata/cases/*.log")
	require.NoError(f, err)
	for _, path := range cases {
		log, err := os.ReadFile(path)
		require.NoError(f, err)
		f.Add(string(log))
	}
	f.Fuzz(func(t *testing.T, log string) {
		var r Reader
		for line := range strings.Lines(log) {
			line = strings.TrimSuffix(line, "\n")
			record, ok := r.Read([]byte(line), now)
			if !ok {
				Describe([]byte(line))
				continue
			}
			if _, err := auditrecord.Parse(record.Line); err != nil && record.Line != nil {
				t.Logf("%q", record.Line)
			}
			if len(r.open) > maxOpen {
				t.Error("too many calls are open")
			}
		}
	})
}
