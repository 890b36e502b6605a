// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"mistyped":       {[]string{"reprot"}, "unknown command \"reprot\""},
		"no such topic":  {[]string{"help", "nosuch"}, "unknown command \"nosuch\""},
		"nothing at all": {nil, "Available Commands"},
	} {
		var out, errs bytes.Buffer
		code := Execute(t.Context(), append([]string{}, tt.arguments...), nil, &out, &errs)
		assert.Equal(t, exitFailure, code, name)
		assert.Contains(t, errs.String(), tt.says, name)
		assert.Empty(t, out.String(), name)
	}
}
