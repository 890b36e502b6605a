// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
)

// factBench is a bench that also gathers facts.
type factBench struct {
	*bench
	facts []string
	known []*attribution.Fact
}

func newFactBench() *factBench {
	b := &factBench{}
	b.bench = newBench(Config{Fact: func(f *attribution.Fact) {
		b.known = append(b.known, f)
		b.facts = append(b.facts, describe(f))
	}})
	return b
}

// describe writes a fact in one line. Times are milliseconds since the first event.
func describe(f *attribution.Fact) string {
	at := func(t time.Time) string { return strconv.FormatInt(t.Sub(time.Unix(1450214919, 0)).Milliseconds(), 10) }
	node := ""
	if f.Node != "" {
		node = f.Node + ": "
	}
	switch {
	case f.Login != nil && f.Login.Claimed:
		return fmt.Sprintf("%s%s login %d without a right", node, at(f.Login.Time), f.Login.Audit.Value)
	case f.Login != nil:
		l := f.Login
		return strings.TrimRight(fmt.Sprintf("%s%s login %s of %d by %s[%d] as %s on %s from %s", node, at(l.Time), l.Session.ID,
			l.User.ID.Value, l.Session.Service, l.Leader, l.Session.UserName, l.Session.TTY, l.Session.Address), " ")
	case f.Logout != nil:
		return fmt.Sprintf("%s%s logout %s", node, at(f.Logout.Time), f.Logout.ID)
	case f.Job != nil:
		return fmt.Sprintf("%s%s %s %s by %d: %s", node, at(f.Job.Time), f.Job.Type, f.Job.Unit, f.Job.Manager, f.Job.Result)
	case f.Shutdown != nil && f.Shutdown.Canceled:
		return fmt.Sprintf("%s%s no shutdown any more by %d", node, at(f.Shutdown.Time), f.Shutdown.Manager)
	case f.Shutdown != nil:
		return fmt.Sprintf("%s%s shutdown by %d", node, at(f.Shutdown.Time), f.Shutdown.Manager)
	case f.Command != nil:
		c := f.Command
		who := "nobody"
		if c.Login.ID.Known {
			who = fmt.Sprintf("%d in %d", c.Login.ID.Value, c.Session.Value)
		}
		user := "?"
		if c.User.Name != "" || c.User.ID.Known {
			user = fmt.Sprintf("%s(%d %v)", c.User.Name, c.User.ID.Value, c.User.ID.Known)
		}
		return fmt.Sprintf("%s%s [%d self %v] %s %q as %s of %s", node, at(c.Time), c.PID, c.Self, c.Command, c.Title, user, who)
	}
	return "?"
}

// statement makes a record of a process in session 17 of user 1000.
func statement(n int, kind string, pid int, said string) string {
	return fmt.Sprintf("type=%s msg=%s: pid=%d uid=0 auid=1000 ses=17 msg='%s'", kind, stamp(n), pid, said)
}

// unset is a record of a process without a login.
func unset(line string) string {
	return strings.Replace(line, "auid=1000 ses=17", "auid=4294967295 ses=4294967295", 1)
}

func loginRecord(n, pid, session int) string {
	return fmt.Sprintf("type=LOGIN msg=%s: pid=%d uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=%d res=1",
		stamp(n), pid, session)
}

// said is what a program says about a session, through PAM or by itself.
func said(op, exe, from, terminal string) string {
	if strings.HasPrefix(op, "PAM") {
		op += ` grantors=pam_unix acct="alice"`
	}
	return fmt.Sprintf(`op=%s exe=%q hostname=%s addr=%s terminal=%s res=success`, op, exe, from, from, terminal)
}

