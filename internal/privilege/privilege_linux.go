// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"os"

	"github.com/moby/sys/capability"

	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// The numbers of the initial namespaces (include/uapi/linux/nsfs.h; before 6.18
// include/linux/proc_ns.h).
const (
	initialUser = "user:[4026531837]"
	initialPID  = "pid:[4026531836]"
)

// Has reports whether the process has a capability.
func Has(c capability.Cap) (bool, error) {
	own, err := capability.NewPid2(0)
	if err != nil {
		return false, err
	}
	if err := own.Load(); err != nil {
		return false, err
	}
	return own.Get(capability.EFFECTIVE, c), nil
}

// Lacking returns those of the capabilities that the process is known to lack.
func Lacking(needed ...capability.Cap) []capability.Cap {
	var lacking []capability.Cap
	for _, c := range needed {
		if has, err := Has(c); err == nil && !has {
			lacking = append(lacking, c)
		}
	}
	return lacking
}

// LackingToTrace returns the capabilities that the process lacks to trace in the kernel, as far
// as that is known.
func LackingToTrace() []capability.Cap {
	// CAP_SYS_ADMIN contains both (capabilities(7)).
	if has, err := Has(capability.CAP_SYS_ADMIN); err != nil || has {
		return nil
	}
	return Lacking(capability.CAP_BPF, capability.CAP_PERFMON)
}

// NotInitialUserNamespace is the problem of a process outside the kernel's initial user
// namespace, where it lacks a right whatever its capabilities are.
func NotInitialUserNamespace(err error) *problem.Problem {
	return &problem.Problem{
		Err: fmt.Errorf("%w: this process is not in the initial user namespace", err),
		Fix: "with systemd set PrivateUsers=no, in Kubernetes hostUsers: true, with rootless Docker or Podman run as root",
	}
}

// OtherUserNamespace reports whether the process is known not to be in the initial
// user namespace.
func OtherUserNamespace() bool {
	in := Namespace("user")
	return in != "" && in != initialUser
}

// OtherPIDNamespace reports whether the process is known not to be in the initial
// pid namespace.
func OtherPIDNamespace() bool {
	in := Namespace("pid")
	return in != "" && in != initialPID
}

// InitialPIDNamespace reports whether the process is known to be in the initial pid
// namespace, so that its own pid is the one in the kernel's records.
func InitialPIDNamespace() bool { return Namespace("pid") == initialPID }

// Namespace returns a name such as "pid:[4026531836]"; empty if that is not known.
func Namespace(kind string) string {
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return ""
	}
	return name
}
