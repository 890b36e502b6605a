// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package selection

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestProcesses(t *testing.T) {
	t.Parallel()
	// The event is of kill[1] to mysqld[2] and sleep[3936].
	two := func(e *kill.Event) { *e.AddTarget() = kill.Process{PID: 3936, Command: "sleep"} }
	missed := func(e *kill.Event) {
		e.Targets, e.Requested, e.Scope = nil, 3936, kill.ScopeProcess
		e.Result = kill.Result{Known: true, Errno: 3, Error: "ESRCH"}
	}
	group := func(e *kill.Event) { missed(e); e.Scope = kill.ScopeProcessGroup }
	nameless := func(e *kill.Event) { e.Targets[0] = kill.Process{PID: 3936} }
	pathless := func(e *kill.Event) { two(e); e.Sender.Executable = "" }
	for name, tt := range map[string]struct {
		config Config
		edit   func(*kill.Event)
		want   []int
	}{
		"a pid":                                     {Config{Targets: []string{"3936"}}, two, []int{3936}},
		"another pid":                               {Config{Targets: []string{"39"}}, two, nil},
		"a name and a pid":                          {Config{Targets: []string{"sleep[3936]"}}, two, []int{3936}},
		"a glob and a pid":                          {Config{Targets: []string{"s*[3936]"}}, two, []int{3936}},
		"the name of another":                       {Config{Targets: []string{"mysqld[3936]"}}, two, nil},
		"a name or a pid":                           {Config{Targets: []string{"mysqld", "3936"}}, two, []int{2, 3936}},
		"a pid that did not exist":                  {Config{Targets: []string{"3936"}}, missed, []int{0}},
		"a group of that number":                    {Config{Targets: []string{"3936"}}, group, nil},
		"a pid whose name is not known":             {Config{Targets: []string{"sleep[3936]"}}, nameless, []int{3936}},
		"without a target":                          {Config{ExcludeTargets: []string{"sleep"}}, two, []int{2}},
		"without a pid":                             {Config{ExcludeTargets: []string{"2"}}, two, []int{3936}},
		"without any":                               {Config{ExcludeTargets: []string{"*"}}, two, nil},
		"without who is not known":                  {Config{ExcludeTargets: []string{"sleep"}}, nameless, []int{3936}},
		"a sender by pid":                           {Config{Senders: []string{"1"}}, two, []int{2, 3936}},
		"a sender by name and pid":                  {Config{Senders: []string{"kill[1]"}}, two, []int{2, 3936}},
		"another sender":                            {Config{Senders: []string{"kill[7]"}}, two, nil},
		"without a sender":                          {Config{ExcludeSenders: []string{"kill"}}, two, nil},
		"without a sender by path":                  {Config{ExcludeSenders: []string{"/usr/bin/kill"}}, two, nil},
		"a sender without a path":                   {Config{Senders: []string{"/usr/bin/kill"}}, pathless, []int{2, 3936}},
		"without a sender, whose path is not known": {Config{ExcludeSenders: []string{"/usr/bin/kill", "/usr/bin/kill[1]"}}, pathless, []int{2, 3936}},
		"without a target, whose path is not known": {Config{ExcludeTargets: []string{"/usr/bin/sleep"}}, two, []int{2, 3936}},
		"without another sender":                    {Config{ExcludeSenders: []string{"kill[7]"}}, two, []int{2, 3936}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := New(tt.config)
			require.NoError(t, err)
			e := event(tt.edit)
			all := weight(e)
			var got []int
			if s.Apply(e) {
				for _, p := range e.Targets {
					got = append(got, p.PID)
				}
				if len(e.Targets) == 0 {
					got = []int{0}
				}
			}
			assert.Equal(t, tt.want, got)
			rejected := 0
			for _, r := range s.Rejections() {
				rejected += r.Events
			}
			assert.Equal(t, all, s.Seen())
			assert.Equal(t, all, len(got)+rejected, "each signal to each target counts once")
			assert.Equal(t, len(tt.config.Targets) > 0 && len(event(tt.edit).Targets) > 0, len(slices.Collect(s.Targets())) > 0)
		})
	}
}

// A joined signal counts as often as it was sent.
func TestCountsJoined(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Targets: []string{"nginx"}})
	require.NoError(t, err)
	assert.False(t, s.Apply(event(func(e *kill.Event) { e.Count = 5; *e.AddTarget() = kill.Process{PID: 3, Command: "sh"} })))
	assert.Equal(t, 10, s.Seen())
}

func TestGlobs(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"mysqld", "sleep", "a[0-9]"}, Globs([]string{"mysqld", "sleep[3936]", "a[0-9]"}))
	assert.Empty(t, Globs([]string{"mysqld", "3936"}), "a source would leave out the pid")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"mysqld", "my*", "3936", "mysqld[3936]", "/usr/sbin/my*"} {
		require.NoError(t, Check(text), text)
	}
	for _, text := range []string{"", "[", "{a,b}", "!a", "0", "-1[", "99999999999999999999"} {
		require.Error(t, Check(text), text)
	}
	require.ErrorContains(t, Check("{a"), `"{a" has braces, which match only themselves: write a,b or repeat the flag`)
}
