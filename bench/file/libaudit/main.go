// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !windows

// Command libaudit reads an audit log as go-libaudit's own command does (cmd/auparse -i):
// it parses each line, reassembles the events, and coalesces each of them. It prints how
// many events are signals with a target.
package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/aucoalesce"
	"github.com/elastic/go-libaudit/v2/auparse"
)

// maxInFlight and timeout are those of cmd/auparse.
const (
	maxInFlight = 5
	timeout     = 2 * time.Second
)

func main() {
	found, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "libaudit:", err)
		os.Exit(1)
	}
	fmt.Println(found)
}

func run(path string) (int, error) {
	log, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	count := &counter{}
	reassembler, err := libaudit.NewReassembler(maxInFlight, timeout, count)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		message, err := auparse.ParseLogLine(lines.Text())
		if err != nil {
			continue // it does not know the type UNKNOWN[1337] in the recording
		}
		reassembler.PushMessage(message)
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return count.found, reassembler.Close()
}

// counter coalesces events and counts those that are ours.
type counter struct{ found int }

// ReassemblyComplete implements libaudit.Stream.
func (c *counter) ReassemblyComplete(messages []*auparse.AuditMessage) {
	event, err := aucoalesce.CoalesceMessages(messages)
	if err != nil || !slices.Contains(event.Tags, "audit_kill") {
		return
	}
	if slices.ContainsFunc(messages, func(m *auparse.AuditMessage) bool { return m.RecordType == auparse.AUDIT_OBJ_PID }) {
		c.found++
	}
}

// EventsLost implements libaudit.Stream.
func (*counter) EventsLost(int) {}
