// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// browse opens a page in a browser without a window, lets its scripts run, and returns what it then shows, as HTML. It writes a
// picture as well if it is given the path of a file.
func browse(t *testing.T, page, picture string) string {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		harness.Missing(t, "chromium is missing (apt-get install chromium)")
	}
	open := func(arguments ...string) string {
		t.Helper()
		chromium := exec.CommandContext(t.Context(), "chromium", append([]string{ //nolint:gosec // a page of the test's own
			"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,640", "--user-data-dir=" + t.TempDir(),
			"--virtual-time-budget=20000",
		}, append(arguments, page)...)...)
		said := new(harness.Output)
		chromium.Stderr = said
		shown, err := chromium.Output()
		require.NoError(t, err, "%s", said)
		return string(shown)
	}
	if picture != "" {
		open("--screenshot=" + picture)
	}
	return open("--dump-dom")
}
