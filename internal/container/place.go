// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// idLength is the length of the ids of all runtimes whose files are read here.
const idLength = 64

// isID reports whether a text is the id of a container. It then is safe as a part of a path.
func isID(text string) bool { return len(text) == idLength && isHex(text) }

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// inPlace reports whether a process is where the runtime has put its container: cgroupsPath of the runtime
// specification (config-linux.md), or empty if that is not known. Paths are compared from the folder with the
// container's id upwards, because those of containers in containers, and those that /proc shows in a cgroup namespace,
// begin elsewhere.
func inPlace(cgroupsPath, id string, i *kill.Instance) bool {
	if cgroupsPath == "" {
		// A unit may be given its control group to make folders there (Delegate=, systemd.resource-control(5)).
		return i.Unit == "" || strings.Contains(i.Unit, id)
	}
	actual := strings.Split(i.Cgroup, "/")
	last := slices.IndexFunc(actual, func(name string) bool { return strings.Contains(name, id) })
	if last < 0 {
		return false
	}
	wanted := wantedPlace(cgroupsPath, strings.Contains(actual[last], ":"))
	for at := 0; at < len(wanted) && at <= last; at++ {
		here := actual[last-at]
		if here == "" || here == ".." {
			return true // above, the kernel does not show it
		}
		if here != wanted[len(wanted)-1-at] {
			return false
		}
	}
	return true
}

// wantedPlace returns the folders of a cgroupsPath. slice:prefix:name is a scope in a slice of systemd, unless the
// runtime does not use systemd, and takes it literally (runc, libcontainer/cgroups/systemd).
func wantedPlace(cgroupsPath string, literal bool) []string {
	parts := strings.Split(cgroupsPath, ":")
	if len(parts) != 3 || literal {
		return strings.Split(strings.Trim(cgroupsPath, "/"), "/")
	}
	scope := parts[2] + ".scope"
	if parts[1] != "" {
		scope = parts[1] + "-" + scope
	}
	if parts[0] == "" || parts[0] == "-.slice" {
		return []string{scope}
	}
	return []string{parts[0], scope}
}
