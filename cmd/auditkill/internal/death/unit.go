// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"fmt"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// Unit is what systemd says about a unit now.
type Unit struct {
	Name  string `json:"name"`
	State string `json:"active_state"`
	// MainPID is the pid of its main process, 0 if there is none, Since is when it became active, as systemctl
	// prints it.
	MainPID int    `json:"main_pid,omitempty"`
	Since   string `json:"active_since,omitempty"`
}

func (u *Unit) String() string {
	if u.MainPID == 0 {
		return fmt.Sprintf("Now %s is %s, without a main process.", visible.Name(u.Name), u.State)
	}
	return fmt.Sprintf("Now %s is %s, its main process has pid %d, since %s.", visible.Name(u.Name), u.State, u.MainPID, u.Since)
}
