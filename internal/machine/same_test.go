// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSame(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		node, host string
		want       bool
	}{
		"the same": {"db1", "db1", true}, "another case": {"DB1", "db1", true}, "a qualified node": {"db1.example.com", "db1", true},
		"a qualified host": {"db1", "db1.example.com", true}, "both": {"db1.example.com", "DB1.example.com", true},
		"another domain": {"db1.example.com", "db1.example.org", false}, "another host": {"db2", "db1", false}, "unknown": {"db1", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, Same(tt.node, tt.host))
		})
	}
}
