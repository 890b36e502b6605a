// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// Output gathers what a process writes.
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

// String returns all of it.
func (o *Output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// Contains reports whether a text is in it.
func (o *Output) Contains(text string) bool { return strings.Contains(o.String(), text) }

var resourcePattern = regexp.MustCompile(`"resource": \{[^}]*\}(, )?`)

// Tail returns the last part, which is enough to see what went wrong, without
// what each line repeats.
func (o *Output) Tail() string {
	text := resourcePattern.ReplaceAllString(o.String(), "")
	return text[max(0, len(text)-4000):]
}
