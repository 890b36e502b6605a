// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// parseCgroups chooses the most informative path in /proc/<pid>/cgroup, with the same preferences
// as the kernel side of the ebpf source: cgroup v2, then those hierarchies of v1 that container
// runtimes and systemd use. A root group is not informative. It returns an empty path if there is
// none of them.
func parseCgroups(data []byte) string {
	var best string
	rank := 0
	for line := range strings.Lines(string(data)) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		path = cleanCgroup(path)
		r := rankOf(id, controllers)
		if r > 0 && path != "/" {
			r += notRoot
		}
		if r > rank {
			best, rank = path, r
		}
	}
	return best
}

// notRoot ranks any informative group above any root.
const notRoot = 10

func rankOf(id, controllers string) int {
	if id == "0" {
		return 4
	}
	rank := 0
	for controller := range strings.SplitSeq(controllers, ",") {
		switch controller {
		case "memory":
			rank = max(rank, 3)
		case "pids":
			rank = max(rank, 2)
		case "name=systemd":
			rank = max(rank, 1)
		}
	}
	return rank
}

// cgroupIn returns the path in one hierarchy.
func cgroupIn(data []byte, hierarchy int) (string, bool) {
	number := strconv.Itoa(hierarchy)
	for line := range strings.Lines(string(data)) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if _, path, ok := strings.Cut(rest, ":"); ok && id == number {
			return cleanCgroup(path), true
		}
	}
	return "", false
}

// cleanCgroup cleans the path of a group that was removed, or that is seen from within a cgroup
// namespace. There, groups outside of the namespace begin with /.., and the beginning of their real
// path is not known.
func cleanCgroup(path string) string {
	path = withoutDeleted(path)
	for path == "/.." || strings.HasPrefix(path, "/../") {
		path = path[len("/.."):]
	}
	if path == "" {
		return "/"
	}
	return path
}

// parseHierarchies returns the number of each v1 hierarchy by controller from /proc/cgroups.
func parseHierarchies(data []byte) map[string]int {
	numbers := make(map[string]int)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' {
			continue
		}
		if number, err := strconv.Atoi(fields[1]); err == nil && number > 0 {
			numbers[fields[0]] = number
		}
	}
	return numbers
}

// parseCursor returns the last pid that was given out from /proc/loadavg, which procfs leaves out.
func parseCursor(data []byte) (int, bool) {
	fields := bytes.Fields(data)
	if len(fields) < 5 {
		return 0, false
	}
	cursor, err := strconv.Atoi(string(fields[4]))
	return cursor, err == nil && cursor > 0
}

// parseBirths returns from /proc/stat how many processes and threads have been created since boot.
// procfs would also parse the counters of all processors and interrupts.
func parseBirths(data []byte) (int, bool) {
	_, rest, ok := bytes.Cut(data, []byte("\nprocesses "))
	if !ok {
		return 0, false
	}
	number, _, _ := bytes.Cut(rest, []byte("\n"))
	births, err := strconv.Atoi(string(number))
	return births, err == nil && births > 0
}

// parseStatus returns the values of a line of /proc/<pid>/status. Names are escaped there, so no
// name can look like a line.
func parseStatus(data []byte, key string) []string {
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Fields(rest)
		}
	}
	return nil
}

// parseID parses a user or session id.
func parseID(text string) kill.ID {
	value, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return kill.ID{}
	}
	return kill.NewID(uint32(value))
}

// trimCommandLine limits the length of a command line, and removes what a process that writes its
// own title leaves after that. Because this looks like empty arguments at the end, those are
// removed, too, whatever the source.
func trimCommandLine(line string) string {
	line = line[:min(len(line), maxCommandLine)]
	trimmed := strings.TrimRight(line, "\x00")
	if trimmed == "" {
		return ""
	}
	return line[:min(len(trimmed)+1, len(line))]
}