func TestLogins(t *testing.T) {
	t.Parallel()
	const open, closed, sshd = "PAM:session_open", "PAM:session_close", "/usr/sbin/sshd"
	login := loginRecord(1, 7, 17)
	start := statement(2, "USER_START", 7, said(open, sshd, "192.0.2.15", "ssh"))
	const told = "1 login 17 of 1000 by sshd[7] as alice on  from 192.0.2.15"
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"by ssh": {[]string{login, start}, []string{told}},
		"by a service, as somebody else": {
			[]string{strings.Replace(login, "uid=0", "uid=33", 1), statement(2, "USER_START", 8, said(open, "/usr/bin/sudo", "?", "?"))},
			[]string{"1 login 17 without a right"},
		},
		"by a service, as its own user": {[]string{strings.Replace(login, "uid=0", "uid=1000", 1), start}, []string{told}},
		"by ssh, the terminal later": {
			[]string{
				login, start,
				statement(3, "USER_LOGIN", 7, said("login", sshd, "192.0.2.15", "/dev/pts/0")),
				statement(3, "USER_START", 7, said("login", sshd, "192.0.2.15", "/dev/pts/0")),
			},
			[]string{told, "1 login 17 of 1000 by sshd[7] as alice on pts/0 from 192.0.2.15"},
		},
		"by ssh, the terminal first": {
			[]string{
				login, statement(2, "USER_LOGIN", 7, said("login", sshd, "192.0.2.15", "/dev/pts/0")),
				statement(3, "USER_START", 7, said(open, sshd, "192.0.2.15", "ssh")),
			},
			[]string{
				"1 login 17 of 1000 by sshd[7] as  on pts/0 from 192.0.2.15",
				"1 login 17 of 1000 by sshd[7] as alice on pts/0 from 192.0.2.15",
			},
		},
		"two terminals over one connection": {
			[]string{
				login, start,
				statement(3, "USER_LOGIN", 7, said("login", sshd, "192.0.2.15", "/dev/pts/0")),
				statement(4, "USER_LOGIN", 7, said("login", sshd, "192.0.2.15", "/dev/pts/1")),
				statement(5, "USER_LOGOUT", 7, said("login", sshd, "192.0.2.15", "/dev/pts/0")),
				statement(6, "USER_END", 7, said(closed, sshd, "192.0.2.15", "ssh")),
			},
			[]string{told, "1 login 17 of 1000 by sshd[7] as alice on pts/0 from 192.0.2.15", "6 logout 17"},
		},
		"by ssh since 9.8": {
			[]string{login, statement(2, "USER_START", 7, said(open, "/usr/libexec/openssh/sshd-session", "::ffff:192.0.2.15", "ssh"))},
			[]string{told},
		},
		"by a program that was replaced": {
			[]string{login, strings.Replace(start, `"`+sshd+`"`, "2F7573722F7362696E2F73736864202864656C6574656429", 1)},
			[]string{told},
		},
		"at the console": {
			[]string{login, statement(2, "USER_LOGIN", 7, said("login", "/bin/login", "?", "/dev/tty1"))},
			[]string{"1 login 17 of 1000 by login[7] as  on tty1 from"},
		},
		"by cron": {
			[]string{login, statement(2, "USER_START", 7, said(open, "/usr/sbin/cron", "?", "cron"))},
			[]string{"1 login 17 of 1000 by cron[7] as alice on  from"},
		},
		"on a screen": {
			[]string{login, statement(2, "USER_START", 7, said(open, "/usr/libexec/gdm-session-worker", "?", "/dev/tty2"))},
			[]string{"1 login 17 of 1000 by gdm-session-worker[7] as alice on tty2 from"},
		},
		"by a program nobody knows, which the kernel has seen begin it": {
			[]string{login, statement(2, "USER_START", 7, said(open, "/opt/door", "gate.example.com", "?"))},
			[]string{"1 login 17 of 1000 by door[7] as alice on  from gate.example.com"},
		},
		"by a program nobody knows, the beginning not read":    {[]string{statement(2, "USER_START", 7, said(open, "/opt/door", "?", "?"))}, nil},
		"the beginning not read":                               {[]string{start}, []string{"2" + told[1:]}},
		"not by systemd":                                       {[]string{login, statement(2, "USER_START", 7, said(open, "/usr/lib/systemd/systemd", "?", "?"))}, nil},
		"not by systemd since 255":                             {[]string{login, statement(2, "USER_START", 7, said(open, "/usr/lib/systemd/systemd-executor", "?", "?"))}, nil},
		"not by a login that nobody has confirmed":             {[]string{login}, nil},
		"not by a failure":                                     {[]string{login, strings.Replace(start, "success", "failed", 1)}, nil},
		"not by what is cut":                                   {[]string{login, start[:len(start)-9]}, nil},
		"not outside a session":                                {[]string{unset(start)}, nil},
		"not of another user":                                  {[]string{login, strings.Replace(start, "auid=1000", "auid=1001", 1)}, nil},
		"not by another process, which is root by now":         {[]string{login, strings.Replace(start, "pid=7", "pid=8", 1)}, nil},
		"not changed by another process, which is root by now": {[]string{login, start, statement(3, "USER_LOGIN", 8, said("login", sshd, "10.0.0.1", "/dev/pts/9"))}, []string{told}},
		"su and sudo open none": {
			[]string{
				login, start,
				statement(3, "USER_START", 9, said(open, "/usr/bin/su", "?", "pts/0")),
				statement(4, "USER_START", 10, said(open, "/usr/bin/sudo", "?", "/dev/pts/0")),
				statement(5, "USER_END", 9, said(closed, "/usr/bin/su", "?", "pts/0")),
				statement(6, "USER_END", 10, said(closed, "/usr/bin/sudo", "?", "/dev/pts/0")),
			},
			[]string{told},
		},
		"logout": {
			[]string{login, start, statement(5, "USER_END", 7, said(closed, sshd, "192.0.2.15", "ssh"))},
			[]string{told, "5 logout 17"},
		},
		"logout, the beginning not read":          {[]string{statement(5, "USER_END", 7, said(closed, sshd, "?", "ssh"))}, []string{"5 logout 17"}},
		"no logout by another process":            {[]string{login, start, statement(5, "USER_END", 8, said(closed, sshd, "?", "ssh"))}, []string{told}},
		"no logout by another program":            {[]string{login, start, statement(5, "USER_END", 7, said(closed, "/bin/login", "?", "ssh"))}, []string{told}},
		"no logout of systemd's session":          {[]string{login, statement(5, "USER_END", 7, said(closed, "/usr/lib/systemd/systemd", "?", "?"))}, nil},
		"no logout outside a session":             {[]string{unset(statement(5, "USER_END", 7, said(closed, sshd, "?", "ssh")))}, nil},
		"logout without PAM":                      {[]string{login, statement(2, "USER_LOGIN", 7, said("login", "/bin/login", "?", "tty1")), statement(3, "USER_LOGOUT", 7, said("login", "/bin/login", "?", "tty1"))}, []string{"1 login 17 of 1000 by login[7] as  on tty1 from", "3 logout 17"}},
		"a session's number that is used again":   {[]string{login, start, loginRecord(3, 9, 17), statement(4, "USER_START", 9, said(open, sshd, "2001:db8::1", "ssh"))}, []string{told, "3 login 17 of 1000 by sshd[9] as alice on  from 2001:db8::1"}},
		"two hosts in one log":                    {[]string{"node=a " + login, "node=b " + start, "node=a " + start}, []string{"b: 2" + told[1:], "a: " + told}},
		"a host's name that is none":              {[]string{login, statement(2, "USER_START", 7, said(open, sshd, "x\x01", "ssh"))}, []string{"1 login 17 of 1000 by sshd[7] as alice on  from"}},
		"no address":                              {[]string{login, statement(2, "USER_START", 7, said(open, sshd, "0.0.0.0", strings.Repeat("/dev/x", 20)))}, []string{"1 login 17 of 1000 by sshd[7] as alice on  from"}},
		"a name with a quote":                     {[]string{login, strings.Replace(start, `"alice"`, `"o'brien"`, 1)}, []string{strings.Replace(told, "alice", "o'brien", 1)}},
		"numbers instead of names, as the kernel": {[]string{strings.Replace(login, "LOGIN", "1006", 1), strings.Replace(start, "USER_START", "UNKNOWN[1105]", 1)}, []string{told}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFactBench()
			b.feed(tt.lines...)
			assert.Equal(t, tt.want, b.facts)
			assert.Len(t, b.logins.order, len(b.logins.byKey))
			// What auditd has appended is not believed.
			enriched := newFactBench()
			for _, line := range tt.lines {
				enriched.feed(line + "\x1dUID=\"mallory\" AUID=\"mallory\"")
			}
			if !strings.Contains(name, "cut") {
				assert.Equal(t, tt.want, enriched.facts)
			}
		})
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	const told = `1 [9 self false] systemctl "systemctl\x00stop\x00mariadb" as ? of 1000 in 17`
	const sudo = ` exe="/usr/bin/sudo" terminal=pts/0 res=success`
	command := statement(1, "USER_CMD", 9, `cwd="/" cmd=73797374656D63746C2073746F70206D617269616462`+sudo)
	session := statement(2, "USER_START", 9, said("PAM:session_open", "/usr/bin/sudo", "?", "pts/0"))
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"encoded":                        {[]string{command}, []string{told}},
		"in quotes":                      {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd="id"`+sudo)}, []string{`1 [9 self false] id "id" as ? of 1000 in 17`}},
		"with its path":                  {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd="/usr/bin/reboot"`+sudo)}, []string{`1 [9 self false] reboot "/usr/bin/reboot" as ? of 1000 in 17`}},
		"arguments":                      {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd=6B696C6C002D3900610062`+sudo)}, []string{`1 [9 self false] kill "kill\x00-9\x00a\x00b" as ? of 1000 in 17`}},
		"as root":                        {[]string{command, strings.Replace(session, "alice", "root", 1)}, []string{told, strings.Replace(told, "?", "root(0 true)", 1)}},
		"as another user":                {[]string{command, session}, []string{told, strings.Replace(told, "?", "alice(0 false)", 1)}},
		"told only once more":            {[]string{command, session, session}, []string{told, strings.Replace(told, "?", "alice(0 false)", 1)}},
		"another process":                {[]string{command, strings.Replace(session, "pid=9", "pid=25", 1)}, []string{told}},
		"another program":                {[]string{command, strings.Replace(session, "bin/sudo", "bin/su", 1)}, []string{told}},
		"another session":                {[]string{command, strings.Replace(session, "ses=17", "ses=18", 1)}, []string{told}},
		"another host":                   {[]string{command, "node=a " + session}, []string{told}},
		"nobody's":                       {[]string{unset(command)}, []string{strings.Replace(told, "1000 in 17", "nobody", 1)}},
		"refused":                        {[]string{strings.Replace(command, "success", "failed", 1)}, nil},
		"nothing":                        {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd=?`+sudo)}, nil},
		"only blanks":                    {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd=202020`+sudo)}, nil},
		"cut":                            {[]string{command[:len(command)-4]}, nil},
		"half a byte":                    {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd=736`+sudo)}, nil},
		"too long":                       {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd="`+strings.Repeat("x", longestCommand+1)+`"`+sudo)}, nil},
		"fields in a command":            {[]string{statement(1, "USER_CMD", 9, `cwd="/" cmd="x'pid=1"`+sudo)}, []string{`1 [9 self false] x'pid=1 "x'pid=1" as ? of 1000 in 17`}},
		"a folder's name like a command": {[]string{statement(1, "USER_CMD", 9, `cwd=202220636D643D226964222065786522 cmd="id"`+sudo)}, []string{`1 [9 self false] id "id" as ? of 1000 in 17`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFactBench()
			b.feed(tt.lines...)
			assert.Equal(t, tt.want, b.facts)
		})
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	service := func(n int, kind string, pid int, unit string) string {
		return unset(statement(n, kind, pid, "unit="+unit+` comm="systemd" exe="/usr/lib/systemd/systemd" hostname=? addr=? terminal=? res=success`))
	}
	utmp := func(n int, kind string, pid int) string {
		return unset(statement(n, kind, pid, ` comm="systemd-update-utmp" exe="/usr/lib/systemd/systemd-update-utmp" hostname=? addr=? terminal=? res=success`))
	}
	stop := service(1, "SERVICE_STOP", 1, "mariadb")
	unitDone := func(n int, kind string, pid int) string { return service(n, kind, pid, "systemd-update-utmp") }
	login := []string{loginRecord(1, 7, 17), statement(2, "USER_START", 7, said("PAM:session_open", "/usr/sbin/sshd", "?", "ssh")), loginRecord(2, 8, 18)}
	const told = "1 login 17 of 1000 by sshd[7] as alice on  from"
	for name, tt := range map[string]struct {
		lines []string
		want  []string
	}{
		"stop":                      {[]string{stop}, []string{"1 stop mariadb.service by 1: done"}},
		"start":                     {[]string{service(1, "SERVICE_START", 1, "mariadb")}, []string{"1 start mariadb.service by 1: done"}},
		"stop that failed":          {[]string{strings.Replace(stop, "success", "failed", 1)}, []string{"1 stop mariadb.service by 1: failed"}},
		"a container's":             {[]string{service(1, "SERVICE_STOP", 4711, "mariadb")}, []string{"1 stop mariadb.service by 4711: done"}},
		"a name like a number":      {[]string{service(1, "SERVICE_STOP", 1, "cafe")}, []string{"1 stop cafe.service by 1: done"}},
		"an instance":               {[]string{service(1, "SERVICE_STOP", 1, `fsck@dev-disk-by\x2duuid`)}, []string{`1 stop fsck@dev-disk-by\x2duuid.service by 1: done`}},
		"a name with its suffix":    {[]string{service(1, "SERVICE_STOP", 1, "a.socket")}, []string{"1 stop a.socket by 1: done"}},
		"a name with a dot":         {[]string{service(1, "SERVICE_STOP", 1, "org.example")}, []string{"1 stop org.example.service by 1: done"}},
		"no name":                   {[]string{service(1, "SERVICE_STOP", 1, "?")}, nil},
		"not a name":                {[]string{service(1, "SERVICE_STOP", 1, "a/b")}, nil},
		"a name that is too long":   {[]string{service(1, "SERVICE_STOP", 1, strings.Repeat("x", 256))}, nil},
		"said by another program":   {[]string{strings.Replace(stop, "/systemd/systemd", "/x", 1)}, nil},
		"said under another name":   {[]string{strings.Replace(stop, `comm="systemd"`, `comm="x"`, 1)}, nil},
		"shutdown":                  {[]string{utmp(1, "SYSTEM_SHUTDOWN", 9), unitDone(2, "SERVICE_STOP", 1)}, []string{"2 stop systemd-update-utmp.service by 1: done", "1 shutdown by 0"}},
		"shutdown of a container":   {[]string{utmp(1, "SYSTEM_SHUTDOWN", 9), unitDone(2, "SERVICE_STOP", 4711)}, []string{"2 stop systemd-update-utmp.service by 4711: done", "1 shutdown by 4711"}},
		"shutdown without systemd":  {[]string{utmp(1, "SYSTEM_SHUTDOWN", 1)}, []string{"1 shutdown by 0"}},
		"shutdown by who knows":     {[]string{utmp(1, "SYSTEM_SHUTDOWN", 9)}, nil},
		"shutdown that failed":      {[]string{strings.Replace(utmp(1, "SYSTEM_SHUTDOWN", 1), "success", "failed", 1)}, nil},
		"shutdown, much later":      {[]string{utmp(1, "SYSTEM_SHUTDOWN", 9), unitDone(20_000, "SERVICE_STOP", 1)}, []string{"20000 stop systemd-update-utmp.service by 1: done"}},
		"shutdown of another host":  {[]string{"node=a " + utmp(1, "SYSTEM_SHUTDOWN", 9), unitDone(2, "SERVICE_STOP", 1)}, []string{"2 stop systemd-update-utmp.service by 1: done"}},
		"no shutdown by a start":    {[]string{utmp(1, "SYSTEM_SHUTDOWN", 9), unitDone(2, "SERVICE_START", 1)}, []string{"2 start systemd-update-utmp.service by 1: done"}},
		"boot ends all sessions":    {append(login, utmp(5, "SYSTEM_BOOT", 9), unitDone(6, "SERVICE_START", 1)), []string{told, "6 start systemd-update-utmp.service by 1: done", "5 logout 17", "5 no shutdown any more by 0"}},
		"boot of a container":       {append(login, utmp(5, "SYSTEM_BOOT", 9), unitDone(6, "SERVICE_START", 4711)), []string{told, "6 start systemd-update-utmp.service by 4711: done", "5 no shutdown any more by 4711"}},
		"boot of another host":      {append(login, "node=a "+utmp(5, "SYSTEM_BOOT", 9), "node=a "+unitDone(6, "SERVICE_START", 1)), []string{told, "a: 6 start systemd-update-utmp.service by 1: done", "a: 5 no shutdown any more by 0"}},
		"another type of statement": {[]string{utmp(1, "SYSTEM_RUNLEVEL", 1), strings.Replace(utmp(1, "X", 1), "X", "1199", 1)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newFactBench()
			b.feed(tt.lines...)
			assert.Equal(t, tt.want, b.facts)
			assert.Empty(t, b.take())
		})
	}
}

