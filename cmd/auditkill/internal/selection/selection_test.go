// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func user(id uint32, name string) kill.User { return kill.User{ID: kill.NewID(id), Name: name} }

// event is a signal by alice, who has become root.
func event(edit func(*kill.Event)) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: noon, Signal: kill.SIGKILL, SignalKnown: true, Origin: kill.OriginUser, Result: kill.Success(), Complete: true,
		Sender: kill.Process{
			PID: 1, Command: "kill", Executable: "/usr/bin/kill",
			User: user(0, "root"), RealUser: user(1001, "bob"), Login: user(1000, "alice"),
		},
	}
	*e.AddTarget() = kill.Process{PID: 2, Command: "mysqld"}
	if edit != nil {
		edit(e)
	}
	return e
}

func TestApply(t *testing.T) {
	t.Parallel()
	refused := func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} }
	signal := func(s kill.Signal) func(*kill.Event) { return func(e *kill.Event) { e.Signal = s } }
	byKernel := func(e *kill.Event) { e.Origin, e.Sender = kill.OriginKernel, kill.Process{} }
	lost := func(e *kill.Event) { e.Complete, e.Result, e.Sender = false, kill.Result{}, kill.Process{} }
	died := func(e *kill.Event) { e.Kind = kill.KindAbend }
	for name, tt := range map[string]struct {
		config Config
		event  *kill.Event
		want   bool
	}{
		"everything":                 {Config{}, event(nil), true},
		"everything, signal 0":       {Config{}, event(signal(0)), true},
		"everything, no such signal": {Config{}, event(signal(99)), true},
		"everything, refused":        {Config{}, event(refused), true},
		"everything, by the kernel":  {Config{}, event(byKernel), true},
		"signal":                     {Config{Signals: []kill.Signal{kill.SIGTERM, kill.SIGKILL}}, event(nil), true},
		"another signal":             {Config{Signals: []kill.Signal{kill.SIGTERM}}, event(nil), false},
		"target":                     {Config{Targets: []string{"my*"}}, event(nil), true},
		"target, signal 0":           {Config{Targets: []string{"my*"}}, event(signal(0)), true},
		"another target":             {Config{Targets: []string{"nginx"}}, event(nil), false},
		"sender":                     {Config{Senders: []string{"kill"}}, event(nil), true},
		"sender by path":             {Config{Senders: []string{"/usr/*/kill"}}, event(nil), true},
		"another sender":             {Config{Senders: []string{"systemd"}}, event(nil), false},
		"login":                      {Config{User: "alice"}, event(nil), true},
		"login by id":                {Config{User: "1000"}, event(nil), true},
		"user":                       {Config{User: "root"}, event(nil), true},
		"real user":                  {Config{User: "bob"}, event(nil), true},
		"user by id":                 {Config{User: "0"}, event(nil), true},
		"another user":               {Config{User: "carol"}, event(nil), false},
		"user, by the kernel":        {Config{User: "root"}, event(byKernel), false},
		"user, died":                 {Config{User: "root"}, event(died), false},
		"failed, but did not":        {Config{OnlyFailed: true}, event(nil), false},
		"failed":                     {Config{OnlyFailed: true}, event(refused), true},
		"user, lost":                 {Config{User: "carol"}, event(lost), true},
		"failed, lost":               {Config{OnlyFailed: true}, event(lost), true},
		"failed, died":               {Config{OnlyFailed: true}, event(died), false},
		"since":                      {Config{Since: noon}, event(nil), true},
		"too early":                  {Config{Since: noon.Add(1)}, event(nil), false},
		"until":                      {Config{Until: noon}, event(nil), true},
		"too late":                   {Config{Until: noon.Add(-1)}, event(nil), false},
		"all of it": {Config{
			Signals: []kill.Signal{kill.SIGKILL}, Targets: []string{"mysqld"}, Senders: []string{"kill"}, User: "alice",
			Since: noon, Until: noon, OnlyFailed: true,
		}, event(refused), true},
	} {
		s, err := New(tt.config)
		require.NoError(t, err, name)
		assert.Equal(t, tt.want, s.Apply(tt.event), name)
		assert.Equal(t, 1, s.Seen(), name)
	}
}

func TestRejections(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Signals: []kill.Signal{kill.SIGKILL}, Targets: []string{"nginx"}, Since: noon})
	require.NoError(t, err)
	for _, e := range []*kill.Event{
		event(nil), event(func(e *kill.Event) { e.Signal = kill.SIGTERM }), event(func(e *kill.Event) { e.Signal = kill.SIGTERM }),
		event(func(e *kill.Event) { e.Time = e.Time.Add(-time.Hour) }), event(func(e *kill.Event) { e.Targets[0].Command = "nginx" }),
	} {
		s.Apply(e)
	}
	assert.Equal(t, 5, s.Seen())
	assert.Equal(t, []Rejection{
		{Reason: reasonTime, Events: 1},
		{Reason: reasonSignal, Events: 2, Signals: map[kill.Signal]int{kill.SIGTERM: 2}},
		{Reason: "with another target", Events: 1},
	}, s.Rejections())
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(Config{Targets: []string{"["}})
	require.ErrorContains(t, err, "--target")
	_, err = New(Config{Senders: []string{""}})
	require.ErrorContains(t, err, "--sender")
}
