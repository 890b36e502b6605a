// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A kind that is missing in the list is missing in all the tests that use it.
func TestKindsAreAll(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, kind := range Kinds() {
		assert.True(t, strings.HasPrefix(string(kind), "kill."), kind)
		name := strings.TrimPrefix(string(kind), "kill.")
		listed["Kind"+strings.ToUpper(name[:1])+name[1:]] = true
	}
	assert.Len(t, listed, len(Kinds()))
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	require.NoError(t, err)
	declared := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Kind" {
				declared[spec.Names[0].Name] = true
			}
		}
		return true
	})
	assert.Equal(t, declared, listed)
}

// Each kind that makes log records is in the pages for users.
func TestKindsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/events.md", "metadata.yaml", "documentation.md"} {
		text, err := os.ReadFile("../../" + page)
		require.NoError(t, err)
		for _, kind := range Kinds() {
			if kind != KindCall { // it is a span only
				assert.Contains(t, string(text), string(kind), page)
			}
		}
	}
}
