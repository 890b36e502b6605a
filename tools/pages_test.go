// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inlineCode = regexp.MustCompile("`([^`\n]+)`")
	pathName   = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*(\.(c|go|h|md|sh|yaml)|/[\w.-]+)$`)
	exported   = regexp.MustCompile(`^([a-z]+)\.([A-Z]\w*)(?:\.([A-Z]\w*))?$`)
)

// The pages for people who change the code name files and functions that exist.
func TestPagesNameWhatExists(t *testing.T) {
	t.Parallel()
	paths, packages := tree(t)
	for _, page := range []string{"CONTRIBUTING.md", "docs/architecture.md"} {
		text, err := os.ReadFile(filepath.Join("..", page))
		if err != nil {
			t.Fatal(err)
		}
		checked := 0
		for _, match := range inlineCode.FindAllStringSubmatch(string(text), -1) {
			name := strings.TrimSuffix(match[1], "/...")
			if parts := exported.FindStringSubmatch(name); parts != nil {
				checked++
				for _, identifier := range parts[2:] {
					if identifier != "" && !declares(packages[parts[1]], identifier) {
						t.Errorf("%s: package %s has no %s (%s)", page, parts[1], identifier, name)
					}
				}
			} else if pathName.MatchString(name) {
				checked++
				if !strings.Contains(paths, "/"+name+"\n") {
					t.Errorf("%s: there is no file or folder %s", page, name)
				}
			}
		}
		if checked < 10 {
			t.Errorf("%s: only %d names were found", page, checked)
		}
	}
}

// The map of the code has each room.
func TestMapHasEachRoom(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms := 0
	for _, folder := range []string{"../internal", "../internal/source", "../cmd/auditkill/internal"} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if !entry.IsDir() {
				continue
			}
			rooms++
			if !regexp.MustCompile(`\b` + entry.Name() + `\b`).Match(text) {
				t.Errorf("docs/architecture.md does not name %s/%s", folder, entry.Name())
			}
		}
	}
	if rooms < 50 {
		t.Errorf("only %d rooms were found", rooms)
	}
}

// tree returns the paths of the repository, a line each, and the code of each package but for its tests, by its folder's
// name.
func tree(t *testing.T) (paths string, packages map[string]string) {
	t.Helper()
	packages = make(map[string]string)
	if err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "_build"):
			return fs.SkipDir
		}
		paths += strings.TrimPrefix(filepath.ToSlash(path), "..") + "\n"
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		code, err := os.ReadFile(path)
		packages[filepath.Base(filepath.Dir(path))] += string(code)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return paths, packages
}

// declares reports whether code has a line that begins with the declaration of a function, a method, a type, a field or
// a constant.
func declares(code, name string) bool {
	return regexp.MustCompile(`(?m)^(\t+|type |const |var |func (\([^)]*\) )?)([A-Z]\w*, )*` + name + `\b`).MatchString(code)
}
