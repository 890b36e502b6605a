// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// restarted is a signal of systemd's that carol has asked for.
func restarted(edit func(*kill.Event)) *kill.Event {
	return event(func(e *kill.Event) {
		e.Cause, e.Sender = kill.CauseServiceRestart, kill.Process{PID: 1, Command: "systemd", User: user(0, "root"), Login: user(7, "boot")}
		e.Behind = &kill.Behind{
			Managed: true, User: user(1002, "carol"), Session: &kill.Session{Address: "10.0.0.5"},
			Requester: &kill.Process{Command: "systemctl", Executable: "/usr/bin/systemctl"}, Initiator: &kill.Ancestor{Command: "ansible-playbook"},
		}
		if edit != nil {
			edit(e)
		}
	})
}

func TestCheckFrom(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"", "10.0.0.5", "10.0.0.5/8", "2001:db8::1", "fe80::/10", "fe80::1%eth0", "admin.example.com", "1.2.3.4.example.com", ":0"} {
		require.NoError(t, CheckFrom(from), from)
	}
	for _, from := range []string{"10.0.0.0/33", "10.0.0/8", "fe80::/129", "admin/8", "300.1.2.3", "010.0.0.5"} {
		require.Error(t, CheckFrom(from), from)
	}
}

func TestApplyBehind(t *testing.T) {
	t.Parallel()
	from := func(address string) func(*kill.Event) {
		return func(e *kill.Event) { e.Behind.Session.Address = address }
	}
	because := func(causes ...kill.Cause) Behind { return Behind{Causes: causes} }
	by := func(globs ...string) Behind { return Behind{Requesters: globs} }
	nobody := func(e *kill.Event) { e.Behind = &kill.Behind{Managed: true} }
	late := func(e *kill.Event) {
		e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{LastCause: kill.CauseStopTimeout}
	}
	for name, tt := range map[string]struct {
		asked Behind
		event *kill.Event
		want  bool
	}{
		"everything":                    {Behind{}, restarted(nil), true},
		"user":                          {Behind{User: "carol"}, restarted(nil), true},
		"user by id":                    {Behind{User: "1002"}, restarted(nil), true},
		"another user":                  {Behind{User: "alice"}, restarted(nil), false},
		"login of a manager":            {Behind{User: "boot"}, restarted(nil), false},
		"login of a sender":             {Behind{User: "alice"}, event(nil), true},
		"user of a sender":              {Behind{User: "root"}, event(nil), false},
		"nobody known":                  {Behind{User: "carol"}, restarted(nobody), false},
		"user without a name":           {Behind{User: "carol"}, restarted(func(e *kill.Event) { e.Behind.User.Name = "" }), false},
		"address":                       {Behind{From: "10.0.0.5"}, restarted(nil), true},
		"another address":               {Behind{From: "10.0.0.50"}, restarted(nil), false},
		"network":                       {Behind{From: "10.0.0.0/8"}, restarted(nil), true},
		"another network":               {Behind{From: "192.168.0.0/16"}, restarted(nil), false},
		"address written in IPv6":       {Behind{From: "10.0.0.5"}, restarted(from("::ffff:10.0.0.5")), true},
		"IPv6":                          {Behind{From: "2001:db8:0::1"}, restarted(from("2001:DB8::1")), true},
		"IPv6 with a zone":              {Behind{From: "fe80::1"}, restarted(from("fe80::1%eth0")), true},
		"name with numbers":             {Behind{From: "1.2.3.4.example.com"}, restarted(from("1.2.3.4.example.com")), true},
		"network with bits of a host":   {Behind{From: "10.0.0.5/8"}, restarted(nil), true},
		"name of a host":                {Behind{From: "admin.example.com"}, restarted(from("Admin.example.com")), true},
		"name of another host":          {Behind{From: "admin.example.com"}, restarted(nil), false},
		"address of a local login":      {Behind{From: "10.0.0.5"}, restarted(from("")), false},
		"address of nobody":             {Behind{From: "10.0.0.5"}, event(nil), false},
		"cause":                         {because(kill.CauseServiceStop, kill.CauseServiceRestart), restarted(nil), true},
		"another cause":                 {because(kill.CauseServiceStop), restarted(nil), false},
		"no cause":                      {because(kill.CauseServiceStop), event(nil), false},
		"cause of the last signal":      {because(kill.CauseStopTimeout), restarted(late), true},
		"requester":                     {by("systemctl"), restarted(nil), true},
		"requester by path":             {by("/usr/bin/*ctl"), restarted(nil), true},
		"initiator":                     {by("ansible*"), restarted(nil), true},
		"another requester":             {by("busctl"), restarted(nil), false},
		"one of them":                   {by("busctl", "systemctl"), restarted(nil), true},
		"nobody has asked":              {by("*"), restarted(nobody), false},
		"nothing more than a sender":    {by("*"), event(nil), false},
		"requester without a name":      {by("busctl"), restarted(func(e *kill.Event) { e.Behind.Requester, e.Behind.Initiator = &kill.Process{}, nil }), false},
		"path of another mount":         {by("/usr/bin/systemctl"), restarted(func(e *kill.Event) { e.Behind.Requester.Home.Program = kill.WhoseOther }), false},
		"everything that was asked for": {Behind{User: "carol", From: "10.0.0.5", Causes: []kill.Cause{kill.CauseServiceRestart}, Requesters: []string{"systemctl"}}, restarted(nil), true},
	} {
		s, err := New(Config{Behind: tt.asked})
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, s.ApplyBehind(tt.event), name)
		assert.True(t, s.Apply(tt.event), name)
		assert.Equal(t, tt.asked.Empty(), name == "everything", name)
	}
}

func TestRejectionsBehind(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Signals: []kill.Signal{kill.SIGKILL}, Behind: Behind{User: "alice", Causes: []kill.Cause{kill.CauseServiceStop}}})
	require.NoError(t, err)
	for _, e := range []*kill.Event{event(nil), restarted(nil), restarted(nil), event(func(e *kill.Event) { e.Signal = kill.SIGTERM })} {
		_ = s.Apply(e) && s.ApplyBehind(e)
	}
	assert.Equal(t, []Rejection{
		{Reason: reasonSignal, Events: 1, Signals: map[kill.Signal]int{kill.SIGTERM: 1}},
		{Reason: "with another user behind it", Events: 2},
		{Reason: "with another cause", Events: 1},
	}, s.Rejections())
	_, err = New(Config{Behind: Behind{Requesters: []string{"["}}})
	require.ErrorContains(t, err, "--requester")
}
