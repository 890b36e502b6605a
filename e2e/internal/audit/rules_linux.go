// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package audit

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// AddRule installs a rule until the test ends.
func AddRule(t *testing.T, rule string) {
	t.Helper()
	Auditctl(t, append([]string{"-a"}, strings.Fields(rule)...)...)
	t.Cleanup(func() { Auditctl(t, append([]string{"-d"}, strings.Fields(rule)...)...) })
}

// LoadRules installs the rules of a file until the test ends.
func LoadRules(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(data)) {
		if rule, ok := strings.CutPrefix(line, "-a "); ok {
			AddRule(t, rule)
		}
	}
	Auditctl(t, "-e", "1")
}
