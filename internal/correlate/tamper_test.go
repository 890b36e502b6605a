// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// change makes a CONFIG_CHANGE record of 6.18.
func change(n int, what string) string {
	return fmt.Sprintf("type=CONFIG_CHANGE msg=%s: auid=1000 ses=1 subj=unconfined %s", stamp(n), what)
}

// changer makes the SYSCALL record that belongs to it.
func changer(n int) string {
	line := strings.Replace(syscall(n, "3", "7ffe84e565a0"), "syscall=62", "syscall=44", 1)
	return strings.NewReplacer("killer", "auditctl", `"audit_kill"`, "(null)").Replace(line)
}

const (
	removed  = `op=remove_rule key="audit_kill" list=4 res=1`
	disabled = "op=set audit_enabled=0 old=1 res=1"
)

// tampers describes the tampering among events.
func tampers(events []*kill.Event) []string {
	var all []string
	for _, e := range events {
		if e.Kind != kill.KindTamper {
			continue
		}
		text := strings.TrimSpace(fmt.Sprintf("%s %s", e.Tamper.Action, e.Tamper.Rule))
		text += fmt.Sprintf(" %v %t%s by %s[%d]", e.Audit.Keys, e.Result.Succeeded(), e.Result.Error,
			e.Sender.Command, e.Sender.PID)
		if e.Sender.Login.ID.Known {
			text += fmt.Sprintf(" of %d", e.Sender.Login.ID.Value)
		}
		if len(e.Targets) > 0 {
			text += fmt.Sprintf(" to %v", pids(e))
		}
		if !e.Complete {
			text += " incomplete"
		}
		all = append(all, text)
	}
	return all
}

// The recording is auditd's log of auditctl -d as user 33, of the same again when the rule is gone,
// auditctl -D, a program that unregisters another program's daemon, one that turns auditing off,
// auditctl -e 0, and SIGTERM for auditd, first from a process of user 33 that ends at once, then
// from one that stays. Between them rules are added and auditing is turned on, which is not
// tampering.
func TestTamperLog(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(recording(t, "tamper.log")...)
	assert.Zero(t, b.Counts())
	assert.Equal(t, []string{
		"rule_removed [audit_kill] true by auditctl[32693] of 33",
		"rule_removed [audit_kill] false by auditctl[32695]",
		"rule_removed [other audit_kill] true by auditctl[32697]",
		"daemon_stopped [] falseEACCES by python3[32702] to [32683]",
		"audit_disabled [] true by python3[32703]",
		"audit_disabled [] true by auditctl[32706]",
		"daemon_stopped [] true by [32711] of 33",
		"daemon_stopped [] true by [32659]",
	}, tampers(b.take()))
}

// The same as a multicast listener receives it from the kernel. About the end of a daemon the
// kernel says only that the daemon unregistered.
func TestTamperMulticast(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Source: "audit_multicast"})
	for _, line := range recording(t, "tamper_multicast.txt") {
		number, message, _ := strings.Cut(line, " ")
		n, err := strconv.ParseUint(number, 10, 16)
		require.NoError(t, err)
		_, verdict := b.AddMessage(auditrecord.Type(n), []byte(message), false, 0, b.now)
		require.LessOrEqual(t, verdict, Ignored)
	}
	assert.Equal(t, 2, b.Pending(), "no SYSCALL record comes of a daemon's own calls")
	b.Expire(b.now.Add(quietTime))
	assert.Zero(t, b.Counts())
	assert.ElementsMatch(t, []string{
		"rule_removed [audit_kill] true by auditctl[32693] of 33",
		"rule_removed [audit_kill] false by auditctl[32695]",
		"rule_removed [other audit_kill] true by auditctl[32697]",
		"daemon_stopped [] falseEACCES by python3[32702] to [32683]",
		"audit_disabled [] true by python3[32703]",
		"audit_disabled [] true by auditctl[32706]",
		"daemon_stopped [] true by [32683] to [32683]",
		"daemon_stopped [] true by [32714] to [32714]",
		"rule_removed [audit_kill] true by auditctl[32720]",
		"audit_disabled [] true by auditctl[32725]",
	}, tampers(b.take()))
}

