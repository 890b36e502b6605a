// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// execute runs one command and returns what it has printed, and its exit code.
func execute(t *testing.T, cmd *cobra.Command, arguments ...string) (out string, code int, err error) {
	t.Helper()
	out, errs, code, err := executeLoudly(t, cmd, arguments...)
	assert.Empty(t, errs)
	return out, code, err
}

// executeLoudly is execute for a command that says something on standard error.
func executeLoudly(t *testing.T, cmd *cobra.Command, arguments ...string) (out, errs string, code int, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.SetArgs(append([]string{}, arguments...)) // of none it would take those of the test
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true // as in the root command
	err = cmd.ExecuteContext(t.Context())
	var exit exitError
	switch {
	case err == nil:
		return stdout.String(), stderr.String(), exitFound, nil
	case errors.As(err, &exit):
		return stdout.String(), stderr.String(), int(exit), nil
	}
	return stdout.String(), stderr.String(), exitTrouble, err
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}
