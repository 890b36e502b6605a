// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Output collects what a process writes.
type Output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

// String returns all of the output.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// Contains reports whether a text is in the output.
func (o *Output) Contains(text string) bool { return strings.Contains(o.String(), text) }

var resourcePattern = regexp.MustCompile(`"resource": \{[^}]*\}(, )?`)

// Tail returns the end of the output, which is enough to see what went wrong, without the
// resource that every line repeats.
func (o *Output) Tail() string {
	text := resourcePattern.ReplaceAllString(o.String(), "")
	return text[max(0, len(text)-4000):]
}
