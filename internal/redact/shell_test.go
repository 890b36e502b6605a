// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSplitter(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		source string
		want   []string
	}{
		"words":             {" a  b\tc ", []string{"a", "b", "c"}},
		"quotes":            {`a 'b c' "d e"`, []string{"a", "b c", "d e"}},
		"quote in a word":   {`a'b c'd"e f"`, []string{"ab cde f"}},
		"escapes":           {`a\ b "c\"d\e" '\'`, []string{"a b", `c"d\e`, `\`}},
		"ANSI-C":            {`$'a\x62\143\'\\ d'$"e"`, []string{`abc'\ de`}},
		"empty":             {`'' a`, []string{"", "a"}},
		"not closed":        {`a 'b c`, []string{"a", "b c"}},
		"backslash at last": {`a\`, []string{`a\`}},
		"operators":         {"a|b&&c;d>e<<<f\ng", []string{"a", "<1>", "b", "<2>", "<2>", "c", "<2>", "d", "<3>", "e", "<4>", "f", "<2>", "g"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			s := splitter{source: text{value: tt.source}, operators: true}
			for {
				next, ok := s.next()
				if !ok {
					break
				}
				if next.kind != word {
					next.value = "<" + string(rune('0'+next.kind)) + ">"
				}
				got = append(got, next.value)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
