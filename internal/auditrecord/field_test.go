// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFields(t *testing.T) {
	t.Parallel()
	type pair struct{ key, value string }
	tests := map[string]struct {
		record   string
		pairs    []pair
		unclosed bool
	}{
		"plain":                 {" a=1 b=2", []pair{{"a", "1"}, {"b", "2"}}, false},
		"quoted":                {`a="x" b='y z' c=1`, []pair{{"a", `"x"`}, {"b", `'y z'`}, {"c", "1"}}, false},
		"empty value":           {"a= b=2", []pair{{"a", ""}, {"b", "2"}}, false},
		"empty value at end":    {"a=", []pair{{"a", ""}}, false},
		"word without value":    {"op add_rule b=2", []pair{{"b", "2"}}, false},
		"enriched":              {"key=\"k\"\x1dARCH=x86_64 UID=\"root\"", []pair{{"key", `"k"`}, {"ARCH", "x86_64"}, {"UID", `"root"`}}, false},
		"separator lost":        {`key="k"ARCH=x86_64`, []pair{{"key", `"k"`}, {"ARCH", "x86_64"}}, false},
		"separator lost, null":  {"key=(null)ARCH=x86_64", []pair{{"key", "(null)"}, {"ARCH", "x86_64"}}, false},
		"separator lost, bare":  {`ocomm=6D79OAUID="unset"`, []pair{{"ocomm", "6D79"}, {"OAUID", `"unset"`}}, false},
		"separator lost, word":  {`res=1AUID="root"`, []pair{{"res", "1"}, {"AUID", `"root"`}}, false},
		"apparmor label":        {"subj=docker-default (enforce) key=(null)", []pair{{"subj", "docker-default (enforce)"}, {"key", "(null)"}}, false},
		"unclosed parenthesis":  {"subj=x (enforce key=1", []pair{{"subj", "x"}, {"key", "1"}}, false},
		"unclosed quote":        {`a=1 comm="my`, []pair{{"a", "1"}, {"comm", `"my`}}, true},
		"lone quote":            {`comm="`, []pair{{"comm", `"`}}, true},
		"equals sign in value":  {"a=b=c d=1", []pair{{"a", "b=c"}, {"d", "1"}}, false},
		"nothing":               {"", nil, false},
		"spaces and separators": {"  \x1d \x1d", nil, false},
		"only a word":           {"rubbish", nil, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var pairs []pair
			f := fields{rest: []byte(tt.record)}
			for {
				key, value, ok := f.next()
				if !ok {
					break
				}
				pairs = append(pairs, pair{string(key), string(value)})
			}
			assert.Equal(t, tt.pairs, pairs)
			assert.Equal(t, tt.unclosed, f.unclosed)
		})
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value string
		want  string
		whole bool
	}{
		"quoted":               {`"mysqld"`, "mysqld", true},
		"hexadecimal":          {"6D79206B696C6C", "my kill", true},
		"lower case":           {"6d79", "my", true},
		"with NULs":            {"62617368002D6300", "bash\x00-c\x00", true},
		"UTF-8":                {"C3A4", "ä", true},
		"null":                 {"(null)", "", true},
		"null in quotes":       {`"(null)"`, "(null)", true},
		"nothing":              {"", "", true},
		"empty in quotes":      {`""`, "", true},
		"odd hexadecimal":      {"6D7", "m", false},
		"unclosed":             {`"mysq`, "mysq", false},
		"lone quote":           {`"`, "", false},
		"word":                 {"mykill", "mykill", true},
		"word, even hex start": {"6Dxy", "6Dxy", true},
		"word, odd":            {"6Dx", "6Dx", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, whole := Decode([]byte("before "), []byte(tt.value))
			assert.Equal(t, "before "+tt.want, string(got))
			assert.Equal(t, tt.whole, whole)
		})
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]uint32{"0": 0, "500": 500, "4294967295": unset, "-1": unset} {
		id, ok := parseID([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, id, text)
	}
	for _, text := range []string{"", "-2", "4294967296", "x", "1x", "99999999999999999999", "--1"} {
		_, ok := parseID([]byte(text))
		assert.False(t, ok, text)
	}
	for text, want := range map[string]uint64{"0": 0, "f": 15, "ffffffffffffff85": 0xffffffffffffff85, "F": 15} {
		n, ok := parseHex([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, n, text)
	}
	for _, text := range []string{"", "0x1", "10000000000000000", "g"} {
		_, ok := parseHex([]byte(text))
		assert.False(t, ok, text)
	}
	for _, text := range []string{"", "-1", "2147483648", "x"} {
		_, ok := parsePID([]byte(text))
		assert.False(t, ok, text)
	}
}
