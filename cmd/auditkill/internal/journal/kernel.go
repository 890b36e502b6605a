// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// kernelPatience is how long the kernel's log may take: that of some weeks has millions of lines.
const kernelPatience = 30 * time.Second

// Kernel is the kernel's log as journalctl prints it, or dmesg where there is no journal. It is read to its end,
// and then closed.
type Kernel struct {
	name    string
	command *exec.Cmd
	out     *bufio.Reader
	said    bytes.Buffer
	cancel  context.CancelFunc
}

// OpenKernel opens the kernel's log until some time; zero for now. It fails if neither program shows anything.
func OpenKernel(ctx context.Context, until time.Time) (*Kernel, error) {
	arguments := []string{"--quiet", "--no-pager", "--output=json", "_TRANSPORT=kernel"}
	if !until.IsZero() {
		arguments = append(arguments, "--until=@"+strconv.FormatInt(until.Unix()+1, 10))
	}
	k, err := start(ctx, kernelPatience, "journalctl", arguments...)
	if err == nil {
		return k, nil
	}
	if k, other := start(ctx, kernelPatience, "dmesg", "--time-format", "iso"); other == nil {
		return k, nil
	} else if errors.Is(err, exec.ErrNotFound) {
		err = other
	}
	return nil, err
}

// start starts a program, and fails unless that shows something. The program may take as long as patience says.
func start(ctx context.Context, patience time.Duration, name string, arguments ...string) (*Kernel, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return nil, err //nolint:wrapcheck // it names the program
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	k := &Kernel{name: name, command: exec.CommandContext(ctx, program, arguments...), cancel: cancel} //nolint:gosec // fixed arguments
	k.command.Stderr = &limited{&k.said, maxLine}
	out, err := k.command.StdoutPipe()
	if err == nil {
		err = k.command.Start()
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	k.out = bufio.NewReaderSize(out, maxLine)
	if _, err = k.out.Peek(1); err != nil {
		return nil, cmp.Or(k.Close(), fmt.Errorf("%s shows nothing of it to this user", name))
	}
	return k, nil
}

// Read implements io.Reader.
func (k *Kernel) Read(p []byte) (int, error) { return k.out.Read(p) } //nolint:wrapcheck // readers rely on io.EOF

// Close ends the program. It fails if that could not read the log to its end.
func (k *Kernel) Close() error {
	_, _ = io.Copy(io.Discard, k.out) // so that it can end
	err := k.command.Wait()
	k.cancel()
	if err == nil {
		return nil
	}
	first, _, _ := strings.Cut(strings.TrimSpace(k.said.String()), "\n")
	return fmt.Errorf("%s: %w: %s", k.name, err, first)
}
