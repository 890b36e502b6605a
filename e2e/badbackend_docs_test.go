// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	messagePattern       = regexp.MustCompile("`([^`]+)`")
	concatenationPattern = regexp.MustCompile("[\"`]\\s*\\+\\s*[\"`]")
	metricRow            = regexp.MustCompile("^`(otelcol|…)_")
)

// Each message in docs/troubleshooting.md is one of ours, or was seen by a test.
func TestMessagesAreReal(t *testing.T) {
	t.Parallel()
	source := sourceText(t)
	page, err := os.ReadFile("../docs/troubleshooting.md")
	require.NoError(t, err)
	checked := 0
	for line := range strings.Lines(string(page)) {
		cell, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !isRow || !strings.HasPrefix(line, "| ") || metricRow.MatchString(cell) {
			continue
		}
		for _, match := range messagePattern.FindAllStringSubmatch(cell, -1) {
			for part := range strings.SplitSeq(match[1], "…") {
				assert.Contains(t, source, strings.TrimSpace(part), "%s", line)
				checked++
			}
		}
	}
	assert.Greater(t, checked, 50, "messages in the tables")
}

// sourceText is that of all programs and tests, with texts that are put together from several joined.
func sourceText(t *testing.T) source {
	t.Helper()
	var text strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		data, err := os.ReadFile(path)
		text.Write(data)
		return err
	}))
	return source(strings.ReplaceAll(concatenationPattern.ReplaceAllString(text.String(), ""), `\"`, `"`))
}

// source is a text that is too long to be printed when a test fails.
type source string

// GoString implements fmt.GoStringer.
func (source) GoString() string { return "the source" }
