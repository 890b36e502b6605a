// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"bytes"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseLogin(t *testing.T) {
	t.Parallel()
	want := Login{PID: 16914, AUID: 1000, Session: 17}
	for name, tt := range map[string]struct {
		fields string
		want   Login
		ok     bool
	}{
		"as kernels write it": {" pid=16914 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=17 res=1", want, true},
		"enriched": {
			" pid=16914 uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=17 res=1\x1dUID=\"root\" OLD-AUID=\"unset\" AUID=\"alice\"",
			want, true,
		},
		"with a label": {
			" pid=16914 uid=0 subj=docker-default (enforce) old-auid=1 auid=1000 tty=(none) old-ses=2 ses=17 res=1", want, true,
		},
		"before 4.3":        {" pid=16914 uid=0 old auid=4294967295 new auid=1000 old ses=4294967295 new ses=17 res=1", want, true},
		"before 3.13":       {" login pid=16914 uid=0 old auid=4294967295 new auid=1000 old ses=4294967295 new ses=17", want, true},
		"refused":           {" pid=16914 uid=33 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=17 res=0", Login{16914, 33, 1000, 17}, false},
		"of nobody":         {" pid=16914 uid=0 old-auid=1000 auid=4294967295 old-ses=17 ses=4294967295 res=1", Login{16914, 0, unset, unset}, false},
		"without a session": {" pid=16914 uid=0 old auid=4294967295 new auid=1000", Login{16914, 0, 1000, unset}, false},
		"without a pid":     {" uid=0 auid=1000 ses=17 res=1", Login{0, 0, 1000, 17}, false},
		"no number":         {" pid=16914 uid=0 auid=x ses=17 res=1", Login{16914, 0, 0, 17}, false},
		"nothing":           {"", Login{0, unset, unset, unset}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			login, ok := ParseLogin([]byte(tt.fields))
			assert.Equal(t, tt.want, login)
			assert.Equal(t, tt.ok, ok)
		})
	}
}

func TestParseStatement(t *testing.T) {
	t.Parallel()
	const (
		added = " pid=7 uid=0 auid=1000 ses=17 "
		sshd  = added + `msg='op=PAM:session_open grantors=pam_limits,pam_unix acct="alice" exe="/usr/sbin/sshd" `
		login = `7 0 1000 17 op=PAM:session_open acct=alice exe=/usr/sbin/sshd `
	)
	for name, tt := range map[string]struct{ fields, want string }{
		"a session": {
			sshd + `hostname=192.0.2.15 addr=192.0.2.15 terminal=ssh res=success'`,
			login + "host=192.0.2.15 addr=192.0.2.15 terminal=ssh success",
		},
		"enriched": {
			sshd + "hostname=192.0.2.15 addr=192.0.2.15 terminal=ssh res=success'\x1dUID=\"root\" AUID=\"alice\"",
			login + "host=192.0.2.15 addr=192.0.2.15 terminal=ssh success",
		},
		"enriched, the separator lost": {
			sshd + `hostname=192.0.2.15 addr=192.0.2.15 terminal=ssh res=success'UID="root" AUID="alice"`,
			login + "host=192.0.2.15 addr=192.0.2.15 terminal=ssh success",
		},
		"enriched, a quote in a name": {
			sshd + "hostname=? addr=? terminal=ssh res=success'\x1dUID=\"root\" AUID=\"o'brien\"",
			login + "terminal=ssh success",
		},
		"nothing known": {sshd + "hostname=? addr=? terminal=? res=success'", login + "success"},
		"failed":        {sshd + "hostname=? addr=? terminal=? res=failed'", login + "failed"},
		"old results":   {sshd + "hostname=? addr=? terminal=? res=1'", login + "success"},
		"login, and no name": {
			added + `msg='op=login id=1000 exe="/usr/sbin/sshd" hostname=h addr=192.0.2.15 terminal=/dev/pts/0 res=success'`,
			"7 0 1000 17 op=login exe=/usr/sbin/sshd host=h addr=192.0.2.15 terminal=/dev/pts/0 success",
		},
		"a name that is encoded": {
			added + `msg='op=login acct=28756E6B6E6F776E207573657229 exe=2F746D702F61206220 hostname=? addr=? terminal=ssh res=failed'`,
			"7 0 1000 17 op=login acct=(unknown user) exe=/tmp/a b  terminal=ssh failed",
		},
		"a quote in a name": {
			added + `msg='op=login acct="o'brien" exe="/bin/login" hostname=? addr=? terminal=tty1 res=success'`,
			"7 0 1000 17 op=login acct=o'brien exe=/bin/login terminal=tty1 success",
		},
		"a command": {
			` pid=9 uid=1000 auid=1000 ses=17 subj=unconfined msg='cwd="/home/alice" cmd=73797374656D63746C20 exe="/usr/bin/sudo" terminal=pts/0 res=success'`,
			"9 1000 1000 17 exe=/usr/bin/sudo cmd=systemctl  terminal=pts/0 success",
		},
		"a command in quotes": {
			` pid=9 uid=1000 auid=1000 ses=17 msg='cwd="/" cmd="id'x" terminal=pts/0 res=success'`,
			"9 1000 1000 17 cmd=id'x terminal=pts/0 success",
		},
		"a service": {
			` pid=1 uid=0 auid=4294967295 ses=4294967295 msg='unit=cafe comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success'`,
			"1 0 4294967295 4294967295 exe=/usr/lib/systemd/systemd comm=systemd unit=cafe success",
		},
		"a blank first": {
			` pid=5 uid=0 auid=4294967295 ses=4294967295 msg=' comm="systemd-update-utmp" exe="/x" hostname=? addr=? terminal=? res=success'`,
			"5 0 4294967295 4294967295 exe=/x comm=systemd-update-utmp success",
		},
		"a host's name with fields in it": {
			sshd + `hostname=x exe="/bin/login" acct="root" addr=10.0.0.1 terminal=pts/9 res=success addr=192.0.2.15 terminal=ssh res=failed'`,
			login + "host=x addr=192.0.2.15 terminal=ssh failed",
		},
		"a host's name with an end in it": {
			sshd + `hostname=x addr=10.0.0.1 terminal=a res=success'UID="root" addr=192.0.2.15 terminal=ssh res=success'`,
			login + "host=x addr=192.0.2.15 terminal=ssh success",
		},
		"a host's name with an end in it, enriched": {
			sshd + "hostname=x addr=10.0.0.1 res=success'\x1dUID=\"root\" addr=192.0.2.15 terminal=ssh res=success'\x1dUID=\"root\"",
			login + "host=x addr=192.0.2.15 terminal=ssh success",
		},
		"what the process says is not what the kernel adds": {
			` pid=7 uid=33 auid=4294967295 ses=4294967295 msg='pid=1 uid=0 auid=1000 ses=17 op=x res=success'`,
			"7 33 4294967295 4294967295 op=x success",
		},
		"an open quote":         {sshd + `hostname='x addr=? terminal=? res=success'`, ""},
		"cut":                   {sshd + `hostname=192.0.2.15 addr=192.0.2.15 term`, ""},
		"cut before the result": {sshd + `hostname=192.0.2.15'`, ""},
		"another result":        {sshd + `hostname=? res=perhaps'`, ""},
		"no pid":                {` uid=0 msg='op=login res=success'`, ""},
		"no number":             {` pid=7 uid=x msg='op=login res=success'`, ""},
		"no message":            {` pid=7 uid=0 auid=1 ses=1 res=success`, ""},
		"an empty message":      {` pid=7 uid=0 auid=1 ses=1 msg='`, ""},
		"only a separator":      {" pid=7 uid=0 auid=1 ses=1 msg='\x1d", ""},
		"nothing":               {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, whole := ParseStatement([]byte(tt.fields))
			assert.Equal(t, tt.want != "", whole)
			if whole {
				assert.Equal(t, tt.want, s.describe())
			}
		})
	}
}

