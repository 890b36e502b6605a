// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// clock is a time that only the test changes.
type clock struct{ now time.Time }

func (c *clock) read() time.Time { return c.now }

func newTestUsers(t *testing.T, passwd string) (*Users, string, *clock) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "passwd")
	if passwd != "" {
		require.NoError(t, os.WriteFile(path, []byte(passwd), 0o600))
	}
	users, c := NewUsers(path, "db1.example.com"), &clock{time.Unix(1000, 0)}
	users.now = c.read
	return users, path, c
}

func TestName(t *testing.T) {
	t.Parallel()
	users, _, _ := newTestUsers(t, "root:x:0:0:root:/root:/bin/bash\n"+
		"# a comment:x:7:7\nbroken\nno:number:x:0\n:x:8:8:no name:/:/\n"+
		"mysql:x:102:105:MySQL,,,:/nonexistent:/bin/false\nalias:x:102:1::/:/\nbig:x:4294967294:1::/:/")
	for id, want := range map[uint32]string{0: "root", 102: "mysql", 4294967294: "big", 7: "", 8: "", 9: ""} {
		assert.Equal(t, want, users.Name(id), id)
	}
}

func TestNameFollowsTheFile(t *testing.T) {
	t.Parallel()
	users, path, clock := newTestUsers(t, "")
	assert.Empty(t, users.Name(5), "no file yet")
	require.NoError(t, os.WriteFile(path, []byte("ann:x:5:5::/:/\n"), 0o600))
	assert.Empty(t, users.Name(5), "asked again too soon")
	clock.now = clock.now.Add(passwdInterval)
	assert.Equal(t, "ann", users.Name(5))

	require.NoError(t, os.WriteFile(path, []byte("bob-who-follows:x:5:5::/:/\n"), 0o600))
	clock.now = clock.now.Add(passwdInterval)
	assert.Equal(t, "bob-who-follows", users.Name(5))

	require.NoError(t, os.Remove(path))
	clock.now = clock.now.Add(passwdInterval)
	assert.Equal(t, "bob-who-follows", users.Name(5), "the old names are better than none")
}

func TestNameIsBounded(t *testing.T) {
	t.Parallel()
	users, _, _ := newTestUsers(t, "ann:x:5:5::/:/\n"+strings.Repeat("x", 10*maxPasswdLine)+"\nbob:x:6:6::/:/\n")
	assert.Empty(t, users.Name(6), "a file with such a line is no passwd file")
	directory := NewUsers(t.TempDir(), "")
	assert.Empty(t, directory.Name(0))
}

func TestFill(t *testing.T) {
	t.Parallel()
	known := func(id uint32) kill.User { return kill.User{ID: kill.NewID(id)} }
	newEvent := func(node string) *kill.Event {
		e := &kill.Event{Sender: kill.Process{
			User: known(0), RealUser: known(102), SavedUser: known(77), Login: kill.User{ID: kill.NewID(102), Name: "told by auditd"},
		}}
		e.AddTarget().User = known(102)
		e.AddTarget()
		e.Audit.Node, e.Audit.Recorded = node, true
		return e
	}
	for node, here := range map[string]bool{"": true, "db1": true, "DB1.example.com": true, "db2": false, "db2.example.com": false} {
		users, _, _ := newTestUsers(t, "root:x:0:0::/:/\nmysql:x:102:105::/:/\n")
		e := newEvent(node)
		users.Fill(e)
		if !here {
			assert.Equal(t, newEvent(node), e, "the ids of another host may be other people")
			continue
		}
		assert.Equal(t, "root", e.Sender.User.Name)
		assert.Equal(t, "mysql", e.Sender.RealUser.Name)
		assert.Empty(t, e.Sender.SavedUser.Name)
		assert.Equal(t, "told by auditd", e.Sender.Login.Name)
		assert.Equal(t, "mysql", e.Targets[0].User.Name)
		assert.Empty(t, e.Targets[1].User.Name, "an id that is not known is not root")
	}
}

// Whoever asks a manager for something has a name by the same rules as a sender.
func TestNameProcess(t *testing.T) {
	t.Parallel()
	users, _, _ := newTestUsers(t, "root:x:0:0::/:/\nalice:x:1000:1000::/:/\n")
	for name, tt := range map[string]struct {
		whose    kill.Whose
		recorded bool
		told     string
		want     string
	}{
		"of the host":               {kill.WhoseHost, false, "", "alice"},
		"of a container":            {kill.WhoseOther, false, "", ""},
		"of a container, recorded":  {kill.WhoseOther, true, "alice", ""},
		"nobody knows":              {kill.WhoseUnknown, false, "", ""},
		"nobody knows, recorded":    {kill.WhoseUnknown, true, "", "alice"},
		"told by whoever let it in": {kill.WhoseHost, false, "alice.cooper", "alice.cooper"},
	} {
		alice := kill.User{ID: kill.NewID(1000), Name: tt.told}
		p := kill.Process{User: alice, RealUser: alice, SavedUser: alice, Login: alice, Home: kill.Home{Users: tt.whose}}
		users.NameProcess(&p, tt.recorded)
		for _, got := range []kill.User{p.User, p.RealUser, p.SavedUser, p.Login} {
			assert.Equal(t, tt.want, got.Name, name)
		}
	}
	nobody := kill.Process{Home: kill.Home{Users: kill.WhoseHost}}
	users.NameProcess(&nobody, false)
	assert.Equal(t, kill.User{}, nobody.Login, "nobody is not root")
}

func BenchmarkFill(b *testing.B) {
	path := filepath.Join(b.TempDir(), "passwd")
	require.NoError(b, os.WriteFile(path, []byte("root:x:0:0::/:/\n"), 0o600))
	users := NewUsers(path, "")
	e := &kill.Event{Sender: kill.Process{User: kill.User{ID: kill.NewID(0)}, Home: kill.Home{Users: kill.WhoseHost}}}
	b.ReportAllocs()
	for b.Loop() {
		e.Sender.User.Name = ""
		users.Fill(e)
	}
}
