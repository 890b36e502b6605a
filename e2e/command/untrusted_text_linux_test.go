// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Whatever names, paths and command lines are in a log (testdata/forged.log), they stay in their
// place in each format, in the messages beside it, and in a picture.
func TestReportOfUntrustedText(t *testing.T) {
	t.Parallel()
	path := harness.Path("testdata/forged.log")
	for _, by := range []string{"", "sender", "target", "user", "signal", "hour"} {
		for _, format := range []string{"table", "json", "csv"} {
			t.Run(strings.TrimSpace(format+" "+by), func(t *testing.T) {
				t.Parallel()
				arguments := []string{"report", "--command-line", "full", "-o", format, path}
				if by != "" {
					arguments = append(arguments, "--by", by)
				}
				command := exec.CommandContext(t.Context(), companion, arguments...) //nolint:gosec // the command under test
				printed, err := command.CombinedOutput()
				require.NoError(t, err)
				harness.AssertNothingForged(t, string(printed))
				out := auditkill(t, nil, arguments...)
				switch format {
				case "json":
					assertValuesInPlace(t, out)
				case "csv":
					assertCellsRunNothing(t, out)
				}
			})
		}
	}
}

// assertValuesInPlace asserts that also a program that prints values of JSON prints nothing forged.
func assertValuesInPlace(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object))
		for _, value := range object {
			switch value := value.(type) {
			case string:
				harness.AssertNothingForged(t, value)
			case []any:
				for _, each := range value {
					harness.AssertNothingForged(t, each.(string))
				}
			}
		}
	}
}

var formulaPattern = regexp.MustCompile("^[ \"']*[=+@\t\r-]")

// assertCellsRunNothing asserts that no cell is one that a spreadsheet would run.
func assertCellsRunNothing(t *testing.T, out string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	for _, row := range rows {
		for _, cell := range row {
			assert.False(t, formulaPattern.MatchString(cell) && !strings.HasPrefix(cell, "'"), cell)
		}
	}
}

// On a terminal, each line is a row of the table, or what did not fit into one, which is indented.
func TestUntrustedTextOnATerminal(t *testing.T) {
	t.Parallel()
	require.FileExists(t, companion, "`make auditkill` builds it")
	for _, columns := range []int{80, 200} {
		screen, _ := terminalOf(t, columns, 0, []string{"TZ=UTC"}, "report", harness.Path("testdata/forged.log"))
		harness.AssertNothingForged(t, strings.Join(screen, "\n"))
		rows := 0
		for _, line := range screen[1:] {
			if strings.HasPrefix(line, "auditkill: ") {
				break
			}
			assert.Regexp(t, `^((2023-)?11-14 22:13:2|    [^ ])`, line, "%d columns", columns)
			if line[0] != ' ' {
				rows++
			}
		}
		assert.Equal(t, 5, rows, "%d columns", columns)
	}
}

// A picture has the names of senders, and the SVG is text.
func TestUntrustedTextInAPicture(t *testing.T) {
	t.Parallel()
	for _, extension := range []string{"svg", "png"} {
		path := filepath.Join(t.TempDir(), "kills."+extension)
		auditkill(t, nil, "report", "--plot", path, harness.Path("testdata/forged.log"))
		picture, err := os.ReadFile(path)
		require.NoError(t, err)
		if extension == "svg" {
			harness.AssertNothingForged(t, string(picture))
			assert.Contains(t, string(picture), `/tmp/exe\nFORGED exe`)
		}
	}
}
