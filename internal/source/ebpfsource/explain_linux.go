// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

const (
	// lockdownFile says how far the kernel trusts root (kernel_lockdown(7)).
	lockdownFile    = "/sys/kernel/security/lockdown"
	confidentiality = "confidentiality"
	lockedDown      = "the kernel is locked down and lets nobody read its memory; boot with lockdown=integrity or without " +
		"lockdown=, or use netlink"
)

// explain says what the kernel or the collector lacks, and what gives it.
func explain(err error) error { return explainUnder(readLockdown(lockdownFile), err) }

func explainUnder(lockdown string, err error) error {
	if _, noTypes := btf.LoadKernelSpec(); errors.Is(noTypes, ebpf.ErrNotSupported) || errors.Is(noTypes, os.ErrNotExist) {
		return fmt.Errorf("%w: the kernel has no type information (/sys/kernel/btf/vmlinux): it takes a kernel with "+
			"CONFIG_DEBUG_INFO_BTF=y, or use netlink", err)
	}
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, errMemlock) && lacking() == "":
		// To who asks, a bpf(2) that is refused looks like a limit: the limit is raised because of it.
		return fmt.Errorf("%w: %s; before Linux 5.11 it may be the limit itself: with systemd set LimitMEMLOCK=infinity, "+
			"with Docker --ulimit memlock=-1", err, refused(lockdown))
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !errors.As(err, &verifier):
		return fmt.Errorf("%w: %s", err, refused(lockdown))
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel has no bpf(2) (CONFIG_BPF_SYSCALL), or a seccomp profile hides it", err)
	case errors.As(err, &verifier) && lockdown == confidentiality: // where the helpers that read memory do not exist
		return fmt.Errorf("%w: %s", err, lockedDown)
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: the kernel may be too old, Linux 5.15 or newer is needed; or use netlink", err)
	}
	return err
}

// refused says what may be the reason for a refusal.
func refused(lockdown string) string {
	if privilege.OtherUserNamespace() {
		return "the collector is not in the initial user namespace; with systemd set PrivateUsers=no, " +
			"in Kubernetes hostUsers: true, with rootless Docker or Podman run as root"
	}
	if lacking := lacking(); lacking != "" {
		return lacking
	}
	if lockdown == confidentiality {
		return lockedDown
	}
	return "a seccomp profile or security module refuses bpf(2); with Docker set --security-opt seccomp=unconfined, " +
		"in Kubernetes seccompProfile.type: Unconfined, with systemd take bpf out of SystemCallFilter="
}

// lacking says how to give the collector the capabilities that it lacks; empty if it
// lacks none, or if it is not known.
func lacking() string {
	// CAP_SYS_ADMIN contains both (capabilities(7)).
	if has, err := privilege.Has(capability.CAP_SYS_ADMIN); err != nil || has {
		return ""
	}
	return privilege.Lacking(capability.CAP_BPF, capability.CAP_PERFMON)
}

// readLockdown returns none, integrity or confidentiality; empty if it is not known.
func readLockdown(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	_, chosen, _ := strings.Cut(string(text), "[")
	chosen, _, _ = strings.Cut(chosen, "]")
	return chosen
}
