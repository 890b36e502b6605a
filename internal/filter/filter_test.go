// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filter

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func event(edit func(*kill.Event)) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Signal: kill.SIGKILL, SignalKnown: true, Origin: kill.OriginUser, Result: kill.Success(), Complete: true,
		Sender: kill.Process{PID: 1, Command: "killer", Executable: "/bin/killer"},
	}
	*e.AddTarget() = kill.Process{PID: 2, Command: "mysqld"}
	if edit != nil {
		edit(e)
	}
	return e
}

// Names match any process as a Filter matches senders.
func TestNames(t *testing.T) {
	t.Parallel()
	names, err := NewNames([]string{"kill*", "/usr/bin/*ctl"})
	require.NoError(t, err)
	assert.True(t, names.Match(&kill.Process{Command: "killer"}))
	assert.True(t, names.Match(&kill.Process{Command: "x", Executable: "/usr/bin/systemctl"}))
	assert.False(t, names.Match(&kill.Process{Command: "systemd", Executable: "/bin/systemctl"}))
	_, err = NewNames([]string{"["})
	require.Error(t, err)
}

func TestApply(t *testing.T) {
	t.Parallel()
	refused := func(e *kill.Event) { e.Result = kill.Result{Known: true, Errno: 1, Error: "EPERM"} }
	nobody := func(e *kill.Event) { e.Targets = nil }
	lost := func(e *kill.Event) { e.Targets, e.Complete = nil, false }
	tests := map[string]struct {
		config Config
		event  *kill.Event
		want   bool
	}{
		"everything":                {Config{}, event(nil), true},
		"other signal":              {Config{Signals: []kill.Signal{kill.SIGTERM}}, event(nil), false},
		"signal lost":               {Config{}, event(func(e *kill.Event) { e.Signal, e.SignalKnown = 0, false }), true},
		"signal 0":                  {Config{}, event(func(e *kill.Event) { e.Signal = 0 }), false},
		"signal 0 listed":           {Config{Signals: []kill.Signal{0}}, event(func(e *kill.Event) { e.Signal = 0 }), true},
		"failed":                    {Config{IncludeFailed: true}, event(refused), true},
		"failed, unwanted":          {Config{}, event(refused), false},
		"target":                    {Config{Targets: []string{"mysqld"}}, event(nil), true},
		"target glob":               {Config{Targets: []string{"postgres", "my*"}}, event(nil), true},
		"other target":              {Config{Targets: []string{"postgres*"}}, event(nil), false},
		"nobody struck":             {Config{Targets: []string{"mysqld"}}, event(nobody), false},
		"nobody struck, all wanted": {Config{}, event(nobody), true},
		"target lost":               {Config{Targets: []string{"mysqld"}}, event(lost), true},
		"sender":                    {Config{Senders: []string{"kill*"}}, event(nil), true},
		"sender's path":             {Config{Senders: []string{"/bin/*"}}, event(nil), true},
		"other sender":              {Config{Senders: []string{"systemd"}}, event(nil), false},
		"sender lost":               {Config{Senders: []string{"systemd"}}, event(func(e *kill.Event) { e.Sender = kill.Process{} }), true},
		"kernel, if senders matter": {Config{Senders: []string{"*"}}, event(func(e *kill.Event) { e.Origin, e.Sender = kill.OriginKernel, kill.Process{} }), false},
		"kernel, in the time of a sender": {
			Config{Senders: []string{"killer"}}, event(func(e *kill.Event) { e.Origin = kill.OriginKernel }), true,
		},
		"kernel, in the time of another": {
			Config{Senders: []string{"systemd"}}, event(func(e *kill.Event) { e.Origin = kill.OriginKernel }), false,
		},
		"kernel, senders do not matter": {
			Config{}, event(func(e *kill.Event) { e.Origin, e.Sender = kill.OriginKernel, kill.Process{} }), true,
		},
		"death, if senders matter": {
			Config{Senders: []string{"*"}},
			event(func(e *kill.Event) { e.Kind, e.Origin = kill.KindAbend, kill.OriginKernel }), false,
		},
		"death, if targets matter": {
			Config{Targets: []string{"mysqld"}},
			event(func(e *kill.Event) { e.Kind, e.Origin = kill.KindAbend, kill.OriginKernel }), true,
		},
		"thread of the target": {
			Config{Targets: []string{"mysqld"}},
			event(func(e *kill.Event) { e.Targets[0].Command, e.Targets[0].Leader = "connection", "mysqld" }), true,
		},
		"thread of the sender": {
			Config{Senders: []string{"kill*"}},
			event(func(e *kill.Event) { e.Sender.Command, e.Sender.Leader = "worker-1", "killer" }), true,
		},
		"thread by its own name": {
			Config{Targets: []string{"mysqld"}}, event(func(e *kill.Event) { e.Targets[0].Leader = "mysqld_safe" }), true,
		},
		"thread of another": {
			Config{Targets: []string{"mysqld"}},
			event(func(e *kill.Event) { e.Targets[0].Command, e.Targets[0].Leader = "worker", "nginx" }), false,
		},
		"kernel, if targets matter":  {Config{Targets: []string{"mysqld"}}, event(func(e *kill.Event) { e.Origin = kill.OriginKernel }), true},
		"both have to match":         {Config{Targets: []string{"mysqld"}, Senders: []string{"nobody"}}, event(nil), false},
		"path of unknown executable": {Config{Targets: []string{"/usr/sbin/mysqld"}}, event(nil), true},
		"tampering, whatever is asked for": {
			Config{Targets: []string{"mysqld"}, Senders: []string{"systemd"}},
			event(func(e *kill.Event) {
				e.Kind, e.SignalKnown, e.Targets, e.Result = kill.KindTamper, false, nil, kill.Result{Known: true, Errno: -1}
				e.Tamper = &kill.Tamper{Action: kill.TamperRuleRemoved}
			}), true,
		},
		"path of a container's target": {
			Config{Targets: []string{"/usr/sbin/mysqld"}},
			event(func(e *kill.Event) {
				e.Targets[0].Executable, e.Targets[0].Home.Program = "/usr/sbin/mysqld", kill.WhoseOther
			}), false,
		},
		"path of a container's sender": {
			Config{Senders: []string{"/*/*", "/usr/bin/kill*"}},
			event(func(e *kill.Event) { e.Sender.Executable, e.Sender.Home.Program = "/usr/bin/killer", kill.WhoseOther }), false,
		},
		"path of a container's that is not known": {
			Config{Targets: []string{"/usr/sbin/mysqld"}},
			event(func(e *kill.Event) { e.Targets[0].Executable, e.Targets[0].Home.Program = "", kill.WhoseOther }), false,
		},
		"name of a container's target": {
			Config{Targets: []string{"mysqld"}},
			event(func(e *kill.Event) { e.Targets[0].Home.Program = kill.WhoseOther }), true,
		},
		"path of the host": {
			Config{Targets: []string{"/usr/sbin/mysqld"}},
			event(func(e *kill.Event) {
				e.Targets[0].Executable, e.Targets[0].Home.Program = "/usr/sbin/mysqld", kill.WhoseHost
			}), true,
		},
		"path of other executable": {
			Config{Targets: []string{"/usr/sbin/mysqld"}},
			event(func(e *kill.Event) { e.Targets[0].Executable = "/opt/mysqld" }), false,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.config.Signals == nil {
				tt.config.Signals = kill.DefaultSignals()
			}
			f, err := New(tt.config)
			require.NoError(t, err)
			assert.Equal(t, tt.want, f.Apply(tt.event))
		})
	}
}

