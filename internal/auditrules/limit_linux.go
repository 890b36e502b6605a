// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"fmt"
	"slices"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// maxRestorations is how many times within restorationWindow rules are put back. A program
// that reloads the rules of the host removes the receiver's once. One that does so more
// often, perhaps a configuration management, competes with the receiver, and together they
// would fill the audit trail with changes.
const (
	maxRestorations   = 3
	restorationWindow = time.Minute
)

// ErrTooOften is returned by Restore if rules were put back so often that this time nothing
// was done. A later call puts them back again.
var ErrTooOften error = &Problem{
	What:   fmt.Sprintf("not put back: that was already done %d times within %v", maxRestorations, restorationWindow),
	Fix:    "find out who removes it",
	Advice: []problem.Advice{problem.LeaveRules},
}

// limit allows something a few times within a sliding window.
type limit struct {
	now   func() time.Time
	most  int
	taken []time.Time
}

func (l *limit) allow() bool {
	now := l.now()
	l.taken = slices.DeleteFunc(l.taken, func(at time.Time) bool { return now.Sub(at) >= restorationWindow })
	if len(l.taken) >= l.most {
		return false
	}
	l.taken = append(l.taken, now)
	return true
}
