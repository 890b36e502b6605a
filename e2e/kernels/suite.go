// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// What runs is found, so that no list of packages has to be kept: a test that touches
// the kernel is in a file called *_linux_test.go, and all of these run, of whatever
// package of the receiver and the command. Of the end-to-end tests only scenes do.

// scenes are the end-to-end tests that stand for the collector and the command on
// other kernels than the host's. Those of a scene share a machine, which is turned
// on so many times, each time with the same disk.
var scenes = []struct {
	boots int
	tests []string
	// systemd is true if it takes a systemd, which manages the machine.
	systemd bool
}{
	{1, []string{"TestDeliversEachCall", "TestOutcomesAreUnknownAtTheEnd", "TestReportsAnOutOfMemoryKill", "TestHostRunsOutOfMemory"}, false},
	{1, []string{"TestRulesAreLocked"}, false}, // which nothing can come after
	{2, []string{"TestCheckpointOverAReboot"}, false},
	{2, []string{"TestOutcomeOverAReboot"}, false},
	{1, []string{"TestPressureOnTheHost"}, true},
	{1, []string{"TestAppArmorRefuses"}, false},
}

// job is what runs in a machine of its own: nobody has turned its audit system on
// before, and what one job leaves is nothing to the next.
type job struct {
	// module is the folder of the module that has the package, and folder that of
	// the package, both relative to the repository.
	module, folder string
	tests          []string
	boots          int
	systemd        bool
}

// name is what the summary calls it.
func (j job) name() string {
	switch {
	case j.folder == ".":
		return "receiver"
	case j.module == ".":
		return j.folder
	}
	return j.folder + " " + strings.Join(j.tests, " ")
}

// allJobs returns all that there is to do.
func allJobs(repository string) ([]job, error) {
	tests, err := findTests(repository)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, folder := range slices.Sorted(maps.Keys(tests)) {
		if moduleOf(folder) == "." {
			jobs = append(jobs, job{module: ".", folder: folder, tests: tests[folder], boots: 1})
		}
	}
	for _, scene := range scenes {
		of := make(map[string][]string)
		for _, test := range scene.tests {
			folder, found := folderOf(tests, test)
			if !found {
				return nil, fmt.Errorf("there is no end-to-end test %s: correct the scenes in e2e/kernels/suite.go", test)
			}
			of[folder] = append(of[folder], test)
		}
		for folder, tests := range of {
			jobs = append(jobs, job{module: "e2e", folder: folder, tests: tests, boots: scene.boots, systemd: scene.systemd})
		}
	}
	return jobs, nil
}

// moduleOf returns the module that a package belongs to. Of the others that there
// are, none has anything for here.
func moduleOf(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	switch first {
	case "e2e", "bench", "tools":
		return first
	}
	return "."
}

func folderOf(tests map[string][]string, name string) (string, bool) {
	for folder, names := range tests {
		if moduleOf(folder) == "e2e" && slices.Contains(names, name) {
			return folder, true
		}
	}
	return "", false
}

var testPattern = regexp.MustCompile(`(?m)^func (Test\w*)\(t \*testing\.T\)`)

// findTests returns the names of the tests in files called *_linux_test.go, by folder.
func findTests(repository string) (map[string][]string, error) {
	tests := make(map[string][]string)
	err := filepath.WalkDir(repository, func(path string, entry os.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "_build" || entry.Name() == ".git"):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_linux_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(repository, filepath.Dir(path))
		for _, match := range testPattern.FindAllSubmatch(text, -1) {
			tests[folder] = append(tests[folder], string(match[1]))
		}
		return err
	})
	return tests, err
}