// TestFactsAreNotWanted reads the same without anybody to tell.
func TestFactsAreNotWanted(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	for _, line := range []string{
		loginRecord(1, 7, 17), statement(2, "USER_CMD", 9, `cmd="id" exe="/usr/bin/sudo" res=success`), "type=USER_START broken",
	} {
		assert.Equal(t, Ignored, b.AddLine([]byte(line), false, 0, b.now))
	}
	_, verdict := b.AddMessage(auditrecord.TypeUserCmd, []byte("audit(1.001:1): pid=9 msg='cmd=\"id\" res=success'"), false, 0, b.now)
	assert.Equal(t, Ignored, verdict)
	assert.Empty(t, b.logins.byKey)
}

// TestManyLogins bounds the memory, and forgets the oldest sessions first.
func TestManyLogins(t *testing.T) {
	t.Parallel()
	b := newFactBench()
	for n := range 3 * maxLogins {
		b.feed(loginRecord(n, n+1, n))
	}
	assert.Len(t, b.logins.byKey, maxLogins)
	assert.Len(t, b.logins.order, maxLogins)
	assert.Contains(t, b.logins.byKey, sessionKey{session: 3*maxLogins - 1})
}

// TestKnow goes on with sessions that another correlator has told.
func TestKnow(t *testing.T) {
	t.Parallel()
	first := newFactBench()
	first.feed(loginRecord(1, 7, 17), statement(2, "USER_START", 7, said("PAM:session_open", "/usr/sbin/sshd", "192.0.2.15", "ssh")))
	second := newFactBench()
	second.Know(first.known)
	second.feed(
		statement(3, "USER_LOGIN", 8, said("login", "/usr/sbin/sshd", "10.0.0.1", "/dev/pts/1")),
		statement(3, "USER_LOGIN", 7, said("login", "/usr/sbin/sshd", "192.0.2.15", "/dev/pts/0")),
		statement(4, "USER_END", 7, said("PAM:session_close", "/usr/sbin/sshd", "192.0.2.15", "ssh")),
	)
	assert.Equal(t, []string{"1 login 17 of 1000 by sshd[7] as alice on pts/0 from 192.0.2.15", "4 logout 17"}, second.facts)
	assert.Empty(t, first.known[0].Login.Session.TTY, "what was told must not change")
}

