// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/listing"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

var update = flag.Bool("update", false, "write the golden files anew")

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func newPage() *Page {
	return New(Config{
		Logs: []string{"audit.log"}, Version: "v1", Made: noon.Add(time.Hour), Location: time.UTC, Conceal: redact.Redacted,
	})
}

// kills is a signal that mykill sends after some seconds.
func kills(seconds int, edit func(*kill.Event)) *kill.Event {
	e := &kill.Event{
		Kind: kill.KindSignal, Time: noon.Add(time.Duration(seconds) * time.Second), Signal: kill.SIGKILL, SignalKnown: true,
		Origin: kill.OriginUser, Syscall: "kill", Scope: kill.ScopeProcess, Result: kill.Success(), Complete: true,
		Sender: kill.Process{PID: 3997, Command: "mykill", Executable: "/opt/bin/mykill", Login: kill.User{ID: kill.NewID(1000), Name: "alice"}},
	}
	*e.AddTarget() = kill.Process{PID: 3936, Command: "mysqld"}
	if edit != nil {
		edit(e)
	}
	return e
}

func (p *Page) addAll(events ...*kill.Event) {
	for _, e := range events {
		for _, entry := range listing.Entries(e) {
			p.Add(entry)
		}
	}
}

func (p *Page) text(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, p.Write(&b))
	return b.String()
}

func TestPage(t *testing.T) {
	t.Parallel()
	p := newPage()
	p.addAll(
		kills(0, nil),
		kills(30, func(e *kill.Event) {
			e.Signal, e.Result = kill.SIGTERM, kill.Result{Known: true, Errno: 1, Error: "EPERM"}
			*e.AddTarget() = kill.Process{PID: 7, Command: "nginx"}
		}),
		kills(45, func(e *kill.Event) { e.Targets[0].Result = &kill.Result{} }),
		kills(60, func(e *kill.Event) { e.Count, e.Signal, e.Audit.Node = 3, 10, "db1" }),
	)
	got := p.text(t)
	const path = "testdata/page.html"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

// Whatever processes call themselves, the page has no script and no element but its own.
func TestPageEscapes(t *testing.T) {
	t.Parallel()
	own := regexp.MustCompile(`<(/?[a-zA-Z!][a-zA-Z0-9]*)((?: [a-zA-Z-]+(?:="[^"]*")?)*)>`)
	attribute := regexp.MustCompile(` ([a-zA-Z-]+)(?:="[^"]*")?`)
	elements := func(text string) (names []string) {
		for _, m := range own.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
			for _, a := range attribute.FindAllStringSubmatch(m[2], -1) {
				names = append(names, a[1])
			}
		}
		require.Len(t, own.FindAllString(text, -1), strings.Count(text, "<"), "each < begins an element of the page's own")
		slices.Sort(names)
		return slices.Compact(names)
	}
	harmless, hostile := newPage(), newPage()
	harmless.addAll(kills(0, func(e *kill.Event) {
		e.Audit.Node, e.Cause, e.Result = "a", "b", kill.Result{Known: true, Errno: 1, Error: "EPERM"}
	}))
	for _, text := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</title></style><b>`, `' onclick='x`, "javascript:alert(1)", "{{.}}", "</script>",
	} {
		hostile.rows, hostile.next = nil, 0
		hostile.config.Logs = []string{text}
		hostile.addAll(kills(0, func(e *kill.Event) {
			e.Sender.Command, e.Sender.Executable, e.Sender.Title, e.Sender.Login.Name = text, text, text, text
			e.Targets[0].Command, e.Audit.Node, e.Result = text, text, kill.Result{Known: true, Errno: 1, Error: text}
			e.Cause = kill.Cause(text)
		}))
		got := hostile.text(t)
		assert.Equal(t, elements(harmless.text(t)), elements(got), text)
		assert.Contains(t, got, "default-src &#39;none&#39;")
	}
	assert.NotRegexp(t, `https?://|src=|url\(`, harmless.text(t), "it needs no network")
}

func TestPageKeepsTheNewest(t *testing.T) {
	t.Parallel()
	p := newPage()
	for i := range maxRows + 10 {
		p.addAll(kills(i, nil))
	}
	got := p.text(t)
	assert.Contains(t, got, "10 older signals are not listed.")
	assert.Equal(t, maxRows, strings.Count(got, "<tr id="))
	assert.Contains(t, got, "<dd>5010</dd>")
}

// TestPageSaysWhatOutcomesPushOut has ends of processes take the room of older signals.
func TestPageSaysWhatOutcomesPushOut(t *testing.T) {
	t.Parallel()
	p := newPage()
	for i := range maxRows {
		p.addAll(kills(i, nil))
	}
	for i := range maxRows {
		p.addAll(kills(maxRows+i, func(e *kill.Event) { e.Kind, e.Outcome = kill.KindOutcome, &kill.Outcome{} }))
	}
	assert.Contains(t, p.text(t), fmt.Sprint(maxRows, " older signals are not listed."))
}

func TestLanes(t *testing.T) {
	t.Parallel()
	p := newPage()
	for i := range maxLanes + 5 {
		p.addAll(kills(i, func(e *kill.Event) { e.Targets[0].Command = fmt.Sprintf("target%02d", i) }))
	}
	p.addAll(kills(100, func(e *kill.Event) { e.Targets[0].Command = "target16" }))
	all := lanes(p.rows)
	require.Len(t, all, maxLanes)
	assert.Equal(t, "others", all[maxLanes-1].Name)
	count := 0
	for _, lane := range all {
		count += lane.Count
		for _, mark := range lane.Marks {
			assert.GreaterOrEqual(t, mark.Percent, 0.0)
			assert.LessOrEqual(t, mark.Percent, 100.0)
			assert.NotEmpty(t, mark.Row+mark.Text)
		}
	}
	assert.Equal(t, maxLanes+6, count)
}

func TestMark(t *testing.T) {
	t.Parallel()
	p := newPage()
	for range 7 {
		p.addAll(kills(0, func(e *kill.Event) { e.Signal = kill.SIGTERM }))
	}
	p.addAll(kills(0, nil))
	all := lanes(p.rows)
	require.Len(t, all, 1)
	require.Len(t, all[0].Marks, 1)
	mark := all[0].Marks[0]
	assert.Equal(t, "kill", mark.Kind, "the worst of them")
	assert.Equal(t, 6, strings.Count(mark.Text, "\n")+1)
	assert.Contains(t, mark.Text, "and 3 more")
}

func TestSave(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.html")
	require.NoError(t, Check(path))
	require.ErrorContains(t, Check("a.txt"), "the name of a page ends in .html")
	require.ErrorIs(t, newPage().Save(path), ErrNothing)
	assert.NoFileExists(t, path)
	p := newPage()
	p.addAll(kills(0, nil))
	require.NoError(t, p.Save(path))
	assert.FileExists(t, path)
}
