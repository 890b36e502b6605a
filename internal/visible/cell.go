// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"strings"
	"unicode/utf8"
)

// Cell returns a text for CSV. If a spreadsheet would run it, an apostrophe is in front of it, and
// the spreadsheet shows it (https://owasp.org/www-community/attacks/CSV_Injection).
func Cell(text string) string {
	if runs(text) {
		return "'" + text
	}
	return text
}

// runs reports whether a spreadsheet may take a text for a formula. Some remove spaces and quotes
// in front of it, and take the wide forms of characters for the usual ones.
func runs(text string) bool {
	rest := strings.TrimLeft(text, " \"'")
	first, _ := utf8.DecodeRuneInString(rest)
	return rest != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first)
}