func TestApplyToAllSignals(t *testing.T) {
	t.Parallel()
	f, err := New(Config{})
	require.NoError(t, err)
	for _, signal := range []kill.Signal{0, kill.SIGKILL, 64, 100} {
		assert.True(t, f.Apply(event(func(e *kill.Event) { e.Signal = signal })), signal)
	}
}

// Unwanted targets are removed, but the number of targets stays.
func TestApplyTakesOutTargets(t *testing.T) {
	t.Parallel()
	f, err := New(Config{Signals: kill.DefaultSignals(), Targets: []string{"mysqld"}})
	require.NoError(t, err)
	e := event(func(e *kill.Event) {
		e.AddTarget().Command = "sleep"
		e.AddTarget().Command = "mysqld"
		e.TargetCount = 3
	})
	require.True(t, f.Apply(e))
	assert.Len(t, e.Targets, 2)
	assert.Equal(t, 3, e.TargetCount)
}

// What is excluded is not wanted, even if it is named among the others; what is not known is none of it.
func TestApplyExcludes(t *testing.T) {
	t.Parallel()
	unknown := func(e *kill.Event) { e.Sender, e.Targets[0] = kill.Process{}, kill.Process{PID: 7} }
	hidden := func(e *kill.Event) { e.Sender.Executable = "" }
	foreign := func(e *kill.Event) { e.Sender.Home.Program = kill.WhoseOther }
	for name, tt := range map[string]struct {
		config Config
		edit   func(*kill.Event)
		want   []string
	}{
		"another target":                       {Config{ExcludeTargets: []string{"nginx"}}, nil, []string{"mysqld", "sleep"}},
		"a target":                             {Config{ExcludeTargets: []string{"sle*"}}, nil, []string{"mysqld"}},
		"a target that is named":               {Config{ExcludeTargets: []string{"sleep"}, Targets: []string{"sleep", "mysqld"}}, nil, []string{"mysqld"}},
		"all targets":                          {Config{ExcludeTargets: []string{"*"}}, nil, nil},
		"a sender":                             {Config{ExcludeSenders: []string{"mykill"}}, nil, nil},
		"a sender by path":                     {Config{ExcludeSenders: []string{"/opt/bin/*"}}, nil, nil},
		"a sender who hides his path":          {Config{ExcludeSenders: []string{"/opt/bin/mykill", "/*/*"}}, hidden, []string{"mysqld", "sleep"}},
		"a container's sender":                 {Config{ExcludeSenders: []string{"/opt/bin/mykill"}}, foreign, []string{"mysqld", "sleep"}},
		"a sender by name, his path is hidden": {Config{ExcludeSenders: []string{"mykill"}}, hidden, nil},
		"a target whose path is not known":     {Config{ExcludeTargets: []string{"/usr/bin/sleep"}}, nil, []string{"mysqld", "sleep"}},
		"another sender":                       {Config{ExcludeSenders: []string{"systemd"}}, nil, []string{"mysqld", "sleep"}},
		"a sender that is named":               {Config{ExcludeSenders: []string{"my*"}, Senders: []string{"mykill"}}, nil, nil},
		"nobody knows who they are":            {Config{ExcludeSenders: []string{"*"}, ExcludeTargets: []string{"*"}}, unknown, []string{""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.config.IncludeFailed = true
			f, err := New(tt.config)
			require.NoError(t, err)
			e := event(func(e *kill.Event) {
				e.Sender.Command, e.Sender.Executable = "mykill", "/opt/bin/mykill"
				e.Targets[0].Command = "mysqld"
				e.AddTarget().Command = "sleep"
			})
			if tt.edit != nil {
				tt.edit(e)
			}
			var got []string
			if f.Apply(e) {
				for _, p := range e.Targets {
					got = append(got, p.Command)
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		glob, command, executable string
		want                      bool
	}{
		"literal":                       {"mysqld", "mysqld", "", true},
		"case matters":                  {"MySQLd", "mysqld", "", false},
		"no substring":                  {"sql", "mysqld", "", false},
		"star":                          {"my*", "mysqld", "", true},
		"question mark":                 {"mysql?", "mysqld", "", true},
		"class":                         {"[mn]ysqld", "mysqld", "", true},
		"kernel keeps 15 bytes":         {"postgres-exporter", "postgres-export", "", true},
		"glob beyond 15 bytes":          {"postgres-exporter*", "postgres-export", "", true},
		"15 bytes that differ":          {"postgres-exporter", "postgres-expory", "", false},
		"slash in a command":            {"kworker*", "kworker/0:1", "", true},
		"name against path":             {"mysqld", "other", "/usr/sbin/mysqld", false},
		"path":                          {"/usr/sbin/mysqld", "x", "/usr/sbin/mysqld", true},
		"path glob":                     {"/usr/*/mysqld", "x", "/usr/sbin/mysqld", true},
		"star stays within a folder":    {"/usr/*", "x", "/usr/sbin/mysqld", false},
		"path unknown, name fits":       {"/usr/sbin/mysqld", "mysqld", "", true},
		"path unknown, long name":       {"/usr/bin/postgres-exporter", "postgres-export", "", true},
		"path unknown, name differs":    {"/usr/sbin/mysqld", "sleep", "", false},
		"path unknown, glob of a name":  {"/usr/sbin/my*", "mysqld", "", true},
		"process without name or path":  {"mysqld", "", "", true},
		"everything, nothing is known":  {"*", "", "", true},
		"UTF-8":                         {"naïv?", "naïve", "", true},
		"escaped star":                  {`a\*`, "a*", "", true},
		"path with a space in the name": {"/opt/my app/run", "run", "/opt/my app/run", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			compiled, err := compile([]string{tt.glob})
			require.NoError(t, err)
			assert.Equal(t, tt.want, compiled.match(&kill.Process{Command: tt.command, Executable: tt.executable}))
		})
	}
}

// If the path is known, a glob with a slash does not match names.
func TestMatchLeader(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		glob string
		p    kill.Process
		want bool
	}{
		"only the leader is known":       {"mysqld", kill.Process{Leader: "mysqld"}, true},
		"only another leader is known":   {"mysqld", kill.Process{Leader: "nginx"}, false},
		"leader with a slash":            {"kworker*", kill.Process{Command: "x", Leader: "kworker/0:1"}, true},
		"path unknown, leader fits":      {"/usr/sbin/mysqld", kill.Process{Command: "connection", Leader: "mysqld"}, true},
		"path known, leader of its name": {"/usr/sbin/mysqld", kill.Process{Leader: "mysqld", Executable: "/opt/mysqld"}, false},
	} {
		compiled, err := compile([]string{tt.glob})
		require.NoError(t, err)
		assert.Equal(t, tt.want, compiled.match(&tt.p), name)
	}
}

func TestNeedsPaths(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		config Config
		want   bool
	}{
		"all":              {Config{}, false},
		"names":            {Config{Targets: []string{"mysqld"}, Senders: []string{"kill*"}}, false},
		"path of a target": {Config{Targets: []string{"mysqld", "/usr/sbin/*"}}, true},
		"path of a sender": {Config{Senders: []string{"*/kill"}}, true},
	} {
		f, err := New(tt.config)
		require.NoError(t, err)
		assert.Equal(t, tt.want, f.NeedsPaths(), name)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	require.NoError(t, Check("my*"))
	require.ErrorContains(t, Check(""), "empty name")
	require.ErrorContains(t, Check("my["), `"my["`)
	require.ErrorContains(t, Check(`my\`), "not a valid glob")
	require.ErrorContains(t, Check("{a,b}"), "use one name for each")
	require.ErrorContains(t, Check("!a"), "without the !")
	require.ErrorContains(t, Check("3936"), "write [3]936")
	require.NoError(t, Check("[3]936"))
	require.ErrorContains(t, Check("mysqld[3936]"), `has a pid, and a pid names another process after a restart: use the name of the process, mysqld`)
	require.NoError(t, Check("worker[1-2]"))
	require.NoError(t, Check("worker[12]"))
	require.ErrorContains(t, Check("/opt/**"), "a star does not go beyond a /")
	_, err := New(Config{Targets: []string{"["}})
	require.Error(t, err)
	_, err = New(Config{ExcludeTargets: []string{"["}})
	require.Error(t, err)
	_, err = New(Config{ExcludeSenders: []string{"["}})
	require.Error(t, err)
	_, err = New(Config{Senders: []string{"["}})
	require.Error(t, err)
}

// What ends or stops this process is wanted, but not because of that what the same call does to others.
func TestApplySelf(t *testing.T) {
	t.Parallel()
	const self = 7
	us := kill.Process{PID: self, Command: "collector"}
	others := Config{Signals: []kill.Signal{kill.SIGKILL}, Targets: []string{"mysqld"}, Senders: []string{"killer"}, Self: self}
	for name, tt := range map[string]struct {
		config Config
		edit   func(*kill.Event)
		want   []int
	}{
		"killed":         {others, func(e *kill.Event) { e.Targets[0] = us }, []int{self}},
		"stopped":        {others, func(e *kill.Event) { e.Targets[0], e.Signal = us, kill.SIGSTOP }, []int{self}},
		"by another":     {others, func(e *kill.Event) { e.Targets[0], e.Sender.Command, e.Sender.Executable = us, "x", "/x" }, []int{self}},
		"hung up":        {others, func(e *kill.Event) { e.Targets[0], e.Signal = us, kill.SIGHUP }, nil},
		"in vain":        {others, func(e *kill.Event) { e.Targets[0], e.Result = us, kill.Result{Known: true, Errno: 1, Error: "EPERM"} }, nil},
		"another":        {others, func(e *kill.Event) { e.Targets[0].Command = "x" }, nil},
		"us and mysqld":  {others, func(e *kill.Event) { *e.AddTarget() = us }, []int{2, self}},
		"us and another": {others, func(e *kill.Event) { e.Targets[0].Command = "x"; *e.AddTarget() = us }, []int{self}},
		"us and others, by another": {
			others, func(e *kill.Event) { e.Sender.Command, e.Sender.Executable = "x", "/x"; *e.AddTarget() = us }, []int{self},
		},
		"no filter":     {Config{Self: self}, func(e *kill.Event) { *e.AddTarget() = us }, []int{2, self}},
		"pid not known": {Config{Targets: []string{"mysqld"}}, func(e *kill.Event) { e.Targets[0] = kill.Process{Command: "x"} }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := New(tt.config)
			require.NoError(t, err)
			e := event(tt.edit)
			assert.Equal(t, tt.want != nil, f.Apply(e))
			var got []int
			for _, target := range e.Targets {
				got = append(got, target.PID)
			}
			if tt.want != nil {
				assert.Equal(t, tt.want, got)
			}
		})
	}
}
