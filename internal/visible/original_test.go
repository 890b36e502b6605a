// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestOriginal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "mysqld", "a\nb", `a\nb`, `a\\nb`, "\x1b[31m", `\x1b`, `dm\x2dcrypt.service`, `\`, `\\`, `\\\`, "\u202e", `\u202e`, `\q`,
		"\\\x1b", "\x7f", `C:\x`, `\x7f`, `\xZZ`, `\x`, `\u12`, "…", "\u2028\\", `\0`, `\'`,
	} {
		assert.Equal(t, text, Original(Text(text)), "%q is written %q", text, Text(text))
	}
}

func FuzzOriginal(f *testing.F) {
	f.Add(`a\nb` + "\n\x1b\\")
	f.Fuzz(func(t *testing.T, text string) {
		_ = Original(text) // whatever it is, nothing happens
		valid := strings.ToValidUTF8(text, "\uFFFD")
		if got := Original(Text(text)); got != valid || !utf8.ValidString(got) {
			t.Errorf("%q is written %q, and read as %q", text, Text(text), got)
		}
	})
}
