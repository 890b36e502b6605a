// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Other32 maps an architecture to the 32-bit one whose programs it may run.
var Other32 = map[string]string{"amd64": "386", "arm64": "arm"}

// sendersVariable names the folder where the sending programs are, on a machine
// that has no Go to build them.
const sendersVariable = "AUDITKILL_E2E_SENDERS"

// NativeSender builds the senders' program for this architecture, and returns its path.
func NativeSender(t *testing.T) string {
	t.Helper()
	return BuildSender(t, runtime.GOARCH)
}

// BuildSender builds the senders' program for an architecture, and returns its path.
func BuildSender(t *testing.T, architecture string) string {
	t.Helper()
	name := "sender-" + architecture
	if prebuilt := os.Getenv(sendersVariable); prebuilt != "" {
		return filepath.Join(prebuilt, name)
	}
	program := filepath.Join(harness.PublicDir(t), name)
	command := exec.CommandContext(t.Context(), "go", "build", "-o", program, harness.Module("sender")) //nolint:gosec // a test's own
	command.Env = append(os.Environ(), "GOARCH="+architecture, "CGO_ENABLED=0")
	said, err := command.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return program
}

// auditArch returns the audit system's name for the architecture of a program.
func auditArch(program string) string {
	names := map[string]string{"386": "i386", "amd64": "x86_64", "arm": "arm", "arm64": "aarch64"}
	_, architecture, _ := strings.Cut(filepath.Base(program), "-")
	if name, ok := names[architecture]; ok {
		return name
	}
	return names[runtime.GOARCH]
}
