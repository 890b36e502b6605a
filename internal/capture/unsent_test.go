// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// choosy wants events with a target of one name.
type choosy struct {
	Handler
	name string
}

func (c choosy) WantsEnd(e *kill.Event) bool { return c.name == "" || e.Targets[0].Command == c.name }

func TestWantsUnsent(t *testing.T) {
	t.Parallel()
	const exited, pipe, usr1, term = 1 << 8, 13, 10, 15
	named := func(s *Settings) { s.Targets = []string{"mysqld"} }
	tests := map[string]struct {
		change func(s *Settings)
		status int
		parent string
		want   bool
	}{
		"a signal":                           {nil, term, "", true},
		"a signal that is mostly handled":    {nil, usr1, "", true},
		"a broken pipe":                      {nil, pipe, "", false},
		"a broken pipe of a target":          {named, pipe, "", true},
		"an exit":                            {nil, exited, "", false},
		"an exit of a target":                {named, exited, "systemd", true},
		"an exit of a target's child":        {named, exited, "mysqld", false},
		"an exit, its parent is not known":   {named, exited, "", true},
		"an exit of another":                 {func(s *Settings) { s.Targets = []string{"nginx"} }, exited, "", false},
		"killed: an exit of a target":        {func(s *Settings) { named(s); s.Unsent = kill.UnsentKilled }, exited, "", false},
		"all: an exit":                       {func(s *Settings) { s.Unsent = kill.UnsentAll }, exited, "", true},
		"all: an exit of a target's child":   {func(s *Settings) { named(s); s.Unsent = kill.UnsentAll }, exited, "mysqld", true},
		"none: a signal":                     {func(s *Settings) { s.Unsent = kill.UnsentNone }, term, "", false},
		"one of the signals that were asked": {func(s *Settings) { s.Signals, s.Ending = []kill.Signal{term}, nil }, term, "", true},
		"another signal":                     {func(s *Settings) { s.Signals, s.Ending = []kill.Signal{term}, nil }, usr1, "", false},
		"only some senders":                  {func(s *Settings) { s.Senders = []string{"bash"} }, term, "", false},
		"without outcomes":                   {func(s *Settings) { s.OutcomeTimeout = 0 }, term, "", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Settings{Signals: kill.DefaultSignals(), OutcomeTimeout: time.Minute, Logger: zap.NewNop()}
			s.Ending = Ending(nil)
			if tt.change != nil {
				tt.change(&s)
			}
			if s.Ending != nil {
				s.Ending = Ending(s.Targets)
			}
			c := newCapture(s)
			handler := choosy{}
			if len(s.Targets) > 0 {
				handler.name = s.Targets[0]
			}
			c.handler = handler
			end := &kill.End{Exit: kill.Exit{Known: true, Status: tt.status}, Process: &kill.Process{PID: 7, Command: "mysqld"}}
			if tt.parent != "" {
				end.Parent = &kill.Process{PID: 6, Command: tt.parent}
			}
			assert.Equal(t, tt.want, c.wantsUnsent(end))
		})
	}
}
