// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// The documentation of the shipped configurations.

var environmentVariable = regexp.MustCompile(`\$\{env:(\w+)`)

// sample returns a value that a variable may have.
func sample(variable string) string {
	switch {
	case variable == "EXPORTER":
		return "otlp_http"
	case strings.HasSuffix(variable, "_ENDPOINT") && !strings.HasPrefix(variable, "GATEWAY") &&
		!strings.HasPrefix(variable, "LISTEN") && !strings.HasPrefix(variable, "HEALTH") && variable != "OTLP_ENDPOINT":
		return "https://backend.example.com:1234/path"
	case strings.HasSuffix(variable, "_ENDPOINT"), strings.HasSuffix(variable, "_BROKERS"):
		return "host.example.com:1234"
	case strings.HasSuffix(variable, "_PORT"), strings.HasSuffix(variable, "_MIB"):
		return "512"
	}
	return "/some/value" // a path, a token
}

// Every environment variable that a configuration uses can be set, and the documentation
// mentions it.
func TestVariablesOfConfigs(t *testing.T) {
	t.Parallel()
	documented := make(map[string]bool) // names that are formatted as code
	pages, err := filepath.Glob(harness.Path("docs/*.md"))
	require.NoError(t, err)
	for _, page := range append(pages, harness.Path("README.md")) {
		var text []byte
		text, err = os.ReadFile(page)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile("`([A-Z_]+)`").FindAllStringSubmatch(string(text), -1) {
			documented[match[1]] = true
		}
	}
	files, err := filepath.Glob(harness.Path("configs/*.yaml"))
	require.NoError(t, err)
	fleets, err := filepath.Glob(harness.Path("configs/fleet/*.yaml"))
	require.NoError(t, err)
	for _, path := range append(files, fleets...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			environment := os.Environ()
			for _, match := range environmentVariable.FindAllStringSubmatch(string(text), -1) {
				assert.True(t, documented[match[1]], "%s is documented", match[1])
				environment = append(environment, match[1]+"="+sample(match[1]))
			}
			options := []func(*exec.Cmd){
				collector.Arguments("validate", "--config", path),
				func(command *exec.Cmd) { command.Env = environment },
			}
			if filepath.Base(filepath.Dir(path)) == "fleet" {
				options = append(options, shipped.Stock(t))
			}
			said, code := collector.Run(t, options...)
			assert.Zero(t, code, said)
		})
	}
}
