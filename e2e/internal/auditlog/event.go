// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Event is a recorded event that can be written again with another time.
type Event struct {
	// lines are its records, each cut into the text before and after its time and serial.
	lines [][2]string
	// targets are the pids for which a log record must be emitted; 0 means that the call
	// found no process. If it is empty, nothing must be emitted.
	targets []int
}

// StampPattern matches the time and the serial of a record.
var StampPattern = regexp.MustCompile(`msg=audit\(\d+\.\d+:\d+\)`)

var (
	targetPattern = regexp.MustCompile(`\bopid=(\d+)`)
	victimPattern = regexp.MustCompile(`\bpid=(\d+)`)
	killPattern   = regexp.MustCompile(`syscall=(62|37|200|234|129|297|424) .*\bkey="audit_kill"`)
	signalPattern = regexp.MustCompile(`\ba([12])=[12369bf] `)
)

// Load reads at most limit events of a recording, or all if it is negative. It knows only the
// signals in our own recordings.
func Load(t *testing.T, path string, limit int) []Event {
	t.Helper()
	var order []string
	byStamp := make(map[string][]string)
	for line := range readLines(t, path) {
		stamp := StampPattern.FindString(line)
		if byStamp[stamp] == nil {
			if len(order) == limit {
				break
			}
			order = append(order, stamp)
		}
		byStamp[stamp] = append(byStamp[stamp], line)
	}
	events := make([]Event, len(order))
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
	t.Cleanup(func() { _ = file.Close() }) // it was only read
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
		return []int{harness.Number(victimPattern.FindStringSubmatch(records)[1])}
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
		targets = append(targets, harness.Number(match[1]))
	}
	if targets == nil {
		return []int{0}
	}
	return targets
}

// Kills returns recorded events that must lead to log records.
func Kills(t *testing.T) []Event {
	t.Helper()
	return choose(Load(t, harness.Path("testdata/variants.log"), -1), true)
}

// Noise returns recorded events that must not lead to log records.
func Noise(t *testing.T) []Event {
	t.Helper()
	return choose(Load(t, harness.Path("testdata/mixed.log.gz"), 500), false)
}

func choose(events []Event, wanted bool) []Event {
	var chosen []Event
	for _, e := range events {
		if len(e.targets) > 0 == wanted {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// SingleKill returns a recorded event with one target.
func SingleKill(t *testing.T) Event {
	t.Helper()
	for _, e := range Kills(t) {
		if len(e.targets) == 1 && e.targets[0] != 0 && len(e.lines) == 3 {
			return e
		}
	}
	t.Fatal("no such event was recorded")
	return Event{}
}
