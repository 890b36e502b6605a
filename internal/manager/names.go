// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"strconv"
	"strings"
)

const (
	// unitsPath is below which systemd has an object for each unit, jobsPath for each job.
	unitsPath = "/org/freedesktop/systemd1/unit/"
	jobsPath  = "/org/freedesktop/systemd1/job/"
	// maxUnitName is UNIT_NAME_MAX of systemd, with the NUL after it.
	maxUnitName = 256
	// maxWord is the longest state, result or type that is believed.
	maxWord = 64
)

// unitOfPath returns the name of the unit that an object path is of; empty if it is of none.
func unitOfPath(path string) string {
	label, ok := strings.CutPrefix(path, unitsPath)
	if !ok {
		return ""
	}
	return unitName(unescape(label))
}

// jobOfPath returns the number of the job that an object path is of; 0 if it is of none.
func jobOfPath(path string) uint32 {
	label, ok := strings.CutPrefix(path, jobsPath)
	if !ok {
		return 0
	}
	id, err := strconv.ParseUint(label, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(id)
}

// unescape undoes systemd's escaping of a label of an object path (sd_bus_path_encode(3)): a byte other than a
// letter or a digit is an underscore with two hexadecimal digits, nothing is a single underscore.
func unescape(label string) string {
	if label == "_" {
		return ""
	}
	var name strings.Builder
	for i := 0; i < len(label); i++ {
		if label[i] == '_' && i+2 < len(label) {
			if b, err := strconv.ParseUint(label[i+1:i+3], 16, 8); err == nil {
				name.WriteByte(byte(b))
				i += 2
				continue
			}
		}
		name.WriteByte(label[i])
	}
	return name.String()
}

// unitName returns a name if a unit can have it (systemd.unit(5)), and otherwise nothing.
func unitName(name string) string {
	if len(name) >= maxUnitName || strings.IndexByte(name, '.') < 1 {
		return ""
	}
	for i := range len(name) {
		if !alphanumeric(name[i]) && strings.IndexByte(`:-_.\@`, name[i]) < 0 {
			return ""
		}
	}
	return name
}

// word returns a state, result or type if systemd can have such a one, and otherwise nothing.
func word(text string) string {
	if len(text) > maxWord {
		return ""
	}
	for i := range len(text) {
		if !alphanumeric(text[i]) && text[i] != '-' && text[i] != '_' {
			return ""
		}
	}
	return text
}

func alphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z'
}

// hasProcesses reports whether units of this kind have processes, so that it matters what becomes of them.
func hasProcesses(unit string) bool {
	switch unit[strings.LastIndexByte(unit, '.')+1:] {
	case "service", "scope", "socket", "mount", "swap":
		return true
	}
	return false
}
