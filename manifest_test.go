// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readText(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(text)
}

// TestOneVersion compares all places that say the version with the distribution's.
func TestOneVersion(t *testing.T) {
	t.Parallel()
	version := readYAML(t, "builder-config.yaml")["dist"].(map[string]any)["version"].(string)
	module := "github.com/auditkill/auditkillreceiver v" + version + "\n"
	for _, path := range []string{"builder-config.yaml", "README.md", "docs/byo.md", "deploy/ocb/builder-config.yaml"} {
		text := readText(t, path)
		assert.Equal(t, strings.Count(text, "gomod: github.com/auditkill/"), strings.Count(text, module), path)
		assert.Contains(t, text, module, path)
	}
	assert.Contains(t, readText(t, "docs", "byo.md"), "cmd/auditkill@v"+version+"\n")
	changes := readText(t, "CHANGELOG.md")
	assert.True(t, strings.Contains(changes, "## "+version+"\n") || strings.Contains(changes, "## Unreleased: "+version+"\n"),
		"CHANGELOG.md does not say what is in "+version)
}

// TestNoConfigurationOverHTTP keeps the provider out that the builder adds to a manifest without providers.
func TestNoConfigurationOverHTTP(t *testing.T) {
	t.Parallel()
	var providers []string
	for _, provider := range readYAML(t, "builder-config.yaml")["providers"].([]any) {
		module, _, _ := strings.Cut(provider.(map[string]any)["gomod"].(string), " ")
		providers = append(providers, path.Base(module))
	}
	assert.ElementsMatch(t, []string{"envprovider", "fileprovider", "httpsprovider", "yamlprovider"}, providers,
		"whoever can change what comes over http would decide what runs as root")
}

// TestOwnCollectorPage compares docs/byo.md with the files that an end-to-end test builds and runs.
func TestOwnCollectorPage(t *testing.T) {
	t.Parallel()
	page := readText(t, "docs", "byo.md")
	for _, name := range []string{"builder-config.yaml", "config.yaml"} {
		assert.Contains(t, page, "```yaml\n"+readText(t, "deploy", "ocb", name)+"```\n", name)
	}
	module := readText(t, "go.mod")
	for _, directive := range []string{"replace ", "replace(", "exclude ", "exclude("} {
		assert.NotContains(t, module, "\n"+directive, "go install refuses a module with it")
	}
}
