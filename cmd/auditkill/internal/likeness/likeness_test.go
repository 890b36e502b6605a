// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package likeness

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"mysqld", "mysqld_safe", "mariadbd", "nginx", "sh", "java", "MySQL"}
	for asked, want := range map[string][]string{
		"mysql":  {"MySQL", "mysqld", "mysqld_safe"},
		"mysqdl": {"MySQL", "mysqld"},
		"ngnix":  {"nginx"},
		"jav":    {"java"},
		"x":      nil,
		"":       nil,
		"mysqld": {"MySQL", "mysqld_safe"},
	} {
		assert.Equal(t, want, Nearest(asked, slices.Values(names)), asked)
	}
}