// TestFactsOfRecording compares what a recording says, as lines and as the kernel sends it.
func TestFactsOfRecording(t *testing.T) {
	t.Parallel()
	lines := recording(t, "behind.log")
	b := newFactBench()
	b.feed(lines...)
	var short []string
	for i, fact := range b.facts {
		if b.known[i].Job == nil || strings.Contains(fact, "mariadb") || strings.Contains(fact, "stub") {
			_, fact, _ = strings.Cut(fact, " ")
			short = append(short, fact)
		}
	}
	command := func(pid int, title, session string) []string {
		text := fmt.Sprintf("[%d self false] %s %q as ? of 1000 in %s", pid, strings.Fields(title)[0], strings.ReplaceAll(title, " ", "\x00"), session)
		return []string{text, strings.Replace(text, "?", "root(0 true)", 1)}
	}
	login := func(session, pid int) string {
		return fmt.Sprintf("login %d of 1000 by sshd[%d] as alice on  from 192.0.2.15", session, pid)
	}
	want := []string{"no shutdown any more by 0", "start mariadb.service by 1: done", login(17, 16914)}
	want = append(want, command(16928, "systemctl restart mariadb", "17")...)
	want = append(want, "stop mariadb.service by 1: done", "start mariadb.service by 1: done", "logout 17",
		"stop mariadb.service by 1: done", "start mariadb.service by 1: done", login(19, 17055))
	want = append(want, command(17062, "pkill -TERM mariadbd", "19")...)
	want = append(want, "logout 19", "stop mariadb.service by 1: done", "start mariadb.service by 1: done", login(20, 17118))
	want = append(want, command(17134, "systemctl stop mariadb", "20")...)
	want = append(want, "stop mariadb.service by 1: done", "logout 20", login(21, 17139), "logout 21",
		"start stub.service by 1: done", "stop stub.service by 1: failed")
	assert.Equal(t, want, short)

	messages := newFactBench()
	for _, line := range lines {
		kind, _, message := auditrecord.Split([]byte(line))
		if kind != auditrecord.TypeOther {
			message, _, _ = bytes.Cut(message, []byte("\x1d"))
			messages.AddMessage(kind, message, false, 0, messages.now)
		}
	}
	assert.Equal(t, b.facts, messages.facts)
	require.Len(t, messages.events, len(b.events))
}
