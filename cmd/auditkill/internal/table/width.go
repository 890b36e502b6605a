// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package table

import "github.com/rivo/uniseg"

// widthOf returns how many columns of a terminal a text takes. Almost every text is printable ASCII, of which each byte
// takes one.
func widthOf(text string) int {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return uniseg.StringWidth(text)
		}
	}
	return len(text)
}
