// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What cannot be read is said with what it looks like, and that nothing was read is said before the end.
func TestRejected(t *testing.T) {
	t.Parallel()
	const record = "type=SYSCALL msg=audit(1700000000.123:45): arch=c000003e syscall=2 success=yes exit=0\n"
	for name, tt := range map[string]struct {
		log string
		// looks is what the first line that cannot be read looks like, fix what helps.
		lines      int
		looks, fix string
		offset     int64
		// nothing is true if no line is a record.
		nothing bool
	}{
		"an audit log": {log: record},
		"one bad line": {log: record + "hello\n", lines: 1, offset: int64(len(record))},
		"ausearch":     {log: "----\ntime->Tue Nov 14 22:13:20 2023\n" + record},
		"csv": {
			log:   "NODE,EVENT,DATE,TIME,SERIAL_NUM,EVENT_KIND\n" + strings.Repeat(",SYSCALL,11/14/2023,22:13:20,45,audit-rule\n", 35),
			lines: 1, looks: "the output of ausearch --format csv", fix: "`ausearch --raw` prints what can be read", nothing: true,
		},
		"one line of laurel without an end": {
			log: `{"ID":"1700000000.123:45","SYSCALL":{"arch":"0xc000003e"}}`, lines: 1, looks: "JSON of laurel",
			fix: "auditd's own log has what can be read, if write_logs is yes in auditd.conf; `ausearch --raw` prints what can be read", nothing: true,
		},
		"anything": {log: strings.Repeat("hello\n", 3), lines: 1, nothing: true},
		"empty":    {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			require.NoError(t, os.WriteFile(b.path, []byte(tt.log), 0o600))
			settings := b.settings()
			settings.Follow = false
			start(t, settings)
			ended := func() bool { return b.logs.FilterMessage("the log was read to its end").Len() == 1 }
			require.Eventually(t, ended, patience, look)
			said := b.logs.FilterMessage("a line of the log cannot be read").All()
			if tt.lines == 0 {
				assert.Empty(t, said)
			} else {
				require.NotEmpty(t, said)
				fields := said[0].ContextMap()
				assert.Equal(t, tt.offset, fields["offset"])
				assert.Equal(t, b.path, fields["path"])
				if tt.looks != "" {
					assert.Equal(t, tt.looks, fields["looks_like"])
					assert.Equal(t, tt.fix, fields["fix"])
				}
			}
			assert.Equal(t, tt.nothing, b.logs.FilterMessageSnippet("none of the log's lines is an audit record").Len() == 1)
		})
	}
}
