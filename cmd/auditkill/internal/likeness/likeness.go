// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package likeness finds names that are like one that somebody has mistyped.
package likeness

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// most is how many names are suggested.
const most = 3

// Nearest returns the names that are like the one that was asked for, the best first.
func Nearest(asked string, names iter.Seq[string]) []string {
	type near struct {
		name     string
		distance int
	}
	var all []near
	for name := range names {
		if d := distance(strings.ToLower(asked), strings.ToLower(name)); d >= 0 && name != asked {
			all = append(all, near{name, d})
		}
	}
	slices.SortFunc(all, func(a, b near) int { return cmp.Or(a.distance-b.distance, cmp.Compare(a.name, b.name)) })
	var best []string
	for _, each := range slices.Compact(all) {
		if len(best) < most {
			best = append(best, each.name)
		}
	}
	return best
}

// distance returns how different two names are, as people mistake them; -1 if they are nothing alike.
func distance(asked, name string) int {
	const most = 2
	if asked == "" || name == "" {
		return -1
	}
	if len(asked) >= 3 && (strings.Contains(name, asked) || strings.Contains(asked, name) && len(name) >= 3) {
		return 0
	}
	if d := edits(asked, name); d <= most && d < len(asked)-1 {
		return d
	}
	return -1
}

// edits is the distance of Levenshtein. Names are short; of longer texts the rest does not matter.
func edits(a, b string) int {
	const longest = 64
	a, b = a[:min(len(a), longest)], b[:min(len(b), longest)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
