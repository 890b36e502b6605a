// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRecordsArguments(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"--quiet", "--no-pager", "--output=json", "_TRANSPORT=audit", "+", "_TRANSPORT=kernel"},
		recordsArguments(time.Time{}, time.Time{}))
	assert.Equal(t, []string{
		"--quiet", "--no-pager", "--output=json", "--since=@1700000000", "--until=@1700000061", "_TRANSPORT=audit", "+", "_TRANSPORT=kernel",
	}, recordsArguments(time.Unix(1700000000, 5), time.Unix(1700000060, 0)))
}

// root needs no further rights.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const audit = "see Audit= in journald.conf(5) and systemd-journald-audit.socket: without them the journal has no audit records"
	assert.Equal(t, "run it as root or in the group systemd-journal, and "+audit, advice(1000))
	assert.Equal(t, audit, advice(0))
}
