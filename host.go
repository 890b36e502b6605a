// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"os"
	"runtime"
	"strings"

	"go.opentelemetry.io/collector/receiver"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// passwdPath names the host's users.
const passwdPath = "/etc/passwd"

// newLogs returns the conversion to log records of this host.
func newLogs(config *Config, set *receiver.Settings) *telemetry.Logs {
	name, _ := os.Hostname() // an unknown name is left out
	return telemetry.NewLogs(telemetry.Config{
		HostName:     name,
		HostID:       machineID(),
		OSType:       runtime.GOOS,
		ScopeName:    metadata.ScopeName,
		ScopeVersion: set.BuildInfo.Version,
		CommandLine:  telemetry.CommandLine(config.CommandLine),
	})
}

// machineID returns what identifies this installation (machine-id(5)); the
// second path is where D-Bus keeps it on hosts without systemd. Empty if the
// host has none.
func machineID() string {
	for _, path := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id, err := os.ReadFile(path); err == nil {
			if id := strings.TrimSpace(string(id)); id != "" && id != "uninitialized" {
				return id
			}
		}
	}
	return ""
}
