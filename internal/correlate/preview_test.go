// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package correlate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// A preview says no more than a line shows alone.
func TestPreview(t *testing.T) {
	t.Parallel()
	const nothing, call, unclear = "nothing", "call", "unclear"
	ours := started(1)
	for name, tt := range map[string]struct {
		facts bool
		lines []string
		want  []string
	}{
		"another call":                {lines: []string{other(1), title(1)}, want: []string{call, nothing}},
		"a signal":                    {lines: []string{syscall(1, "64", "9"), target(1, 100), title(1)}, want: []string{unclear, unclear, unclear}},
		"another type":                {lines: []string{"type=CWD msg=audit(now): x"}, want: []string{nothing}},
		"the command line of another": {lines: []string{other(1), title(2)}, want: []string{call, unclear}},
		"something in between":        {lines: []string{other(1), target(1, 100), title(1)}, want: []string{call, unclear, unclear}},
		"nothing in between":          {lines: []string{other(1), "type=CWD msg=" + stamp(1) + ": x", title(1)}, want: []string{call, nothing, nothing}},
		"a start, no facts wanted":    {lines: []string{ours, execve(1, `"a"`), title(1)}, want: []string{call, nothing, nothing}},
		"a start by our rule":         {facts: true, lines: []string{ours, execve(1, `"a"`), title(1)}, want: []string{unclear, unclear, unclear}},
		"a start by another rule": {
			facts: true, lines: []string{strings.Replace(ours, "audit_kill", "exec", 1), execve(1, `"a"`), title(1)}, want: []string{call, nothing, nothing},
		},
		"a start by several rules": {facts: true, lines: []string{strings.Replace(ours, `"audit_kill"`, "6101", 1)}, want: []string{unclear}},
		"a start by no rule":       {facts: true, lines: []string{strings.Replace(ours, `"audit_kill"`, "(null)", 1)}, want: []string{call}},
		"arguments alone":          {lines: []string{execve(1, `"a"`)}, want: []string{unclear}},
		"a change of the rules":    {lines: []string{strings.Replace(other(1), "syscall=257", "syscall=44", 1)}, want: []string{unclear}},
		"a damaged call":           {lines: []string{"type=SYSCALL msg=" + stamp(1) + ": arch=c000003e sysc"}, want: []string{unclear}},
		"no stamp":                 {lines: []string{"type=SYSCALL msg=audit(now): arch=c000003e syscall=2 "}, want: []string{unclear}},
		"of a node":                {lines: []string{"node=db1 " + other(1), title(1)}, want: []string{unclear, unclear}},
		"no record":                {lines: []string{"", "hello", "type=", "type=SYSCALL "}, want: []string{unclear, unclear, unclear, unclear}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := Config{}
			if tt.facts {
				config.Fact = func(*attribution.Fact) {}
			}
			v := NewPreviewer(&config)
			var got []string
			for _, line := range tt.lines {
				switch preview := v.Preview([]byte(line)); {
				case preview.Nothing():
					got = append(got, nothing)
				case preview.Call():
					got = append(got, call)
				default:
					got = append(got, unclear)
				}
			}
			assert.Equal(t, tt.want, got)
		})
	}
}

// A part of a log begins with nothing known.
func TestPreviewBegins(t *testing.T) {
	t.Parallel()
	v := NewPreviewer(&Config{})
	preview := v.Preview([]byte(other(1)))
	assert.True(t, preview.Call())
	v.Begin()
	preview = v.Preview([]byte(title(1)))
	assert.False(t, preview.Nothing())
}

// What is pending may be part of a call that looks like no other.
func TestPassRefuses(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"a target":                         target(1, 100),
		"a command line":                   title(1),
		"a change of the audit system":     `type=CONFIG_CHANGE msg=` + stamp(1) + `: audit_enabled=0 old=1 auid=0 ses=1 res=1`,
		"the start of a program by a rule": started(2),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(Config{Fact: func(*attribution.Fact) {}})
			v := NewPreviewer(&b.config)
			preview := v.Preview([]byte(other(1)))
			assert.True(t, b.Pass(&preview))
			b.feed(strings.ReplaceAll(strings.ReplaceAll(line, stamp(1), stamp(3)), stamp(2), stamp(4)))
			assert.False(t, b.Pass(&preview))
			b.Flush()
			assert.True(t, b.Pass(&preview))
		})
	}
}
