// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/plan"
)

// testProgram is the name that each package's compiled tests have in its folder.
const testProgram = "kernel.test"

// disk lays out the file system of a machine and makes an image of it.
type disk struct{ architecture, repository, directory, tree string }

func newDisk(architecture, repository, directory string) (*disk, error) {
	d := &disk{architecture, repository, directory, filepath.Join(directory, "tree")}
	sources := filepath.Join(d.tree, plan.Directory)
	err := os.RemoveAll(d.tree)
	if err == nil {
		_, err = output(exec.Command("cp", "-al", filepath.Join(directory, "root"), d.tree))
	}
	if err == nil {
		err = os.MkdirAll(sources, 0o755)
	}
	if err != nil {
		return nil, err
	}
	// Tests read what lies beside them: all of it is there, as git knows it.
	script := `git ls-files -z --cached --others --exclude-standard --deduplicate | tar -c --null --ignore-failed-read --files-from - | tar -x -C "$0"`
	command := exec.Command("sh", "-c", script, sources)
	command.Dir = repository
	_, err = output(command)
	return d, errors.Join(err, d.accounts(), d.compile("e2e", "./kernels/init", "build", "/init"))
}

// accounts are those that each Debian has, and of which the tests use some.
func (d *disk) accounts() error {
	etc, root := filepath.Join(d.tree, "etc"), filepath.Join(d.tree, "root")
	return errors.Join(os.MkdirAll(etc, 0o755), os.MkdirAll(root, 0o700),
		os.WriteFile(filepath.Join(etc, "passwd"), []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"), 0o644),
		os.WriteFile(filepath.Join(etc, "group"), []byte("root:x:0:\nadm:x:4:\nnogroup:x:65534:\n"), 0o644))
}

// compile compiles a package, named from the folder of its module, to a path in the machine.
func (d *disk) compile(module, name, command, path string) error {
	arguments := strings.Fields(command)
	arguments = append(arguments, "-ldflags=-s -w", "-o", filepath.Join(d.tree, path), name)
	compiler := exec.Command("go", arguments...) //nolint:gosec // ours
	compiler.Dir = filepath.Join(d.repository, module)
	compiler.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+d.architecture)
	_, err := output(compiler)
	return err
}

// addTests compiles the tests of a package and returns how to run them.
func (d *disk) addTests(module, name string, arguments ...string) (plan.Step, error) {
	path := filepath.Join(plan.Directory, module, name, testProgram)
	command := append([]string{path, "-test.v=test2json", "-test.timeout=10m"}, arguments...)
	return plan.Step{Name: filepath.Join(module, name), Command: command}, d.compile(module, "./"+name, "test -c", path)
}

// write makes the image with the steps of each boot.
func (d *disk) write(steps map[string][]plan.Step) error {
	for name, list := range steps {
		text, err := json.Marshal(list)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.tree, name), text, 0o644); err != nil {
			return err
		}
	}
	image := filepath.Join(d.directory, "disk.img")
	_, err := output(exec.Command("sh", "-c", `rm -f "$0" && truncate -s 2G "$0" && mkfs.ext4 -q -d "$1" "$0"`, image, d.tree))
	return err
}
