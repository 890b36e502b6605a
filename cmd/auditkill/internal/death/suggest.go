// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/likeness"
)

// Suggest returns names that are like the one that was asked for: of what was seen, and of others such as those of the
// processes that run now. The best one comes first.
func (f *Finder) Suggest(others []string) []string {
	asked := f.target.text
	if named := namedProcess.FindStringSubmatch(asked); named != nil {
		asked = named[1]
	}
	return slices.DeleteFunc(likeness.Nearest(asked, func(yield func(string) bool) {
		for name := range f.names {
			if !yield(name) {
				return
			}
		}
		for _, name := range others {
			if !yield(name) {
				return
			}
		}
	}), func(name string) bool { return name == f.target.text })
}
