// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	messagePattern = regexp.MustCompile("`([^`]+)`")
	metricRow      = regexp.MustCompile("^`(otelcol|…)_")
)

// Each message in docs/troubleshooting.md is in our source, or a test expects it.
func TestMessagesAreReal(t *testing.T) {
	t.Parallel()
	source := sourceText(t)
	page, err := os.ReadFile(harness.Path("docs/troubleshooting.md"))
	require.NoError(t, err)
	checked := 0
	for line := range strings.Lines(string(page)) {
		cell, _, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		if !isRow || !strings.HasPrefix(line, "| ") || metricRow.MatchString(cell) {
			continue
		}
		checked += assertMessages(t, source, line, messagePattern.FindAllStringSubmatch(cell, -1))
	}
	assert.Greater(t, checked, 50, "messages in the tables")
}

// The last column of docs/permissions.md says what happens without a right. What has at least three
// words there is a message.
func TestMessagesAboutPermissionsAreReal(t *testing.T) {
	t.Parallel()
	source := sourceText(t)
	page, err := os.ReadFile(harness.Path("docs/permissions.md"))
	require.NoError(t, err)
	checked := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) != 3 {
			continue
		}
		messages := messagePattern.FindAllStringSubmatch(cells[2], -1)
		messages = slices.DeleteFunc(messages, func(match []string) bool {
			return len(strings.Fields(match[1])) < 3 || strings.HasPrefix(match[1], `"`) // "by": "all calls" is a field
		})
		checked += assertMessages(t, source, line, messages)
	}
	assert.Greater(t, checked, 15, "messages in the tables")
}

// assertMessages checks that the source has the parts of messages between ellipses, and returns how
// many parts there were.
func assertMessages(t *testing.T, source source, line string, messages [][]string) int {
	t.Helper()
	checked := 0
	for _, match := range messages {
		for part := range strings.SplitSeq(match[1], "…") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			if !strings.ContainsAny(match[1], " …") { // a single word must be a whole literal: many texts contain it
				part = "\n" + part + "\n"
			}
			assert.Contains(t, source, part, "%s", line)
			checked++
		}
	}
	return checked
}

// sourceText returns the string literals of all programs and tests, with concatenated literals
// joined. Names do not count: io.EOF is no message.
func sourceText(t *testing.T) source {
	t.Helper()
	text := new(strings.Builder)
	text.WriteByte('\n')
	require.NoError(t, filepath.WalkDir(harness.Path(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			literal, ok := node.(ast.Expr)
			if !ok {
				return true
			}
			part, joined := quoted(literal)
			if joined {
				text.WriteString(part + "\n")
			}
			return !joined
		})
		return nil
	}))
	return source(text.String())
}

// quoted returns the text of a literal, or of concatenated literals.
func quoted(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok := quoted(e.X)
		right, too := quoted(e.Y)
		return left + right, ok && too && e.Op == token.ADD
	default:
		return "", false
	}
}

// source is a text that is too long to print when a test fails.
type source string

// GoString implements fmt.GoStringer.
func (source) GoString() string { return "the source" }
