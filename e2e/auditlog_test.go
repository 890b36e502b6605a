// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// auditEvent is a recorded event that can be written again at another time.
type auditEvent struct {
	// lines are its records; the text between them is time and serial.
	lines [][2]string
	// targets are the processes that a log record must be emitted for; 0 stands
	// for nobody. Empty means that nothing must be emitted.
	targets []int
}

var (
	stampPattern  = regexp.MustCompile(`msg=audit\(\d+\.\d+:\d+\)`)
	targetPattern = regexp.MustCompile(`\bopid=(\d+)`)
	victimPattern = regexp.MustCompile(`\bpid=(\d+)`)
	killPattern   = regexp.MustCompile(`syscall=(62|37|200|234|129|297|424) .*\bkey="audit_kill"`)
	signalPattern = regexp.MustCompile(`\ba([12])=[12369bf] `)
)

// loadEvents reads a recording. It knows of signals only what these recordings
// need.
func loadEvents(t *testing.T, path string, limit int) []auditEvent {
	t.Helper()
	var order []string
	byStamp := make(map[string][]string)
	for line := range readLines(t, path) {
		stamp := stampPattern.FindString(line)
		if byStamp[stamp] == nil {
			if len(order) == limit {
				break
			}
			order = append(order, stamp)
		}
		byStamp[stamp] = append(byStamp[stamp], line)
	}
	events := make([]auditEvent, len(order))
	for i, stamp := range order {
		for _, line := range byStamp[stamp] {
			before, after, _ := strings.Cut(line, stamp)
			events[i].lines = append(events[i].lines, [2]string{before, after})
		}
		events[i].targets = targetsOf(strings.Join(byStamp[stamp], "\n"))
	}
	return events
}

// readLines yields the lines of a file with their line feeds.
func readLines(t *testing.T, path string) func(func(string) bool) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() }) // was only read from
	var source io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		source, err = gzip.NewReader(file)
		require.NoError(t, err)
	}
	reader := bufio.NewReader(source)
	return func(yield func(string) bool) {
		for {
			line, err := reader.ReadString('\n')
			if err != nil || !yield(line) {
				return
			}
		}
	}
}

func targetsOf(records string) []int {
	if strings.HasPrefix(records, "type=ANOM_ABEND") {
		return []int{number(victimPattern.FindStringSubmatch(records)[1])}
	}
	called := killPattern.FindStringSubmatch(records)
	if called == nil {
		return nil
	}
	argument := "1"
	if called[1] == "234" || called[1] == "297" {
		argument = "2"
	}
	wanted := false
	for _, match := range signalPattern.FindAllStringSubmatch(records, -1) {
		wanted = wanted || match[1] == argument
	}
	if !wanted {
		return nil
	}
	var targets []int
	for _, match := range targetPattern.FindAllStringSubmatch(records, -1) {
		targets = append(targets, number(match[1]))
	}
	if targets == nil {
		return []int{0}
	}
	return targets
}

func number(text string) int {
	n, _ := strconv.Atoi(text) // the patterns match digits only
	return n
}

// kills and noise are events that must lead to log records, and others.
func kills(t *testing.T) []auditEvent {
	t.Helper()
	return choose(loadEvents(t, "../testdata/variants.log", -1), true)
}

func noise(t *testing.T) []auditEvent {
	t.Helper()
	return choose(loadEvents(t, "../testdata/mixed.log.gz", 500), false)
}

func choose(events []auditEvent, wanted bool) []auditEvent {
	var chosen []auditEvent
	for _, e := range events {
		if len(e.targets) > 0 == wanted {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// auditLog writes a log as auditd does.
type auditLog struct {
	t    *testing.T
	path string
	file *os.File
	// milliseconds and serial are those of the latest event.
	milliseconds int64
	serial       int
	// want are the keys of the log records that must come of what was written.
	want []key
}

func newAuditLog(t *testing.T) *auditLog {
	t.Helper()
	return auditLogAt(t, filepath.Join(t.TempDir(), "audit.log"))
}

func auditLogAt(t *testing.T, path string) *auditLog {
	t.Helper()
	l := &auditLog{t: t, path: path, milliseconds: 1_795_000_000_000}
	l.create()
	t.Cleanup(func() { _ = l.file.Close() })
	return l
}

func (l *auditLog) create() {
	var err error
	l.file, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(l.t, err)
}

// stamp gives an event a time and a serial of its own and returns its lines.
func (l *auditLog) stamp(e auditEvent) []string {
	l.milliseconds += 3
	l.serial++
	lines := make([]string, len(e.lines))
	for i, line := range e.lines {
		lines[i] = fmt.Sprintf("%smsg=audit(%d.%03d:%d)%s",
			line[0], l.milliseconds/1000, l.milliseconds%1000, l.serial, line[1])
	}
	for _, pid := range e.targets {
		if pid == 0 {
			pid = nobody
		}
		l.want = append(l.want, key{milliseconds: l.milliseconds, serial: l.serial, pid: pid})
	}
	return lines
}

// nobody is the process that the recorded ESRCH was meant for.
const nobody = 999_999

// write appends text, which may be any part of a line.
func (l *auditLog) write(text string) {
	l.t.Helper()
	_, err := l.file.WriteString(text)
	require.NoError(l.t, err)
}

// add appends an event.
func (l *auditLog) add(e auditEvent) { l.write(strings.Join(l.stamp(e), "")) }

// rotate renames the files as auditd does and begins a new one
// (src/auditd-event.c, rotate_logs).
func (l *auditLog) rotate() {
	l.t.Helper()
	require.NoError(l.t, l.file.Chmod(0o400))
	require.NoError(l.t, l.file.Close())
	last := 1
	for exists(l.numbered(last)) {
		last++
	}
	for ; last > 1; last-- {
		require.NoError(l.t, os.Rename(l.numbered(last-1), l.numbered(last)))
	}
	require.NoError(l.t, os.Rename(l.path, l.numbered(1)))
	l.create()
}

func (l *auditLog) numbered(n int) string { return fmt.Sprintf("%s.%d", l.path, n) }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
