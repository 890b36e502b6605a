// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseObjPID(t *testing.T) {
	t.Parallel()
	o, whole := ParseObjPID(fieldsOf(t, seedObjPID))
	assert.True(t, whole)
	assert.Equal(t, ObjPID{
		PID: 3936, AUID: 500, UID: 102, Session: 1,
		Label: []byte("user_u:system_r:mysqld_t:s0"), Comm: []byte(`"mysqld"`),
	}, o)

	o, whole = ParseObjPID([]byte("opid=1 oauid=-1 ouid=0 oses=-1 ocomm=\"systemd\"\x1dOAUID=\"unset\" OUID=\"root\""))
	assert.True(t, whole)
	assert.Equal(t, ObjPID{
		PID: 1, AUID: unset, Session: unset, Comm: []byte(`"systemd"`), AUIDName: []byte(`"unset"`), UIDName: []byte(`"root"`),
	}, o)

	for name, fields := range map[string]string{
		"no pid":      `oauid=-1 ouid=0 oses=-1 ocomm="x"`,
		"bad pid":     `opid=-5 oauid=-1 ouid=0 oses=-1 ocomm="x"`,
		"no name":     "opid=1 oauid=-1 ouid=0 oses=-1",
		"no user":     `opid=1 ocomm="x"`,
		"cut name":    `opid=1 oauid=-1 ouid=0 oses=-1 ocomm="x`,
		"bad session": `opid=1 oauid=-1 ouid=0 oses=x ocomm="x"`,
	} {
		_, whole := ParseObjPID([]byte(fields))
		assert.False(t, whole, name)
	}
}

func TestProctitle(t *testing.T) {
	t.Parallel()
	title, whole := Proctitle([]byte(" proctitle=6261736800"))
	assert.True(t, whole)
	assert.Equal(t, "6261736800", string(title))
	title, whole = Proctitle([]byte(` proctitle="(null)"`))
	assert.True(t, whole)
	assert.Empty(t, title)
	_, whole = Proctitle([]byte(` proctitle="ba`))
	assert.False(t, whole)
	_, whole = Proctitle([]byte(" nothing=1"))
	assert.False(t, whole)
}

func TestParseVictim(t *testing.T) {
	t.Parallel()
	v, whole := ParseVictim([]byte(` auid=4294967295 uid=33 gid=33 ses=4294967295 subj=unconfined pid=22565 comm="python3" ` +
		`exe="/usr/bin/python3.11" sig=11 res=1` + "\x1d" + `AUID="unset" UID="www-data" GID="root"`))
	assert.True(t, whole)
	assert.Equal(t, Victim{
		Signal: 11, PID: 22565, AUID: unset, UID: 33, Session: unset, Subject: []byte("unconfined"),
		Comm: []byte(`"python3"`), Exe: []byte(`"/usr/bin/python3.11"`), AUIDName: []byte(`"unset"`), UIDName: []byte(`"www-data"`),
	}, v)

	v, whole = ParseVictim([]byte(` auid=1000 uid=1000 gid=1000 ses=3 pid=77 comm="sandbox" exe="/usr/bin/sandbox" ` +
		`sig=31 arch=c000003e syscall=41 compat=0 ip=0x7f code=0x80000000`))
	assert.True(t, whole)
	assert.Equal(t, 31, v.Signal)
	assert.Equal(t, uint32(0xc000003e), v.Arch)

	_, whole = ParseVictim([]byte(` pid=77 comm="sandbox"`))
	assert.False(t, whole)
}
