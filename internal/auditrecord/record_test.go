// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	seedSyscall = `type=SYSCALL msg=audit(1450214919.813:148): arch=c000003e syscall=62 success=yes exit=0 a0=f60 a1=9 ` +
		`a2=7f736e706980 a3=0 items=0 ppid=3649 pid=3997 auid=500 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 ` +
		`tty=pts3 ses=1 comm="mykill" exe="/opt/bin/mykill" subj=user_u:system_r:unconfined_t:s0 key="audit_kill"`
	seedObjPID = `type=OBJ_PID msg=audit(1450214919.813:148): opid=3936 oauid=500 ouid=102 oses=1 ` +
		`obj=user_u:system_r:mysqld_t:s0 ocomm="mysqld"`
)

func TestParse(t *testing.T) {
	t.Parallel()
	stamp := Stamp{Milliseconds: 1450214919813, Serial: 148}
	tests := map[string]struct {
		line   string
		typ    Type
		stamp  Stamp
		node   string
		fields string
	}{
		"syscall": {"type=SYSCALL msg=audit(1450214919.813:148): arch=1", TypeSyscall, stamp, "", " arch=1"},
		"target":  {"type=OBJ_PID msg=audit(1450214919.813:148): opid=1", TypeObjPID, stamp, "", " opid=1"},
		"title":   {"type=PROCTITLE msg=audit(1450214919.813:148): proctitle=41", TypeProctitle, stamp, "", " proctitle=41"},
		"crash":   {"type=ANOM_ABEND msg=audit(1450214919.813:148): sig=6", TypeAnomAbend, stamp, "", " sig=6"},
		"seccomp": {"type=SECCOMP msg=audit(1450214919.813:148): sig=31", TypeSeccomp, stamp, "", " sig=31"},
		"change":  {"type=CONFIG_CHANGE msg=audit(1450214919.813:148): op=set", TypeConfigChange, stamp, "", " op=set"},
		"daemon":  {"type=DAEMON_END msg=audit(1450214919.813:148): op=terminate", TypeDaemonEnd, stamp, "", " op=terminate"},
		"end":     {"type=EOE msg=audit(1450214919.813:148): ", TypeEOE, stamp, "", " "},
		"other":   {"type=CWD msg=audit(1450214919.813:148): cwd=\"/\"", TypeOther, stamp, "", " cwd=\"/\""},
		"older daemon than kernel": {
			"type=UNKNOWN[1327] msg=audit(1450214919.813:148): proctitle=41", TypeProctitle, stamp, "", " proctitle=41",
		},
		"unknown to us":  {"type=UNKNOWN[9999] msg=audit(1450214919.813:148): x=y", 9999, stamp, "", " x=y"},
		"absurd unknown": {"type=UNKNOWN[99999999] msg=audit(1450214919.813:148): x=y", TypeOther, stamp, "", " x=y"},
		"node": {
			"node=db1.example.com type=OBJ_PID msg=audit(1450214919.813:148): opid=1", TypeObjPID, stamp, "db1.example.com", " opid=1",
		},
		"largest serial": {
			"type=EOE msg=audit(1450214919.813:4294967295):", TypeEOE, Stamp{1450214919813, 4294967295}, "", "",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			record, err := Parse([]byte(tt.line))
			require.NoError(t, err)
			assert.Equal(t, tt.typ, record.Type)
			assert.Equal(t, tt.stamp, record.Stamp)
			assert.Equal(t, tt.node, string(record.Node))
			assert.Equal(t, tt.fields, string(record.Fields))
			typ, _, _ := Split([]byte(tt.line))
			assert.Equal(t, tt.typ, typ)
			assert.Equal(t, tt.typ == TypeOther && tt.line[len("type=")] != 'U', IsOther([]byte(tt.line)))
		})
	}
}

func TestParseRejects(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"empty":              "",
		"no type":            "msg=audit(1450214919.813:148): a=b",
		"separator":          "----",
		"ausearch time":      "time->Tue Dec 15 21:28:39 2015",
		"type only":          "type=SYSCALL",
		"empty type":         "type= msg=audit(1450214919.813:148): a=b",
		"no message":         "type=SYSCALL arch=c000003e",
		"no stamp":           "type=SYSCALL msg=audit(): a=b",
		"unclosed stamp":     "type=SYSCALL msg=audit(1450214919.813:148",
		"no serial":          "type=SYSCALL msg=audit(1450214919.813): a=b",
		"no milliseconds":    "type=SYSCALL msg=audit(1450214919:148): a=b",
		"letters in seconds": "type=SYSCALL msg=audit(14502x4919.813:148): a=b",
		"serial beyond 32":   "type=SYSCALL msg=audit(1450214919.813:4294967296): a=b",
		"year beyond 9999":   "type=SYSCALL msg=audit(253402300800.000:1): a=b",
		"seconds overflow":   "type=SYSCALL msg=audit(99999999999999999999.000:1): a=b",
		"negative":           "type=SYSCALL msg=audit(-1.000:1): a=b",
		"node without type":  "node=db1",
		"node and rubbish":   "node=db1 rubbish",
		"binary":             "\x00\xff\xfe",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse([]byte(line))
			require.ErrorIs(t, err, ErrMalformed)
		})
	}
}

