// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// root is the directory that the examples are run in.
const root = "../../../.."

// example is a command of a page, and what the page says that it prints.
type example struct {
	line    int
	command string
	output  []string
}

// examples are the commands in a page's blocks of the kind console: `$ auditkill report FILE`,
// and what they print on standard output and standard error.
func examples(t *testing.T, page string) []example {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	var all []example
	inside := false
	for i, line := range strings.Split(string(text), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case !inside:
			inside = line == "```console"
		case line == "```":
			inside = false
		case isCommand:
			all = append(all, example{line: i + 1, command: command})
		default:
			require.NotEmpty(t, all, "%s:%d: an output without a command", page, i+1)
			last := &all[len(all)-1]
			last.output = append(last.output, line)
		}
	}
	return all
}

// excerpts matches the blocks that a page takes from a golden file.
var excerpts = regexp.MustCompile("(?s)<!-- from (\\S+) -->\n```text\n(.*?)```\n")

// What a page takes from a golden file is in that file.
func TestExcerptsInDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs/auditkill.md"))
	require.NoError(t, err)
	found := excerpts.FindAllStringSubmatch(string(page), -1)
	assert.Len(t, found, strings.Count(string(page), "<!-- from "))
	for _, excerpt := range found {
		source, err := os.ReadFile(filepath.Join(root, excerpt[1]))
		require.NoError(t, err)
		assert.Contains(t, string(source), excerpt[2], excerpt[1])
	}
}

// shell runs the few kinds of commands that the pages have.
type shell struct {
	passwd string
	// code is the exit code of the last command, as in $?.
	code int
}

func (s *shell) run(t *testing.T, command string) (output string) {
	t.Helper()
	if command == "echo $?" {
		return strconv.Itoa(s.code) + "\n"
	}
	var in bytes.Buffer
	if file, reader, piped := strings.Cut(strings.TrimPrefix(command, "cat "), " | "); piped {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		in.Write(text)
		command = reader
	}
	words := strings.Fields(command)
	require.Equal(t, "auditkill", words[0], command)
	if words[1] == "report" { // so that users have the same names everywhere
		words = slices.Insert(words, 2, "--passwd", s.passwd)
	}
	var out bytes.Buffer
	s.code = Execute(t.Context(), words[1:], &in, &out, &out)
	return out.String()
}

// matches compares what was printed with what the page says, where "…" at the end of a
// line stands for the rest of it.
func matches(output string, page []string) bool {
	return slices.EqualFunc(strings.Split(strings.TrimSuffix(output, "\n"), "\n"), page, func(line, want string) bool {
		begin, cut := strings.CutSuffix(want, "…")
		return line == want || cut && strings.HasPrefix(line, begin)
	})
}

// Commands print what the pages say that they print. The test changes the directory, so it is not
// parallel.
func TestExamplesInDocumentation(t *testing.T) {
	s := shell{passwd: filepath.Join(t.TempDir(), "passwd")}
	require.NoError(t, os.WriteFile(s.passwd, []byte("root:x:0:0:root:/root:/bin/sh\n"), 0o600))
	t.Chdir(root)
	for page, atLeast := range map[string]int{"README.md": 1, "docs/auditkill.md": 10} {
		found := examples(t, page)
		assert.GreaterOrEqual(t, len(found), atLeast, "examples in %s", page)
		for _, e := range found {
			output := s.run(t, e.command)
			assert.True(t, matches(output, e.output), "%s:%d: %s prints\n%s", page, e.line, e.command, output)
		}
	}
}

// nights is a log of two weeks in which a cron job kills a database at a quarter past
// three, and others what they like.
func nights() []byte {
	var log bytes.Buffer
	start := time.Date(2026, 11, 8, 0, 0, 0, 0, time.UTC)
	serial := 1000
	add := func(day int, at time.Duration, signal int, target, sender, login string) {
		serial++
		t := start.AddDate(0, 0, day).Add(at)
		stamp := fmt.Sprintf("audit(%d.%03d:%d)", t.Unix(), t.Nanosecond()/1e6, serial)
		fmt.Fprintf(&log, "type=SYSCALL msg=%s: arch=c000003e syscall=62 success=yes exit=0 a0=%x a1=%x a2=0 a3=0 items=0 ppid=1 pid=%d "+
			"auid=%s uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 comm=%q exe=%q key=\"audit_kill\"\n",
			stamp, serial, signal, serial+1, login, filepath.Base(sender), sender)
		fmt.Fprintf(&log, "type=OBJ_PID msg=%s: opid=%d oauid=-1 ouid=102 oses=-1 ocomm=%q\n", stamp, serial, target)
	}
	const kill, term, hup, unset = 9, 15, 1, "4294967295"
	for day := range 14 {
		at := time.Duration(day)
		add(day, 3*time.Hour+15*time.Minute+at*137*time.Millisecond, term, "mysqld", "/usr/local/bin/nightly-backup", unset)
		add(day, 3*time.Hour+15*time.Minute+30*time.Second, kill, "mysqld", "/usr/local/bin/nightly-backup", unset)
		if day%2 == 0 {
			add(day, 6*time.Hour+25*time.Minute+at*3*time.Second, hup, "nginx", "/usr/sbin/logrotate", unset)
		}
		if day%3 == 1 {
			add(day, 9*time.Hour+at*23*time.Minute, term, "java", "/usr/lib/systemd/systemd", unset)
		}
		if day%5 == 3 {
			add(day, 14*time.Hour+at*17*time.Minute, kill, "firefox", "/usr/bin/kill", "1000")
		}
	}
	return log.Bytes()
}

// The picture in the documentation is what auditkill draws.
func TestPictureInDocumentation(t *testing.T) {
	t.Parallel()
	log, drawn := filepath.Join(t.TempDir(), "audit.log"), filepath.Join(t.TempDir(), "kills.svg")
	require.NoError(t, os.WriteFile(log, nights(), 0o600))
	out, errs, code := runReport(t, nil, log, "--plot", drawn)
	assert.Empty(t, out+errs)
	assert.Equal(t, exitFound, code)
	got, err := os.ReadFile(drawn)
	require.NoError(t, err)
	const shown = root + "/docs/images/nightly.svg"
	if *update {
		require.NoError(t, os.WriteFile(shown, got, 0o600))
	}
	want, err := os.ReadFile(shown)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got))
}
