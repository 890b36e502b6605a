// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"regexp"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
)

// forgedPattern matches a line that begins with what testdata/forged.log has behind line breaks.
var forgedPattern = regexp.MustCompile(`(?m)^[ \t]*(FORGED|cron\[77\]).{0,80}`)

// AssertNothingForged asserts that the names, paths and command lines of testdata/forged.log are in
// their place in what a program has printed: none begins a line, and none has anything that a
// terminal acts on or that cannot be seen.
func AssertNothingForged(t *testing.T, printed string) {
	t.Helper()
	assert.Empty(t, forgedPattern.FindString(printed), "a line begins with untrusted text")
	for i, r := range printed {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			assert.Fail(t, "untrusted text is not escaped", "%q", printed[max(0, i-80):min(len(printed), i+80)])
			return
		}
	}
}