// describe writes what is known.
func (s *Statement) describe() string {
	var text strings.Builder
	for _, n := range []int{s.PID, int(s.UID), int(s.AUID), int(s.Session)} {
		text.WriteString(strconv.Itoa(n) + " ")
	}
	for _, field := range []struct {
		name    string
		value   []byte
		encoded bool
	}{
		{"op", s.Op, false},
		{"acct", s.Account, true},
		{"exe", s.Exe, true},
		{"comm", s.Comm, true},
		{"cmd", s.Command, true},
		{"unit", s.Unit, false},
		{"host", s.Host, false},
		{"addr", s.Address, false},
		{"terminal", s.Terminal, false},
	} {
		value := field.value
		if field.encoded {
			value, _ = Decode(nil, value)
		}
		if len(value) > 0 {
			text.WriteString(field.name + "=" + string(value) + " ")
		}
	}
	if s.Succeeded {
		return text.String() + "success"
	}
	return text.String() + "failed"
}

// TestRecording reads all such records of a recording, enriched and raw.
func TestRecording(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile("../../testdata/behind.log")
	require.NoError(t, err)
	logins, statements := 0, 0
	for line := range bytes.Lines(log) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		record, err := Parse(line)
		require.NoError(t, err)
		raw, _, _ := bytes.Cut(record.Fields, []byte{interpretationSeparator})
		switch {
		case record.Type == TypeLogin:
			login, ok := ParseLogin(record.Fields)
			require.True(t, ok)
			again, ok := ParseLogin(raw)
			require.True(t, ok)
			require.Equal(t, login, again)
			logins++
		case record.Type.Explains():
			s, whole := ParseStatement(record.Fields)
			require.True(t, whole, "%s", line)
			again, whole := ParseStatement(raw)
			require.True(t, whole, "%s", raw)
			require.Equal(t, s.describe(), again.describe())
			statements++
		}
	}
	assert.Equal(t, 5, logins)
	assert.Equal(t, 63, statements)
}

// FuzzStatement expects that whatever a process says is never taken for what the kernel adds.
func FuzzStatement(f *testing.F) {
	log, err := os.ReadFile("../../testdata/behind.log")
	require.NoError(f, err)
	for line := range bytes.Lines(log) {
		if record, err := Parse(line); err == nil && record.Type.Explains() {
			_, said, _ := bytes.Cut(record.Fields, []byte(" msg='"))
			f.Add(bytes.TrimSuffix(said, []byte("\n")))
		}
	}
	f.Add([]byte(`pid=1 ses=1 res=success'`))
	f.Add([]byte("hostname=' msg=' pid=1\x1d'"))
	f.Fuzz(func(t *testing.T, said []byte) {
		record := append([]byte(" pid=7 uid=33 auid=1000 ses=17 msg='"), said...)
		before := bytes.Clone(record)
		s, whole := ParseStatement(record)
		require.Equal(t, before, record, "a record must not be written to")
		if whole {
			require.Equal(t, Statement{PID: 7, UID: 33, AUID: 1000, Session: 17},
				Statement{PID: s.PID, UID: s.UID, AUID: s.AUID, Session: s.Session})
		}
		_, _ = ParseLogin(record)
	})
}
