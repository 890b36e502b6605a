// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"go.opentelemetry.io/collector/receiver"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// machine is the host that the collector runs on.
type machine struct {
	// name and id are empty if they are not known.
	name, id string
	// os is the value of os.type.
	os string
	// passwd is the file that names its users.
	passwd string
	// executable is the program that the collector runs; empty if not known.
	executable string
	// boot names this run of the kernel; empty if not known.
	boot string
}

// thisMachine asks the operating system of the host whose root directory is at
// root, or of this one if root is empty.
func thisMachine(root string) machine {
	executable, _ := os.Executable()
	// machine-id(5); the second path is where D-Bus keeps it on hosts without
	// systemd.
	return machine{
		name:   hostname(root),
		os:     runtime.GOOS,
		id:     machineID(filepath.Join(root, "/etc/machine-id"), filepath.Join(root, "/var/lib/dbus/machine-id")),
		passwd: filepath.Join(root, "/etc/passwd"),

		executable: executable,
		boot:       bootID(),
	}
}

// bootID returns the kernel's random id of this boot, which is the same in all
// containers (random(4)).
func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // elsewhere than on Linux there is none
	return strings.TrimSpace(string(id))
}

// hostname returns the name of the host. A container mostly has one of its own.
func hostname(root string) string {
	if root != "" {
		text, _ := os.ReadFile(filepath.Join(root, "/etc/hostname")) // not there: as good as empty
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' { // hostname(5)
				return line
			}
		}
	}
	name, _ := os.Hostname() // an unknown name is left out
	return name
}

// machineID returns what identifies this installation: the first of the files
// that says so. Empty if none does.
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

// telemetryConfig says how events of this host are turned into telemetry.
func telemetryConfig(config *Config, set *receiver.Settings, host machine) telemetry.Config {
	return telemetry.Config{
		HostName:     host.name,
		HostID:       host.id,
		OSType:       host.os,
		ScopeName:    metadata.ScopeName,
		ScopeVersion: set.BuildInfo.Version,
		CommandLine:  telemetry.CommandLine(config.CommandLine),
	}
}
