// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"strconv"
	"strings"
)

// Original returns the value of which Text has made a text, but for bytes that were no UTF-8.
func Original(text string) string {
	at := strings.IndexByte(text, '\\')
	if at < 0 {
		return text
	}
	buf := append(make([]byte, 0, len(text)), text[:at]...)
	for text = text[at:]; text != ""; {
		if text[0] == '\\' && escapes(text[1:]) {
			if r, _, rest, err := strconv.UnquoteChar(text, 0); err == nil {
				buf, text = append(buf, string(r)...), rest
				continue
			}
		}
		buf, text = append(buf, text[0]), text[1:]
	}
	return string(buf)
}

// escapes reports whether Text writes a backslash in front of such a text only as an escape.
func escapes(text string) bool {
	if text == "" {
		return false
	}
	switch text[0] {
	case '\\', 'a', 'b', 'f', 'n', 'r', 't', 'v', 'u', 'U', 'x':
		return forges(text)
	}
	return false
}
