// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command kernels boots Debian's kernels in emulated machines and runs the
// project's tests there.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/plan"
)

func main() {
	architecture := flag.String("arch", "amd64", "")
	packages := flag.String("packages", "internal/auditrules", "")
	run := flag.String("run", ".", "")
	flag.Parse()
	if err := try(*architecture, strings.Fields(*packages), *run); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func try(architecture string, packages []string, run string) error {
	repository, err := output(exec.Command("git", "rev-parse", "--show-toplevel"))
	if err != nil {
		return err
	}
	repository = strings.TrimSpace(repository)
	directory := filepath.Join(repository, "_build/kernels", architecture)
	if err := (debian{architecture, directory}).prepare(); err != nil {
		return err
	}
	d, err := newDisk(architecture, repository, directory)
	if err != nil {
		return err
	}
	var steps []plan.Step
	for _, name := range packages {
		step, err := d.addTests("", name, "-test.run="+run)
		if err != nil {
			return err
		}
		steps = append(steps, step)
	}
	if err := d.write(map[string][]plan.Step{"/first": steps}); err != nil {
		return err
	}
	return machines[architecture].boot(context.Background(), directory, "/first", os.Stdout)
}