func TestTampering(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ line, want string }{
		"rule removed": {removed, "rule_removed [audit_kill] true by [0] of 1000"},
		"rule removed, several keys": {
			"op=remove_rule key=6F746865720161756469745F6B696C6C list=4 res=1", "rule_removed [other audit_kill] true by [0] of 1000",
		},
		"rule removed, quoted":        {`op="remove_rule" key="audit_kill" list=4 res=1`, "rule_removed [audit_kill] true by [0] of 1000"},
		"rule removed, two words":     {`op="remove rule" key="audit_kill" list=4 res=1`, "rule_removed [audit_kill] true by [0] of 1000"},
		"rule removed, without quote": {`op=remove rule key="audit_kill" list=4 res=1`, "rule_removed [audit_kill] true by [0] of 1000"},
		"rule removed by the kernel":  {`op=autoremove_rule path="/x" key="audit_kill" list=4 res=1`, "rule_removed [audit_kill] true by [0] of 1000"},
		"rule not removed":            {`op=remove_rule key="audit_kill" list=4 res=0`, "rule_removed [audit_kill] false by [0] of 1000"},
		"rule not removed, locked": {
			"pid=7 uid=0 op=remove_rule audit_enabled=2 res=0", "rule_removed [] falseEPERM by [7] of 1000",
		},
		"disabled":                {disabled, "audit_disabled [] true by [0] of 1000"},
		"disabled, older kernel":  {"audit_enabled=0 old=1 res=1", "audit_disabled [] true by [0] of 1000"},
		"not disabled, locked":    {"op=set audit_enabled=0 old=2 res=0", "audit_disabled [] falseEPERM by [0] of 1000"},
		"locked":                  {"op=set audit_enabled=2 old=1 res=1", "audit_locked [] true by [0] of 1000"},
		"daemon signed off":       {"op=set audit_pid=0 old=77 res=1", "daemon_stopped [] true by [77] of 1000 to [77]"},
		"daemon not signed off":   {"op=set audit_pid=0 old=77 res=0", "daemon_stopped [] falseEACCES by [0] of 1000 to [77]"},
		"rule removed, key cut":   {`op=remove_rule key="audit_k`, "rule_removed [] false by [0] of 1000 incomplete"},
		"rule removed, no key":    {"op=remove_rule", "rule_removed [] false by [0] of 1000 incomplete"},
		"disabled, end cut":       {"op=set audit_enabled=0 old=1", "audit_disabled [] false by [0] of 1000 incomplete"},
		"disabled, result absurd": {"op=set audit_enabled=0 old=1 res=maybe", "audit_disabled [] false by [0] of 1000 incomplete"},

		"rate limited":                 {"op=set audit_rate_limit=5 old=0 res=1", "rate_limited -r 5 [] true by [0] of 1000"},
		"rate limit changed":           {"op=set audit_rate_limit=5 old=9 res=1", "rate_limited -r 5 [] true by [0] of 1000"},
		"rate not limited":             {"op=set audit_rate_limit=5 old=0 res=0", "rate_limited -r 5 [] falseEPERM by [0] of 1000"},
		"backlog limited":              {"op=set audit_backlog_limit=1 old=8192 res=1", "backlog_limited -b 1 [] true by [0] of 1000"},
		"rate limit lifted":            {"op=set audit_rate_limit=0 old=5 res=1", ""},
		"rate limited already":         {"op=set audit_rate_limit=5 old=5 res=1", ""},
		"backlog as by default":        {"op=set audit_backlog_limit=64 old=8192 res=1", ""},
		"backlog unlimited":            {"op=set audit_backlog_limit=0 old=64 res=1", ""},
		"somebody else's rule":         {`op=remove_rule key="exec" list=4 res=1`, ""},
		"a rule with part of our key":  {`op=remove_rule key="audit_killer" list=4 res=1`, ""},
		"a rule without a key":         {"op=remove_rule key=(null) list=4 res=1", ""},
		"rule added":                   {`op=add_rule key="audit_kill" list=4 res=1`, ""},
		"rule not added, locked":       {"pid=7 uid=0 op=add_rule audit_enabled=2 res=0", ""},
		"watched file has changed":     {`op=updated_rules path="/x" key="audit_kill" list=4 res=1`, ""},
		"enabled":                      {"op=set audit_enabled=1 old=1 res=1", ""},
		"unlocking refused":            {"op=set audit_enabled=1 old=2 res=0", ""},
		"locked already":               {"op=set audit_enabled=2 old=2 res=0", ""},
		"daemon replaced":              {"op=set audit_pid=78 old=77 res=1", ""},
		"daemon signed on":             {"op=set audit_pid=77 old=0 res=1", ""},
		"no daemon to sign off":        {"op=set audit_pid=0 old=0 res=1", ""},
		"another setting":              {"op=set audit_failure=0 old=1 res=1", ""},
		"old value larger than 32 bit": {"op=set audit_backlog_limit=8192 old=4294967295 res=1", ""},
		"nothing known":                {"", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{})
			b.feed(change(1, tt.line))
			b.Flush()
			var want []string
			if tt.want != "" {
				want = []string{tt.want}
			}
			assert.Equal(t, want, tampers(b.take()))
			assert.Zero(t, b.table.tampers)
		})
	}
}

