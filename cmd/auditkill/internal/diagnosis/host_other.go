// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package diagnosis

import (
	"os"
	"runtime"
)

// Host is where facts come from.
type Host struct{ log string }

// This returns the host that this process runs on.
func This(_, log string) Host { return Host{log: log} }

// Facts returns that nothing works: signals can be captured on Linux only.
func (h Host) Facts() *Facts {
	return &Facts{
		OS: runtime.GOOS, Machine: runtime.GOARCH, UserID: os.Geteuid(), Capabilities: []string{},
		Namespaces: Namespaces{User: NamespaceUnknown, PID: NamespaceUnknown, Network: NamespaceUnknown},
		BPF:        BPF{Problem: BPFUnsupported},
		Audit:      Audit{State: AuditAbsent},
		Rules:      Rules{Obstacles: []Obstacle{}},
		Log:        Log{Path: h.log, Problem: LogMissing, Free: -1, Unread: []string{}},
	}
}
