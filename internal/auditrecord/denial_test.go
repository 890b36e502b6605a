// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseDenial(t *testing.T) {
	t.Parallel()
	const selinux = ` avc:  denied  { sigkill } for  pid=7 comm="a b" scontext=u:r:s:s0-s0:c0.c1023 tcontext=u:r:t:s0 tclass=process permissive=0`
	const apparmor = ` apparmor="DENIED" operation="signal" profile="docker-default" pid=7 comm="kubelet" requested_mask="receive" ` +
		`denied_mask="receive" signal=kill peer="/usr/bin/kubelet"`
	tests := map[string]struct {
		kind   Type
		record string
		want   string
	}{
		"SELinux":               {TypeAVC, selinux, `sigkill by 7 "a b" u:r:s:s0-s0:c0.c1023 to 0  u:r:t:s0`},
		"SELinux, permissive":   {TypeAVC, strings.ReplaceAll(selinux, "permissive=0", "permissive=1"), ""},
		"SELinux, before 4.17":  {TypeAVC, strings.ReplaceAll(selinux, " permissive=0", ""), `sigkill by 7 "a b" u:r:s:s0-s0:c0.c1023 to 0  u:r:t:s0`},
		"SELinux, granted":      {TypeAVC, strings.ReplaceAll(selinux, "denied", "granted"), ""},
		"SELinux, other class":  {TypeAVC, strings.ReplaceAll(selinux, "tclass=process", "tclass=file"), ""},
		"SELinux, other access": {TypeAVC, strings.ReplaceAll(selinux, "sigkill", "ptrace"), ""},
		"SELinux, cut":          {TypeAVC, selinux[:60], ""},
		"AppArmor, receive":     {TypeAVC, apparmor, `kill by 7 "kubelet" /usr/bin/kubelet to 0  docker-default`},
		"AppArmor, send": {
			TypeAVC, strings.ReplaceAll(apparmor, `denied_mask="receive"`, `denied_mask="send"`),
			`kill by 7 "kubelet" docker-default to 0  /usr/bin/kubelet`,
		},
		"AppArmor, complain mode":   {TypeAVC, strings.ReplaceAll(apparmor, "DENIED", "ALLOWED"), ""},
		"AppArmor, other operation": {TypeAVC, strings.ReplaceAll(apparmor, `"signal"`, `"ptrace"`), ""},
		"AppArmor, named like one": {
			TypeAVC, ` apparmor="DENIED" operation="open" profile="x" name="operation="signal"" pid=7 comm="a" denied_mask="r"`, "",
		},
		"Landlock":              {TypeLandlockAccess, ` domain=1a6fdc66f blockers=scope.signal opid=1 ocomm="systemd"`, ` by 0   to 1 "systemd" `},
		"Landlock, other":       {TypeLandlockAccess, ` domain=1a6fdc66f blockers=fs.read_file path="/x"`, ""},
		"Landlock, no target":   {TypeLandlockAccess, ` domain=1a6fdc66f blockers=scope.signal`, ""},
		"nothing":               {TypeAVC, "", ""},
		"braces, nothing after": {TypeAVC, "avc:  denied  { signal } for ", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, refused := ParseDenial(tt.kind, []byte(tt.record))
			got := ""
			if refused {
				got = string(d.SignalName) + " by " + strconv.Itoa(d.PID) + " " + string(d.Comm) + " " + string(d.Subject) +
					" to " + strconv.Itoa(d.TargetPID) + " " + string(d.TargetComm) + " " + string(d.Object)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