func TestTamperKey(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Key: "mine"})
	b.feed(change(1, removed), change(2, `op=remove_rule key="mine" list=4 res=1`))
	b.Flush()
	assert.Equal(t, []string{"rule_removed [mine] true by [0] of 1000"}, tampers(b.take()))
}

func TestDaemonEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ fields, want string }{
		"login":                {"op=terminate auid=1000 uid=0 ses=3 pid=7 subj=unconfined res=success", "daemon_stopped [] true by [7] of 1000"},
		"login, sender gone":   {"op=terminate auid=1000 uid=4294967295 ses=4294967295 pid=7 res=success", "daemon_stopped [] true by [7] of 1000"},
		"root logged in":       {"op=terminate auid=0 uid=0 ses=3 pid=7 res=success", "daemon_stopped [] true by [7] of 0"},
		"root, perhaps not":    {"op=terminate auid=0 uid=0 ses=4294967295 pid=1 subj=init res=success", "daemon_stopped [] true by [1]"},
		"root, session absent": {"op=terminate auid=0 pid=1 subj=init res=success", "daemon_stopped [] true by [1]"},
		"nobody known":         {"op=terminate auid=-1 uid=-1 ses=-1 pid=-1 subj=? res=success", "daemon_stopped [] true by [0]"},
		"auditd 2.6":           {"auditd normal halt, sending auid=500 pid=7 subj=unconfined res=success", "daemon_stopped [] true by [7] of 500"},
		"cut":                  {"op=terminate auid=1000 uid=0", "daemon_stopped [] false by [0] of 1000 incomplete"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{KeepOriginal: true})
			line := "type=DAEMON_END msg=" + stamp(1) + ": " + tt.fields
			b.feed(line)
			e := b.only(t)
			assert.Equal(t, []string{tt.want}, tampers([]*kill.Event{e}))
			assert.Equal(t, line, e.Original)
			assert.NotEqual(t, "?", e.Sender.Label)
		})
	}
}

