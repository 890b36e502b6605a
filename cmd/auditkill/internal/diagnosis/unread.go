// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"path/filepath"
	"slices"
	"strings"
)

// manyOlder is how many older logs are named: the newest ones.
const manyOlder = 3

// unpackers are the programs that read logs that report cannot, by the ending of their names.
var unpackers = map[string]string{".bz2": "bzcat", ".lz4": "lz4cat", ".Z": "zcat"}

// unread reports older logs that are not read unless they are named. The command lists each by
// name: if only root may list the folder, a shell cannot expand a star.
func (l *Log) unread() []Finding {
	if len(l.Unread) == 0 {
		return nil
	}
	what := "older logs are not read, because of their names or how they are compressed: " +
		l.Unread[len(l.Unread)-1]
	if more := len(l.Unread) - 1; more > 0 {
		what += text(" and %d more", more)
	}
	var dated, mend []string
	packed := ""
	for _, path := range l.Unread {
		if unpackers[filepath.Ext(path)] != "" {
			packed = path
		} else {
			dated = append(dated, quote(path))
		}
	}
	if len(dated) > 0 {
		slices.Reverse(dated)
		named := append([]string{quote(l.Path)}, dated[:min(manyOlder, len(dated))]...)
		mend = append(mend, "sudo auditkill report "+strings.Join(named, " "))
	}
	if packed != "" {
		mend = append(mend, "sudo "+unpackers[filepath.Ext(packed)]+" "+quote(packed)+" | auditkill report -")
	}
	return []Finding{finding(what, mend...)}
}
