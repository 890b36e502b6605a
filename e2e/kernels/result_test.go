// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/console"
)

// firmware is what comes before the kernel, without an end of the line.
const firmware = "\x1bc\x1b[?7lBooting from ROM...\r\noc"

func TestRead(t *testing.T) {
	t.Parallel()
	const kernel = firmware + console.Kernel + "6.1.0\r\n"
	tests := map[string]struct {
		text string
		want result
		err  string
	}{
		"all passed": {
			text: kernel + "\x16=== RUN   TestA\r\nSKIPPED TestA/b: no\r\n\x16    --- PASS: TestA/a (0.01s)\r\n" +
				"    a_test.go:1: SKIPPED TestA/b: no\r\n\x16    --- SKIP: TestA/b (0.01s)\r\n\x16--- PASS: TestA (0.02s)\r\n\x16PASS\r\n" +
				"\r\n" + console.Exit + "0\r\n",
			want: result{passed: 2, skipped: 1, skips: []string{"SKIPPED TestA/b: no"}},
		},
		"a line that a test has not ended": {
			text: kernel + "said\x16--- PASS: TestA (0.02s)\r\n\r\n" + console.Exit + "0\r\n",
			want: result{passed: 1},
		},
		"a failure": {
			text: kernel + "\x16--- PASS: TestA (0.02s)\r\n\x16--- FAIL: TestB (0.02s)\r\n\x16FAIL\r\n\r\n" + console.Exit + "1\r\n",
			want: result{passed: 1, failed: 1},
			err:  "exit code 1",
		},
		"a failure that the exit code denies": {
			text: kernel + "\x16--- FAIL: TestB (0.02s)\r\n\r\n" + console.Exit + "0\r\n",
			want: result{failed: 1},
			err:  "exit code 0",
		},
		"no test": {
			text: kernel + "testing: warning: no tests to run\r\n\x16PASS\r\n\r\n" + console.Exit + "0\r\n",
			err:  "no test has run",
		},
		"only skipped": {
			text: kernel + "\x16--- SKIP: TestA (0.02s)\r\n\r\n" + console.Exit + "0\r\n",
			want: result{skipped: 1},
			err:  "no test has run",
		},
		"no end": {
			text: kernel + "\x16--- PASS: TestA (0.02s)\r\n[   12.000000] Kernel panic - not syncing\r\n",
			want: result{passed: 1},
			err:  errNoEnd.Error(),
		},
		"no beginning": {text: kernel + console.Broken + "mounting proc\r\n", err: "mounting proc"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := read(tt.text)
			if tt.err == "" {
				require.NoError(t, got.err)
			} else {
				require.EqualError(t, got.err, tt.err)
			}
			assert.Equal(t, "6.1.0", got.kernel)
			assert.NotContains(t, strings.Join(got.told, "\n"), "ROM")
			tt.want.kernel, tt.want.told, tt.want.err, tt.want.ended = got.kernel, got.told, got.err, got.ended
			assert.Equal(t, tt.want, got)
		})
	}
	require.ErrorIs(t, read("").err, errNoEnd)

	got := read(kernel + "\x16--- PASS: TestA (0.02s)\r\n\x16    --- PASS: TestB/c (0.01s)\r\n\x16--- SKIP: TestC (0.01s)\r\n\r\n" + console.Exit + "0\r\n")
	require.NoError(t, got.err)
	require.NoError(t, got.missing([]string{"TestA", "TestC"}))
	require.ErrorContains(t, got.missing([]string{"TestA", "TestB"}), "TestB")
}
