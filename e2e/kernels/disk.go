// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/console"
)

const (
	// testProgram is the name that the compiled tests of a package have in its folder.
	testProgram = "kernel.test"
	// senders is the folder of what the end-to-end tests would compile with Go, which the machine does not have.
	senders = "/usr/lib/auditkill-senders"
)

// layDisk puts Debian, the repository, this init and the test programs of the jobs
// into a folder, and makes an image of it.
func layDisk(architecture, repository, directory string, jobs []job, subtests string) error {
	tree := filepath.Join(directory, "tree")
	sources := filepath.Join(tree, console.Sources)
	c := compiler{architecture, repository}
	err := errors.Join(os.RemoveAll(tree), shell(`cp -al "$0" "$1"`, filepath.Join(directory, "root"), tree), accounts(tree))
	if err != nil {
		return err
	}
	// What tests read lies beside them. This is all that git knows, and what is new.
	err = shell(`mkdir "$1" && cd "$0" && git ls-files -z --cached --others --exclude-standard --deduplicate |
		tar -c --null --ignore-failed-read --files-from - | tar -x -C "$1"`, repository, sources)
	if err != nil {
		return err
	}
	if err := c.compile("e2e", "./kernels/init", filepath.Join(tree, "init"), "build"); err != nil {
		return err
	}
	done := make(map[string]bool)
	for _, j := range jobs {
		if done[j.folder] {
			continue
		}
		done[j.folder] = true
		if err := c.compileTests(j, sources); err != nil {
			return err
		}
		if j.module == "e2e" {
			if err := endToEndPrograms(c, tree); err != nil {
				return err
			}
		}
	}
	if err := writeJobs(tree, jobs, subtests); err != nil {
		return err
	}
	err = shell(`rm -f "$0" && truncate -s 4G "$0" && PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -d "$1" "$0"`, filepath.Join(directory, "disk.img"), tree)
	return errors.Join(err, os.RemoveAll(tree)) // or whoever searches the repository finds everything twice
}

// jobFile is where a machine finds what to do.
func jobFile(number int) string { return fmt.Sprintf("/job-%d.json", number) }

// writeJobs writes the file of each job.
func writeJobs(tree string, jobs []job, subtests string) error {
	for i, j := range jobs {
		pattern := "^(" + strings.Join(j.tests, "|") + ")$" + subtests
		text, err := json.Marshal(console.Job{
			Folder:      j.folder,
			Command:     []string{filepath.Join(console.Sources, j.folder, testProgram), "-test.v=test2json", "-test.short", "-test.timeout=" + testPatience.String(), "-test.run=" + pattern},
			Environment: []string{"AUDITKILL_E2E_SENDERS=" + senders, "AUDITKILL_E2E_BOOTS=" + strconv.Itoa(j.boots)},
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tree, jobFile(i)), text, 0o644); err != nil { //nolint:gosec // nothing secret
			return err
		}
	}
	return nil
}

// accounts are those that every Debian has, as far as tests use them.
func accounts(tree string) error {
	return shell(`mkdir -p "$0/etc" "$0/root" &&
		printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n' >"$0/etc/passwd" &&
		printf 'root:x:0:\nadm:x:4:\nnogroup:x:65534:\n' >"$0/etc/group"`, tree)
}

// endToEndPrograms are the programs under test, which the Makefile has built, and those that tests run.
func endToEndPrograms(c compiler, tree string) error {
	built := filepath.Join(c.repository, "_build/linux_"+c.architecture)
	err := shell(`mkdir -p "$1" && cp "$0"/otelcol-auditkill "$0"/auditkill "$1"`, built, filepath.Join(tree, console.Sources, "_build"))
	if err != nil {
		return fmt.Errorf("run `make test-kernels`, which builds what is missing: %w", err)
	}
	for _, architecture := range []string{c.architecture, siblings[c.architecture]} {
		sender := compiler{architecture, c.repository}
		if err := sender.compile("e2e", "./sender", filepath.Join(tree, senders, "sender-"+architecture), "build"); err != nil {
			return err
		}
	}
	return nil
}

// siblings are the 32-bit architectures of which a kernel runs programs as well.
var siblings = map[string]string{"amd64": "386", "arm64": "arm"}

// compiler compiles for a machine.
type compiler struct{ architecture, repository string }

func (c compiler) compile(module, name, path string, command ...string) error {
	command = append(command, "-ldflags=-s -w", "-o", path, name)
	build := exec.Command("go", command...) //nolint:gosec // ours
	build.Dir, build.Env = filepath.Join(c.repository, module), crossCompiling(c.architecture)
	_, err := output(build)
	return err
}

func (c compiler) compileTests(j job, sources string) error {
	name, err := filepath.Rel(j.module, j.folder)
	if err != nil {
		return err
	}
	return c.compile(j.module, "./"+name, filepath.Join(sources, j.folder, testProgram), "test", "-c")
}

func crossCompiling(architecture string) []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
}

// shell runs a script, whose parameters begin with $0.
func shell(script string, parameters ...string) error {
	_, err := output(exec.Command("sh", append([]string{"-e", "-c", script}, parameters...)...)) //nolint:gosec // ours
	return err
}
