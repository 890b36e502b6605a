// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRecords(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "type=SYSCALL msg=x: a0=1\ntype=PROCTITLE msg=x: proctitle=***\ntype=OBJ_PID msg=x: opid=1",
		Records("type=SYSCALL msg=x: a0=1\ntype=PROCTITLE msg=x: proctitle=4142\ntype=OBJ_PID msg=x: opid=1"))
	assert.Equal(t, "type=PROCTITLE msg=x: proctitle=***", Records(`type=PROCTITLE msg=x: proctitle="a b"`))
	assert.Equal(t, "audit(1.1:1):proctitle=***", Records("audit(1.1:1):proctitle=41"))
	assert.Equal(t, "none", Records("none"))
}
