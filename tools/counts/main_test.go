// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

const onRecord = `pkg: example.com/internal/correlate
BenchmarkEvent-2 	 20000 	 7982 ns/op 	 1168 B/op 	 2 allocs/op
BenchmarkHold/an_end-2 	 20000 	 5 ns/op 	 0 B/op 	 0 allocs/op
`

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, new, want string }{
		"the same, elsewhere and slower": {"7982 ns/op", "99999 ns/op", ""},
		"more processors":                {"Event-2", "Event-16", ""},
		"within the tolerance":           {"1168 B/op", "1200 B/op", ""},
		"cheaper":                        {"1168 B/op", "900 B/op", ""},
		"dearer":                         {"1168 B/op", "1300 B/op", "correlate Event B/op: 1300 instead of 1168"},
		"one more allocation":            {"2 allocs/op", "3 allocs/op", "correlate Event allocs/op: 3 instead of 2"},
		"the first allocation":           {"0 allocs/op", "1 allocs/op", "correlate Hold/an_end allocs/op: 1 instead of 0"},
		"another benchmark":              {"BenchmarkEvent", "BenchmarkOther", "correlate Other B/op: 1168, which is not on record"},
		"one that is gone":               {"BenchmarkEvent", "BenchmarkOther", "correlate Event B/op: is on record, but was not counted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kept bytes.Buffer
			if _, err := parse("before", strings.NewReader(onRecord), &kept); err != nil {
				t.Fatal(err)
			}
			want, err := parse("", &kept, &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := parse("now", strings.NewReader(strings.Replace(onRecord, test.old, test.new, 1)), &bytes.Buffer{})
			if err != nil {
				t.Fatal(err)
			}
			err = compare(got, want)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}
