// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package lazyregexp has regular expressions that are compiled when they are first needed. Compiled at the start, those of
// formats that most runs never see would take a good part of the time and of the memory that a start takes. The
// standard library has such a package for itself (internal/lazyregexp).
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns a function that returns a regular expression. It panics if that cannot be compiled, when it is called.
func New(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
