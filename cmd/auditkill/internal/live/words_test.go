// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// Whatever the parts that a watch is made of may say, it names no configuration file.
func TestWordsKnowAllThatIsSaid(t *testing.T) {
	t.Parallel()
	ofTheReceiver := regexp.MustCompile(`[a-z]::[a-z]|\bcollector|receive_buffer|ring_buffer|root_path|pipeline|use (mode|netlink)`)
	said := saidByParts(t)
	assert.Greater(t, len(said), 100)
	for _, text := range said {
		if got := plain(text); ofTheReceiver.MatchString(got) {
			assert.Failf(t, "not in the words of a person at a terminal", "%q is said as %q", text, got)
		}
	}
}

// What the parts do not say anymore, or another pair replaces first, is of no use.
func TestWordsAreNeeded(t *testing.T) {
	t.Parallel()
	said := saidByParts(t)
	for i := 0; i < len(pairs); i += 2 {
		others := strings.NewReplacer(slices.Concat(pairs[:i], pairs[i+2:])...)
		assert.True(t, slices.ContainsFunc(said, func(text string) bool { return others.Replace(text) != words.Replace(text) }),
			"%q changes nothing", pairs[i])
	}
}

// saidByParts returns what the parts that a watch is made of say to people.
func saidByParts(t *testing.T) (said []string) {
	t.Helper()
	for _, part := range []string{"auditrules", "auditcontrol", "exitwatch", "logfile", "outcome", "privilege", "process", "source"} {
		root := filepath.Join("..", "..", "..", "..", "internal", part)
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			said = append(said, texts(t, path)...)
			return nil
		}))
	}
	return said
}

// texts returns what a file says to people: its texts of more than one word, put together
// where they are added up.
func texts(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok {
			return true
		}
		text, ok := textOf(e)
		if ok && strings.Contains(text, " ") {
			found = append(found, text)
		}
		return !ok
	})
	return found
}

func textOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isLeft := textOf(e.X)
		right, isRight := textOf(e.Y)
		return left + right, isLeft && isRight
	}
	return "", false
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var s said
	logger := newLogger(s.say).With(zap.Int("pid", 7))
	logger.Info("started")
	logger.Warn("audit records were lost, as the socket's buffer was full: raise netlink::receive_buffer",
		zap.Int64("times", 2), zap.String("of_whom", "evil\x1b[0m"))
	logger.Error("cannot read", zap.Error(errors.Join(errBroken, errors.New("the collector is tired"))))
	assert.Equal(t, []string{
		`warning: audit records were lost, as the socket's buffer was full; ask for fewer with --signal (of whom evil\x1b[0m, pid 7, times 2)`,
		"warning: cannot read: broken; auditkill is tired (pid 7)",
	}, s.all())
	require.NoError(t, logger.Sync())
}