func TestTamperClosing(t *testing.T) {
	t.Parallel()
	const known, unknown = "audit_disabled [] true by auditctl[100] of 1000", "audit_disabled [] true by [0] of 1000"
	cut, _, _ := strings.Cut(changer(1), " comm=")
	tests := map[string]struct {
		lines []string
		wait  time.Duration
		want  string
	}{
		"alone":                 {[]string{change(1, disabled)}, quietTime, unknown},
		"alone, end of event":   {[]string{change(1, disabled), eoe(1)}, 0, unknown},
		"call and title":        {[]string{change(1, disabled), changer(1), title(1)}, 0, known},
		"whole event":           {[]string{change(1, disabled), changer(1), title(1), eoe(1)}, 0, known},
		"call, no title":        {[]string{change(1, disabled), changer(1)}, quietTime, known},
		"call cut":              {[]string{change(1, disabled), cut, title(1)}, 0, "audit_disabled [] true by [100] of 1000 incomplete"},
		"call damaged":          {[]string{change(1, disabled), strings.Replace(changer(1), "syscall=44", "syscall=4\x01", 1), title(1)}, 0, known + " incomplete"},
		"title cut":             {[]string{change(1, disabled), changer(1), title(1) + "4"}, 0, known + " incomplete"},
		"title first":           {[]string{title(1), change(1, disabled), changer(1)}, 0, known},
		"call first":            {[]string{changer(1), change(1, disabled), title(1)}, 0, known},
		"call and title first":  {[]string{changer(1), title(1), change(1, disabled)}, 0, known},
		"title and call first":  {[]string{title(1), changer(1), change(1, disabled)}, 0, known},
		"change last but one":   {[]string{title(1), change(1, disabled), changer(1), eoe(1)}, 0, known},
		"cut call first":        {[]string{cut, title(1), change(1, disabled)}, 0, "audit_disabled [] true by [100] of 1000 incomplete"},
		"cut title behind call": {[]string{changer(1), title(1) + "4", change(1, disabled)}, 0, known + " incomplete"},
		"twice":                 {[]string{change(1, disabled), change(1, disabled), changer(1), changer(1), title(1)}, 0, known},
		"call that is no send":  {[]string{change(1, disabled), strings.Replace(changer(1), "syscall=44", "syscall=1", 1), title(1)}, 0, known},
		"other events between":  {[]string{change(1, disabled), other(2), title(2), eoe(2), changer(3), title(3), changer(1), eoe(3), title(1)}, 0, known},
		"other events, call first": {
			[]string{changer(1), other(2), title(2), changer(3), title(3), title(1), changer(4), change(1, disabled)}, 0, known,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{KeepOriginal: true})
			b.feed(tt.lines...)
			if tt.wait > 0 {
				assert.Empty(t, b.events)
				assert.Equal(t, tt.wait, b.Expire(b.now))
				assert.Zero(t, b.Expire(b.now.Add(tt.wait)))
			}
			e := b.only(t)
			assert.Equal(t, []string{tt.want}, tampers([]*kill.Event{e}))
			assert.Equal(t, strings.Contains(tt.want, "auditctl"), e.Sender.Command != "")
			assert.Zero(t, b.Pending())
			assert.Equal(t, b.position, b.Safe(b.position))
			assert.Contains(t, e.Original, change(1, disabled))
			for _, line := range tt.lines {
				if e.Complete && strings.Contains(line, stamp(1)) && !strings.Contains(line, "EOE") {
					assert.Contains(t, e.Original, line)
				}
			}
			b.Flush()
			assert.Empty(t, b.events, "and only once")
		})
	}
}

// Programs use sockets all the time; where such calls are audited, they must not fill the table.
func TestCallsThatChangeNothing(t *testing.T) {
	t.Parallel()
	b := newBench(Config{MaxPending: 4})
	for n := range 100 {
		b.feed(title(n), changer(n), title(n), changer(n+1000), title(n+1000))
		assert.NotEqual(t, Ignored, b.AddLine([]byte(title(n+1000)), false, b.position, b.now), "it may still be wanted")
		assert.Zero(t, b.Pending())
	}
	assert.Empty(t, b.events)
	assert.Zero(t, b.Counts())
}

// One call may request several changes. None is lost.
func TestTamperTwofold(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(change(1, removed), change(1, removed), change(1, "op=set audit_pid=0 old=77 res=0"), change(1, disabled), change(1, disabled),
		changer(1), title(1))
	assert.ElementsMatch(t, []string{
		"rule_removed [audit_kill] true by auditctl[100] of 1000",
		"daemon_stopped [] falseEACCES by auditctl[100] of 1000 to [77]",
		"audit_disabled [] true by auditctl[100] of 1000",
	}, tampers(b.take()))
}

// A source that has missed something cannot know what.
func TestLost(t *testing.T) {
	t.Parallel()
	b := newBench(Config{})
	b.feed(syscall(1, "64", "9"), syscall(2, "ffffa839", "9"), target(2, 7), title(2), change(3, disabled))
	b.Lost()
	assert.Empty(t, b.events, "nothing is closed")
	assert.Zero(t, b.Counts())
	b.feed(target(1, 6), title(1), changer(3), title(3), syscall(4, "64", "9"), target(4, 8), title(4))
	b.Flush()
	complete := map[uint32]bool{}
	for _, e := range b.take() {
		complete[e.Audit.Serial] = e.Complete
	}
	assert.Equal(t, map[uint32]bool{1: false, 2: false, 3: false, 4: true}, complete)
	assert.Equal(t, Counts{Incomplete: 3}, b.Counts())
}

func TestSetSource(t *testing.T) {
	t.Parallel()
	b := newBench(Config{Source: "audit_multicast"})
	b.feed(syscall(1, "64", "9"))
	b.SetSource("audit_unicast")
	b.feed(target(1, 6), title(1), syscall(2, "64", "9"), target(2, 6), title(2))
	events := b.take()
	require.Len(t, events, 2)
	assert.Equal(t, "audit_multicast", events[0].Source, "where it began")
	assert.Equal(t, "audit_unicast", events[1].Source)
}
