// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// companion is the path of the command auditkill.
var companion = harness.Path("_build/auditkill")

// auditkill runs the command auditkill with an input, and returns its standard output.
func auditkill(t *testing.T, in io.Reader, arguments ...string) string {
	t.Helper()
	require.FileExists(t, companion, "`make auditkill` builds it")
	command := exec.CommandContext(t.Context(), companion, arguments...) //nolint:gosec // the command under test
	command.Stdin = in
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		require.Equal(t, 1, exit.ExitCode(), "only exit status 1 (nothing to report) is allowed: %s", &errs)
	} else {
		require.NoError(t, err)
	}
	return string(out)
}

// ausearch runs auditd's own search tool, and returns its output.
func ausearch(t *testing.T, arguments ...string) string {
	t.Helper()
	program, err := exec.LookPath("ausearch")
	if err != nil {
		harness.Missing(t, "ausearch is not installed; on Debian: apt-get install auditd")
	}
	command := exec.CommandContext(t.Context(), program, arguments...) //nolint:gosec // auditd's
	out, err := command.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 { // 1: no matches
		require.NoError(t, err)
	}
	return string(out)
}

// plainRecording returns the path of an uncompressed recording, which ausearch can read.
func plainRecording(t *testing.T, name string) string {
	t.Helper()
	path := harness.Path("testdata", name)
	if !strings.HasSuffix(name, ".gz") {
		return path
	}
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	require.NoError(t, err)
	path = filepath.Join(t.TempDir(), "audit.log")
	plain, err := os.Create(path)
	require.NoError(t, err)
	_, err = io.Copy(plain, unzipped) //nolint:gosec // our own recording
	require.NoError(t, err)
	require.NoError(t, plain.Close())
	return path
}

// Raw records, and those of the system calls that send signals.
var (
	recordPattern     = regexp.MustCompile(`^type=(SYSCALL|OBJ_PID) msg=audit\((\d+\.\d+):(\d+)\)`)
	signalCallPattern = regexp.MustCompile(` arch=(?:c000003e syscall=(?:62|129|200|234|297|424)|40000003 syscall=(?:37|178|238|270|335|424)) `)
)

// killsOf returns how many targets each kill in raw records has, by time and serial.
func killsOf(raw string) map[string]int {
	targets, kills := make(map[string]int), make(map[string]int)
	for line := range strings.Lines(raw) {
		record := recordPattern.FindStringSubmatch(line)
		switch {
		case record == nil:
		case record[1] == "OBJ_PID":
			targets[record[2]+":"+record[3]]++
		case signalCallPattern.MatchString(line):
			kills[record[2]+":"+record[3]] = 0
		}
	}
	for event := range kills {
		kills[event] = targets[event]
	}
	return kills
}

// reportedKills returns how many targets each kill in a report of auditkill has, by time and serial.
func reportedKills(t *testing.T, report string) map[string]int {
	t.Helper()
	kills := make(map[string]int)
	for line := range strings.Lines(report) {
		var reported struct {
			Time   time.Time `json:"time"`
			Event  string    `json:"event"`
			Serial uint32    `json:"kill.audit.serial"`
			Keys   []string  `json:"kill.audit.key"`
			Target string    `json:"kill.target.name"`
		}
		require.NoError(t, json.Unmarshal([]byte(line), &reported))
		if reported.Event != "kill.signal" || !slices.Contains(reported.Keys, "audit_kill") {
			continue
		}
		event := strings.Replace(reported.Time.Format("U.000"), "U", strconv.FormatInt(reported.Time.Unix(), 10), 1) + ":" + strconv.FormatInt(int64(reported.Serial), 10)
		kills[event] += 0
		if reported.Target != "" {
			kills[event]++
		}
	}
	return kills
}

// For every recording, auditkill and ausearch agree about which kills there were, and how
// many targets each of them had.
func TestReportAgreesWithAusearch(t *testing.T) {
	t.Parallel()
	for name, atLeast := range map[string]int{"seed.log": 1, "variants.log": 50, "mixed.log.gz": 1500, "tamper.log": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := plainRecording(t, name)
			want := killsOf(ausearch(t, "-k", "audit_kill", "--raw", "-if", path))
			assert.GreaterOrEqual(t, len(want), atLeast)
			assert.Equal(t, want, reportedKills(t, auditkill(t, nil, "report", "-o", "json", path)))
		})
	}
}

// The output of ausearch, with and without --raw, can be piped into auditkill.
func TestReportReadsWhatAusearchPrints(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"seed.log", "variants.log"} {
		path := plainRecording(t, name)
		want := reportedKills(t, auditkill(t, nil, "report", "-o", "json", path))
		for _, form := range [][]string{{"--raw"}, {}} {
			found := ausearch(t, append([]string{"-k", "audit_kill", "-if", path}, form...)...)
			got := reportedKills(t, auditkill(t, strings.NewReader(found), "report", "-o", "json", "-"))
			assert.Equal(t, want, got, "%s %v", name, form)
		}
	}
}

