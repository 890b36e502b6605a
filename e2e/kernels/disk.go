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
	// senders is the folder of what the end-to-end tests would build with Go, which
	// the machine does not have.
	senders = "/usr/lib/auditkill-senders"
)

// siblings are the 32-bit architectures of which a kernel runs programs as well.
var siblings = map[string]string{"amd64": "386", "arm64": "arm"}

// layout is what the disk of a machine has: Debian, the repository, the init, and the
// test programs in the folders of their packages.
type layout struct {
	architecture, repository string
	// root is where Debian is unpacked, tree where all is put together.
	root, tree string
}

// write makes an image of it, and removes the tree: whoever searches the repository
// would find everything twice.
func (l layout) write(image string, jobs []job, subtests string) error {
	err := l.copy()
	if err == nil {
		err = errors.Join(l.compile(l.architecture, "e2e", "./kernels/init", "/init", "build"), l.writeJobs(jobs, subtests), l.add(jobs))
	}
	if err == nil {
		err = shell(`rm -f "$0" && truncate -s 4G "$0" && PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -d "$1" "$0"`, image, l.tree)
	}
	return errors.Join(err, os.RemoveAll(l.tree))
}

// copy takes what is there already. Of the repository that is what git knows, and what
// is new: tests read what lies beside them.
func (l layout) copy() error {
	const script = `rm -rf "$2" && cp -al "$1" "$2" && mkdir -p "$2/etc" "$2/root" "$2$3"
for user in root:0 messagebus:100 systemd-oom:998 nobody:65534; do
	echo "${user%:*}:x:${user#*:}:${user#*:}::/root:/bin/sh" >>"$2/etc/passwd"
	echo "${user%:*}:x:${user#*:}:" >>"$2/etc/group"
done
printf 'adm:x:4:\nnogroup:x:65534:\n' >>"$2/etc/group"
cd "$0"
git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
	tar -c --null --ignore-failed-read --files-from - | tar -x -C "$2$3"`
	return shell(script, l.repository, l.root, l.tree, console.Sources)
}

// jobFile is where a machine finds what to do.
func jobFile(number int) string { return fmt.Sprintf("/job-%d.json", number) }

// writeJobs writes the file of each job.
func (l layout) writeJobs(jobs []job, subtests string) error {
	for i, j := range jobs {
		text, err := json.Marshal(console.Job{
			Folder: j.folder,
			Command: []string{
				filepath.Join(console.Sources, j.folder, testProgram), "-test.v=test2json", "-test.short",
				"-test.timeout=" + testPatience.String(), "-test.run=^(" + strings.Join(j.tests, "|") + ")$" + subtests,
			},
			Environment: []string{"AUDITKILL_E2E_SENDERS=" + senders, "AUDITKILL_E2E_BOOTS=" + strconv.Itoa(j.boots)},
			Systemd:     j.systemd,
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(l.tree, jobFile(i)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// add adds the programs that the jobs need.
func (l layout) add(jobs []job) error {
	there := make(map[string]bool)
	for _, j := range jobs {
		if !there[j.module] && j.module == "e2e" {
			if err := l.addDistribution(); err != nil {
				return err
			}
		}
		if !there[j.folder] {
			folder, err := filepath.Rel(j.module, j.folder)
			if err != nil {
				return err
			}
			err = l.compile(l.architecture, j.module, "./"+folder, filepath.Join(console.Sources, j.folder, testProgram), "test", "-c")
			if err != nil {
				return err
			}
		}
		there[j.module], there[j.folder] = true, true
	}
	return nil
}

// addDistribution adds the programs under test, which the Makefile has built, and
// those that the end-to-end tests run.
func (l layout) addDistribution() error {
	built := filepath.Join(l.repository, "_build/linux_"+l.architecture)
	err := shell(`mkdir -p "$1" && cp "$0"/otelcol-auditkill "$0"/auditkill "$1"`, built, filepath.Join(l.tree, console.Sources, "_build"))
	if err != nil {
		return fmt.Errorf("run `make test-kernels`, which builds what is missing: %w", err)
	}
	for _, architecture := range []string{l.architecture, siblings[l.architecture]} {
		err = errors.Join(err, l.compile(architecture, "e2e", "./programs/sender", filepath.Join(senders, "sender-"+architecture), "build"))
	}
	return err
}

// compile compiles a package, named from the folder of its module, to a path on the disk.
func (l layout) compile(architecture, module, name, path string, command ...string) error {
	build := exec.Command("go", append(command, "-ldflags=-s -w", "-o", filepath.Join(l.tree, path), name)...) //nolint:gosec // ours
	build.Dir = filepath.Join(l.repository, module)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
	_, err := output(build)
	return err
}

// shell runs a script, whose parameters begin with $0.
func shell(script string, parameters ...string) error {
	_, err := output(exec.Command("sh", append([]string{"-e", "-c", script}, parameters...)...)) //nolint:gosec // ours
	return err
}
