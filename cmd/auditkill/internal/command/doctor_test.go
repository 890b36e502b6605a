// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/diagnosis"
	"github.com/auditkill/auditkillreceiver/internal/capture"
)

// doctorJSON runs the command, whatever it may find out on this host.
func doctorJSON(t *testing.T, arguments ...string) *diagnosis.Report {
	t.Helper()
	out, code, err := execute(t, newDoctor(), append(arguments, "--output", "json")...)
	require.NoError(t, err)
	var r diagnosis.Report
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&r))
	usable := false
	for _, s := range r.Sources {
		usable = usable || s.Usable
	}
	assert.Equal(t, usable, r.Usable)
	assert.Equal(t, map[bool]int{true: exitFound, false: exitNothing}[usable], code)
	return &r
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	path := filepath.Join(root, capture.DefaultLog)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, []byte("type=X\n"), 0o600))

	r := doctorJSON(t, "--root-path", root)
	assert.Equal(t, path, r.Facts.Log.Path, "the log is expected where the host's files are")
	assert.Equal(t, diagnosis.LogReadable, r.Facts.Log.Problem)
	assert.True(t, r.Sources[3].Usable)

	r = doctorJSON(t, "--root-path", root, "--file", filepath.Join(root, "no.log"))
	assert.Equal(t, filepath.Join(root, "no.log"), r.Facts.Log.Path, "but not one that is named")
	assert.False(t, r.Sources[3].Usable)

	out, _, err := execute(t, newDoctor(), "--root-path", root)
	require.NoError(t, err)
	for _, source := range []string{
		diagnosis.SourceEBPF, diagnosis.SourceMulticast, diagnosis.SourceUnicast, diagnosis.SourceFile,
	} {
		assert.Contains(t, "\n"+out, "\n"+source+" ")
	}
	assert.Contains(t, out, path)
	assert.NotContains(t, out, "\x1b", "colors are for terminals")
}

func TestDoctorRefuses(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"an output":             {[]string{"--output", "csv"}, `--output: "csv" must be table or json`},
		"no output":             {[]string{"--output", ""}, "--output: is empty"},
		"an argument":           {[]string{"now"}, "unexpected argument \"now\"; see `doctor --help`"},
		"a log that is missing": {[]string{"--file"}, "--file"},
		"no log":                {[]string{"--file", ""}, "--file: is empty"},
		"no root":               {[]string{"--root-path", ""}, "--root-path: is empty"},
		"a missing root":        {[]string{"--root-path", filepath.Join(folder, "host")}, "/host does not exist; name the folder where"},
		"a root that is a file": {[]string{"--root-path", file}, "/file is not a folder"},
		"a root below a file":   {[]string{"--root-path", filepath.Join(file, "host")}, "--root-path: stat "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, code, err := execute(t, newDoctor(), tt.arguments...)
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, exitFailure, code)
			assert.Empty(t, out)
		})
	}
}

// The help promises what the JSON has.
func TestDoctorHelpTellsAllFields(t *testing.T) {
	t.Parallel()
	out, _, err := execute(t, newDoctor(), "--root-path", t.TempDir(), "--output", "json")
	require.NoError(t, err)
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &object))
	help := newDoctor().Long
	var check func(any)
	check = func(value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				assert.Contains(t, help, `"`+key+`"`)
				check(inner)
			}
		case []any:
			for _, inner := range v {
				check(inner)
			}
		}
	}
	check(object)
}
