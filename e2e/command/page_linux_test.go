// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/browser"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// look searches a page for a program, and writes into its root what it then looks like.
const look = `<script>{
const root = document.documentElement, box = document.getElementById("search");
box.value = "mariadbd"; box.dispatchEvent(new Event("input"));
root.dataset.overflow = root.scrollWidth - root.clientWidth;
root.dataset.background = getComputedStyle(document.body).backgroundColor;
root.dataset.listed = Array.from(document.querySelectorAll("tbody tr")).filter((row) => row.offsetParent !== null && row.offsetHeight > 0).length;
root.dataset.shown = document.getElementById("shown").textContent;
}</script>`

// TestPageInABrowser opens the page for a ticket as on a telephone and on a desk, by day and by night.
func TestPageInABrowser(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "page.html")
	auditkill(t, nil, "report", "--since", "2000-01-01", "--html", path, harness.Path("../shared/testdata/behind.log"))
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Regexp(t, `<tr id="[^"]+"><td data-label="Time">`, browser.Show(t, "file://"+path), "as it is, with its own policy")

	// The page's policy permits no script but its own.
	policy := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).FindString(string(page))
	require.NotEmpty(t, policy)
	probe := filepath.Join(folder, "probe.html")
	require.NoError(t, os.WriteFile(probe, []byte(strings.Replace(string(page), policy, "", 1)+look), 0o600))
	backgrounds := map[string]string{}
	for scheme, setting := range map[string]string{"dark": "0", "light": "1"} {
		for _, width := range []string{"500", "1280"} { // Chromium's windows are no narrower
			shown := browser.Show(t, "file://"+probe, "--window-size="+width+",900", "--blink-settings=preferredColorScheme="+setting)
			value := func(name string) string {
				found := regexp.MustCompile(`data-` + name + `="([^"]*)"`).FindStringSubmatch(shown)
				require.Len(t, found, 2, name)
				return found[1]
			}
			assert.Equal(t, "0", value("overflow"), "%s, %s wide: nothing lies beside the window", scheme, width)
			assert.NotEqual(t, "0", value("shown"))
			assert.Equal(t, value("shown"), value("listed"), "the search hides the other lines")
			backgrounds[scheme] = value("background")
		}
	}
	assert.NotEqual(t, backgrounds["dark"], backgrounds["light"])
}
