// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// Number parses a number that a pattern has matched.
func Number(text string) int {
	n, _ := strconv.Atoi(text) // the patterns match only digits
	return n
}

// Exists reports whether a file exists.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// PublicDir returns a temporary folder that every user may enter.
func PublicDir(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	require.NoError(t, os.Chmod(directory, 0o755))
	require.NoError(t, os.Chmod(filepath.Dir(directory), 0o755))
	return directory
}

// CopyProgram copies a program, so that it runs under another path or for another user.
func CopyProgram(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	require.NoError(t, err)
	defer source.Close()
	program, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	require.NoError(t, err)
	_, err = program.ReadFrom(source)
	require.NoError(t, err)
	require.NoError(t, program.Close())
}

// ReadYAML decodes a YAML file of this repository.
func ReadYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(Path(path))
	require.NoError(t, err)
	values, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	raw, err := values.AsRaw()
	require.NoError(t, err)
	data, err := json.Marshal(raw)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}
