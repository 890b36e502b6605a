// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// Records returns audit records without their command lines.
func Records(records string) string {
	const field = "proctitle="
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(records, field)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		out.WriteString(field + redacted)
		if end := strings.IndexAny(after, "\n\x1d"); end >= 0 {
			records = after[end:]
		} else {
			records = ""
		}
	}
}
