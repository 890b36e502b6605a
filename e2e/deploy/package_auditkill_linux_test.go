// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The command auditkill, as the packages install it.

const (
	installedCompanion = "/usr/bin/auditkill"
	companionPages     = "/usr/share/man/man1"
	companionBash      = "/usr/share/bash-completion/completions/auditkill"
	companionFish      = "/usr/share/fish/vendor_completions.d/auditkill.fish"
	companionZshOfDeb  = "/usr/share/zsh/vendor-completions/_auditkill"
	companionZshOfRPM  = "/usr/share/zsh/site-functions/_auditkill"
	companionVersion   = "0.3.0"
)

func TestInstallsAuditkill(t *testing.T) {
	needDpkg(t)
	deb, _ := makePackages(t, companionVersion)
	paths := []string{installedCompanion, companionBash, companionZshOfDeb, companionFish}
	t.Cleanup(func() { // after the removal
		for _, path := range paths {
			assert.NoFileExists(t, path)
		}
	})
	install(t, deb)
	for _, path := range paths {
		assert.FileExists(t, path)
	}
	assert.Equal(t, "auditkill "+companionVersion+"\n", shell(t, installedCompanion, "--version"))
	assert.Contains(t, shell(t, installedCompanion, "report", harness.Path("testdata/seed.log")), "mykill[3997]")

	// The completion script runs the program on $PATH. The functions stand in for bash and the package
	// bash-completion.
	const completes = `
		PATH=/usr/bin:/bin
		source ` + companionBash + `
		complete -p auditkill
		_init_completion() { cur=rep prev=auditkill words=(auditkill rep) cword=1; }
		compopt() { :; }
		COMP_TYPE=9 __start_auditkill
		echo "${COMPREPLY[@]}"`
	assert.Equal(t, "complete -o default -F __start_auditkill auditkill\nreport\n", shell(t, "bash", "--norc", "-e", "-c", completes))
}

// The pages are taken from the package, because dpkg does not install manual pages in many
// containers.
func TestManualPages(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		harness.Missing(t, "dpkg-deb is missing, so this test cannot read a .deb: "+err.Error())
	}
	deb, _ := makePackages(t, companionVersion)
	directory := t.TempDir()
	shell(t, "dpkg-deb", "--extract", deb, directory)
	paths, err := filepath.Glob(directory + companionPages + "/*")
	require.NoError(t, err)
	var pages []string
	for _, path := range paths {
		pages = append(pages, filepath.Base(path))
	}
	assert.Subset(t, pages, []string{"auditkill.1.gz", "auditkill-report.1.gz", "auditkill-completion.1.gz", "otelcol-auditkill.1.gz"})

	renderer, err := exec.LookPath("man")
	if err != nil {
		harness.Missing(t, "man is not installed; on Debian: apt-get install man-db")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			assert.True(t, strings.HasPrefix(unzipped(t, path), ".TH "), "the page must start with its title")
			render := exec.CommandContext(t.Context(), renderer, "--warnings", "--local-file", path) //nolint:gosec // the path was looked up
			render.Env = append(os.Environ(), "MANWIDTH=80", "LC_ALL=C.UTF-8", "MANROFFOPT=", "MANPAGER=cat", "MAN_KEEP_FORMATTING=")
			var warnings strings.Builder
			render.Stderr = &warnings
			text, err := render.Output()
			require.NoError(t, err, warnings.String())
			assert.Empty(t, warnings.String())
			assertPage(t, string(text), path)
		})
	}
}

// assertPage checks a rendered page.
func assertPage(t *testing.T, text, path string) {
	t.Helper()
	command := strings.TrimSuffix(filepath.Base(path), ".1.gz")
	assert.Contains(t, text, "\nNAME\n       "+command+" - ")
	typed := strings.Replace(command, "-", " ", 1)
	if command == packageName {
		typed = command
	}
	assert.Contains(t, text, "\nSYNOPSIS\n       "+typed+" ")
	for _, section := range []string{"DESCRIPTION", "OPTIONS", "EXAMPLES", "SEE ALSO"} {
		assert.Contains(t, text, "\n"+section+"\n       ")
	}
	assert.Contains(t, text, "\nauditkill "+companionVersion+" ", "the version of the program")
	for line := range strings.Lines(text) {
		assert.NotRegexp(t, "\\*\\*|```|\\\\[-*_`]", line, "nothing is left of Markdown")
	}
}

func unzipped(t *testing.T, path string) string {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	reader, err := gzip.NewReader(file)
	require.NoError(t, err)
	assert.True(t, reader.ModTime.IsZero(), "no time of the build, so that builds are reproducible")
	text, err := io.ReadAll(reader)
	require.NoError(t, err)
	return string(text)
}
