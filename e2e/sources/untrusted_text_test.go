// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Names, paths, command lines, terminals, keys, labels, users and hosts with line breaks, escape
// sequences and bidirectional controls (testdata/forged.log) stay in their place where an exporter
// prints texts as they are.
func TestUntrustedText(t *testing.T) {
	t.Parallel()
	for _, verbosity := range []string{"normal", "detailed"} {
		t.Run(verbosity, func(t *testing.T) {
			t.Parallel()
			c := collector.Start(t, collector.Config{
				Receiver: fmt.Sprintf("{file: {path: %q, follow: false}, include_original: true, command_line: full}", harness.Path("testdata/forged.log")),
				Exporter: fmt.Sprintf("{debug: {verbosity: %s}}", verbosity),
			})
			c.Says("the log was read to its end")
			c.Stop()
			printed := c.Output.String()
			// log.record.original has several lines; each begins with a record.
			harness.AssertNothingForged(t, printed)
			for _, shown := range []string{
				`x\ncron[77] (/usr/sbin/cron, uid 0) sent SIGKILL to mysqld[3936] kill.signal.number=9`,
				`comm\nFORGED comm\rFORGED comm\v`,
				`/tmp/exe\nFORGED exe\r`,
				`title\nFORGED title\r`,
				`\u2028FORGED title\u2029FORGED title\x1b[2J\x1b]0;t\a\u009b1m\u202e\u2066\u200b`,
				`pts3\x1b[2J\u009b1m\u202e\u2028FORGED\u0085FORGED`,
				`"mysqld[1] (/usr/sbin/mysqld, uid 0) sent SIGKILL to x"[3998] (=cmd|calc, uid 1000, login 1000) sent SIGKILL to =1+1[5001]`,
				strings.Repeat("c", 64) + "…[3999] (/" + strings.Repeat("d", 511) + "…, uid 1000, login 1000) sent SIGKILL to " + strings.Repeat("t", 64) + "…[5002]",
			} {
				assert.Contains(t, printed, shown)
			}
		})
	}
}
