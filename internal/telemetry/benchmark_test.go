// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// sentBelow returns a signal of a sender with some parents. With titles it says more about it, as it does if what is behind
// signals is wanted.
func sentBelow(parents int, titled bool, argument string) *kill.Event {
	e := tracedEvent()
	e.Sender.Ancestry = make([]kill.Ancestor, parents)
	for i := range e.Sender.Ancestry {
		e.Sender.Ancestry[i] = kill.Ancestor{PID: 100 - i, Command: "parent" + strconv.Itoa(i)}
		if titled {
			e.Sender.Ancestry[i].Title = "parent\x00" + strconv.Itoa(i) + "\x00--file\x00" + argument
		}
	}
	if titled {
		e.Behind = &kill.Behind{Initiator: &e.Sender.Ancestry[parents-1], User: e.Sender.Login}
	}
	return e
}

// BenchmarkAppendParents shows what the parents of a sender cost, whose command lines are told or not.
func BenchmarkAppendParents(b *testing.B) {
	for _, test := range []struct {
		name     string
		policy   redact.Policy
		titled   bool
		argument string
	}{
		{"untitled", redact.Redacted, false, ""},
		{"off", redact.Off, true, "/etc/some.conf"},
		{"titled", redact.Redacted, true, "/etc/some.conf"},
		{"long", redact.Redacted, true, strings.Repeat("/a/class/path.jar:", 200)},
	} {
		b.Run(test.name, func(b *testing.B) {
			config := testConfig()
			config.CommandLine = test.policy
			l := NewLogs(config)
			e := sentBelow(8, test.titled, test.argument)
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				l.Append(e, &e.Targets[0], now)
				if l.Len() == 512 {
					l.Take()
				}
			}
		})
	}
}
