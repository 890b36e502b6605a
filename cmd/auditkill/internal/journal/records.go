// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// recordsPatience is how long all of the journal may take: somebody waits for it, sees how far it is, and can interrupt it.
const recordsPatience = 24 * time.Hour

// OpenRecords opens what the journal has of the audit system and of the kernel, between two times; zero for all. It is read to
// its end, and then closed. It fails if journalctl shows nothing of it.
func OpenRecords(ctx context.Context, since, until time.Time) (*Kernel, error) {
	k, err := start(ctx, recordsPatience, "journalctl", recordsArguments(since, until)...)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, advice(os.Geteuid()))
	}
	return k, nil
}

// advice says what may make the journal show its records to a user.
func advice(uid int) string {
	const audit = "see Audit= in journald.conf(5) and systemd-journald-audit.socket: without them the journal has no audit records"
	if uid == 0 {
		return audit
	}
	return "run it as root or in the group systemd-journal, and " + audit
}

func recordsArguments(since, until time.Time) []string {
	arguments := []string{"--quiet", "--no-pager", "--output=json"}
	if !since.IsZero() {
		arguments = append(arguments, "--since=@"+strconv.FormatInt(since.Unix(), 10))
	}
	if !until.IsZero() {
		arguments = append(arguments, "--until=@"+strconv.FormatInt(until.Unix()+1, 10))
	}
	return append(arguments, "_TRANSPORT=audit", "+", "_TRANSPORT=kernel")
}
