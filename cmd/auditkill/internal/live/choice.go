// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/wording"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// eitherNetlink is the name of a candidate that may become either of the two.
const eitherNetlink = Multicast + " or " + Unicast

// candidates are the sources to try, in order.
func (c *Config) candidates() []capture.Candidate {
	switch c.Source {
	case EBPF:
		return []capture.Candidate{c.ebpf()}
	case Multicast, Unicast:
		return []capture.Candidate{c.netlink(c.Source)}
	case File:
		return []capture.Candidate{c.file()}
	}
	log := c.file()
	log.Check = func() error { // a log that nobody asked for is not waited for
		_, err := os.Stat(c.Path)
		return err
	}
	return []capture.Candidate{c.ebpf(), c.netlink(Auto), log}
}

// ebpf traces signals in the kernel.
func (*Config) ebpf() capture.Candidate {
	candidate := capture.EBPF{RingBuffer: capture.DefaultRingBuffer}.Candidate(EBPF)
	candidate.Check = checkEBPF
	return candidate
}

// netlink listens to the kernel's audit system by multicast or unicast; with Auto, it chooses
// between them.
func (c *Config) netlink(mode string) capture.Candidate {
	name := mode
	if mode == Auto {
		name = eitherNetlink
	}
	candidate := capture.Netlink{
		Mode: netlinksource.Mode(mode), ReceiveBuffer: capture.DefaultReceiveBuffer,
	}.Candidate(name)
	candidate.Check = func() error { return checkNetlink(mode) }
	candidate.ManageRules, candidate.Key = true, c.Key
	return candidate
}

// file follows a log from its end.
func (c *Config) file() capture.Candidate {
	return capture.File{Path: c.Path, Follow: true}.Candidate(File)
}

// explain says why no source can be used, and what to do instead.
func (c *Config) explain(err error) error {
	var refused *capture.RefusedError
	if !errors.As(err, &refused) {
		return err
	}
	instead := c.instead()
	if only := refused.Refusals[0]; len(refused.Refusals) == 1 {
		return fmt.Errorf("--source %s: %w\n%s", only.Name, because(only), instead)
	}
	widest := 0
	for _, r := range refused.Refusals {
		widest = max(widest, len(r.Name))
	}
	var lines []string
	for _, r := range refused.Refusals {
		lines = append(lines, fmt.Sprintf("  %-*s  %v", widest, r.Name, because(r)))
	}
	return fmt.Errorf("no source can be used:\n%s\n%s", strings.Join(lines, "\n"), instead)
}

// because returns why a candidate was refused, in the words of the command.
func because(r capture.Refusal) error { return wording.Error(errors.Join(r.Err, r.Cleanup)) }

// instead says what works without the missing rights.
func (c *Config) instead() string {
	if os.Geteuid() == 0 {
		return "`auditkill doctor` shows more"
	}
	const asRoot = "run it as root: sudo auditkill watch\n"
	if log, err := os.Open(c.Path); err == nil {
		_ = log.Close() // it was only read
		return asRoot + "without root, `auditkill watch --source file` and `auditkill report` read the audit log"
	}
	return asRoot +
		"without root, `auditkill watch --source file --file FILE` and `auditkill report FILE` read any audit log that you may read;\n" +
		"log_group in /etc/audit/auditd.conf names the group that may read the host's own"
}

// lacks returns a problem with the missing capabilities; nil if none is missing.
func lacks(missing []capability.Cap) error {
	if len(missing) == 0 {
		return nil
	}
	return &problem.Problem{Lacking: missing}
}
