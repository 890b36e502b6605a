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
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

const (
	// lockdownFile shows how far the kernel trusts root (kernel_lockdown(7)).
	lockdownFile    = "/sys/kernel/security/lockdown"
	confidentiality = "confidentiality"
)

// explain returns an error with what the kernel or the collector lacks, and what provides it.
func explain(err error) error { return explainUnder(readLockdown(lockdownFile), err) }

func explainUnder(lockdown string, err error) error {
	netlink := []problem.Advice{problem.UseNetlink}
	if _, noTypes := btf.LoadKernelSpec(); errors.Is(noTypes, ebpf.ErrNotSupported) || errors.Is(noTypes, os.ErrNotExist) {
		return &problem.Problem{
			Err:    fmt.Errorf("%w: the kernel has no type information (/sys/kernel/btf/vmlinux)", err),
			Fix:    "boot a kernel with CONFIG_DEBUG_INFO_BTF=y",
			Advice: netlink,
		}
	}
	var verifier *ebpf.VerifierError
	switch {
	case errors.Is(err, errMemlock) && len(privilege.LackingToTrace()) == 0:
		// rlimit.RemoveMemlock takes a refused bpf(2) for a reached limit, and tries to raise the limit.
		p := refused(lockdown, err)
		p.Fix += "; before Linux 5.11 it may be the limit itself: with systemd set LimitMEMLOCK=infinity, " +
			"with Docker --ulimit memlock=-1"
		return p
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES) && !errors.As(err, &verifier):
		return refused(lockdown, err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("%w: the kernel has no bpf(2) (CONFIG_BPF_SYSCALL), or a seccomp profile hides it", err)
	case errors.As(err, &verifier) && lockdown == confidentiality: // which removes the helpers that read memory
		return locked(err)
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported):
		return &problem.Problem{Err: fmt.Errorf("%w: the kernel may be too old, Linux 5.15 or newer is needed", err), Advice: netlink}
	}
	return err
}

// refused returns what may be the reason for a refusal.
func refused(lockdown string, err error) *problem.Problem {
	if privilege.OtherUserNamespace() {
		return privilege.NotInitialUserNamespace(err)
	}
	if lacking := privilege.LackingToTrace(); len(lacking) > 0 {
		return &problem.Problem{Err: err, Lacking: lacking}
	}
	if lockdown == confidentiality {
		return locked(err)
	}
	return &problem.Problem{
		Err: fmt.Errorf("%w: a seccomp profile or security module refuses bpf(2)", err),
		Fix: "with Docker set --security-opt seccomp=unconfined, in Kubernetes seccompProfile.type: Unconfined, " +
			"with systemd take bpf out of SystemCallFilter=",
	}
}

func locked(err error) *problem.Problem {
	return &problem.Problem{
		Err:    fmt.Errorf("%w: the kernel is locked down and lets nobody read its memory", err),
		Fix:    "boot with lockdown=integrity or without lockdown=",
		Advice: []problem.Advice{problem.UseNetlink},
	}
}

// readLockdown returns none, integrity or confidentiality; empty if that is not known.
func readLockdown(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	_, chosen, _ := strings.Cut(string(text), "[")
	chosen, _, _ = strings.Cut(chosen, "]")
	return chosen
}
