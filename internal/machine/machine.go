// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package machine identifies the host.
package machine

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Machine is the host that this process runs on.
type Machine struct {
	// Name and ID are empty if they are not known.
	Name, ID string
	// OS is the value of os.type.
	OS string
	// Passwd is the file that names its users.
	Passwd string
	// Executable is the program that this process runs; empty if not known.
	Executable string
	// Boot identifies the current boot; empty if not known.
	Boot string
}

// Same compares a name that auditd wrote with a host's; one of them may be fully qualified (auditd.conf(5), name_format).
func Same(node, host string) bool {
	shortNode, _, longNode := strings.Cut(node, ".")
	shortHost, _, longHost := strings.Cut(host, ".")
	if longNode && longHost {
		return strings.EqualFold(node, host)
	}
	return strings.EqualFold(shortNode, shortHost)
}

// This describes the host whose root directory is mounted at root, or this one if root is
// empty.
func This(root string) Machine {
	executable, _ := os.Executable()
	// machine-id(5); the second path is where D-Bus keeps it on hosts without
	// systemd.
	return Machine{
		Name:       hostname(root),
		OS:         runtime.GOOS,
		ID:         machineID(filepath.Join(root, "/etc/machine-id"), filepath.Join(root, "/var/lib/dbus/machine-id")),
		Passwd:     filepath.Join(root, "/etc/passwd"),
		Executable: executable,
		Boot:       bootID(),
	}
}

// bootID returns the kernel's random id of this boot, which is the same in all
// containers (random(4)).
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // there is none except on Linux
	return strings.TrimSpace(string(id))
}

// hostname returns the name of the host. A container usually has a name of its own.
func hostname(root string) string {
	if root != "" {
		text, _ := os.ReadFile(filepath.Join(root, "/etc/hostname")) // a missing file is as good as an empty one
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' { // hostname(5)
				return line
			}
		}
	}
	name, _ := os.Hostname() // an unknown name is left out
	return name
}

// machineID returns the id of the installation, from the first file that has one; empty if
// none has.
func machineID(paths ...string) string {
	for _, path := range paths {
		if id, err := os.ReadFile(path); err == nil {
			if id := strings.TrimSpace(string(id)); id != "" && id != "uninitialized" {
				return id
			}
		}
	}
	return ""
}
