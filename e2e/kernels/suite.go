// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// job is what runs in a machine of its own: nobody has turned its audit system on
// before, and what one job leaves is nothing to the next.
type job struct {
	// module is the folder of the module that has the package, relative to the
	// repository, and folder that of the package.
	module, folder string
	// run are the names of tests; none for all.
	run []string
	// boots are the environments of one boot after the other with the same disk.
	boots [][]string
}

func (j job) name() string {
	return strings.Join(append([]string{filepath.Join(".", j.folder)}, j.run...), " ")
}

// scenes are the end-to-end tests that stand for the collector and the command on
// another kernel than the host's, wherever they are in the module e2e. Those of a line share a machine.
var scenes = []struct {
	boots [][]string
	tests []string
}{
	{nil, []string{"TestBothSourcesTellTheSame"}},
}

// packages returns a job for each package that touches the kernel. Tests that do
// are in files called *_linux_test.go, so that no list has to be kept here.
func packages(repository, architecture string) ([]job, error) {
	command := exec.Command("go", "list", "-json=Dir,TestGoFiles,XTestGoFiles", "./...")
	command.Dir, command.Env = repository, crossCompiling(architecture)
	command.Stderr = os.Stderr
	said, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", command, err)
	}
	var jobs []job
	for decoder := json.NewDecoder(strings.NewReader(string(said))); ; {
		var p struct {
			Dir                       string
			TestGoFiles, XTestGoFiles []string
		}
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return jobs, nil
		case err != nil:
			return nil, err
		}
		if !slices.ContainsFunc(append(p.TestGoFiles, p.XTestGoFiles...), forLinux) {
			continue
		}
		folder, err := filepath.Rel(repository, p.Dir)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job{module: ".", folder: folder, boots: [][]string{nil}})
	}
}

func forLinux(file string) bool { return strings.HasSuffix(file, "_linux_test.go") }

// endToEnd returns the jobs of the scenes.
func endToEnd(repository string) ([]job, error) {
	folders, err := testFolders(filepath.Join(repository, "e2e"))
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, scene := range scenes {
		of := make(map[string][]string)
		for _, test := range scene.tests {
			folder, known := folders[test]
			if !known {
				return nil, fmt.Errorf("there is no %s in e2e: mend the list of scenes in e2e/kernels/suite.go", test)
			}
			of[folder] = append(of[folder], test)
		}
		for folder, tests := range of {
			relative, err := filepath.Rel(repository, folder)
			if err != nil {
				return nil, err
			}
			boots := scene.boots
			if boots == nil {
				boots = [][]string{nil}
			}
			jobs = append(jobs, job{module: "e2e", folder: relative, run: tests, boots: boots})
		}
	}
	return jobs, nil
}

var testPattern = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)

// testFolders returns in which folder each test is.
func testFolders(root string) (map[string]string, error) {
	folders := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range testPattern.FindAllSubmatch(text, -1) {
			folders[string(match[1])] = filepath.Dir(path)
		}
		return nil
	})
	return folders, err
}
