// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package rendering

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	for want, lines := range map[string][]string{
		"the output of ausearch -i": {
			`type=SYSCALL msg=audit(11/14/2023 22:13:20.123:45) : arch=x86_64 syscall=kill success=yes`,
			`node=db1 type=SYSCALL msg=audit(14.11.2023 22:13:20.123:45) : arch=x86_64`,
		},
		"the output of ausearch --format csv": {
			"NODE,EVENT,DATE,TIME,SERIAL_NUM,EVENT_KIND,SESSION,SUBJ_PRIME,SUBJ_SEC,SUBJ_KIND,ACTION,RESULT,OBJ_PRIME,OBJ_SEC,OBJ_KIND,HOW",
			",SYSCALL,11/14/2023,22:13:20,45,audit-rule,3,alice,root,privileged-acct,killed-pid,success,mysqld,,process,/usr/bin/bash",
		},
		"the output of ausearch --format text": {"At 22:13:20 11/14/2023 alice, acting as root, successfully killed-pid mysqld using /usr/bin/bash"},
		"a report of aureport":                 {"Executable Report", "====================================", "1. 11/14/2023 22:13:20 /usr/bin/bash pts0 ? 1000 45"},
		"JSON of go-audit":                     {`{"sequence":45,"timestamp":"1700000000.123","messages":[{"type":1300,"data":"arch=c000003e"}],"uid_map":{}}`},
		"JSON of laurel": {
			`{"ID":"1700000000.123:45","NODE":"db1","SYSCALL":{"arch":"0xc000003e","syscall":62}}`,
			`{"ID": "1700000000.123:45", "SYSCALL": {"arch": "0xc000003e"}}`,
		},
		"JSON of auditbeat": {`{"@timestamp":"2023-11-14T22:13:20.123Z","auditd":{"sequence":45}}`},
		"the output of journalctl -o export or -o verbose": {
			"__CURSOR=s=739ad463348b4ceca5a9e69c95a3c93f", "    MESSAGE=SYSCALL arch=c000003e", "    _TRANSPORT=audit",
		},
		"the output of journalctl -o cat, which has no times": {"SYSCALL arch=c000003e syscall=62", `PROCTITLE proctitle="-bash"`},
		"a file of the journal":                               {"LPKSHHRH\x00\x00"},
		"audit records behind another program's tag, as any user can write them": {
			`Nov 14 22:13:20 db1 tag_audit_log: type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e`,
			`<85>Nov 14 22:13:20 db1 tag_audit_log: node=db1 type=OBJ_PID msg=audit(1700000000.123:45): opid=4192`,
			`2026-11-14T22:13:20.123456+00:00 db1 logger[7]: type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e`,
		},
		"syslog of RFC 5424": {
			`<85>1 2026-11-14T22:13:20.123456+00:00 db1 audispd 701 - - type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e`,
			`<85>1 2026-11-14T22:13:20Z db1 tag_audit_log - - [meta sequenceId="1"] ` + "\ufeff" + `node=db1 type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e`,
		},
		"UTF-16": {"\xff\xfet\x00y\x00", "t\x00y\x00p\x00e\x00=\x00", "\x00t\x00y\x00p\x00e\x00="},
		"":       {"", "hello", "type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e", "{}", "a,b,c", "Nov 14 22:13:20 db1 sshd[7]: type=x", "<85>1 2026-11-14T22:13:20Z db1 sshd 7 - - hello"},
	} {
		for _, line := range lines {
			looks, helps := Describe([]byte(line))
			assert.Equal(t, want, looks, "%q", line)
			assert.Equal(t, want == "", helps == "")
		}
	}
}
