// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"fmt"
	"strings"
)

func text(format string, arguments ...any) string { return fmt.Sprintf(format, arguments...) }

// size returns a number of bytes for people.
func size(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return text("%d B", bytes)
	}
	value, at := float64(bytes)/unit, 0
	for value >= unit {
		value /= unit
		at++
	}
	return text("%.1f %ciB", value, "KMGTPE"[at])
}

// quote returns a path as one word of a shell.
func quote(path string) string {
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("/._-+,@%:=", c)
	}
	if path != "" && strings.IndexFunc(path, func(c rune) bool { return !plain(c) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

// lacks reports missing capabilities, and how to grant them.
func (f *Facts) lacks(source string, missing []string) Finding {
	short := make([]string, 0, len(missing))
	for _, name := range missing {
		short = append(short, strings.TrimPrefix(name, "CAP_"))
	}
	who, first := text("user %d lacks %s", f.UserID, strings.Join(missing, " and ")), "sudo auditkill watch --source "+source
	give := "run it as root; a collector gets it from a line in its unit, in Kubernetes from " +
		"securityContext.capabilities.add: [%s] and runAsUser: 0"
	if f.UserID == 0 {
		first = "docker run --cap-add " + strings.Join(short, " --cap-add ")
		give = "a container or a unit has taken it from root; in Kubernetes, securityContext.capabilities.add: [%s] gives it back"
	}
	what := who + ": " + text(give, strings.Join(short, ", "))
	return finding(what, first, "AmbientCapabilities="+strings.Join(missing, " "))
}

// elsewhere reports a namespace that is not the host's.
func elsewhere(kind, settings string) Finding {
	return finding(text("this process is not in the initial %s namespace: %s", kind, settings))
}

// The settings that keep a process in the namespaces of the host.
const (
	settingsUser = "with systemd set PrivateUsers=no, in Kubernetes hostUsers: true, with rootless Docker or Podman run it as root"
	settingsPID  = "with Docker set --pid=host, in Kubernetes hostPID: true, with systemd PrivatePIDs=no"
	settingsNet  = "with Docker set --network=host, in Kubernetes hostNetwork: true, with systemd PrivateNetwork=no"
)
