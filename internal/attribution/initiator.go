// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"path"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// entries are the programs from which people and timers enter a host: what runs below them was begun by
// somebody.
var entries = map[string]bool{
	"systemd": true, "init": true, "sshd": true, "sshd-session": true, "login": true, "cron": true, "crond": true, "CRON": true,
	"atd": true, "anacron": true, "tmux: server": true, "screen": true, "SCREEN": true, "containerd-shim": true, "conmon": true,
	"gdm-session-wor": true, "sddm-helper": true, "lightdm": true, "agetty": true, "getty": true, "inetd": true, "xinetd": true,
	"in.telnetd": true, "dropbear": true, "runsv": true, "s6-supervise": true, "supervisord": true, "kubelet": true,
}

var shells = map[string]bool{
	"sh": true, "bash": true, "dash": true, "zsh": true, "ksh": true, "ksh93": true, "mksh": true, "fish": true, "ash": true,
	"busybox": true, "tcsh": true, "csh": true, "rbash": true,
}

// initiatorOf returns the outermost of the parents below the login shell, cron or unit; nil if there is none,
// or if the parents do not reach that far. It is one of the list.
func initiatorOf(parents []kill.Ancestor) *kill.Ancestor {
	for i := range parents {
		if parents[i].Title == "" && shells[parents[i].Command] {
			return nil // somebody may type in it, or it may run a script
		}
		if !entered(parents, i) {
			continue
		}
		if i == 0 {
			return nil
		}
		return &parents[i-1]
	}
	return nil
}

// entered reports whether a parent is where somebody came in: an entry, the shell that it has started, or
// a shell in which somebody types.
func entered(parents []kill.Ancestor, i int) bool {
	switch shellOf(&parents[i]) {
	case noShell:
		return entry(&parents[i])
	case interactive:
		return true
	case ofCommand:
		return i+1 < len(parents) && entry(&parents[i+1])
	}
	return false
}

// entry reports whether a process is an entry. Names are cut to 15 bytes.
func entry(a *kill.Ancestor) bool {
	return a.PID == 1 || entries[a.Command] || strings.HasPrefix(a.Command, "containerd-shim")
}

type shell uint8

const (
	noShell shell = iota
	// interactive is a shell that reads what somebody types, as far as is known.
	interactive
	// ofCommand is one that runs its argument (-c), ofScript one that runs a file.
	ofCommand
	ofScript
)

// shellOf returns how a process is a shell.
func shellOf(a *kill.Ancestor) shell {
	words := strings.Split(strings.TrimRight(a.Title, "\x00"), "\x00")
	program := path.Base(strings.TrimPrefix(words[0], "-"))
	if !shells[program] {
		return noShell
	}
	for _, word := range words[1:] {
		switch {
		case word == "--":
		case strings.HasPrefix(word, "--"):
		case strings.HasPrefix(word, "-") || strings.HasPrefix(word, "+"):
			if strings.Contains(word, "c") {
				return ofCommand
			}
		case program == "busybox" && shells[word]:
		default:
			return ofScript
		}
	}
	return interactive
}