// terminalOf runs the command on a terminal with this many columns, and reads the terminal only after a
// pause. It returns the screen at the end, and everything that was ever written to it.
func terminalOf(t *testing.T, columns int, pause time.Duration, environment []string, arguments ...string) (screen []string, written string) {
	t.Helper()
	const rows = 5000
	command := exec.CommandContext(t.Context(), companion, arguments...) //nolint:gosec // the command under test
	command.Env = append(append(os.Environ(), "TERM=xterm", "NO_COLOR="), environment...)
	terminal, err := pty.StartWithSize(command, &pty.Winsize{Rows: rows, Cols: uint16(columns)})
	require.NoError(t, err)
	defer terminal.Close()
	time.Sleep(pause) // time for what must be seen
	emulator := vt10x.New(vt10x.WithSize(columns, rows))
	all, err := io.ReadAll(terminal)
	require.ErrorIs(t, err, syscall.EIO, "the other end is closed")
	_, err = emulator.Write(all)
	require.NoError(t, err)
	require.NoError(t, command.Wait())
	for line := range strings.Lines(emulator.String()) {
		screen = append(screen, strings.TrimRight(line, " \n"))
	}
	for len(screen) > 0 && screen[len(screen)-1] == "" {
		screen = screen[:len(screen)-1]
	}
	return screen, string(all)
}

// Each kill takes one line, or a second one that is indented, however narrow the terminal is.
func TestReportOnATerminal(t *testing.T) {
	t.Parallel()
	require.FileExists(t, companion, "`make auditkill` builds it")
	seed := harness.Path("testdata", "seed.log")
	variants := harness.Path("testdata", "variants.log")
	kills := strings.Count(auditkill(t, nil, "report", "-o", "json", variants), "\n")
	for columns, begin := range map[int]string{40: "11-22 14:52", 80: "11-22 14:52", 200: "2026-11-22 14:52"} {
		screen, _ := terminalOf(t, columns, 0, []string{"TZ=UTC"}, "report", variants)
		require.True(t, strings.HasPrefix(screen[0], "TIME"), screen[0])
		rows := 0
		for _, line := range screen[1:] {
			if strings.HasPrefix(line, "auditkill: ") {
				break
			}
			if !strings.HasPrefix(line, "    ") {
				assert.True(t, strings.HasPrefix(line, begin), "%d columns: %s", columns, line)
				rows++
			}
		}
		assert.Equal(t, kills, rows, "%d columns", columns)
	}
	screen, _ := terminalOf(t, 80, 0, []string{"TZ=UTC"}, "report", "--passwd", os.DevNull, seed)
	assert.Equal(t, []string{
		"TIME             SIGNAL  TARGET       SENDER       EXECUTABLE    LOGIN BY RESULT",
		"12-15 21:28:39   SIGKILL mysqld[3936] mykill[3997] …t/bin/mykill 500   -  ok",
	}, screen, "names and results are whole, and so there is no room for COMMAND")
	screen, written := terminalOf(t, 200, 0, []string{"TZ=UTC"}, "report", "--passwd", os.DevNull, seed)
	assert.Contains(t, screen[1], "2015-12-15 21:28:39.813  SIGKILL  mysqld[3936]  mykill[3997]  /opt/bin/mykill  ")
	assert.Contains(t, written, "\x1b[31mSIGKILL\x1b[0m", "a fatal signal is red")
	_, written = terminalOf(t, 200, 0, []string{"NO_COLOR=1"}, "report", "--passwd", os.DevNull, seed)
	assert.NotContains(t, written, "\x1b")
}

// beginsKill matches the beginning of a row, which may take a second line.
var beginsKill = regexp.MustCompile(`^(2026-)?11-22 14:[45]`)

// While a long log is read, the terminal shows the progress, and afterwards only the report.
func TestReportShowsProgress(t *testing.T) {
	t.Parallel()
	require.FileExists(t, companion, "`make auditkill` builds it")
	path := plainRecording(t, "mixed.log.gz")
	rows := strings.Count(auditkill(t, nil, "report", "-o", "json", path), "\n")
	for _, columns := range []int{80, 200} {
		screen, written := terminalOf(t, columns, 1500*time.Millisecond, []string{"TZ=UTC"}, "report", path)
		assert.Regexp(t, `\d+(\.\d+)? ?[kM]?B`, written)
		assert.Regexp(t, `\d+ ?%`, written, "the progress in percent")
		var kills, others []string
		for _, line := range screen {
			if beginsKill.MatchString(line) {
				kills = append(kills, line)
			} else {
				others = append(others, line)
			}
		}
		assert.Len(t, kills, rows)
		assert.NotContains(t, strings.Join(others, "\n"), "%", "the bar is gone")
	}
}