// The kernel itself sends a record without type= and msg=.
func TestParseMessage(t *testing.T) {
	t.Parallel()
	record, err := ParseMessage(TypeObjPID, nil, []byte("audit(1450214919.813:148): opid=1"))
	require.NoError(t, err)
	assert.Equal(t, Record{
		Type: TypeObjPID, Stamp: Stamp{1450214919813, 148},
		Head: []byte("audit(1450214919.813:148):"), Fields: []byte(" opid=1"),
	}, record)
}

// A line written from a record of the kernel is read as that record.
func TestAppendLine(t *testing.T) {
	t.Parallel()
	for _, kind := range []Type{
		TypeDaemonEnd, TypeSyscall, TypeConfigChange, TypeObjPID, TypeEOE, TypeSeccomp, TypeProctitle, TypeAnomAbend,
		TypeLogin, TypeUserStart, TypeUserEnd, TypeUserLogin, TypeUserLogout, TypeUserCmd, TypeSystemBoot, TypeSystemShutdown,
		TypeServiceStart, TypeServiceStop, TypeExecve, 9999,
	} {
		line := AppendLine(nil, kind, []byte("audit(1450214919.813:148): a=b"))
		record, err := Parse(line)
		require.NoError(t, err)
		assert.Equal(t, kind, record.Type)
		assert.Equal(t, " a=b", string(record.Fields))
		if kind < 9999 {
			assert.NotContains(t, string(line), "UNKNOWN")
		}
		assert.Equal(t, kind == TypeExecve, IsOther(line))
		assert.Equal(t, kind == TypeExecve, IsExecve(line))
	}
}

// Most of what programs write is of no interest.
func TestIsOther(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"USER_ACCT": true, "USER_AUTH": true, "USER_MGMT": true, "USER_TTY": true, "USER": true, "USER_": true, "US": true, "USYS_CONFIG": false,
		"CRED_ACQ": true, "CRYPTO_KEY_USER": true, "LABEL_OVERRIDE": false, "USER_CHAUTHTOK": false, "USER_ERR": false,
		"SYSTEM_RUNLEVEL": false, "CWD": true, "PATH": true, "EXECVE": true, "1105": false,
	} {
		assert.Equal(t, want, IsOther([]byte("type="+name+" msg=audit(1.001:1): pid=1")), name)
		kind, _, _ := Split([]byte("type=" + name + " msg=audit(1.001:1): pid=1"))
		assert.Equal(t, name == "1105", kind.Explains(), name)
	}
}

func TestStampString(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "1450214919.813:148", Stamp{1450214919813, 148}.String())
	assert.Equal(t, "1450214919.003:1", Stamp{1450214919003, 1}.String())
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"seed.log", "variants.log", "tamper.log"} {
		log, err := os.ReadFile("../../testdata/" + name)
		require.NoError(f, err)
		for line := range bytes.Lines(log) {
			f.Add(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	cases, err := filepath.Glob("../../testdata/cases/*.log")
	require.NoError(f, err)
	for _, path := range cases {
		log, err := os.ReadFile(path)
		require.NoError(f, err)
		for line := range bytes.Lines(log) {
			f.Add(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	f.Add([]byte("node=x type=UNKNOWN[1318] msg=audit(1.001:1): opid=-1 ocomm=4"))
	f.Add([]byte(`type=SYSCALL msg=audit(1.001:1): arch=c000003e syscall=62 comm="`))
	f.Add([]byte("type=L msg=audit(0.345:0) arch=e syscall=4 (d=0 suid=0 tty=snone)"))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		record, err := Parse(line)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		typ, _, message := Split(line)
		require.Equal(t, typ, record.Type)
		require.True(t, bytes.HasPrefix(message, record.Head))
		if IsOther(line) {
			require.True(t, typ == TypeOther || typ == TypeExecve && IsExecve(line))
		}
		require.GreaterOrEqual(t, record.Stamp.Milliseconds, int64(0))
		arch, number, ok := CallOf(record.Fields)
		s, _ := ParseSyscall(record.Fields)
		if ok && bytes.Count(record.Fields, []byte("arch=")) == 1 && bytes.Count(record.Fields, []byte("syscall=")) == 1 {
			require.Equal(t, arch, s.Arch)
			require.Equal(t, number, s.Number)
		}
		o, _ := ParseObjPID(record.Fields)
		change, whole := ParseChange(record.Fields)
		require.True(t, change.DoneKnown || !whole)
		v, _ := ParseVictim(record.Fields)
		title, _ := Proctitle(record.Fields)
		for _, value := range [][]byte{s.Comm, s.Exe, s.Key, change.Key, o.Comm, v.Comm, v.Exe, title, record.Node} {
			decoded, _ := Decode(nil, value)
			require.LessOrEqual(t, len(decoded), len(value))
		}
		require.Equal(t, before, line, "a line must not be written to")
	})
}

func BenchmarkSplit(b *testing.B) {
	line := []byte(`type=PATH msg=audit(1795358789.273:12): item=0 name="/usr/sbin/auditctl" inode=10706946`)
	b.ReportAllocs()
	for b.Loop() {
		Split(line)
	}
}

func BenchmarkParseSyscall(b *testing.B) {
	record, err := Parse([]byte(seedSyscall))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		ParseSyscall(record.Fields)
	}
}
