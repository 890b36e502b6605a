// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/source"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

// login returns the lines of a session that begins.
func login(n, session int) string {
	return fmt.Sprintf("type=LOGIN msg=%s: pid=%d uid=0 old-auid=4294967295 auid=1000 tty=(none) old-ses=4294967295 ses=%d res=1\n",
		stamp(n), session, session) + statement(n, "USER_START", session, `op=PAM:session_open acct="alice" exe="/usr/sbin/sshd" hostname=? addr=192.0.2.15 terminal=ssh`)
}

func logout(n, session int) string {
	return statement(n, "USER_END", session, `op=PAM:session_close acct="alice" exe="/usr/sbin/sshd" hostname=? addr=192.0.2.15 terminal=ssh`)
}

func sudo(n, session int, command string) string {
	return statement(n, "USER_CMD", session, fmt.Sprintf(`cwd="/" cmd=%x exe="/usr/bin/sudo" terminal=?`, command))
}

func statement(n int, kind string, session int, said string) string {
	return fmt.Sprintf("type=%s msg=%s: pid=%d uid=0 auid=1000 ses=%d msg='%s res=success'\n", kind, stamp(n), session, session, said)
}

// withFacts are the settings of a receiver that wants facts.
func (b *bench) withFacts() filesource.Settings {
	settings := b.settings()
	settings.Facts = true
	return settings
}

// story returns what was delivered, in order.
func (s *sink) story() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var words []string
	for _, o := range s.seen {
		switch {
		case o.Event != nil:
			words = append(words, "event "+strconv.Itoa(int(o.Event.Audit.Serial)))
		case o.Fact.Login != nil:
			words = append(words, "login "+o.Fact.Login.Session.ID)
		case o.Fact.Logout != nil:
			words = append(words, "logout "+o.Fact.Logout.ID)
		case o.Fact.Command != nil:
			words = append(words, o.Fact.Command.Title)
		}
	}
	return strings.ReplaceAll(strings.Join(words, ", "), "\x00", " ")
}

func (r *run) awaitStory(want string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool { return len(r.sink.story()) >= len(want) }, patience, look)
	require.Equal(r.t, want, r.sink.story())
}

func TestFactsComeInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, login(1, 17)+event(2)+sudo(3, 17, "systemctl stop x")+event(4)+logout(5, 17))
	r := start(t, b.withFacts())
	r.awaitStory("login 17, event 2, systemctl stop x, event 4, logout 17")
	r.stop()
	r = start(t, b.withFacts())
	b.append(t, event(6))
	r.awaitStory("systemctl stop x, event 6")
}

// TestFactsAreNotWanted reads the same log without them.
func TestFactsAreNotWanted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, login(1, 17)+event(2))
	r := start(t, b.settings())
	r.awaitStory("event 2")
	r.stop()
	require.NoError(t, b.storage.Set(t.Context(), "facts:"+b.path, []byte("rubbish")))
	r = start(t, b.settings())
	b.append(t, event(3))
	r.awaitStory("event 3")
}

// TestFactsAfterRestart begins to read behind a login, and may be killed in the middle of what follows.
func TestFactsAfterRestart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, login(1, 17)+login(2, 18)+event(3)+logout(4, 18))
	settings := b.withFacts()
	settings.Conceal = func(text string) string { return strings.ReplaceAll(text, "hunter2", "***") }
	r := start(t, settings)
	r.awaitStory("login 17, login 18, event 3, logout 18")
	lines := records(5)
	// What comes after a record of event 5, which is not complete, is read again.
	b.append(t, sudo(5, 17, "mysql -phunter2")+lines[0]+"\n"+sudo(6, 17, "reboot")+login(7, 19)+logout(8, 17))
	r.awaitStory("login 17, login 18, event 3, logout 18, mysql -phunter2, reboot, login 19, logout 17")
	require.Eventually(t, func() bool { return strings.Contains(b.stored(t), "mysql") }, patience, look)
	assert.NotContains(t, b.stored(t), "hunter2")
	assert.NotContains(t, b.stored(t), "reboot")
	settings.Store = b.storage.copy(t) // killed
	r.stop()
	b.append(t, lines[1]+"\n"+lines[2]+"\n")
	r = start(t, settings)
	r.awaitStory("login 17, mysql -p***, reboot, login 19, logout 17, event 5")
}

// stored returns the facts as they are stored.
func (b *bench) stored(t *testing.T) string {
	t.Helper()
	data, err := b.storage.Get(t.Context(), "facts:"+b.path)
	require.NoError(t, err)
	return string(data)
}

// TestStoredFactsOfNoUse goes on without them.
func TestStoredFactsOfNoUse(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"no JSON": "\x00\x01", "empty": "", "another version": `{"version":2}`, "too many": strings.Repeat(" ", attribution.MaxEncoded+1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.append(t, login(1, 17)+event(2))
			r := start(t, b.withFacts())
			r.awaitStory("login 17, event 2")
			r.stop()
			require.NoError(t, b.storage.Set(t.Context(), "facts:"+b.path, []byte(data)))
			r = start(t, b.withFacts())
			b.append(t, event(3)+login(4, 18))
			r.awaitStory("event 3, login 18")
			assert.Len(t, b.logs.FilterMessageSnippet("who is logged in is known only from now on").All(), 1)
			require.Eventually(t, func() bool { return strings.Contains(b.stored(t), `"18"`) }, patience, look)
		})
	}
}

// TestFactsAnytime kills and stops a source at random while sessions begin and end between the records of events:
// each time an event is delivered, the sessions are known that there are at its end, as if there had been no restart.
func TestFactsAnytime(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64() //nolint:gosec // not a secret
	t.Logf("seed %d", seed)
	c := &chaos{bench: newBench(t), t: t, rand: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // not a secret
	c.settings = c.withFacts()
	c.settings.Correlation.Timeout = time.Hour
	const events = 200
	open, want := map[int]bool{}, map[int]string{}
	for n := 1; n <= events; n++ {
		for i, line := range records(n) {
			if session := 1 + c.rand.IntN(5); c.rand.IntN(2) == 0 && open[session] {
				delete(open, session)
				c.append(t, logout(n, session))
			} else if !open[session] {
				open[session] = true
				c.append(t, login(n, session))
			}
			if i == 2 {
				want[n] = sessions(open)
			}
			c.appendInPieces(line + "\n")
			if c.rand.IntN(10) == 0 {
				c.restart()
			}
			if c.rand.IntN(40) == 0 {
				c.rename()
			}
		}
	}
	if c.run == nil {
		c.launch()
	}
	assert.Eventually(t, func() bool { return len(c.delivered()) >= events }, patience, look)
	c.end()
	for _, s := range c.ended {
		known := map[int]bool{}
		for _, o := range s.seen {
			know(t, known, o, want)
		}
	}
}

// know adds a fact, or compares what is known with what must be known for an event.
func know(t *testing.T, known map[int]bool, o source.Observation, want map[int]string) {
	t.Helper()
	number := func(id string) int {
		n, err := strconv.Atoi(id)
		require.NoError(t, err)
		return n
	}
	switch {
	case o.Fact != nil && o.Fact.Login != nil:
		known[number(o.Fact.Login.Session.ID)] = true
	case o.Fact != nil:
		delete(known, number(o.Fact.Logout.ID))
	case o.Event.Complete && o.Event.Sender.Title != "":
		assert.Equal(t, want[int(o.Event.Audit.Serial)], sessions(known), "event %d", o.Event.Audit.Serial)
	}
}

func sessions(open map[int]bool) string {
	return fmt.Sprint(slices.Sorted(maps.Keys(open)))
}
