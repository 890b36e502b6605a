// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseChange(t *testing.T) {
	t.Parallel()
	none := Change{AUID: unset, UID: unset, Session: unset}
	tests := map[string]struct {
		fields        string
		want          Change
		whole         bool
		removes, sets bool
	}{
		"rule removed": {
			" auid=33 ses=5 subj=unconfined op=remove_rule key=\"audit_kill\" list=4 res=1\x1dAUID=\"www-data\"",
			Change{
				Op: []byte("remove_rule"), Key: []byte(`"audit_kill"`), List: 4, Done: true, DoneKnown: true,
				AUID: 33, UID: unset, Session: 5, Subject: []byte("unconfined"), AUIDName: []byte(`"www-data"`),
			},
			true, true, false,
		},
		"rule not removed, as the configuration is locked": {
			" pid=7 uid=0 auid=33 ses=5 op=remove_rule audit_enabled=2 res=0",
			Change{Op: []byte("remove_rule"), Setting: SettingEnabled, New: 2, DoneKnown: true, PID: 7, AUID: 33, Session: 5},
			true, true, false,
		},
		"set": {
			" op=set audit_enabled=0 old=1 auid=33 ses=5 res=1",
			Change{
				Op: []byte("set"), Setting: SettingEnabled, Old: 1, OldKnown: true, Done: true, DoneKnown: true,
				AUID: 33, UID: unset, Session: 5,
			},
			true, false, true,
		},
		"set by an older kernel": {
			" audit_pid=0 old=77 by auid=33 res=1",
			Change{Setting: SettingPID, Old: 77, OldKnown: true, Done: true, DoneKnown: true, AUID: 33, UID: unset, Session: unset},
			true, false, true,
		},
		"backlog limit": {
			" op=set audit_backlog_limit=8192 old=4294967295 auid=33 ses=5 res=1",
			Change{
				Op: []byte("set"), Setting: SettingBacklogLimit, New: 8192, Done: true, DoneKnown: true,
				AUID: 33, UID: unset, Session: 5,
			},
			true, false, true,
		},
		"rate limit": {
			" op=set audit_rate_limit=4294967295 old=0 res=1",
			Change{
				Op: []byte("set"), Setting: SettingRateLimit, New: math.MaxInt32, OldKnown: true, Done: true, DoneKnown: true,
				AUID: unset, UID: unset, Session: unset,
			},
			true, false, true,
		},
		"a setting of no interest": {
			" op=set audit_failure=1 old=0 res=1",
			Change{Op: []byte("set"), OldKnown: true, Done: true, DoneKnown: true, AUID: unset, UID: unset, Session: unset},
			true, false, false,
		},
		"rule added": {
			" op=add_rule key=(null) list=5 res=1",
			Change{
				Op: []byte("add_rule"), Key: []byte("(null)"), List: 5, Done: true, DoneKnown: true,
				AUID: unset, UID: unset, Session: unset,
			},
			true, false, false,
		},
		"end of the daemon": {
			" op=terminate auid=33 uid=4294967295 ses=4294967295 pid=32711 subj=x res=success\x1dAUID=\"www-data\" UID=\"unset\"",
			Change{
				Op: []byte("terminate"), Done: true, DoneKnown: true, PID: 32711, AUID: 33, UID: unset, Session: unset,
				Subject: []byte("x"), AUIDName: []byte(`"www-data"`), UIDName: []byte(`"unset"`),
			},
			true, false, false,
		},
		"end of the daemon, nobody known": {
			" op=terminate auid=-1 uid=-1 ses=-1 pid=-1 res=failed",
			Change{Op: []byte("terminate"), DoneKnown: true, AUID: unset, UID: unset, Session: unset},
			true, false, false,
		},
		"nothing":           {"", none, false, false, false},
		"unclosed":          {` res=1 key="a`, Change{Key: []byte(`"a`), Done: true, DoneKnown: true, AUID: unset, UID: unset, Session: unset}, false, false, false},
		"setting no number": {" audit_enabled=x res=1", Change{Setting: SettingEnabled, Done: true, DoneKnown: true, AUID: unset, UID: unset, Session: unset}, false, false, true},
		"unreadable id":     {" auid=x res=0", Change{DoneKnown: true, UID: unset, Session: unset}, false, false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change, whole := ParseChange([]byte(tt.fields))
			assert.Equal(t, tt.want, change)
			assert.Equal(t, tt.whole, whole)
			assert.Equal(t, tt.removes, change.RemovesRule())
			assert.Equal(t, tt.sets, change.Sets())
			assert.Equal(t, name == "rule added", change.AddsRule())
		})
	}
}
