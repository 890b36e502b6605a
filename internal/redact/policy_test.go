// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestApply(t *testing.T) {
	t.Parallel()
	const title = "mysql\x00--password=hunter2\x00"
	assert.Equal(t, "mysql\x00--password=***\x00", Redacted.Apply(title))
	assert.Equal(t, "mysql", Program.Apply(title))
	assert.Equal(t, title, Full.Apply(title))
	assert.Empty(t, Off.Apply(title))
	for _, policy := range Policies() {
		assert.True(t, policy.Known())
		assert.Empty(t, policy.Apply(""))
	}
	assert.False(t, Policy("some").Known())
}

func TestProgram(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ title, want string }{
		"arguments":         {"/opt/my app/run\x00a\x00b", "/opt/my app/run"},
		"no arguments":      {"run", "run"},
		"title of its own":  {"nginx: worker process", "nginx:"},
		"with NULs at last": {"nginx: worker process\x00\x00\x00", "nginx:"},
		"empty first":       {"\x00hunter2", ""},
		"secret in front":   {"a://b:hunter2@c\x00d", "a://b:***@c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, Program.Apply(tt.title))
		})
	}
}
