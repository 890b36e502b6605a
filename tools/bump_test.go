// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package tools tests the tools that are scripts.
package tools

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Versions that no file names, not even this one, which the way back would move as well.
const (
	newBeta    = "v0." + "98765.4"
	newStable  = "v1." + "98765.3"
	newElastic = "v0." + "98765.2"
)

func TestBump(t *testing.T) {
	t.Parallel()
	tree := copied(t)
	before := contents(t, tree)
	beta, stable := present(t, before, "otlpreceiver"), present(t, before, "envprovider")
	elastic := present(t, before, "elasticsearchexporter")

	if output := bump(t, tree, beta, stable); !strings.Contains(output, "make tidy") {
		t.Errorf("it does not say what is left to do: %s", output)
	}
	requireSame(t, before, contents(t, tree), "a bump to the present version")

	bump(t, tree, newBeta, newStable)
	requireNone(t, contents(t, tree), beta, stable)
	if got := present(t, contents(t, tree), "elasticsearchexporter"); got != elastic {
		t.Errorf("the elasticsearch exporter was moved to %s, and nobody asked for that", got)
	}

	bump(t, tree, newBeta, newStable, newElastic)
	after := contents(t, tree)
	requireNone(t, after, beta, stable, elastic)
	for module, want := range map[string]string{
		"otlpreceiver": newBeta, "fileexporter": newBeta, "yamlprovider": newStable, "elasticsearchexporter": newElastic,
	} {
		if got := present(t, after, module); got != want {
			t.Errorf("%s has version %s and not %s", module, got, want)
		}
	}

	bump(t, tree, beta, stable, elastic)
	requireSame(t, before, contents(t, tree), "a bump there and back")
}

func TestBumpToNoVersion(t *testing.T) {
	t.Parallel()
	tree := copied(t)
	before := contents(t, tree)
	for message, versions := range map[string][]string{
		"VERSION must be a version such as v1.2.3, but is ''":        {},
		"STABLE must be a version such as v1.2.3, but is ''":         {newBeta, ""},
		"VERSION must be a version such as v1.2.3, but is 'v0.2'":    {"v0.2", newStable},
		"ELASTIC must be a version such as v1.2.3, but is 'newest'":  {newBeta, newStable, "newest"},
		"STABLE must be a version such as v1.2.3, but is 'v1.2.3/e'": {newBeta, "v1.2.3/e"},
	} {
		output, err := script(tree, versions...).CombinedOutput()
		if err == nil || !strings.Contains(string(output), message) || !strings.Contains(string(output), "usage: make bump") {
			t.Errorf("%q: %v: %s", versions, err, output)
		}
	}
	requireSame(t, before, contents(t, tree), "a bump that is refused")
}

// copied returns a repository of what is in this one.
func copied(t *testing.T) string {
	t.Helper()
	tree := t.TempDir()
	if err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (name == ".git" || name == "_build"):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(tree, strings.TrimPrefix(path, "..")), 0o755)
		case !entry.Type().IsRegular() || name == ".git":
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(tree, strings.TrimPrefix(path, "..")), text, info.Mode().Perm()|0o200)
	}); err != nil {
		t.Fatal(err)
	}
	git := exec.CommandContext(t.Context(), "sh", "-c", "git init -q && git add -A")
	git.Dir = tree
	if output, err := git.CombinedOutput(); err != nil {
		t.Fatalf("making a repository of the copy: %v: %s", err, output)
	}
	return tree
}

// contents returns all files but those of git, by their paths.
func contents(t *testing.T, tree string) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	if err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		name, err := filepath.Rel(tree, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return files
}

func script(tree string, versions ...string) *exec.Cmd {
	return exec.Command(filepath.Join(tree, "tools/bump.sh"), versions...) //nolint:gosec // our own script
}

func bump(t *testing.T, tree string, versions ...string) string {
	t.Helper()
	output, err := script(tree, versions...).CombinedOutput()
	if err != nil {
		t.Fatalf("bump %s: %v: %s", versions, err, output)
	}
	return string(output)
}

// present returns the version of a module in the distribution.
func present(t *testing.T, files map[string][]byte, module string) string {
	t.Helper()
	found := regexp.MustCompile(`/` + module + ` (v\S+)`).FindSubmatch(files["builder-config.yaml"])
	if found == nil {
		t.Fatalf("builder-config.yaml has no %s", module)
	}
	return string(found[1])
}

// requireNone fails if a file names one of the versions, in full or without its last number.
func requireNone(t *testing.T, files map[string][]byte, versions ...string) {
	t.Helper()
	for _, version := range versions {
		parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
		named := regexp.MustCompile(`(^|[^\d.])v?` + parts[0] + `\.` + parts[1] + `(\.` + parts[2] + `)?($|[^\d])`)
		for name, text := range files {
			if name == "CHANGELOG.md" || strings.HasSuffix(name, ".sum") || slices.Contains(strings.Split(name, "/"), "testdata") {
				continue
			}
			for number, line := range bytes.Split(text, []byte("\n")) {
				if named.Match(line) && !otherModule(name, line) {
					t.Errorf("%s:%d still names %s: %s", name, number+1, version, line)
				}
			}
		}
	}
}

// otherModule reports whether a line of go.mod is of a module that is not the collector's.
func otherModule(name string, line []byte) bool {
	return filepath.Base(name) == "go.mod" && !bytes.Contains(line, []byte("collector"))
}

func requireSame(t *testing.T, want, got map[string][]byte, after string) {
	t.Helper()
	if maps.EqualFunc(want, got, bytes.Equal) {
		return
	}
	for name, text := range want {
		if !bytes.Equal(text, got[name]) {
			t.Errorf("%s has changed %s", after, name)
		}
	}
	t.Fatalf("there were %d files, and after %s there are %d", len(want), after, len(got))
}
