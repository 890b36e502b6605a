// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// maxRestorations is how many times within restorationWindow rules are put back.
// Whoever reloads the rules of the host removes ours once; who does it more often
// is at odds with us, perhaps a configuration management, and would have both of
// us fill the audit trail with changes.
const (
	maxRestorations   = 3
	restorationWindow = time.Minute
)

// ErrTooOften is returned by Restore when rules were put back so often that
// nothing was done this time. A later call will.
var ErrTooOften error = &Problem{
	What:   fmt.Sprintf("not put back, as that was done %d times within %v", maxRestorations, restorationWindow),
	Fix:    "find out who removes it",
	Advice: []problem.Advice{problem.LeaveRules},
}

// limit allows something a few times within a sliding window.
type limit struct {
	now   func() time.Time
	taken []time.Time
}

func (l *limit) allow() bool {
	now := l.now()
	l.taken = slices.DeleteFunc(l.taken, func(at time.Time) bool { return now.Sub(at) >= restorationWindow })
	if len(l.taken) >= maxRestorations {
		return false
	}
	l.taken = append(l.taken, now)
	return true
}
