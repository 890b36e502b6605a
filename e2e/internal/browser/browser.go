// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package browser shows pages in a browser without a window.
package browser

import (
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Show opens a page with further arguments of Chromium, lets its scripts run, and returns what it then shows, as HTML.
func Show(t *testing.T, page string, arguments ...string) string {
	t.Helper()
	return open(t, page, append(arguments, "--dump-dom"))
}

// Picture writes a picture of a page into a file.
func Picture(t *testing.T, page, path string, arguments ...string) {
	t.Helper()
	open(t, page, append(arguments, "--screenshot="+path))
}

func open(t *testing.T, page string, arguments []string) string {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		harness.Missing(t, "chromium is missing (apt-get install chromium)")
	}
	chromium := exec.CommandContext(t.Context(), "chromium", append([]string{ //nolint:gosec // a page of the test's own
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=20000",
	}, append(arguments, page)...)...)
	said := new(harness.Output)
	chromium.Stderr = said
	shown, err := chromium.Output()
	require.NoError(t, err, "%s", said)
	return string(shown)
}
